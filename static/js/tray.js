/* The panel of jobs under way. It is read when it is opened, and kept fresh by the feed as long as it is open.
 *
 *   <button popovertarget="tray" data-running>…</button>
 *   <section id="tray" popover data-tray> <div data-tray-jobs hx-get="/jobs/tray/" hx-trigger="live">…</div> </section>
 */
const tray = document.querySelector("[data-tray]");
const jobs = tray?.querySelector("[data-tray-jobs]");

// A question that was asked from the panel closes it; what was asked about stays until it is answered.
const isAsking = () => Boolean(document.querySelector("dialog[open]"));

function say(words) {
  const line = Object.assign(document.createElement("div"), { className: "lane sub", textContent: words });
  line.setAttribute("role", "alert");
  jobs.replaceChildren(line);
}

tray?.addEventListener("toggle", ({ newState }) => {
  if (newState !== "open") return jobs.removeAttribute("data-live");
  jobs.dataset.live = "jobs";
  window.htmx.trigger(jobs, "live");
});

jobs?.addEventListener("htmx:beforeRequest", (event) => isAsking() && event.preventDefault());
jobs?.addEventListener("htmx:beforeSwap", (event) => isAsking() && (event.detail.shouldSwap = false));
jobs?.addEventListener("htmx:sendError", () => say("The jobs could not be read: the server does not answer."));
jobs?.addEventListener("htmx:responseError", (event) => say(`The jobs could not be read: the server answered with ${event.detail.xhr.status}.`));
