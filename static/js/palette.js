/* Find any thing, do anything: Ctrl K, Cmd K, or any <button data-palette-open>.
 *
 *   <dialog class="palette" data-palette="/find/palette/">
 *     <div class="ask"><input role="combobox" aria-controls="palette-list" …><button data-palette-close>…</button></div>
 *     <div class="list" id="palette-list" role="listbox" hidden></div> <p class="said" role="status"></p>
 *   </dialog>
 *
 * What is found has its own buttons on its own page: the right arrow leads there and opens the palette again.
 *
 * The server answers {"groups": [{"title", "icon", "hits": [{"url", "name", "more"}]}]}. Commands: commands.js.
 */
import { everywhere, here, matching, places } from "./commands.js";
import { recent } from "./recent.js";

const NOTHING = "Nothing that you may see has that in its name.";
const HERE = "On this page";
const ACTS = "#do"; // an address that ends so opens the palette with what can be done there
const PAUSE = 140; // milliseconds without a key before the server is asked

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

class Palette {
  #dialog;
  #input;
  #list;
  #said;
  #entries = []; // what each option stands for, in order
  #at = -1;
  #timer = 0;
  #asking = null; // aborts the question under way
  #groups = []; // what the server found for what is typed
  #acts = false; // only what can be done to the thing of this page is offered

  constructor(dialog) {
    this.#dialog = dialog;
    this.#input = dialog.querySelector("input");
    this.#list = dialog.querySelector('[role="listbox"]');
    this.#said = dialog.querySelector('[role="status"]');
    this.#input.addEventListener("input", () => this.#typed());
    this.#input.addEventListener("keydown", (event) => this.#pressed(event));
    dialog.addEventListener("click", (event) => this.#clicked(event));
    dialog.addEventListener("close", () => this.#forget());
    this.#list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
  }

  /** Open it, or close it when it is open. Another dialog that asks something is left alone. `acts`: offer those of this page. */
  toggle(acts = false) {
    if (this.#dialog.open) return this.#dialog.close();
    if (document.querySelector("dialog[open]")) return;
    this.#input.value = "";
    this.#groups = [];
    this.#acts = acts;
    this.#dialog.showModal();
    this.#input.focus();
    this.#show(acts && !here().length ? "There is nothing that you can do to it." : "");
  }

  #forget() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#list.replaceChildren();
    this.#said.textContent = "";
  }

  #typed() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#groups = [];
    this.#at = -1;
    const text = this.#input.value.trim();
    this.#show(text ? "Looking." : "");
    if (text) this.#timer = setTimeout(() => this.#ask(text), PAUSE);
  }

  async #ask(text) {
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const address = `${this.#dialog.dataset.palette}?q=${encodeURIComponent(text)}`;
      const answer = await fetch(address, { signal: asking.signal, headers: { Accept: "application/json" } });
      const found = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new Error(found.error || `The server answered with ${answer.status}.`);
      if (asking.signal.aborted) return;
      this.#groups = found.groups ?? [];
      this.#show();
    } catch (error) {
      if (asking.signal.aborted) return;
      this.#show(`Nothing could be looked up. ${error instanceof TypeError ? "The server does not answer." : error.message}`);
    }
  }

  /** Show what fits to what is typed; `words` instead of what there is to say of it. */
  #show(words = "") {
    const text = this.#input.value.trim();
    const groups = (text ? this.#found(text) : this.#offered()).filter(({ entries }) => entries.length);
    this.#entries = groups.flatMap(({ entries }) => entries);
    let number = 0;
    const made = groups.map(({ title, entries }, index) => {
      const head = element("div", { className: "grp", id: `palette-group-${index}`, textContent: title });
      const group = element("div", {}, head, ...entries.map((entry) => this.#option(entry, number++)));
      group.setAttribute("role", "group");
      group.setAttribute("aria-labelledby", head.id);
      return group;
    });
    this.#list.replaceChildren(...made);
    this.#list.hidden = !made.length;
    this.#input.setAttribute("aria-expanded", String(made.length > 0));
    this.#said.textContent = words || (made.length || !text ? "" : NOTHING);
    // Nothing is chosen before something was typed: Enter alone shall do nothing.
    this.#choose(text ? this.#first() : -1);
  }

  /** What is chosen by itself: where one is already, else the first that destroys nothing. */
  #first() {
    if (this.#at >= 0 && this.#at < this.#entries.length) return this.#at;
    return this.#entries.findIndex(({ isDanger }) => !isDanger);
  }

  #offered() {
    if (this.#acts) return [{ title: HERE, entries: here() }];
    const opened = recent()
      .filter(({ url }) => url !== location.pathname)
      .map((entry) => ({ ...entry, isThing: true }));
    return [
      { title: "Opened lately", entries: opened },
      { title: HERE, entries: here() },
      { title: "Do", entries: everywhere() },
      { title: "Go to", entries: places() },
    ];
  }

  #found(text) {
    const things = this.#groups.map(({ title, icon, hits }) => ({
      title,
      entries: hits.map(({ url, name, more }) => ({ url, label: name, more, icon, isThing: true })),
    }));
    const local = [[HERE, here()], ["Do", everywhere()], ["Go to", places()]];
    return [...local.map(([title, entries]) => ({ title, entries: matching(entries, text) })), ...things];
  }

  #option({ label, icon, more, isThing }, number) {
    const option = element("div", { className: "option", id: `palette-option-${number}` });
    option.append(element("i", { className: `bi bi-${icon}` }), element("span", { className: "w", textContent: label }));
    if (more) option.append(element("span", { className: "sub", textContent: more }));
    if (isThing) {
      option.dataset.thing = "";
      option.setAttribute("aria-keyshortcuts", "ArrowRight");
    }
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    return option;
  }

  #choose(index) {
    const options = this.#list.querySelectorAll('[role="option"]');
    options[this.#at]?.setAttribute("aria-selected", "false");
    this.#at = index;
    const option = options[index];
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) this.#input.setAttribute("aria-activedescendant", option.id);
    else this.#input.removeAttribute("aria-activedescendant");
  }

  #pressed(event) {
    const count = this.#entries.length;
    const moves = {
      ArrowDown: () => this.#choose((this.#at + 1) % count),
      ArrowUp: () => this.#choose((Math.max(this.#at, 0) + count - 1) % count),
      PageDown: () => this.#choose(Math.min(this.#at + 8, count - 1)),
      PageUp: () => this.#choose(Math.max(this.#at - 8, 0)),
    };
    if (event.isComposing) return;
    if (moves[event.key] && count) {
      event.preventDefault();
      moves[event.key]();
    } else if (event.key === "ArrowRight" && this.#isAtEnd() && this.#entries[this.#at]?.isThing) {
      event.preventDefault();
      this.#openActs(this.#entries[this.#at].url);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.#run(this.#entries[this.#at], event.ctrlKey || event.metaKey);
    }
  }

  #isAtEnd() {
    return this.#input.selectionStart === this.#input.value.length;
  }

  #openActs(url) {
    const target = new URL(url, location.href);
    if (target.pathname !== location.pathname) {
      this.#dialog.close();
      return location.assign(`${target.pathname}${target.search}${ACTS}`);
    }
    this.#acts = true;
    this.#input.value = "";
    this.#typed();
  }

  #clicked(event) {
    if (event.target === this.#dialog || event.target.closest("[data-palette-close]")) return this.#dialog.close();
    const option = event.target.closest('[role="option"]');
    if (!option) return;
    const index = [...this.#list.querySelectorAll('[role="option"]')].indexOf(option);
    this.#run(this.#entries[index], event.ctrlKey || event.metaKey);
  }

  #run(entry, elsewhere) {
    if (!entry) return;
    if (entry.isThere && !entry.isThere()) return this.#show("That has changed meanwhile. Choose again.");
    this.#dialog.close();
    if (!entry.url) entry.run();
    else if (elsewhere) window.open(entry.url, "_blank", "noopener");
    else location.assign(entry.url);
  }
}

const dialog = document.querySelector("[data-palette]");
if (dialog) {
  const palette = new Palette(dialog);
  const isMac = /mac|iphone|ipad/i.test(navigator.platform);
  for (const hint of isMac ? document.querySelectorAll(".hint[data-palette-open]") : []) {
    hint.querySelector("kbd").textContent = "Cmd K";
    hint.setAttribute("aria-label", "Cmd K: find or do anything");
    hint.setAttribute("aria-keyshortcuts", "Meta+K");
  }
  document.addEventListener("click", (event) => event.target.closest("[data-palette-open]") && palette.toggle());
  document.addEventListener("keydown", (event) => {
    const wanted = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k";
    if (!wanted) return;
    event.preventDefault();
    palette.toggle();
  });
  if (location.hash === ACTS) {
    history.replaceState(history.state, "", `${location.pathname}${location.search}`);
    palette.toggle(true);
  }
}
