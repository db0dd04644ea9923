/* The search of the log window. The server finds the lines; here one goes from one to the next. Contract: see log.js. */
import { plain } from "./log_row.js";

const WAIT = 300;

export class LogSearch {
  #window;
  #input;
  #text = "";
  #matches = [];
  #more = false;
  #at = -1;
  #timer = 0;
  #asked = 0;

  constructor(window) {
    this.#window = window;
    this.#input = window.part("search")?.querySelector("input");
    window.part("search")?.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#input.value === this.#text && this.#matches.length) this.next(1);
      else this.#ask();
    });
    this.#input?.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#ask(), WAIT);
    });
    this.#input?.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#window.part("window").focus();
      if (event.key === "Enter" && event.shiftKey) {
        event.preventDefault();
        this.next(-1);
      }
    });
    window.part("next")?.addEventListener("click", () => this.next(1));
    window.part("previous")?.addEventListener("click", () => this.next(-1));
  }

  /** The number of the line the search stands on, or undefined. */
  get current() {
    return this.#matches[this.#at];
  }

  focus() {
    this.#input?.focus();
    this.#input?.select();
  }

  /** Go to the match `by` places on, around the end. */
  next(by) {
    const count = this.#matches.length;
    if (!count) return;
    this.#at = (this.#at + by + count) % count;
    this.#go();
  }

  /** Ask again, after the filter changed. */
  again() {
    if (this.#text) this.#ask();
  }

  async #ask() {
    clearTimeout(this.#timer);
    this.#text = this.#input.value;
    const turn = (this.#asked += 1);
    if (!this.#text) return this.#take({ matches: [], truncated: false });
    try {
      const answer = await this.#window.lines.search(this.#text);
      if (turn === this.#asked) this.#take(answer);
    } catch (error) {
      if (turn === this.#asked) this.#tell(`not searched: ${error.message}`);
    }
    return undefined;
  }

  #take({ matches, truncated }) {
    this.#matches = matches;
    this.#more = truncated;
    const top = this.#window.topNumber;
    // On from what is being read; from the first one when nothing follows.
    const after = matches.findIndex((number) => number >= top);
    this.#at = matches.length ? Math.max(0, after) : -1;
    this.#go();
  }

  #go() {
    const count = this.#matches.length;
    if (count) this.#tell(`${this.#at + 1} of ${count}${this.#more ? "+" : ""}`);
    else this.#tell(this.#text ? "not found" : "");
    if (count) this.#window.goTo(this.current, true);
    else this.#window.redraw();
  }

  #tell(words) {
    this.#window.part("found").textContent = words;
  }

  /** Mark the text in the rows of the sheet, without touching their elements. */
  paint(sheet) {
    if (!globalThis.CSS?.highlights) return;
    const wanted = plain(this.#text).toLowerCase();
    const ranges = [];
    if (wanted) {
      const walker = document.createTreeWalker(sheet, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (node.parentElement.closest(".text")) ranges.push(...hits(node, wanted));
      }
    }
    CSS.highlights.set("log-hit", new Highlight(...ranges));
  }
}

function hits(node, wanted) {
  const text = node.data.toLowerCase();
  const ranges = [];
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
    if (at + wanted.length > node.length) break; // lower case may be longer than what it came from
    const range = new Range();
    range.setStart(node, at);
    range.setEnd(node, at + wanted.length);
    ranges.push(range);
  }
  return ranges;
}
