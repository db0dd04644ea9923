/* Light, dark or as the system has it; remembered in this browser.
 *
 * Loaded in <head> as a plain script, neither deferred nor a module, so that no page flashes white:
 *   <script src="theme.js"></script>
 * Any number of switches, each a button with one icon:
 *   <button type="button" class="icon-btn" data-theme-switch><i class="bi bi-circle-half"></i></button>
 */
(() => {
  const icons = { auto: "bi-circle-half", light: "bi-sun", dark: "bi-moon-stars" };
  const names = Object.keys(icons);
  const system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      const name = localStorage.getItem("theme");
      return names.includes(name) ? name : "auto";
    } catch {
      return "auto"; // storage is forbidden in this browser
    }
  }

  function show(name) {
    const theme = name === "auto" ? (system.matches ? "dark" : "light") : name;
    document.documentElement.dataset.bsTheme = theme;
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.setAttribute("aria-label", `Theme: ${name}`);
      button.title = `Theme: ${name}`;
      button.querySelector(".bi").className = `bi ${icons[name]}`;
    }
  }

  let current = chosen();
  show(current);
  document.addEventListener("DOMContentLoaded", () => show(current));
  system.addEventListener("change", () => show(current));
  addEventListener("storage", () => show((current = chosen())));
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    current = names[(names.indexOf(current) + 1) % names.length];
    try {
      localStorage.setItem("theme", current);
    } catch {
      // Kept for this page only.
    }
    show(current);
  });
})();
