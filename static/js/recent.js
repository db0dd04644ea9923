/* The things whose pages were opened last, as the palette offers them: address, label and icon, nothing else.
 *
 *   <body data-user="7">                                    each person has their own
 *   <nav class="crumb" data-recent="disc">…<li aria-current="page">debian-12</li></nav>      this page is of a thing
 *   <form data-sign-out>                                    forgets them
 */
const MOST = 8;
const key = `recent:${document.body.dataset.user ?? ""}`;

/** What was opened, the last one first: [{url, label, icon}] */
export function recent() {
  try {
    const found = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(found) ? found.filter(isSound).slice(0, MOST) : [];
  } catch {
    return []; // storage is forbidden in this browser, or somebody else wrote there
  }
}

function isSound({ url, label, icon } = {}) {
  return [url, label, icon].every((text) => typeof text === "string") && /^\/(?![\/\\])/.test(url) && /^[a-z0-9-]+$/.test(icon);
}

function note(url, label, icon) {
  const others = recent().filter((each) => each.url !== url);
  try {
    localStorage.setItem(key, JSON.stringify([{ url, label, icon }, ...others].slice(0, MOST)));
  } catch {
    // Nothing is offered again, then.
  }
}

const crumb = document.querySelector(".crumb[data-recent]");
if (crumb) note(location.pathname, crumb.querySelector('[aria-current="page"]').textContent.trim(), crumb.dataset.recent);

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-sign-out]")) return;
  try {
    localStorage.removeItem(key);
  } catch {
    // There is nothing to forget.
  }
});
