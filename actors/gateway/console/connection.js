// The socket: authorise, resume, try again. Knows nothing of the page; tells it by calling `on[...]`.

const SUBPROTOCOL = "antiphon.v1";
const PATIENCE = [500, 1000, 2000, 4000, 8000];
// Closes after which the connection is lost and a new one can be had, and after which the same one can be had back.
const GIVEN_UP = 4401;
const COMES_BACK = new Set([1001, 1005, 1006, 1009, 1011, 1012]);

export class Connection {
  constructor(on) {
    this.on = on; // state(name), message(message), sent(message), needToken(), notice(text, kind)
    this.token = undefined;
    this.id = undefined;
    this.resumeToken = undefined;
    this.last = undefined; // the last event of a turn that was received: { turn_id, seq }
    this.failures = 0;
    this.dropped = false;
  }

  open() {
    this.dropped = false;
    clearTimeout(this.again);
    this.on.state("connecting");
    const url = new URL("ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = this.socket = new WebSocket(url, SUBPROTOCOL);
    socket.onopen = () => this.#enter();
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => socket === this.socket && this.#closed(event);
  }

  send(type, fields = {}) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    const message = { type, ...fields };
    this.socket.send(JSON.stringify(message));
    this.on.sent(message);
    return true;
  }

  drop() {
    this.dropped = true;
    this.socket.close(4000, "dropped");
  }

  #enter() {
    if (this.resumeToken === undefined) {
      this.send("authorize", { token: this.token, flow: "played" });
    } else {
      const from = this.last === undefined ? {} : { turn_id: this.last.turn_id, after_seq: this.last.seq };
      this.send("resume", { resume_token: this.resumeToken, connection_id: this.id, ...from });
    }
  }

  #receive(message) {
    if (message.seq !== undefined) this.last = { turn_id: message.turn_id, seq: message.seq };
    switch (message.type) {
      case "ping":
        this.send("pong", this.last === undefined ? {} : { turn_id: this.last.turn_id, last_seq: this.last.seq });
        break;
      case "authorize_success":
      case "resume_success":
        this.failures = 0;
        this.id = message.connection_id;
        this.resumeToken = message.resume_token;
        this.send("observe");
        this.on.state("open");
        break;
      case "authorize_error":
        this.refused = message.code;
        break;
    }
    this.on.message(message);
  }

  #forget() {
    this.resumeToken = this.id = this.last = undefined;
  }

  #closed(event) {
    if (this.dropped) {
      this.on.state("dropped");
    } else if (this.refused === "authorize_refused") {
      this.refused = undefined;
      this.on.state("lost");
      this.on.needToken();
    } else if (event.code === GIVEN_UP) {
      this.#forget();
      this.open();
    } else if (COMES_BACK.has(event.code)) {
      this.on.state("lost", event);
      const wait = PATIENCE[Math.min(this.failures++, PATIENCE.length - 1)];
      this.again = setTimeout(() => this.open(), wait);
    } else {
      this.#forget();
      this.dropped = true;
      this.on.state("dropped", event);
    }
  }
}
