/* One line of the log as elements. Text becomes text nodes and nothing else: no markup is ever parsed.
 *
 * Escape sequences other than colours are taken out before ansi_up sees the line (titles, cursor moves, OSC 8 links:
 * their words stay). Control and direction characters are shown as what they are; what is copied still has them.
 */
import { AnsiUp } from "../vendor/ansi_up.js";

const MOST = 8192;
const MOST_MARKS = 100;
const SIGNS = { warning: "!", error: "✕", good: "✓" };
const ASIDE = new Set(["facts", "undo"]);

const STRINGS = /(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\|\x9c)/g;
const SEQUENCES = /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-Z\\^-~]/g;
const COLOUR = /^\x1b\[[\d;]*m$/;
const HIDDEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;
const EACH_HIDDEN = new RegExp(`(${HIDDEN.source})`);

/** The line without any escape sequence, as it is searched and copied. */
export function plain(text) {
  return text.replace(STRINGS, "").replace(SEQUENCES, "").replace(/\r$/, "");
}

function coloursOnly(text) {
  return text.replace(STRINGS, "").replace(SEQUENCES, (found) => (COLOUR.test(found) ? found : "")).replace(/\r$/, "");
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  if (text) made.textContent = text;
  return made;
}

function code(character) {
  const point = character.codePointAt(0);
  if (point < 32) return String.fromCharCode(0x2400 + point);
  return point === 127 ? "␡" : `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
}

function write(parent, text) {
  if (!HIDDEN.test(text)) return parent.append(text);
  let marks = 0;
  for (const piece of text.split(EACH_HIDDEN)) {
    if (piece.length === 1 && HIDDEN.test(piece)) {
      // A binary file printed by mistake must not become a million elements.
      if ((marks += 1) > MOST_MARKS) {
        parent.append("\ufffd");
        continue;
      }
      const shown = element("bdi", "ctl", piece);
      shown.dataset.code = code(piece);
      parent.append(shown);
    } else {
      parent.append(piece);
    }
  }
}

/** rgb as a colour that can be read on the dark ground: mixed with white until it is light enough. */
function readable(rgb) {
  const light = (0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]) / 255;
  const white = Math.max(0, (0.5 - light) / (1 - light));
  return `rgb(${rgb.map((value) => Math.round(value + (255 - value) * white)).join(",")})`;
}

class Painter extends AnsiUp {
  constructor(parent) {
    super();
    this.parent = parent;
  }

  // ansi_up calls this for each run of text; it would build HTML, we build nodes.
  transform_to_html({ text, fg, bg, ...styles }) {
    const names = ["bold", "faint", "italic", "underline"].filter((name) => styles[name]).map((name) => `ansi-${name}`);
    const named = (colour) => colour && colour.class_name !== "truecolor";
    if (named(fg)) names.push(`${fg.class_name}-fg`);
    if (named(bg)) names.push(`${bg.class_name}-bg`);
    const span = names.length || fg || bg ? element("span", names.join(" ")) : this.parent;
    if (bg && !named(bg)) {
      span.style.backgroundColor = `rgb(${bg.rgb.join(",")})`;
      span.style.color = bg.rgb[0] + 2 * bg.rgb[1] + bg.rgb[2] > 480 ? "#000" : "#fff";
    } else if (fg && !named(fg)) {
      span.style.color = readable(fg.rgb);
    }
    write(span, text);
    if (span !== this.parent) this.parent.append(span);
    return "";
  }
}

function paint(parent, text) {
  const shown = text.length > MOST ? text.slice(0, MOST) : text;
  const coloured = coloursOnly(shown);
  if (coloured.includes("\x1b")) new Painter(parent).ansi_to_html(coloured.replace(/\x1b(?!\[[\d;]*m)/g, "␛"));
  else write(parent, coloured);
  if (shown !== text) parent.append(element("span", "cut", ` … ${text.length - MOST} more characters, see the download`));
}

function clock(at) {
  const time = new Date(at);
  const two = (value) => String(value).padStart(2, "0");
  const milliseconds = String(time.getMilliseconds()).padStart(3, "0");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${milliseconds}`;
}

function cell(className, text) {
  const made = element("span", className, text);
  made.setAttribute("role", "cell");
  return made;
}

/** The element of the line at a position; `row` is undefined while the line is on its way. */
export function lineElement(position, row) {
  const line = element("div", "line");
  line.setAttribute("role", "row");
  line.setAttribute("aria-rowindex", position);
  const number = cell("ln", "");
  const text = cell("text", row ? "" : "…");
  if (!row) {
    line.classList.add("wait");
    line.append(number, cell("at", ""), cell("on", ""), cell("sign", ""), text);
    return line;
  }
  line.classList.add(row.level, ...(ASIDE.has(row.kind) ? ["aside"] : []));
  line.dataset.number = row.number;
  const link = element("a", "", String(row.number));
  link.href = `#L${row.number}`;
  link.tabIndex = -1;
  number.append(link);
  const sign = cell("sign", SIGNS[row.level] ?? "");
  if (sign.textContent) sign.title = row.level;
  paint(text, row.text);
  const at = cell("at", clock(row.at));
  at.title = new Date(row.at).toISOString();
  line.append(number, at, cell("on", row.host), sign, text);
  return line;
}
