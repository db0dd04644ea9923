/* Keys of one character, and the sheet that tells of them.
 *
 *   g o, g d, …  go to the page of the navigation with data-key="o"         /    filter a list, or find
 *   j k          from row to row of the first table; arrows once on one     ?    <dialog data-keys>
 *
 * Never while somebody types, with a modifier, or in a dialog. The switch in the sheet takes them away (WCAG 2.1.4):
 * <html data-keys="off">, remembered. Where there is a log its own keys come first: "g j" does not lead away from it.
 */
const PATIENCE = 1200; // milliseconds between "g" and what follows
const OF_A_LOG = new Set(["/", "n", "N", "f", "g", "G", "j", "k"]);
const ARROWS = { ArrowDown: 1, ArrowUp: -1 };
const STEPS = { j: 1, k: -1 };
const BUSY = "input, textarea, select, dialog, [contenteditable], [popover]:popover-open, .dropdown-menu";

const sheet = document.querySelector("[data-keys]");
const log = document.querySelector("[data-log]");
let began = -Infinity; // when "g" was pressed
let row = -1; // where j and k were last: a row that is read again loses the focus

const rows = () => [...(document.querySelector("main table.t tbody")?.rows ?? [])].filter((each) => linkOf(each));
const linkOf = (each) => each.querySelector("td a[href]");

// What was closed has the focus until the next frame.
const isBusy = (element) => Boolean(element.closest?.(BUSY)) && element.checkVisibility();

function step(by) {
  const all = rows();
  if (!all.length) return false;
  const at = all.findIndex((each) => each.contains(document.activeElement));
  row = Math.max(0, Math.min(all.length - 1, (at < 0 ? row : at) + by));
  linkOf(all[row]).focus();
  return true;
}

function seek() {
  const field = document.querySelector('main .filters input[type="search"], main input[type="search"]');
  const visible = field?.checkVisibility() ? field : document.querySelector(".top .find input");
  if (!visible?.checkVisibility()) return document.querySelector(".top [data-palette-open].phone")?.click();
  visible.focus();
  visible.select();
}

function goTo(key) {
  const link = document.querySelector(`.side a[data-key="${CSS.escape(key)}"]`);
  if (link) location.assign(link.href);
  return Boolean(link);
}

// True: the key was ours.
function pressed(event) {
  const { key } = event;
  const follows = event.timeStamp - began < PATIENCE;
  began = -Infinity;
  if (follows && !(log && OF_A_LOG.has(key)) && goTo(key)) return true;
  if (ARROWS[key]) return Boolean(event.target.closest?.("main table.t tbody tr")) && step(ARROWS[key]);
  if (key === "?") return open();
  if (key === "g") began = event.timeStamp;
  if (log && OF_A_LOG.has(key)) return false;
  if (STEPS[key]) return step(STEPS[key]);
  if (key === "/") seek();
  return key === "/";
}

function show(off) {
  document.documentElement.dataset.keys = off ? "off" : "on";
  sheet.querySelector("[data-keys-switch]").checked = !off;
}

function stored() {
  try {
    return localStorage.getItem("keys") === "off";
  } catch {
    return false; // storage is forbidden in this browser
  }
}

function keep(off) {
  show(off);
  try {
    localStorage.setItem("keys", off ? "off" : "on");
  } catch {
    // Kept for this page only.
  }
}

function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

function open() {
  const places = [...document.querySelectorAll(".side a[data-key]")].flatMap((link) => {
    const keys = [element("kbd", "g"), " ", element("kbd", link.dataset.key)];
    const taken = log && OF_A_LOG.has(link.dataset.key);
    return taken ? [] : [element("dt", ...keys), element("dd", link.querySelector("span").textContent)];
  });
  sheet.querySelector("[data-keys-places]").replaceChildren(...places);
  sheet.querySelector("[data-keys-log]").hidden = !log;
  sheet.showModal();
  return true;
}

if (sheet) {
  show(stored());
  addEventListener("storage", (event) => event.key === "keys" && show(stored()));
  sheet.querySelector("[data-keys-switch]").addEventListener("change", (event) => keep(!event.target.checked));
  sheet.addEventListener("click", (event) => {
    if (event.target === sheet || event.target.closest("[data-keys-close]")) sheet.close();
  });
  document.addEventListener("click", (event) => event.target.closest("[data-keys-open]") && open());
  // Before the log hears of it: what follows "g" is no key of its own.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
      if (document.documentElement.dataset.keys === "off" || document.querySelector("dialog[open]")) return;
      if (isBusy(event.target) || !pressed(event)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    },
    true,
  );
}
