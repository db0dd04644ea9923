/* The log window: a million lines, of which only those in sight are in the page. Started by job.js.
 *
 *   <section class="card" data-log data-lines-url="/jobs/…/lines/" data-search-url="/jobs/…/search/"
 *            data-total="1204551" data-last-seq="8130" [data-follow]>       what the page was rendered with; data-follow: job runs
 *     <div class="bar log-bar"><h2>Log</h2> <span class="count" data-log-count></span> <span class="conn" data-log-state role="status"></span>
 *       <div class="acts end"><button type="button" class="btn btn-quiet btn-sm" data-log-copy hidden>copy line</button>
 *         <button type="button" class="btn btn-quiet btn-sm" data-log-wrap aria-pressed="false">wrap</button>       may be missing
 *         <button type="button" class="btn btn-quiet btn-sm" data-log-follow aria-pressed="false">follow</button>
 *         <a class="icon-btn" href="…" download aria-label="Download the log">…</a></div></div>
 *     <div class="bar log-bar">
 *       <form class="log-find" role="search" data-log-search>
 *         <input type="search" class="form-control form-control-sm" aria-label="Search the log" placeholder="Search ( / )">
 *         <span class="found" data-log-found role="status"></span></form>
 *       <button type="button" class="icon-btn" data-log-previous aria-label="Previous match">…</button>  <button … data-log-next …>
 *       <select class="form-select form-select-sm" data-log-filter="host" aria-label="Host"><option value="">all hosts</option>…</select>
 *       <select … data-log-filter="step">…  <select … data-log-filter="level">…        any of them may be missing
 *       <button type="button" class="icon-btn" data-log-clear hidden aria-label="Clear the filter">…</button>
 *     </div>
 *     <div class="log" data-log-window tabindex="0" role="region" aria-label="Log lines"></div>
 *   </section>
 *   <button type="button" class="step" data-log-step="3" aria-pressed="false">      anywhere: filters to that step and back
 *
 * The address holds the line or lines (#L123, #L10-L20) and the filter (?host=&step=&level=).
 * Keys: / search, n N next and previous match, f follow, g G top and end, j k mark the next and previous line.
 *
 * A frame: {"seq", "at": epoch ms, "kind", "level": "info|command|good|warning|error", "step": index or null, "host",
 * "first": number of its first line, "lines", "text": lines joined by \n}. The lines URL takes first, count and the filter and
 * gives {"total", "events": [frames]}, with a filter each with "at_line", and no more than about a megabyte; the search URL takes q and the filter and
 * gives {"matches": [numbers], "truncated"}.
 */
import { copyText } from "./clipboard.js";
import { LogFilter } from "./log_filter.js";
import { LogLines } from "./log_lines.js";
import { plain } from "./log_row.js";
import { Scroller } from "./log_scroll.js";
import { LogSearch } from "./log_search.js";
import { LogSheet } from "./log_sheet.js";

const SPARE = 8; // rows kept above and below the view
const MOST_COPIED = 20_000;
const WRAP = "cloudstore:wrap";
const digits = new Intl.NumberFormat("en");

function remembered() {
  try {
    return localStorage.getItem(WRAP) === "on";
  } catch {
    return false; // storage is forbidden in this browser
  }
}

function remember(on) {
  try {
    localStorage.setItem(WRAP, on ? "on" : "off");
  } catch {
    // It holds for this page, then.
  }
}

export class LogWindow {
  #root;
  #view;
  #sheet;
  #marked = [0, -1]; // line numbers
  #following = false;
  #frame = 0;

  constructor(root) {
    this.#root = root;
    const { linesUrl, searchUrl, total, lastSeq } = root.dataset;
    const changed = () => this.#draw();
    this.lines = new LogLines({ linesUrl, searchUrl, total: Number(total), lastSeq: Number(lastSeq), changed });
    this.#sheet = new LogSheet(this.lines, (row) => this.#marks(row));
    this.#view = this.part("window");
    const space = document.createElement("div");
    space.className = "log-space";
    this.#view.replaceChildren(space, this.#sheet.element);
    const height = parseFloat(getComputedStyle(this.#view).getPropertyValue("--log-row"));
    this.scroller = new Scroller(this.#view, space, this.#sheet.element, height, (up) => this.#moved(up), (at) => this.#sheet.boxOf(at));
    this.filter = new LogFilter(this);
    this.search = new LogSearch(this);
    this.#listen();
    this.#wrap(this.part("wrap") !== null && remembered());
    this.#open();
  }

  part(name) {
    return this.#root.querySelector(`[data-log-${name}]`);
  }

  /** Take a message of the live stream. False: something is missing in front of it. */
  append(message) {
    return this.lines.append(message);
  }

  /** No more lines will come. */
  ended() {
    delete this.#root.dataset.follow;
    this.#draw();
  }

  get #live() {
    return this.#root.dataset.follow !== undefined;
  }

  #listen() {
    this.part("follow")?.addEventListener("click", () => this.follow(!this.#following));
    this.part("wrap")?.addEventListener("click", () => {
      const on = !this.#wraps;
      remember(on);
      this.#wrap(on);
    });
    this.part("copy")?.addEventListener("click", () => this.#copyMarked());
    this.#sheet.element.addEventListener("click", (event) => this.#clicked(event));
    addEventListener("hashchange", () => this.#goToHash());
    addEventListener("keydown", (event) => this.#pressed(event));
    new ResizeObserver(() => this.#draw()).observe(this.#view);
  }

  async #open() {
    await this.filter.restore();
    this.scroller.total = this.lines.total;
    if (!(await this.#goToHash())) this.follow(this.#live);
    this.#draw();
  }

  get #wraps() {
    return this.#view.classList.contains("wrap");
  }

  /** Break long lines, or let them be scrolled to their ends; remembered in this browser. */
  #wrap(on) {
    this.#view.classList.toggle("wrap", on);
    this.part("wrap")?.setAttribute("aria-pressed", String(on));
    this.scroller.wraps = on;
    this.#draw();
  }

  /** Stay at the end, or stop to. */
  follow(on) {
    this.#following = on;
    this.#draw();
  }

  #moved(up) {
    if (up) this.follow(false);
    else if (this.#live && this.scroller.atEnd) this.follow(true);
    this.#draw();
  }

  // Many changes make one drawing, when the browser paints next.
  #draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  #render() {
    const { total } = this.lines;
    this.scroller.total = total;
    if (this.#following) this.scroller.toEnd();
    const [top, bottom] = this.scroller.range;
    const first = Math.max(1, top - SPARE);
    const last = Math.min(total, bottom + SPARE);
    this.lines.need(first, last);
    this.#view.style.setProperty("--log-number", `${Math.max(4, String(total).length)}ch`);
    this.#sheet.show(first, last);
    if (this.#following && this.#wraps) this.scroller.toEnd(); // the heights are known only now
    this.scroller.place(first);
    this.search.paint(this.#sheet.element);
    this.#tell(total);
  }

  #tell(total) {
    const words = `${digits.format(total)} ${total === 1 ? "line" : "lines"}${this.lines.filtered ? " of the filter" : ""}`;
    const text = this.lines.problem || (this.#following && this.#live ? `${words}, following` : words);
    const counter = this.part("count");
    if (counter && counter.textContent !== text) counter.textContent = text;
    const button = this.part("follow");
    if (!button) return;
    button.hidden = !this.#live;
    button.setAttribute("aria-pressed", String(this.#following));
  }

  #marks(row) {
    const marks = row.number >= this.#marked[0] && row.number <= this.#marked[1] ? ["marked"] : [];
    return row.number === this.search.current ? [...marks, "found"] : marks;
  }

  redraw() {
    this.#sheet.dress();
    this.#draw();
  }

  /** The number of the first line in sight, or 1. */
  get topNumber() {
    return this.lines.get(this.scroller.range[0])?.number ?? 1;
  }

  /** Show only what passes the filter {host, step, level}, from near the line that was at the top. */
  async refilter(filter) {
    const near = this.topNumber;
    await this.lines.setFilter(filter);
    this.#sheet.clear();
    this.scroller.total = this.lines.total;
    this.search.again();
    if (!this.#following) this.scroller.to(await this.lines.locate(near));
    this.#draw();
  }

  /** Bring a line of the whole log into sight; with `lazily` the view moves only when it has to. */
  async goTo(lineNumber, lazily = false) {
    this.follow(false);
    this.scroller.to(await this.lines.locate(lineNumber), lazily);
    this.redraw();
  }

  async #goToHash() {
    const found = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    if (!found) return false;
    const [one, other] = [Number(found[1]), Number(found[2] ?? found[1])];
    this.#mark(Math.min(one, other), Math.max(one, other));
    await this.goTo(this.#marked[0]);
    return true;
  }

  #mark(first, last) {
    this.#marked = [first, last];
    const hash = first === last ? `#L${first}` : `#L${first}-L${last}`;
    if (location.hash !== hash) history.replaceState(null, "", hash);
    this.#sheet.dress();
    const copy = this.part("copy");
    if (!copy) return;
    copy.hidden = false;
    copy.textContent = first === last ? "copy line" : `copy ${digits.format(last - first + 1)} lines`;
    copy.disabled = last - first >= MOST_COPIED;
    copy.title = copy.disabled ? `More than ${digits.format(MOST_COPIED)} lines: take the download` : "";
  }

  #clicked(event) {
    const link = event.target.closest(".ln a");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const at = Number(link.textContent);
    const from = event.shiftKey && this.#marked[0] ? this.#marked[0] : at;
    this.#mark(Math.min(from, at), Math.max(from, at));
    this.follow(false);
  }

  async #step(by) {
    const [marked] = this.#marked;
    const position = marked ? (await this.lines.locate(marked)) + by : this.scroller.range[0];
    const row = this.lines.get(position);
    if (!row) return;
    this.#mark(row.number, row.number);
    this.goTo(row.number, true);
  }

  async #copyMarked() {
    const button = this.part("copy");
    try {
      const texts = await this.lines.texts(...this.#marked);
      await copyText(`${texts.map(plain).join("\n")}\n`);
      button.textContent = "copied";
    } catch (error) {
      button.textContent = `not copied: ${error.message}`;
    }
  }

  #pressed(event) {
    const typing = event.target.closest?.("input, textarea, select, dialog, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    // Whoever has switched keys of one character off has them in the log itself only.
    if (document.documentElement.dataset.keys === "off" && !this.#view.contains(event.target)) return;
    const keys = {
      "/": () => this.search.focus(),
      n: () => this.search.next(1),
      N: () => this.search.next(-1),
      f: () => this.follow(!this.#following),
      g: () => this.goTo(1),
      G: () => this.goTo(Infinity),
      j: () => this.#step(1),
      k: () => this.#step(-1),
    };
    // A browser that glides there would end short of it: the bar stands for more than it is long.
    if (this.#view.contains(event.target)) Object.assign(keys, { Home: keys.g, End: keys.G });
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }
}
