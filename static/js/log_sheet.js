/* The rows in sight. A row stays the same element while it is in sight, so that a selection in it lives. */
import { lineElement } from "./log_row.js";

export class LogSheet {
  #lines;
  #shown = new Map(); // position -> {line, row}

  /** @param {LogLines} lines  @param {(row) => string[]} marks  the marks ("marked", "found") a row carries now */
  constructor(lines, marks) {
    this.#lines = lines;
    this.marks = marks;
    this.element = document.createElement("div");
    this.element.className = "log-sheet";
    this.element.setAttribute("role", "table");
    this.element.setAttribute("aria-label", "Log lines");
    this.element.addEventListener("copy", (event) => this.#copied(event));
  }

  clear() {
    this.#shown.clear();
    this.element.replaceChildren();
  }

  /** Hold exactly the rows of the positions first..last. */
  show(first, last) {
    for (const [position, { line }] of this.#shown) {
      if (position >= first && position <= last) continue;
      line.remove();
      this.#shown.delete(position);
    }
    let next = this.element.firstChild;
    for (let position = first; position <= last; position += 1) next = this.#place(position, next);
    this.element.setAttribute("aria-rowcount", this.#lines.total);
  }

  /** Where a row that is here stands in the sheet, and how high it is; undefined: it is not here. */
  boxOf(position) {
    const line = this.#shown.get(position)?.line;
    return line && { top: line.offsetTop, height: line.offsetHeight };
  }

  #place(position, next) {
    const row = this.#lines.get(position);
    const shown = this.#shown.get(position);
    // A row may have been forgotten by the cache while it is still in sight.
    if (shown && (shown.row === row || !row)) return shown.line.nextSibling;
    const line = lineElement(position, row);
    if (row) this.#dress(line, row);
    if (shown) shown.line.replaceWith(line);
    else this.element.insertBefore(line, next);
    this.#shown.set(position, { line, row });
    return line.nextSibling;
  }

  #dress(line, row) {
    const marks = this.marks(row);
    for (const mark of ["marked", "found"]) line.classList.toggle(mark, marks.includes(mark));
  }

  /** Show the marks anew on the rows that are here. */
  dress() {
    for (const { line, row } of this.#shown.values()) if (row) this.#dress(line, row);
  }

  // The browser would copy each cell on a line of its own; what one wants is the text.
  #copied(event) {
    const range = getSelection().rangeCount ? getSelection().getRangeAt(0) : null;
    if (!range || range.collapsed) return;
    const texts = [...this.element.querySelectorAll(".text")].filter((text) => range.intersectsNode(text));
    const parts = texts.map((text) => {
      const part = document.createRange();
      part.selectNodeContents(text);
      if (text.contains(range.startContainer)) part.setStart(range.startContainer, range.startOffset);
      if (text.contains(range.endContainer)) part.setEnd(range.endContainer, range.endOffset);
      return part.toString();
    });
    event.clipboardData.setData("text/plain", parts.join("\n"));
    event.preventDefault();
  }
}
