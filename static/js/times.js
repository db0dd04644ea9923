/* Relative times with the exact one on hover, kept fresh.
 *
 *   <time datetime="2026-11-21T14:02:10Z">21 Nov 14:02</time>      becomes "12 s ago"
 *   <time datetime="…" data-exact>14:02:10</time>                  keeps its words, gains the hover
 *
 * The text the server wrote stays when the script is not there.
 */
const UNITS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86400, 3600, "h"],
  [7 * 86400, 86400, "d"],
];
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

/** "12 s ago", "in 5 min", or the day when it is more than a week away. `at` and `now` are milliseconds. */
export function relative(at, now) {
  const seconds = Math.round(Math.abs(now - at) / 1000);
  if (seconds < 1) return "now";
  const unit = UNITS.find(([limit]) => seconds < limit);
  if (!unit) return day.format(at);
  const words = `${Math.floor(seconds / unit[1])} ${unit[2]}`;
  return at <= now ? `${words} ago` : `in ${words}`;
}

function show(time, now) {
  const at = Date.parse(time.dateTime);
  if (Number.isNaN(at)) return;
  if (!time.title) time.title = exact.format(at);
  if (time.dataset.exact !== undefined) return;
  const words = relative(at, now);
  if (time.textContent !== words) time.textContent = words;
}

function refresh() {
  if (document.hidden) return;
  const now = Date.now();
  for (const time of document.querySelectorAll("time[datetime]")) show(time, now);
}

refresh();
setInterval(refresh, 5000);
document.addEventListener("visibilitychange", refresh);
for (const swapped of ["htmx:afterSwap", "htmx:load", "rows:read"]) document.addEventListener(swapped, refresh);
