/* What can be done from this page, collected from the page itself:
 *
 *   <div class="head">…<div class="acts"><form …><button>Delete</button></form></div>       the buttons of its head
 *   <details class="lane"><summary>Rename</summary>…</details>                               and forms that open
 *   <form data-begin="Create disks">…</form>                                                 and those that are open
 *   <a href="/hosts/new/" data-command="Add host"><i class="bi bi-server"></i></a>           on every page
 *   <nav class="side"><a href="/hosts/"><i class="bi bi-server"></i><span>Hosts</span></a></nav>
 *
 * Each is {label, icon, more, run(), url, isDanger, isThere()}; a command without `url` presses its button, so that whatever asks before
 * an act asks here, too.
 */
const HERE = "main .head .acts :is(a, button), main details > summary, main form[data-begin]";
const FIELD = "input:not([type=hidden]), select, textarea";

const isUsable = (element) => !element.disabled && element.checkVisibility();
const iconOf = (element) => element.querySelector(".bi")?.className.match(/\bbi-([a-z0-9-]+)/)?.[1] ?? "chevron-right";

function wordsOf(element) {
  if (element.dataset.begin) return element.dataset.begin;
  return (element.textContent.trim() || element.getAttribute("aria-label") || element.title).replace(/\s+/g, " ");
}

function press(element) {
  if (!element.matches("summary, form")) return element.click();
  if (element.matches("summary")) element.parentElement.open = true;
  (element.closest("form, details").querySelector(FIELD) ?? element).focus();
}

function command(label, element, more = "") {
  const url = element.matches("a[href]") ? element.href : "";
  const isDanger = element.matches(".btn-danger, .btn-danger-quiet");
  return { label, icon: iconOf(element), more, url, isDanger, run: () => press(element), isThere: () => element.isConnected };
}

/** What this page offers by itself. */
export function here() {
  return [...document.querySelectorAll(HERE)].filter(isUsable).map((element) => command(wordsOf(element), element));
}

/** What every page offers this person. */
export function everywhere() {
  const begin = document.querySelectorAll("[data-commands] [data-command]");
  const others = document.querySelectorAll(":not([data-commands]) > [data-command]");
  return [...begin, ...others]
    .filter((element) => !element.disabled)
    .map((element) => command(element.dataset.command, element, element.dataset.commandMore ?? ""));
}

/** The pages of the navigation. */
export function places() {
  return [...document.querySelectorAll(".side a:not(.brand)")].map((link) =>
    command(link.querySelector("span")?.textContent ?? wordsOf(link), link, link.dataset.key ? `g ${link.dataset.key}` : ""),
  );
}

/** Those that have every word of the text; what begins with it first. */
export function matching(commands, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = ({ label }) => (label.toLowerCase().startsWith(words[0] ?? "") ? 0 : 1);
  return commands
    .filter(({ label }) => words.every((word) => label.toLowerCase().includes(word)))
    .sort((one, other) => rank(one) - rank(other));
}
