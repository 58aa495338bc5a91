// The browser's voice: says chunks one after the other, and tells how far it is.

export class Voice {
  constructor(on) {
    this.on = on; // begin(chunk), end(chunk)
    this.queue = [];
    this.chunk = undefined;
    this.said = 0;
    this.synthesis = globalThis.speechSynthesis;
  }

  get voices() {
    return this.synthesis?.getVoices() ?? [];
  }

  watch(changed) {
    this.synthesis?.addEventListener?.("voiceschanged", changed);
    changed();
  }

  say(chunk) {
    this.queue.push(chunk);
    if (this.chunk === undefined) this.#next();
  }

  // How far the voice is: the chunk that is being said, and how many characters of it have been.
  get playing() {
    return this.chunk === undefined ? undefined : { seq: this.chunk.seq, chars: this.said };
  }

  stop() {
    this.queue = [];
    const cut = this.chunk;
    this.chunk = this.utterance = undefined;
    this.synthesis?.cancel();
    return cut;
  }

  #next() {
    const chunk = this.chunk = this.queue.shift();
    this.said = 0;
    if (chunk === undefined) return;
    const utterance = this.utterance = new SpeechSynthesisUtterance(chunk.chunk);
    const mine = (act) => (event) => this.utterance === utterance && act(event);
    // charIndex counts UTF-16 units, the protocol characters.
    utterance.onboundary = mine((event) => { this.said = [...chunk.chunk.slice(0, event.charIndex)].length; });
    utterance.onstart = mine(() => this.on.begin(chunk));
    utterance.onend = utterance.onerror = mine(() => {
      this.said = [...chunk.chunk].length;
      this.on.end(chunk);
      this.#next();
    });
    this.synthesis.speak(utterance);
  }
}
