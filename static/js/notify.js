/* Notifications of the browser when one's own jobs end while no page of ours is looked at; only when asked for.
 *
 *   <button type="button" data-notify aria-pressed="false"><i class="bi bi-bell"></i> <span>Notify me of my jobs</span></button>
 *
 * Every tab hears of a job. Whoever takes the lock of its name first deals with it: a tab that is looked at at once,
 * by doing nothing, for it shows a note; hidden ones a moment later, and only one of them.
 */
const LATER = 400; // milliseconds that a tab that is looked at is ahead
const HELD = 15000; // longer than a slow tab takes to hear of the same
const key = `notify:${document.body.dataset.user ?? ""}`;
const button = document.querySelector("[data-notify]");
const isPossible = isSecureContext && "Notification" in window && "locks" in navigator;

function isWanted() {
  try {
    return localStorage.getItem(key) === "on" && Notification.permission === "granted";
  } catch {
    return false; // storage is forbidden in this browser
  }
}

function show(words = "") {
  const on = isPossible && isWanted();
  button.setAttribute("aria-pressed", String(on));
  button.querySelector("span").textContent = words || (on ? "Notifications of my jobs are on" : "Notify me of my jobs");
  button.dataset.command = on ? "Turn notifications off" : "Notify me of my jobs";
}

async function change() {
  const on = !isWanted();
  if (on && (await Notification.requestPermission()) !== "granted") {
    show("This browser does not allow notifications here");
    return;
  }
  try {
    localStorage.setItem(key, on ? "on" : "off");
    show();
  } catch {
    show("This browser does not let it be remembered");
  }
}

function tell({ uuid, title, state, url }) {
  const target = new URL(url, location.href);
  if (target.origin !== location.origin) return;
  // The tag makes a second one of the same job take the place of the first.
  const notification = new Notification(`${title}: ${state}`, { tag: `job-${uuid}`, icon: document.querySelector('link[rel="icon"]')?.href });
  notification.addEventListener("click", () => {
    notification.close();
    // A page of its own: what is half filled in here stays.
    const page = window.open(target.href, `job-${uuid}`);
    if (page) page.focus();
    else window.focus();
  });
}

function heard({ detail: message }) {
  if (!message.ended || !message.mine || message.replay || !isWanted()) return;
  const take = () =>
    navigator.locks.request(`notify:${message.uuid}`, { ifAvailable: true }, (lock) => {
      if (!lock) return null;
      if (document.hidden) tell(message);
      return new Promise((done) => setTimeout(done, HELD));
    });
  if (document.hidden) setTimeout(take, LATER);
  else take();
}

if (button && isPossible) {
  show();
  button.addEventListener("click", change);
  addEventListener("storage", (event) => event.key === key && show());
  document.addEventListener("job", heard);
} else if (button) {
  show("Notifications need https");
  button.disabled = true;
}
