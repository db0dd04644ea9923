/* Scrolls over more rows than an element can be high: browsers stop at 17 to 33 million pixels, and positions get
 * coarse well before. Up to LIMIT it is plain scrolling. Above, the scroll bar stands for the whole (a jump is taken in
 * proportion) while wheel, keys and fingers still move pixel by pixel; the two are brought together when at rest.
 */
const LIMIT = 8_000_000;
const REST = 150;

export class Scroller {
  #view;
  #space;
  #sheet;
  #row;
  #total = 0;
  #top = 0; // pixels from the first row to the upper edge of the view, over all rows
  #bar = 0; // view.scrollTop as last seen or set
  #timer = 0;

  /**
   * @param {HTMLElement} view  the element that scrolls
   * @param {HTMLElement} space gives it its height
   * @param {HTMLElement} sheet holds the rows in sight
   * @param {number} row        the height of a row in pixels
   * @param {(up: boolean) => void} moved  the view was scrolled by hand
   */
  constructor(view, space, sheet, row, moved) {
    this.#view = view;
    this.#space = space;
    this.#sheet = sheet;
    this.#row = row;
    view.addEventListener("scroll", () => this.#scrolled(moved), { passive: true });
  }

  get #height() {
    return this.#total * this.#row;
  }

  get #lowest() {
    return Math.max(0, this.#height - this.#view.clientHeight);
  }

  get #lowestBar() {
    return Math.max(0, Math.min(this.#height, LIMIT) - this.#view.clientHeight);
  }

  set total(total) {
    if (total === this.#total) return;
    const shrunk = total < this.#total;
    this.#total = total;
    this.#space.style.height = `${Math.min(this.#height, LIMIT)}px`;
    if (shrunk) this.#go(Math.min(this.#top, this.#lowest));
  }

  /** The first and last positions at least partly in sight. */
  get range() {
    const first = Math.floor(this.#top / this.#row) + 1;
    const last = Math.ceil((this.#top + this.#view.clientHeight) / this.#row);
    return [Math.min(first, Math.max(1, this.#total)), Math.min(last, this.#total)];
  }

  get atEnd() {
    return this.#top >= this.#lowest - this.#row / 2;
  }

  toEnd() {
    this.#go(this.#lowest);
  }

  /** Bring a position into the upper third of the view; with `lazily` only when it is out of sight. */
  to(position, lazily = false) {
    const at = (position - 1) * this.#row;
    const seen = at >= this.#top && at + this.#row <= this.#top + this.#view.clientHeight;
    if (!(lazily && seen)) this.#go(at - this.#view.clientHeight / 3);
  }

  /** Put the sheet so that its first row stands at its position. */
  place(first) {
    this.#sheet.style.transform = `translateY(${(first - 1) * this.#row - this.#top + this.#bar}px)`;
  }

  #go(top) {
    this.#top = Math.round(Math.max(0, Math.min(top, this.#lowest)));
    this.#anchor();
  }

  // Put the bar where the top is in proportion. Rows keep their place on the screen.
  #anchor() {
    clearTimeout(this.#timer);
    const bar = this.#lowest ? (this.#top * this.#lowestBar) / this.#lowest : 0;
    this.#view.scrollTop = Math.round(bar);
    this.#bar = this.#view.scrollTop;
  }

  #scrolled(moved) {
    const bar = this.#view.scrollTop;
    const delta = bar - this.#bar;
    if (Math.abs(delta) < 1) return; // our own doing
    this.#bar = bar;
    if (this.#height <= LIMIT) {
      this.#top = bar;
    } else {
      const jump = Math.abs(delta) > 4 * this.#view.clientHeight;
      const top = jump ? (bar * this.#lowest) / this.#lowestBar : this.#top + delta;
      this.#top = Math.round(Math.max(0, Math.min(top, this.#lowest)));
      const stuck = (bar <= 0 && this.#top > 0) || (bar >= this.#lowestBar - 1 && this.#top < this.#lowest);
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#settle(moved), stuck ? 0 : REST);
    }
    moved(delta < 0);
  }

  #settle(moved) {
    this.#anchor();
    moved(false);
  }
}
