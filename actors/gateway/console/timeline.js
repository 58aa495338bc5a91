// The time line of a turn: tokens come in above, chunks go out below them, the voice says them at the bottom.

const LANES = { token: 34, chunk: 76, voice: 118 };
const LEFT = 14, RIGHT = 14, AXIS = 146;

export class Timeline {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
  }

  draw(turn) {
    const { canvas, pen } = this;
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    const color = (name) => this.#color(name);
    const until = this.#until(turn);
    const x = (at) => LEFT + (at / until) * (width - LEFT - RIGHT);
    this.#axis(x, until, width, color);
    if (turn === undefined) return;
    this.#tokens(turn, x, color);
    this.#chunks(turn, x, color);
    if (!turn.chunks.some((chunk) => chunk.begun !== undefined)) {
      pen.fillStyle = color("faint");
      pen.textAlign = "left";
      pen.fillText("not spoken aloud", LEFT + 4, LANES.voice - 8);
    }
    if (turn.interruptedAt !== undefined) {
      pen.fillStyle = color("stop");
      pen.fillRect(x(turn.interruptedAt) - 1, 8, 2, AXIS - 12);
    }
  }

  // The page's colours follow the theme; a canvas has to ask what they are now.
  #color(name) {
    this.canvas.style.color = `var(--${name})`;
    return getComputedStyle(this.canvas).color;
  }

  #until(turn) {
    if (turn === undefined) return 4000;
    const ends = turn.chunks.map((chunk) => chunk.ended ?? (chunk.begun === undefined ? chunk.at : turn.now));
    return Math.max(2000, turn.ended ?? turn.now, ...ends) * 1.03;
  }

  #axis(x, until, width, color) {
    const { pen } = this;
    const step = [250, 500, 1000, 2000, 5000, 10000, 30000, 60000].find((ms) => until / ms <= 6) ?? 300000;
    pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    pen.textAlign = "center";
    for (let at = 0; at <= until; at += step) {
      pen.fillStyle = color("line");
      pen.fillRect(Math.round(x(at)), 12, 1, AXIS - 14);
      pen.fillStyle = color("faint");
      if (x(at) < width - 24) pen.fillText(at === 0 ? "0" : `${at / 1000} s`, x(at), AXIS + 14);
    }
  }

  #tokens(turn, x, color) {
    const { pen } = this;
    pen.fillStyle = color("faint");
    for (const { at, count } of turn.tokens) {
      const tall = Math.min(22, 5 + 3 * count);
      pen.fillRect(x(at) - 0.5, LANES.token - tall, 1.5, tall);
    }
    pen.fillStyle = color("stop");
    for (const { at } of turn.parts) pen.fillRect(x(at) - 1, LANES.token + 3, 2.5, 4);
  }

  #chunks(turn, x, color) {
    const { pen } = this;
    turn.chunks.forEach((chunk, place) => {
      const from = x(turn.arrival(chunk)), to = x(chunk.at);
      pen.globalAlpha = 0.3;
      pen.fillStyle = color("agent");
      this.#bar(from, LANES.chunk - 22, Math.max(to - from, 2), 18);
      pen.globalAlpha = 1;
      pen.fillRect(to - 2, LANES.chunk - 22, 2.5, 18);
      if (to - from > 16) {
        pen.fillStyle = color("ink");
        pen.textAlign = "center";
        pen.fillText(`${place + 1}`, (from + to) / 2, LANES.chunk - 9);
      }
      if (chunk.begun === undefined) return;
      const ended = chunk.ended ?? turn.now;
      pen.fillStyle = color(chunk.cut ? "stop" : "heard");
      pen.globalAlpha = chunk.ended === undefined ? 0.55 : 0.85;
      this.#bar(x(chunk.begun), LANES.voice - 22, Math.max(x(ended) - x(chunk.begun) - 1, 2), 18);
      pen.globalAlpha = 1;
    });
  }

  #bar(x, y, width, height) {
    this.pen.beginPath();
    this.pen.roundRect(x, y, width, height, Math.min(4, width / 2));
    this.pen.fill();
  }
}
