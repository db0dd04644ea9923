/* What happens elsewhere, on every page: the number of running jobs, rows that changed, "your job is done".
 *
 *   <body data-feed-url="/ws/feed/">
 *   <button class="running" data-running popovertarget="tray"><i class="bi bi-arrow-repeat"></i><b>2</b> <span>jobs under way</span></button>
 *   <span class="n" data-count="image-list">12</span>                                how many there are, in the navigation
 *   <span class="conn" data-feed-state role="status"></span>                         shown while the connection is lost
 *   <div data-live="disk:17" hx-get="…" hx-trigger="live" hx-swap="outerHTML">       refreshed when disk:17 changed
 *   <div data-live="disk:17 datastore:3" …>                                          several, divided by blanks
 *   <tr data-live="disk:17" data-row="17">                                           a row of a list (rows.js)
 *   <div data-live="jobs" hx-get="…" …>                                              now and then while any job changes
 *   <div data-new-jobs hidden>…<b></b>…</div>                    shown with the number of jobs that have no row here yet
 *   <div data-new-rows="disk" data-newest="49" data-noun="disk,disks" hidden>…<b></b>…</div>    of disks with a later number
 *   <div data-queue-silent hidden>…</div>                          shown while jobs cannot be handed to workers
 *   <dialog class="cover" data-cover>…</dialog>                  shown when the person is signed out
 *   <div class="toasts" data-toasts data-jobs-url="/jobs/" role="status" aria-live="polite"></div>
 *
 * What is told of a job is an event "job" of the document, too, with the message as its detail.
 */
import { rowsChanged } from "./rows.js";
import { Socket } from "./socket.js";

const TONES = ["ok", "idle", "run", "warn", "bad"]; // what matters least first: it makes room for the others
const GATHER = 300;
const GATHER_ALL = 2500; // what shows something of all jobs is read again at most so often
const SHARE = 5; // a server that answers slowly is left alone for so many times as long as it took
const LONGEST = 10000;
const MOST = 3; // notes that tell of one job each
const STAYS = 8000;
const SINGLE = ".note:not([data-more])";
const COUNTING = ".note[data-more]";
const told = new WeakMap(); // the message of each note that tells of one job
const leaving = new WeakMap(); // the timer of each note that leaves by itself
const stale = new Set();
const unlisted = new Set(); // jobs, or names of rows, that came up since a list of them was made
const announced = new Set(); // jobs whose end was told: of one end there may be several messages
let gathering = 0;
let gatheringAll = 0;
let pauseAll = GATHER_ALL;
const asked = new WeakMap(); // when each part was asked for anew
let missed = false; // something changed while the page was not seen

function refreshSoon(elements) {
  const all = [...elements];
  rowsChanged(all.filter((element) => element.dataset.row));
  for (const element of all) if (!element.dataset.row) stale.add(element);
  if (stale.size && !gathering) gathering = setTimeout(refresh, GATHER);
}

// What is being pressed stays where it is: the click would go nowhere.
function refresh() {
  gathering = document.querySelector("a:active, button:active") ? setTimeout(refresh, GATHER) : 0;
  if (gathering) return;
  for (const element of stale) if (element.isConnected) window.htmx.trigger(element, "live");
  stale.clear();
}

function refreshAll() {
  gatheringAll = 0;
  missed = document.hidden;
  if (!missed) refreshSoon(document.querySelectorAll('[data-live~="jobs"]'));
}

function countUnlisted(uuid) {
  const note = document.querySelector("[data-new-jobs]");
  if (!note || document.querySelector(`[data-live~="${CSS.escape(`job:${uuid}`)}"]`)) return;
  unlisted.add(uuid);
  note.hidden = false;
  note.querySelector("b").textContent = unlisted.size === 1 ? "Another job" : `${unlisted.size} other jobs`;
}

function countAdded(names) {
  const note = document.querySelector("[data-new-rows]");
  if (!note) return;
  const { newRows: resource, newest, noun } = note.dataset;
  for (const name of names) {
    const [kind, key] = name.split(":");
    const isShown = document.querySelector(`[data-live~="${CSS.escape(name)}"]`);
    if (kind === resource && Number(key) > Number(newest) && !isShown) unlisted.add(name);
  }
  if (!unlisted.size) return;
  const [one, many] = noun.split(",");
  note.hidden = false;
  note.querySelector("b").textContent = unlisted.size === 1 ? `Another ${one} was` : `${unlisted.size} ${many} were`;
}

function inSight(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}

function count(running) {
  for (const chip of document.querySelectorAll("[data-running]")) {
    chip.classList.toggle("none", running === 0);
    chip.querySelector("b").textContent = running || "no";
    chip.querySelector("span").textContent = `${running === 1 ? "job" : "jobs"} under way`;
  }
}

function countPlaces(places) {
  for (const [name, [number, isBad]] of Object.entries(places)) {
    const place = document.querySelector(`[data-count="${CSS.escape(name)}"]`);
    if (!place) continue;
    place.textContent = number?.toLocaleString("en-US") ?? "";
    place.hidden = number === null;
    place.classList.toggle("bad", isBad);
    place.title = isBad ? "need attention" : "";
  }
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function dismissal(note) {
  const close = element("button", "icon-btn", element("i", "bi bi-x-lg"));
  close.type = "button";
  close.setAttribute("aria-label", "Dismiss");
  close.addEventListener("click", () => note.remove());
  return close;
}

function noteOf(tone, icon, ...words) {
  const note = element("div", `note ${tone}`, element("i", `bi bi-${icon}`), element("div", "w", ...words));
  note.append(dismissal(note));
  return note;
}

function linkTo(href, text = "") {
  const link = element("a", "strong", text);
  link.href = href;
  return link;
}

// What went well may leave by itself; what did not stays until it was seen.
function leaveLater(note, tone) {
  if (tone !== "ok") return;
  clearTimeout(leaving.get(note));
  leaving.set(note, setTimeout(() => note.remove(), STAYS));
}

// A note takes the place of a milder one, which is counted from then on. False: there is none.
function makeRoom(place, tone) {
  if (place.querySelectorAll(SINGLE).length < MOST) return true;
  for (const milder of TONES.slice(0, TONES.indexOf(tone))) {
    const note = place.querySelector(`.${milder}${SINGLE}`);
    if (note) {
      note.remove();
      countMore(place, milder, told.get(note));
      return true;
    }
  }
  return false;
}

function countMore(place, tone, message) {
  let note = place.querySelector(`.${tone}${COUNTING}`);
  if (!note) {
    note = noteOf(tone, message.icon, "and ");
    note.dataset.more = "";
    place.append(note);
  }
  const link = countOf(place, note.querySelector(".w"), tone, message.state);
  const jobs = Number(link.dataset.jobs) + 1;
  link.dataset.jobs = jobs;
  link.textContent = `${jobs} more ${jobs === 1 ? "job" : "jobs"} ${message.state}`;
  leaveLater(note, tone);
}

// A tone has more than one state: jobs fail, and they have errors. Each is counted, and found, by itself.
function countOf(place, words, tone, state) {
  const links = [...words.querySelectorAll("a")];
  const known = links.find((link) => link.dataset.state === state);
  if (known) return known;
  const found = tone === "bad" ? `?state=${encodeURIComponent(state)}` : "";
  const link = linkTo(`${place.dataset.jobsUrl}${found}`);
  Object.assign(link.dataset, { state, jobs: 0 });
  words.append(...(links.length ? [", ", link] : [link]));
  return link;
}

function toast(message) {
  const place = document.querySelector("[data-toasts]");
  const target = new URL(message.url, location.href);
  if (!place || target.origin !== location.origin || target.pathname === location.pathname) return;
  const tone = TONES.includes(message.tone) ? message.tone : "idle";
  if (!makeRoom(place, tone)) {
    countMore(place, tone, message);
    return;
  }
  const note = noteOf(tone, message.icon, linkTo(target.href, message.title), ` ${message.state}`);
  told.set(note, message);
  place.insertBefore(note, place.querySelector(COUNTING));
  leaveLater(note, tone);
}

// One that is tried again may end again. What a heartbeat brings may be told properly a moment later.
function announce(message) {
  if (message.replay) return;
  const isNew = !announced.has(message.uuid);
  announced[message.ended ? "add" : "delete"](message.uuid);
  if (message.ended && isNew && message.mine) toast(message);
}

function job(message) {
  for (const name of [...message.objects, `job:${message.uuid}`]) {
    refreshSoon(document.querySelectorAll(`[data-live~="${CSS.escape(name)}"]`));
  }
  gatheringAll ||= setTimeout(refreshAll, pauseAll);
  if (!message.replay) countUnlisted(message.uuid);
  countAdded(message.objects);
  announce(message);
  document.dispatchEvent(new CustomEvent("job", { detail: message }));
}

// What a page reads anew by itself waits for people's turns on the server.
document.addEventListener("htmx:configRequest", ({ detail }) => {
  if (detail.triggeringEvent?.type !== "live") return;
  detail.headers["X-Live"] = "1";
  asked.set(detail.elt, performance.now());
});

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!asked.has(detail.elt)) return;
  const took = performance.now() - asked.get(detail.elt);
  pauseAll = Math.min(LONGEST, Math.max(GATHER_ALL, SHARE * took));
});

document.querySelector("[data-cover]")?.addEventListener("cancel", (event) => event.preventDefault());
document.addEventListener("visibilitychange", () => missed && refreshAll());

const url = document.body.dataset.feedUrl;
if (url) {
  new Socket(url, {
    state: document.querySelector("[data-feed-state]"),
    onMessage(message) {
      if (message.type === "job") job(message);
      if (message.type === "count") {
        count(message.running);
        countPlaces(message.places ?? {});
        for (const note of document.querySelectorAll("[data-queue-silent]")) note.hidden = message.queue !== false;
      }
    },
    // Signed out elsewhere: who passes by is not to read what is still on the screen.
    onRefused() {
      document.querySelector("[data-cover]")?.showModal();
    },
    // The feed has no memory: what changed meanwhile is unknown, so whatever is looked at is read again.
    onReconnect() {
      refreshSoon([...document.querySelectorAll("[data-live]")].filter(inSight));
      refreshAll();
    },
  });
}
