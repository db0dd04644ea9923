/* The filter of the log window: select boxes, steps to click, and the address. Contract: see log.js. */
const NAMES = ["host", "step", "level"];

export class LogFilter {
  #window;
  #values = {};

  constructor(window) {
    this.#window = window;
    for (const name of NAMES) {
      this.#select(name)?.addEventListener("change", (event) => this.#set({ [name]: event.target.value }));
    }
    this.#fitHosts();
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

  // The column of hosts is as wide as the longest name the filter offers.
  #fitHosts() {
    const names = [...(this.#select("host")?.options ?? [])].map((option) => option.value.length);
    this.#window.part("window").style.setProperty("--log-host", `${Math.min(24, Math.max(8, ...names)) + 2}ch`);
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
    for (const name of NAMES) {
      const select = this.#select(name);
      if (select) select.value = this.#values[name] ?? "";
    }
    for (const step of document.querySelectorAll("[data-log-step]")) {
      step.setAttribute("aria-pressed", String(step.dataset.logStep === this.#values.step));
    }
    return this.#window.refilter(this.#values);
  }
}
