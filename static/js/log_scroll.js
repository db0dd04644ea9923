/* Scrolls over more rows than an element can be high: browsers stop at 17 to 33 million pixels, and positions get
 * coarse well before. Up to LIMIT it is plain scrolling. Above, the scroll bar stands for the whole (a jump is taken in
 * proportion) while wheel, keys and fingers still move pixel by pixel; the two are brought together when at rest.
 *
 * Rows that wrap have heights that nobody knows before they are there. Up to WHOLE of them are all in the page, and
 * scroll as any text. Of more, positions stay those of rows of one height, and the row that is so far down all rows as
 * the bar is stands so far down the view: the first one at its top, the last one at its end.
 */
const LIMIT = 8_000_000;
const REST = 150;
const WHOLE = 500;

export class Scroller {
  #boxOf;
  #view;
  #space;
  #sheet;
  #row;
  #total = 0;
  #top = 0; // pixels from the first row to the upper edge of the view, over all rows
  #bar = 0; // view.scrollTop as last seen or set
  #timer = 0;
  #wraps = false;
  #goal = 0; // the position to be kept in sight while the rows above it still grow

  /**
   * @param {HTMLElement} view  the element that scrolls
   * @param {HTMLElement} space gives it its height
   * @param {HTMLElement} sheet holds the rows in sight
   * @param {number} row        the height of a row in pixels
   * @param {(up: boolean) => void} moved  the view was scrolled by hand
   * @param {(position: number) => object} boxOf  {top, height} of a row in the sheet, if it is there
   */
  constructor(view, space, sheet, row, moved, boxOf) {
    this.#boxOf = boxOf;
    this.#view = view;
    this.#space = space;
    this.#sheet = sheet;
    this.#row = row;
    view.addEventListener("scroll", () => this.#scrolled(moved), { passive: true });
  }

  get #height() {
    return this.#total * this.#row;
  }

  get #isWhole() {
    return this.#wraps && this.#total <= WHOLE;
  }

  get #lowest() {
    const height = this.#isWhole ? this.#sheet.offsetHeight : this.#height;
    return Math.max(0, height - this.#view.clientHeight);
  }

  get #lowestBar() {
    return this.#isWhole ? this.#lowest : Math.max(0, Math.min(this.#height, LIMIT) - this.#view.clientHeight);
  }

  /** How far down all rows the view is, from 0 to 1. */
  get #share() {
    return this.#lowest ? this.#top / this.#lowest : 0;
  }

  set total(total) {
    if (total === this.#total) return;
    const shrunk = total < this.#total;
    const share = this.#share;
    const wasWhole = this.#isWhole;
    this.#total = total;
    this.#stretch();
    if (wasWhole !== this.#isWhole) this.#go(share * this.#lowest);
    else if (shrunk) this.#go(Math.min(this.#top, this.#lowest));
  }

  set wraps(on) {
    const share = this.#share;
    this.#wraps = on;
    this.#goal = 0;
    this.#stretch();
    this.#go(share * this.#lowest);
  }

  #stretch() {
    const height = this.#isWhole ? this.#sheet.offsetHeight : Math.min(this.#height, LIMIT);
    this.#space.style.height = `${height}px`;
  }

  /** The first and last positions at least partly in sight. */
  get range() {
    if (this.#isWhole) return [1, this.#total];
    const first = Math.floor(this.#top / this.#row) + 1;
    const last = Math.ceil((this.#top + this.#view.clientHeight) / this.#row);
    return [Math.min(first, Math.max(1, this.#total)), Math.min(last, this.#total)];
  }

  get atEnd() {
    return this.#top >= this.#lowest - this.#row / 2;
  }

  toEnd() {
    this.#goal = 0;
    this.#go(this.#lowest);
  }

  /** Bring a position into the upper third of the view; with `lazily` only when it is out of sight. */
  to(position, lazily = false) {
    if (this.#isWhole) return this.#toRow(position, lazily);
    if (this.#wraps) return this.#go((this.#lowest * (position - 1)) / Math.max(1, this.#total - 1));
    const at = (position - 1) * this.#row;
    const seen = at >= this.#top && at + this.#row <= this.#top + this.#view.clientHeight;
    if (!(lazily && seen)) this.#go(at - this.#view.clientHeight / 3);
  }

  #toRow(position, lazily) {
    const box = this.#boxOf(position);
    const seen = box && box.top >= this.#top && box.top + box.height <= this.#top + this.#view.clientHeight;
    if (lazily && seen) return;
    this.#goal = position;
    if (box) this.#go(box.top - this.#view.clientHeight / 3);
  }

  /** Put the sheet so that its rows stand at their positions. */
  place(first) {
    let at = (first - 1) * this.#row - this.#top;
    if (this.#isWhole) {
      this.#stretch();
      if (this.#goal) this.#toRow(this.#goal, false);
      else this.#go(Math.min(this.#top, this.#lowest));
      at = -this.#top;
    } else if (this.#wraps) {
      at = this.#hang() ?? at;
    }
    this.#sheet.style.transform = `translateY(${at + this.#bar}px)`;
  }

  // Where the sheet begins in the view when each row has a height of its own.
  #hang() {
    const above = this.#share * this.#total;
    const position = Math.min(this.#total, Math.floor(above) + 1);
    const box = this.#boxOf(position);
    return box && Math.round(this.#share * this.#view.clientHeight - box.top - (above - position + 1) * box.height);
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
    this.#goal = 0;
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
