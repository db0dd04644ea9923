/* Copies commands and fingerprints.
 *
 *   <div class="cmdline" data-copy><code>exportfs -r</code></div>          gets a button; copies the <code>'s text
 *   <button data-copy="text to copy">Copy</button>                         is the button; copies the attribute
 *   <button data-copy data-copy-from="#as-shell">Copy as shell</button>    copies the text of that element
 */
import { copyText } from "./clipboard.js";

function textOf(holder) {
  const from = holder.dataset.copyFrom;
  if (from) return document.querySelector(from).textContent.trim();
  return holder.dataset.copy || (holder.querySelector("code") ?? holder).textContent.trim();
}

function equip(root) {
  const holders = [...root.querySelectorAll("[data-copy]:not(button)")];
  if (root.matches?.("[data-copy]:not(button)")) holders.push(root);
  for (const holder of holders) {
    if (holder.querySelector(":scope > .copy")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.setAttribute("aria-label", "Copy");
    button.append(Object.assign(document.createElement("i"), { className: "bi bi-copy" }));
    holder.append(button);
  }
}

function tell(button, done) {
  const icon = button.querySelector(".bi");
  const label = button.getAttribute("aria-label");
  const before = icon?.className;
  if (icon) icon.className = done ? "bi bi-check2" : "bi bi-x-lg";
  button.setAttribute("aria-label", done ? "Copied" : "Not copied: select the text and copy it yourself");
  button.title = button.getAttribute("aria-label");
  button.classList.toggle("done", done);
  setTimeout(() => {
    if (icon) icon.className = before;
    if (label) button.setAttribute("aria-label", label);
    else button.removeAttribute("aria-label");
    button.removeAttribute("title");
    button.classList.remove("done");
  }, 1600);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  const holder = button?.closest("[data-copy]");
  if (!holder || !(button === holder || button.matches(".copy")) || button.classList.contains("done")) return;
  try {
    await copyText(textOf(holder));
    tell(button, true);
  } catch {
    tell(button, false);
  }
});
document.addEventListener("htmx:load", (event) => equip(event.target));
equip(document);
