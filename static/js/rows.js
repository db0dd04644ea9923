/* Rows of lists that changed, read anew: all of them with one request.
 *
 *   <tbody data-rows="/images/?columns="><tr data-live="image:17" data-row="17">…</tr></tbody>
 *
 * The answer holds the rows that are still there; what was checked in one stays checked, what had the focus keeps it.
 * One that is not there any more stays where it is, struck through, so that no other comes under the mouse.
 */
const QUIET = 300;
const SLOWEST = 5000;
const SHARE = 5; // a server that answers slowly is left alone for so many times as long as it took
const LONGEST = 10000;
const stale = new Map(); // table body to the keys of its rows that changed
let pause = QUIET; // grows while rows change all the time: two hundred open lists must not keep the server busy
let lastRead = 0;
let waiting = 0;
let reading = false; // an answer that comes late must not take the place of a newer one

// Have these rows read anew soon.
export function rowsChanged(rows) {
  for (const row of rows) {
    const body = row.closest("[data-rows]");
    if (!stale.has(body)) stale.set(body, new Set());
    stale.get(body).add(row.dataset.row);
  }
  if (stale.size && !waiting) waiting = setTimeout(readStale, pause);
}

// What is being pressed stays where it is: the click would go nowhere.
async function readStale() {
  waiting = 0;
  if (reading || document.querySelector("a:active, button:active")) {
    waiting = setTimeout(readStale, pause);
    return;
  }
  const wanted = [...stale];
  stale.clear();
  const now = performance.now();
  pause = now - lastRead < 3 * pause ? Math.min(SLOWEST, 2 * pause) : QUIET;
  lastRead = now;
  reading = true;
  await Promise.allSettled(wanted.map(([body, keys]) => readRows(body, keys)));
  reading = false;
  pause = Math.max(pause, Math.min(LONGEST, SHARE * (performance.now() - now)));
  document.dispatchEvent(new Event("rows:read"));
}

// What cannot be read stays as it is until the next news of it.
async function readRows(body, keys) {
  const url = new URL(body.dataset.rows, location.href);
  for (const key of keys) url.searchParams.append("row", key);
  const response = await fetch(url, { headers: { "HX-Request": "true", "X-Live": "1" } });
  if (!response.ok || response.redirected) return; // signed out, or the server is away: the page says so
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  const made = new Map([...template.content.children].map((row) => [row.dataset.row, row]));
  for (const key of keys) {
    const row = body.querySelector(`[data-row="${CSS.escape(key)}"]`);
    if (row && made.has(key)) keepState(row, made.get(key));
    else if (row) gone(row);
  }
}

function gone(row) {
  row.className = "gone";
  row.title = "It is not there any more";
  row.removeAttribute("data-live");
  for (const input of row.querySelectorAll("input, button")) Object.assign(input, { checked: false, disabled: true });
}

function keepState(row, next) {
  const box = row.querySelector('input[name="pk"]');
  const made = next.querySelector('input[name="pk"]');
  if (box && made) made.checked = box.checked;
  const index = [...row.querySelectorAll("a, button, input")].indexOf(document.activeElement);
  row.replaceWith(next);
  if (index >= 0) next.querySelectorAll("a, button, input")[index]?.focus();
}
