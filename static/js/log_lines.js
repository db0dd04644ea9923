/* The lines of a log: a bounded cache in front of the server, fed by the live stream. Touches no page; see log.js.
 *
 * A *position* counts lines in the view as it is filtered, a *number* counts in the whole log (both from 1);
 * without a filter they are the same. Frames, lines URL and search URL: see the protocol in log.js.
 */
const BLOCK = 500;
const MOST_BLOCKS = 64;
const MOST_CHARACTERS = 16_000_000;
const TAIL_WAIT = 400;
const RETRY_WAIT = 2000;
const COPY_PAGE = 2000;

export class LogLines {
  #options;
  #blocks = new Map(); // block index -> {rows, characters}, least recently needed first
  #pending = new Map(); // block index -> AbortController
  #characters = 0;
  #everything; // lines of the unfiltered log
  #filter = {};
  #stored = 0; // rows that ever came here
  #retryAt = 0;
  #tailTimer = 0;

  /**
   * @param {object} options linesUrl, searchUrl, total, lastSeq (what the page was rendered with),
   *   changed(): rows arrived or the total moved
   */
  constructor(options) {
    this.#options = options;
    this.#everything = this.total = options.total;
    this.lastSeq = options.lastSeq;
    this.problem = "";
  }

  get filtered() {
    return Object.keys(this.#filter).length > 0;
  }

  /** The row at a position: {number, at, host, step, level, kind, text}, or undefined while it is not here. */
  get(position) {
    return this.#blocks.get(Math.floor((position - 1) / BLOCK))?.rows[(position - 1) % BLOCK];
  }

  /** Take a message of the live stream. False: frames are missing in front of it, so ask again from lastSeq. */
  append(message) {
    const fresh = message.events.filter((frame) => frame.seq > this.lastSeq);
    for (const frame of fresh) {
      if (frame.seq !== this.lastSeq + 1) return false;
      this.lastSeq = frame.seq;
      this.#everything = Math.max(this.#everything, frame.first + frame.lines - 1);
      if (!this.filtered) this.#put(frame);
    }
    if (!fresh.length) return true;
    if (this.filtered) this.#readTailSoon();
    else this.total = this.#everything;
    this.#options.changed();
    return true;
  }

  /** Make the positions first..last come here, and forget about ranges asked for earlier. */
  need(first, last) {
    if (performance.now() < this.#retryAt) return;
    const from = Math.floor((first - 1) / BLOCK);
    const to = Math.floor((Math.min(last, this.total) - 1) / BLOCK);
    for (const [index, request] of this.#pending) if (index < from - 1 || index > to + 1) request.abort();
    for (let index = from; index <= to; index += 1) {
      const block = this.#blocks.get(index);
      if (block) {
        this.#blocks.delete(index);
        this.#blocks.set(index, block);
      }
      if (!this.#pending.has(index) && this.#lacks(index, first, last)) this.#load(index);
    }
  }

  #lacks(index, first, last) {
    const start = index * BLOCK + 1;
    for (let p = Math.max(first, start); p <= Math.min(last, this.total, start + BLOCK - 1); p += 1) {
      if (!this.get(p)) return true;
    }
    return false;
  }

  async #load(index) {
    const request = new AbortController();
    this.#pending.set(index, request);
    const stored = this.#stored;
    try {
      await this.#read(index * BLOCK + 1, BLOCK, request.signal);
      this.problem = "";
      if (this.#stored === stored) this.#wait(); // total is ahead of what can be read
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#fail(error);
      this.#wait();
    } finally {
      if (this.#pending.get(index) === request) this.#pending.delete(index);
    }
    this.#options.changed();
  }

  #fail(error) {
    this.problem = `The log cannot be read (${error.message}); trying again.`;
  }

  #wait() {
    this.#retryAt = performance.now() + RETRY_WAIT;
    setTimeout(this.#options.changed, RETRY_WAIT + 1);
  }

  // Where lines are long an answer ends early, and what comes after is asked for next.
  async #read(first, count, signal) {
    const filter = this.#filter;
    for (let at = first; at < first + count; ) {
      const left = { first: at, count: first + count - at };
      const answer = await this.#ask(this.#options.linesUrl, { ...left, ...filter }, signal);
      if (filter !== this.#filter) return;
      this.total = Math.max(this.total, answer.total);
      if (!this.filtered) this.#everything = this.total;
      for (const frame of answer.events) this.#put(frame);
      const last = answer.events.at(-1);
      if (!last) return;
      at = (last.at_line ?? last.first) + last.lines;
      if (at > answer.total) return;
    }
  }

  async #ask(path, parameters, signal) {
    const url = new URL(path, location.href);
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    const response = await fetch(url, { signal, headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return response.json();
  }

  #put(frame) {
    const { first, at_line: position = first, text, ...common } = frame;
    const texts = text.split("\n");
    for (let i = 0; i < texts.length; i += 1) {
      const index = Math.floor((position + i - 1) / BLOCK);
      if (!this.#blocks.has(index)) this.#blocks.set(index, { rows: [], characters: 0 });
      const block = this.#blocks.get(index);
      const slot = (position + i - 1) % BLOCK;
      if (block.rows[slot]) continue;
      block.rows[slot] = { ...common, number: first + i, text: texts[i] };
      this.#stored += 1;
      block.characters += texts[i].length;
      this.#characters += texts[i].length;
    }
    this.#forget();
  }

  #forget() {
    for (const [index, block] of this.#blocks) {
      const few = this.#blocks.size <= MOST_BLOCKS && this.#characters <= MOST_CHARACTERS;
      if (few || this.#blocks.size <= 4) return;
      this.#blocks.delete(index);
      this.#characters -= block.characters;
    }
  }

  // Which live lines pass a filter is for the server to say; it is asked for what came after the last known one.
  #readTailSoon() {
    this.#tailTimer ||= setTimeout(async () => {
      this.#tailTimer = 0;
      try {
        await this.#read(this.total + 1, BLOCK);
        this.problem = "";
      } catch (error) {
        this.#fail(error);
        this.#readTailSoon();
      }
      this.#options.changed();
    }, TAIL_WAIT);
  }

  /**
   * Show only lines of {host, step, level}, each a string; resolves when the new total is known.
   * When the server cannot be read the view stays empty with `problem` set, and it goes on trying.
   */
  async setFilter(filter) {
    for (const request of this.#pending.values()) request.abort();
    this.#pending.clear();
    this.#blocks.clear();
    this.#characters = 0;
    this.#filter = filter;
    this.total = this.filtered ? 0 : this.#everything;
    if (!this.filtered) return;
    try {
      await this.#read(1, BLOCK);
    } catch (error) {
      this.#fail(error);
      this.#readTailSoon();
    }
  }

  /** The position of the first line in view whose number is not below `number` (the last one, if none is). */
  async locate(number) {
    if (!this.filtered) return Math.min(number, this.total);
    let low = 1;
    let high = this.total;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const row = this.get(middle) ?? (await this.#probe(middle));
      if (!row) return low; // the filter changed meanwhile
      if (row.number < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #probe(position) {
    await this.#read(position, 1);
    return this.get(position);
  }

  /** {matches: [numbers], truncated}: the lines in view that contain the text. */
  search(text) {
    return this.#ask(this.#options.searchUrl, { q: text, ...this.#filter });
  }

  /** The texts of the numbers first..last of the whole log. */
  async texts(first, last) {
    const found = new Map();
    for (let at = first; at <= last; ) {
      const count = Math.min(COPY_PAGE, last - at + 1);
      const { events } = await this.#ask(this.#options.linesUrl, { first: at, count });
      if (!events.length) break;
      for (const frame of events) frame.text.split("\n").forEach((line, i) => found.set(frame.first + i, line));
      at = events.at(-1).first + events.at(-1).lines;
    }
    return [...found].filter(([number]) => number >= first && number <= last).map(([, line]) => line);
  }
}
