// One turn as the page sees it: the agent's text as it came, the chunks, what was left out. Offsets are code points.

const sentences = globalThis.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity: "sentence" }) : undefined;

export class Turn {
  constructor(content) {
    this.content = content;
    this.began = performance.now();
    this.points = []; // the agent's text, a code point each
    this.known = true; // whether that is all of it so far
    this.tokens = []; // { at, count }
    this.arrivals = []; // { start, at }
    this.chunks = []; // events, with `at`, `begun`, `ended`, `cut`
    this.parts = []; // what is not spoken: { start, end, rule, at }
    this.count = 0;
  }

  get now() {
    return performance.now() - this.began;
  }

  token({ text, tokens, start }) {
    if (start !== this.points.length) this.known = false;
    this.arrivals.push({ start: this.points.length, at: this.now });
    for (const point of text) this.points.push(point);
    this.tokens.push({ at: this.now, count: tokens });
    this.count += tokens;
  }

  removed(parts) {
    for (const part of parts) this.parts.push({ ...part, at: this.now });
    this.parts.sort((one, other) => one.start - other.start);
  }

  chunk(event) {
    const chunk = { ...event, at: this.now, sentences: sentences ? [...sentences.segment(event.chunk)].length : 1 };
    this.chunks.push(chunk);
    return chunk;
  }

  end(event) {
    this.over = event;
    this.ended = this.now;
  }

  // When the first character of a chunk arrived from the agent.
  arrival(chunk) {
    let at = chunk.at;
    for (const arrival of this.arrivals) {
      if (arrival.start > chunk.start) break;
      at = arrival.at;
    }
    return Math.min(at, chunk.at);
  }

  // Whether the agent's text is known up to here.
  covers(end) {
    return this.known && this.points.length >= end;
  }

  text(start, end) {
    return this.points.slice(start, end).join("");
  }

  // A stretch of the agent's text, cut into what is spoken and what is not.
  pieces(start, end) {
    const pieces = [];
    let at = start;
    for (const part of this.parts) {
      if (part.end <= at || part.start >= end) continue;
      const from = Math.max(part.start, at), to = Math.min(part.end, end);
      if (from > at) pieces.push({ text: this.text(at, from) });
      pieces.push({ text: this.text(from, to), rule: part.rule });
      at = to;
    }
    if (at < end) pieces.push({ text: this.text(at, end) });
    return pieces;
  }

  get figures() {
    const times = this.chunks.map((chunk) => chunk.at);
    const gaps = times.slice(1).map((at, place) => at - times[place]);
    const rules = new Map();
    for (const { rule, start, end } of this.parts) rules.set(rule, (rules.get(rule) ?? 0) + end - start);
    return {
      first: times[0],
      gap: gaps.length ? Math.max(...gaps) : undefined,
      merged: this.chunks.filter((chunk) => chunk.sentences > 1).length,
      rules,
    };
  }
}
