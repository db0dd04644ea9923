/* What happens elsewhere, on every page: the number of running jobs, rows that changed, "your job is done".
 *
 *   <body data-feed-url="/ws/feed/">
 *   <a class="running" data-running href="/jobs/"><i class="bi bi-arrow-repeat"></i><span>2 jobs running</span></a>
 *   <span class="conn" data-feed-state role="status"></span>                         shown while the connection is lost
 *   <tr data-live="disk:17" hx-get="…" hx-trigger="live" hx-swap="outerHTML">        refreshed when disk:17 changed
 *   <div data-live="disk:17 datastore:3" …>                                          several, divided by blanks
 *   <div class="toasts" data-toasts role="status" aria-live="polite"></div>
 */
import { Socket } from "./socket.js";

const TONES = ["ok", "warn", "bad", "run", "idle"];
const GATHER = 300;
const stale = new Set();
let gathering = 0;

function refreshSoon(elements) {
  for (const element of elements) stale.add(element);
  if (stale.size && !gathering) gathering = setTimeout(refresh, GATHER);
}

function refresh() {
  gathering = 0;
  for (const element of stale) if (element.isConnected) window.htmx.trigger(element, "live");
  stale.clear();
}

function inSight(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

function count(running) {
  for (const chip of document.querySelectorAll("[data-running]")) {
    chip.classList.toggle("none", running === 0);
    chip.querySelector("span").textContent = `${running || "no"} ${running === 1 ? "job" : "jobs"} running`;
  }
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function toast({ title, url, state, tone, icon }) {
  const place = document.querySelector("[data-toasts]");
  const target = new URL(url, location.href);
  if (!place || target.origin !== location.origin || target.pathname === location.pathname) return;
  const kind = TONES.includes(tone) ? tone : "idle";
  const link = element("a", "strong", title);
  link.href = target.href;
  const close = element("button", "icon-btn", element("i", "bi bi-x-lg"));
  close.type = "button";
  close.setAttribute("aria-label", "Dismiss");
  const note = element("div", `note ${kind}`, element("i", `bi bi-${icon}`), element("div", "w", link, ` ${state}`), close);
  close.addEventListener("click", () => note.remove());
  place.append(note);
  // What went well may leave by itself; what did not stays until it was seen.
  if (kind === "ok") setTimeout(() => note.remove(), 8000);
  while (place.children.length > 4) place.firstElementChild.remove();
}

function job(message) {
  count(message.running);
  for (const name of [...message.objects, `job:${message.uuid}`]) {
    refreshSoon(document.querySelectorAll(`[data-live~="${CSS.escape(name)}"]`));
  }
  if (message.ended && message.mine && !message.replay) toast(message);
}

const url = document.body.dataset.feedUrl;
if (url) {
  new Socket(url, {
    state: document.querySelector("[data-feed-state]"),
    onMessage(message) {
      if (message.type === "job") job(message);
      if (message.type === "count") count(message.running);
    },
    // The feed has no memory: what changed meanwhile is unknown, so whatever is looked at is read again.
    onReconnect: () => refreshSoon([...document.querySelectorAll("[data-live]")].filter(inSight)),
  });
}
