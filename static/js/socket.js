/* One websocket that comes back by itself. Used by feed.js and job.js; expects nothing of the page but, for
 * showing its state, an element of theirs: <span class="conn" role="status"></span>, which gets
 * data-state="connecting|live|lost|refused|ended" and words.
 *
 * What comes is a message, or an array of them. The server answers {"type": "ping"} with {"type": "pong"}. Close codes
 * 4403 (no permission) and 4404 (gone) are final.
 */
const HEARTBEAT = 5000;
const SILENCE = 10000;
const LONGEST_WAIT = 30000;
const FORBIDDEN = 4403;
const FINAL = { [FORBIDDEN]: "you may no longer see this", 4404: "it is gone" };

export class Socket {
  #path;
  #options;
  #socket = null;
  #tries = 0;
  #timer = 0;
  #beat = 0;
  #heard = 0;
  #pinged = 0;
  #stopped = false;

  /**
   * @param {string} path   address on this server; http becomes ws
   * @param {object} options
   *   onMessage(message)   called with each parsed message but pongs
   *   after()              the last sequence number seen, sent as ?after= on each connect (optional)
   *   finished()           true when a clean close by the server is the end (optional)
   *   onReconnect()        called when a lost connection is back (optional)
   *   onRefused()          called when the person may not have it any more (optional)
   *   state                the element that shows the state (optional)
   */
  constructor(path, options) {
    this.#path = path;
    this.#options = options;
    addEventListener("online", () => this.#timer && this.#connect());
    this.#connect();
  }

  /** Drop the connection and connect again, from `after()`. */
  restart() {
    this.#lost();
  }

  close() {
    this.#end("ended", "ended");
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const url = new URL(this.#path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (this.#options.after) url.searchParams.set("after", this.#options.after());
    if (!this.#tries) this.#show("connecting", "connecting");
    const socket = new WebSocket(url);
    this.#socket = socket;
    const mine = (handle) => (event) => socket === this.#socket && handle(event);
    socket.onopen = mine(() => this.#opened());
    socket.onmessage = mine((event) => this.#received(JSON.parse(event.data)));
    socket.onclose = mine((event) => this.#closed(event));
  }

  #opened() {
    this.#heard = performance.now();
    this.#pinged = 0;
    this.#beat = setInterval(() => this.#ping(), HEARTBEAT);
    this.#show("live", "live");
    if (this.#tries) this.#options.onReconnect?.();
  }

  #ping() {
    const now = performance.now();
    // Timers of hidden tabs run late, so silence counts from a ping that went unanswered, not from the clock.
    if (this.#pinged > this.#heard) return now - this.#pinged < SILENCE ? undefined : this.#lost();
    this.#pinged = now;
    this.#socket.send('{"type":"ping"}');
  }

  #received(message) {
    this.#heard = performance.now();
    this.#tries = 0;
    for (const each of [message].flat()) if (each.type !== "pong") this.#options.onMessage(each);
  }

  #closed({ code }) {
    if (FINAL[code]) {
      if (code === FORBIDDEN) this.#options.onRefused?.();
      return this.#end("refused", FINAL[code]);
    }
    if (code === 1000 && this.#options.finished?.()) return this.#end("ended", "ended");
    this.#lost();
  }

  #lost() {
    if (this.#stopped) return;
    this.#drop();
    const most = Math.min(LONGEST_WAIT, 500 * 2 ** this.#tries);
    const wait = most / 2 + (Math.random() * most) / 2;
    this.#tries += 1;
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#show("lost", wait < 2000 ? "reconnecting" : `reconnecting in ${Math.round(wait / 1000)} s`);
  }

  #end(state, words) {
    this.#stopped = true;
    this.#drop();
    this.#show(state, words);
  }

  #drop() {
    clearInterval(this.#beat);
    clearTimeout(this.#timer);
    this.#timer = 0;
    const socket = this.#socket;
    this.#socket = null; // its late events are nobody's any more
    socket?.close();
  }

  #show(state, words) {
    const element = this.#options.state;
    if (!element) return;
    element.dataset.state = state;
    if (element.textContent !== words) element.textContent = words;
  }
}
