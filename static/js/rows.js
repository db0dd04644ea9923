/* Rows of lists that changed, read anew: all of them with one request.
 *
 *   <tbody data-rows="/images/?columns="><tr data-live="image:17" data-row="17">…</tr></tbody>
 *
 * The answer holds the rows that are still there; what was checked in one stays checked, what had the focus keeps it.
 */
export const QUIET = 300;
const SLOWEST = 5000;
let pause = QUIET; // grows while rows change all the time: two hundred open lists must not keep the server busy
let lastRead = 0;

// How long to wait before rows are read again.
export function pace() {
  return pause;
}

function keepState(row, next) {
  const box = row.querySelector('input[name="pk"]');
  const made = next.querySelector('input[name="pk"]');
  if (box && made) made.checked = box.checked;
  const index = [...row.querySelectorAll("a, button, input")].indexOf(document.activeElement);
  row.replaceWith(next);
  if (index >= 0) next.querySelectorAll("a, button, input")[index]?.focus();
}

async function readRows(body, rows) {
  const url = new URL(body.dataset.rows, location.href);
  for (const row of rows) url.searchParams.append("row", row.dataset.row);
  const response = await fetch(url, { headers: { "HX-Request": "true" } });
  if (!response.ok || response.redirected) return; // signed out, or the server is away: the page says so
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  const made = new Map([...template.content.children].map((row) => [row.dataset.row, row]));
  for (const row of rows) {
    const next = made.get(row.dataset.row);
    if (next) keepState(row, next);
    else row.remove();
  }
}

// Read these rows anew. What cannot be read stays as it is until the next news of it.
export async function refreshRows(rows) {
  const bodies = Map.groupBy(rows, (row) => row.closest("[data-rows]"));
  const now = performance.now();
  pause = now - lastRead < 3 * pause ? Math.min(SLOWEST, 2 * pause) : QUIET;
  lastRead = now;
  await Promise.allSettled([...bodies].map(([body, some]) => readRows(body, some)));
  document.dispatchEvent(new Event("rows:read"));
}
