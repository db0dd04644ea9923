/* The filter of the log window: select boxes, steps to click, and the address. Contract: see log.js. */
const NAMES = ["host", "step", "level"];
const MOST_OF_TITLE = 80;

export class LogFilter {
  #window;
  #values = {};

  constructor(window) {
    this.#window = window;
    for (const name of NAMES) {
      this.#select(name)?.addEventListener("change", (event) => this.#set({ [name]: event.target.value }));
    }
    this.#clear?.addEventListener("click", () => this.#set({ host: "", step: "", level: "" }));
    this.#fit();
    // A job that was opened before its plan was made gets its hosts and steps later.
    document.addEventListener("htmx:afterSettle", () => this.#fit());
    document.addEventListener("click", (event) => {
      const step = event.target.closest("[data-log-step]")?.dataset.logStep;
      if (step !== undefined) this.#set({ step: this.#values.step === step ? "" : step });
    });
  }

  /** Take the filter of the address; resolves when the log shows it. */
  restore() {
    const given = new URLSearchParams(location.search);
    const values = Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? ""]));
    if (NAMES.some((name) => values[name])) return this.#apply(values);
    return undefined;
  }

  /** Offer the hosts and the steps that the page has now. */
  #fit() {
    const lanes = [...document.querySelectorAll("[data-lane]")];
    this.#offer("host", lanes.map(({ dataset }) => [dataset.lane, dataset.lane]));
    this.#offer("step", lanes.flatMap((lane) => [...lane.querySelectorAll("[data-log-step]")].map((step) => {
      const title = step.querySelector(".w")?.firstChild?.textContent.trim() ?? "";
      return [step.dataset.logStep, `${lane.dataset.lane}: ${title.slice(0, MOST_OF_TITLE)}`];
    })));
    // The column of hosts is as wide as the longest name the filter offers.
    const names = [...(this.#select("host")?.options ?? [])].map((option) => option.value.length);
    this.#window.part("window").style.setProperty("--log-host", `${Math.min(24, Math.max(8, ...names)) + 2}ch`);
    this.#show();
  }

  #offer(name, choices) {
    const select = this.#select(name);
    const given = [...(select?.options ?? [])].slice(1).map((option) => option.value);
    if (!select || !choices.length || given.join("\n") === choices.map(([value]) => value).join("\n")) return;
    select.replaceChildren(select.options[0], ...choices.map(([value, words]) => new Option(words, value)));
  }

  get #clear() {
    return document.querySelector("[data-log-clear]");
  }

  #select(name) {
    return document.querySelector(`[data-log-filter="${name}"]`);
  }

  #set(change) {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(change)) {
      if (value) url.searchParams.set(name, value);
      else url.searchParams.delete(name);
    }
    history.replaceState(null, "", url);
    return this.#apply({ ...this.#values, ...change });
  }

  #apply(values) {
    this.#values = Object.fromEntries(Object.entries(values).filter(([, value]) => value));
    this.#show();
    return this.#window.refilter(this.#values);
  }

  #show() {
    for (const name of NAMES) {
      const select = this.#select(name);
      if (select) select.value = this.#values[name] ?? "";
    }
    for (const step of document.querySelectorAll("[data-log-step]")) {
      step.setAttribute("aria-pressed", String(step.dataset.logStep === this.#values.step));
    }
    if (this.#clear) this.#clear.hidden = !Object.keys(this.#values).length;
  }
}
