// The page: what the person does goes to the connection, what comes from it is shown. All text is set as text.

import { Connection } from "./connection.js";
import { Timeline } from "./timeline.js";
import { Turn } from "./turn.js";
import { Voice } from "./voice.js";

const at = (id) => document.getElementById(id);
const ACTORS = ["connection", "turn", "producer", "chunker", "emitter"];
const WIRE = 200;
const STATES = {
  connecting: "Connecting",
  open: "Connected",
  speaking: "Speaking",
  lost: "Connection lost, trying again",
  dropped: "Not connected",
};

const turns = new Map();
const waiting = []; // messages that were sent and have no turn yet
let shown; // the turn that the figures are about
let state = "connecting";
let aloud = false;
let stopAskedAt;
let givenUp = false;
let tooBig = false; // a message was, and the socket is closed for it

const connection = new Connection({
  state: show,
  message: receive,
  sent: (message) => note(message, true),
  needToken: () => at("ask").showModal(),
});
const voice = new Voice({
  begin: (chunk) => mark(chunk, "begun", "saying", true),
  end(chunk) {
    mark(chunk, "ended", "saying", false);
    played(chunk);
  },
});
const timeline = new Timeline(at("timeline"));

// What comes.

function receive(message) {
  note(message, false);
  const handle = handlers[message.type];
  if (handle !== undefined) handle(message);
  redraw();
}

const handlers = {
  authorize_success() {
    if (!givenUp) say(""); // else it says how the connection before this one ended
    givenUp = false;
  },
  resume_success() {
    // What was said while there was no connection; each stands for all before it.
    for (const turn of turns.values()) if (turn.heard && !turn.over) played(turn.heard);
    if (!tooBig) {
      say("The connection goes on where it was.", "good");
      setTimeout(() => say(""), 2500);
    }
    tooBig = false;
  },
  resume_error({ code, turn_status: status, played_text: text }) {
    if (code === "internal") return; // out of reach for now
    const heard = text ? ` You heard: “${text.trim().slice(-80)}”` : "";
    const why = code === "resume_too_late" ? "The connection was given up" : "The connection cannot be resumed";
    say(`${why}${status ? `; the turn is ${status}` : ""}.${heard} A new one was opened.`);
    lose(status, code);
    givenUp = true;
  },
  authorize_error: ({ error }) => say(`Not let in: ${error}.`),
  error(message) {
    if (message.seq === undefined) {
      say(`${message.error[0].toUpperCase()}${message.error.slice(1)}${message.field ? ` (${message.field})` : ""}.`);
      tooBig = message.code === "message_too_big";
      if (tooBig || ["text_too_long", "too_many_turns", "turn_active", "draining"].includes(message.code)) discard();
    } else {
      turnOf(message).failure = message.error;
    }
  },
  stream_start(message) {
    turnOf(message);
    show("speaking");
  },
  token: (message) => update(turnOf(message), (turn) => turn.token(message)),
  removed: (message) => update(turnOf(message), (turn) => turn.removed(message.parts)),
  tts_ready_chunk(message) {
    const turn = turnOf(message);
    const chunk = turn.chunk(message);
    write(turn);
    if (aloud) voice.say(chunk);
    else played(chunk);
  },
  interrupted(message) {
    const turn = turns.get(message.turn_id);
    if (turn === undefined) return;
    turn.playedText = message.played_text;
    if (stopAskedAt !== undefined) turn.interrupt = performance.now() - stopAskedAt;
    stopAskedAt = undefined;
  },
  stream_end(message) {
    close(turnOf(message), message);
    if (![...turns.values()].some((turn) => !turn.over)) show("open");
  },
  inspect: ({ actors }) => showActors(actors),
};

function turnOf({ turn_id: id }) {
  let turn = turns.get(id);
  if (turn === undefined) {
    turn = waiting.shift() ?? begin("");
    turn.id = id;
    turns.set(id, turn);
    if (turns.size > 50) turns.delete(turns.keys().next().value);
    shown = turn;
  }
  return turn;
}

function update(turn, act) {
  act(turn);
  write(turn);
}

function close(turn, end) {
  turn.end(end);
  if (end.status !== "completed") {
    const cut = voice.stop();
    if (cut !== undefined) Object.assign(cut, { ended: turn.now, cut: true });
    turn.interruptedAt = turn.now;
  }
  write(turn);
  turn.box.classList.add("over");
  tell(turn, end);
}

// There is no connection any more: nothing more will be heard of its turns.
function lose(status, reason) {
  for (const turn of turns.values()) if (!turn.over) close(turn, { status: status ?? "interrupted", reason });
  while (waiting.length > 0) discard();
}

function played(chunk) {
  const turn = turns.get(chunk.turn_id);
  if (turn !== undefined) turn.heard = chunk;
  connection.send("chunk_played", { turn_id: chunk.turn_id, seq: chunk.seq });
}

function mark(chunk, time, name, on) {
  const turn = turns.get(chunk.turn_id);
  if (turn === undefined) return;
  chunk[time] = turn.now;
  chunk.element?.classList.toggle(name, on);
  redraw();
}

// What the person does.

function chat(content) {
  if (!content.trim() || state === "connecting") return;
  const turn = begin(content);
  waiting.push(turn);
  if (voice.playing !== undefined) interrupt();
  if (connection.send("chat_message", { content, session_id: "console" })) return;
  waiting.pop();
  turn.box.remove();
  say("There is no connection: the message was not sent.");
}

function discard() {
  waiting.shift()?.box.remove();
}

function interrupt() {
  const active = [...turns.values()].findLast((turn) => !turn.over);
  if (active === undefined) return;
  stopAskedAt = performance.now();
  const playing = voice.playing;
  connection.send("interrupt_stream", { turn_id: active.id, reason: "button", ...(playing && { playing }) });
  const cut = voice.stop();
  if (cut !== undefined) Object.assign(cut, { ended: active.now, cut: true }).element?.classList.remove("saying");
}

at("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = at("words");
  const content = words.value;
  words.value = "";
  chat(content);
  words.focus();
});
at("words").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at("composer").requestSubmit();
  }
});
at("words").addEventListener("input", buttons);
at("interrupt").addEventListener("click", interrupt);
at("hello").addEventListener("click", (event) => {
  const content = event.target.dataset.say;
  if (content !== undefined) chat(content);
});
at("drop").addEventListener("click", () => (connection.dropped ? connection.open() : connection.drop()));
at("ask").addEventListener("close", () => {
  connection.token = at("token").value;
  at("token").value = "";
  connection.open();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea") && event.target.value !== "";
  const onButton = event.target.matches("button, summary, input");
  const stop = event.key === "Escape" || (event.key === " " && !typing && !onButton);
  if (stop && state === "speaking" && !at("ask").open) {
    event.preventDefault();
    interrupt();
  }
});
at("aloud").addEventListener("change", ({ target }) => {
  aloud = target.checked;
  if (!aloud) {
    const left = [...voice.queue];
    const cut = voice.stop();
    for (const chunk of [cut, ...left]) {
      if (chunk === undefined) continue;
      chunk.element?.classList.remove("saying");
      played(chunk);
    }
  }
});
voice.watch(() => {
  const some = voice.voices.length > 0;
  at("aloud").disabled = !some;
  at("aloud-text").textContent = some ? "Speak aloud" : "This browser has no voices; chunks are shown, not spoken";
});

const narrow = matchMedia("(max-width: 860px)"); // as in console.css: the page scrolls, not its parts
const dark = matchMedia("(prefers-color-scheme: dark)");
function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  redraw();
}
dark.addEventListener("change", redraw);
at("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const name = now === "dark" ? "light" : "dark";
  localStorage.setItem("theme", name);
  theme(name);
});

// What is shown.

function show(name, event) {
  state = name === "open" && [...turns.values()].some((turn) => !turn.over) ? "speaking" : name;
  at("state").dataset.state = state;
  at("state-text").textContent = STATES[state];
  if (state === "lost" && event !== undefined && !tooBig) {
    say(event.code === 1012 ? "The server goes down for a moment." : "The server does not answer. Trying again …");
  } else if (state === "dropped") {
    if (event !== undefined) lose();
    say(
      event === undefined
        ? "You dropped the connection. It is kept for a while: resume it to go on."
        : `The server closed the connection (${event.reason || event.code}).`,
    );
  }
  buttons();
}

function buttons() {
  const up = state === "open" || state === "speaking";
  at("send").disabled = !up || !at("words").value.trim();
  at("interrupt").disabled = state !== "speaking";
  at("drop").disabled = !(up || state === "dropped");
  at("drop").textContent = state === "dropped" ? (connection.resumeToken ? "Resume" : "Connect") : "Drop";
}

function say(text, kind = "bad") {
  const notice = at("notice");
  notice.textContent = text;
  notice.dataset.kind = kind;
  notice.hidden = text === "";
}

function make(tag, name, text) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
}

function begin(content) {
  at("hello").hidden = true;
  at("hello").style.display = "none";
  const turn = new Turn(content);
  turn.box = make("article", "turn");
  if (content) turn.box.append(make("p", content.length > 280 ? "said long" : "said", content));
  turn.answer = make("div", "answer");
  turn.pending = make("span", "pending");
  turn.pending.setAttribute("aria-hidden", "true");
  turn.answer.append(turn.pending);
  turn.how = make("p", "how");
  turn.box.append(turn.answer, turn.how);
  at("turns").append(turn.box);
  shown = turn;
  scroll(true);
  return turn;
}

// Write what has changed of a turn: chunks whose source is known by now, what is left out, what is not certain yet.
function write(turn) {
  let end = 0, part = 0;
  for (const chunk of turn.chunks) {
    while (turn.parts[part]?.start < chunk.end) part++;
    const key = `${turn.covers(chunk.end)} ${part}`;
    if (chunk.key !== key) {
      const element = make("span", "chunk");
      element.title = `${seconds(chunk.at)} s, chunk ${turn.chunks.indexOf(chunk) + 1}`;
      if (chunk.emotion) element.append(make("span", "mood", chunk.emotion), " ");
      if (turn.covers(chunk.end)) element.append(...stretch(turn, end, chunk.end));
      else element.append(`${chunk.chunk} `);
      if (chunk.element === undefined) turn.pending.before(element);
      else {
        element.className = chunk.element.className;
        chunk.element.replaceWith(element);
      }
      chunk.element = element;
      chunk.key = key;
    }
    end = chunk.end;
  }
  turn.pending.replaceChildren(...stretch(turn, end, turn.points.length));
  scroll();
}

function stretch(turn, from, to) {
  return turn.pieces(from, to).map(({ text, rule }) => {
    if (rule === undefined) return document.createTextNode(text);
    const left = make("del", "", text);
    left.title = `not spoken: ${rule}`;
    return left;
  });
}

function tell(turn, end) {
  const { first } = turn.figures;
  const parts = [make("span", end.status, end.status === "completed" ? "Completed" : `${end.status[0].toUpperCase()}${end.status.slice(1)}`)];
  if (turn.failure) parts.push(make("span", "failed", turn.failure));
  if (first !== undefined) parts.push(make("span", "", `first chunk after ${seconds(first)} s`));
  parts.push(make("span", "", `${turn.chunks.length} chunks in ${seconds(turn.ended)} s`));
  if (turn.playedText !== undefined) {
    const heard = [...turn.playedText].length;
    parts.push(make("span", "", heard ? `heard up to “…${turn.playedText.trim().slice(-24)}”` : "nothing was heard"));
    for (const chunk of turn.chunks) if (chunk.start >= heard) chunk.element?.classList.add("unheard");
  }
  turn.how.replaceChildren(...parts);
  scroll();
}

// The end of the conversation is kept in sight, unless the person has scrolled up to read.
let following = true;
let scrolledTo = 0;

function scroll(force = false) {
  scrolled();
  following ||= force;
  if (!following || shown === undefined) return;
  if (narrow.matches) {
    const below = shown.how.getBoundingClientRect().bottom > at("composer").getBoundingClientRect().top;
    if (!force && !below) return; // the person looks at what happens inside
    document.documentElement.style.scrollPaddingBottom = `${at("composer").offsetHeight + 24}px`;
    shown.how.scrollIntoView({ block: "nearest" });
  } else {
    at("turns").scrollTop = at("turns").scrollHeight;
  }
  scrolledTo = place();
}

const place = () => (narrow.matches ? scrollY : at("turns").scrollTop);

function scrolled() {
  const end = shown?.how.getBoundingClientRect().bottom ?? 0;
  if (end < at("composer").getBoundingClientRect().top + 24) following = true;
  else if (place() < scrolledTo) following = false;
  scrolledTo = place();
}
addEventListener("scroll", scrolled, { capture: true, passive: true });

const rows = new Map(
  ACTORS.map((kind) => {
    const row = make("li", "away");
    const box = make("span", "box");
    box.append(make("i"), make("u"));
    const count = make("span", "count", "–");
    row.append(make("span", "name", kind), box, count);
    at("actors").append(row);
    return [kind, { row, box, count }];
  }),
);

function showActors(actors) {
  for (const [kind, { row, box, count }] of rows) {
    const actor = actors.findLast((one) => one.kind === kind);
    row.classList.toggle("away", actor === undefined);
    row.classList.toggle("paused", actor?.paused ?? false);
    box.style.setProperty("--fill", actor ? actor.depth / actor.capacity : 0);
    if (actor === undefined) continue;
    box.style.setProperty("--peak", actor.peak / actor.capacity);
    count.textContent = `${actor.depth}/${actor.capacity}, peak ${actor.peak}`;
  }
}

const seconds = (ms) => (ms / 1000).toFixed(ms < 10000 ? 2 : 1);

function figure(id, value, unit) {
  const cell = at(id);
  cell.replaceChildren(value);
  if (unit && value !== "–") cell.append(make("small", "", unit));
}

let drawing = false;
function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    timeline.draw(shown);
    if (shown === undefined) return;
    const { first, gap, merged, rules } = shown.figures;
    figure("f-first", first === undefined ? "–" : Math.round(first).toString(), "ms");
    figure("f-gap", gap === undefined ? "–" : Math.round(gap).toString(), "ms");
    figure("f-tokens", shown.count ? `${shown.count}` : "–");
    figure("f-chunks", `${shown.chunks.length}`);
    figure("f-merged", `${merged}`);
    figure("f-interrupt", shown.interrupt === undefined ? "–" : shown.interrupt.toFixed(1), "ms");
    at("removed").replaceChildren(
      ...(rules.size ? [...rules].map(([rule, size]) => ruleItem(rule, size)) : [make("li", "none", "Nothing yet")]),
    );
    describe(first, rules);
    if (!shown.over || voice.playing !== undefined) redraw();
  });
}

function ruleItem(rule, size) {
  const item = make("li", "", rule);
  item.append(make("b", "", `${size}`));
  return item;
}

function describe(first, rules) {
  const said = first === undefined ? "no chunk yet" : `first chunk after ${Math.round(first)} milliseconds`;
  const left = [...rules.values()].reduce((sum, size) => sum + size, 0);
  const text = `Time line of the turn: ${said}, ${shown.chunks.length} chunks, ${left} characters not spoken`;
  if (at("timeline").getAttribute("aria-label") !== text) at("timeline").setAttribute("aria-label", text);
}

function note(message, out) {
  if (message.type === "inspect" || message.type === "token") return;
  const { resume_token: _secret, token: _token, ...visible } = message;
  at("wire").prepend(make("li", out ? "out" : "", JSON.stringify(visible)));
  if (at("wire").childElementCount > WIRE) at("wire").lastElementChild.remove();
}

addEventListener("resize", redraw);
theme(localStorage.getItem("theme"));
connection.open();
