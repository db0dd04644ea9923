/* A form that was sent waits for its answer: its buttons say so, and another press does nothing.
 *
 * It is free again when the answer came without a new page (htmx), when the page is shown again by the back button,
 * and after a while: who has stopped the browser may send it again, and the server sees to it that nothing is done twice.
 * Where the back button loads the page anew, its forms get the keys back that they were sent with.
 * Comes before confirm.js, which asks nothing of a form that is on its way.
 */
const PATIENCE = 15_000;
const waiting = new Map(); // forms, each with its timer

function buttons(form) {
  return [...form.elements].filter((one) => one.type === "submit");
}

function wait(form, pressed) {
  form.setAttribute("aria-busy", "true");
  // Not "disabled": the focus would be lost, and with it the button's value.
  for (const button of buttons(form)) button.setAttribute("aria-disabled", "true");
  pressed?.classList.add("sent");
  waiting.set(form, setTimeout(free, PATIENCE, form));
}

function address(form) {
  return form.getAttribute("action") ?? "";
}

function remember(form) {
  const key = form.elements.once?.value;
  if (key) history.replaceState({ ...history.state, sent: { ...history.state?.sent, [address(form)]: key } }, "");
}

function recall(sent) {
  for (const form of document.querySelectorAll('form[method="post"]')) {
    const key = sent[address(form)];
    if (key && form.elements.once) form.elements.once.value = key;
  }
}

function free(form) {
  clearTimeout(waiting.get(form));
  waiting.delete(form);
  form.removeAttribute("aria-busy");
  for (const button of buttons(form)) {
    button.removeAttribute("aria-disabled");
    button.classList.remove("sent");
  }
}

document.addEventListener(
  "submit",
  (event) => {
    if (!waiting.has(event.target)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);
document.addEventListener("submit", (event) => {
  const form = event.target;
  const leaves = form.getAttribute("method") === "post" && !event.defaultPrevented;
  if (!leaves && !form.matches("[hx-post]")) return;
  wait(form, event.submitter);
  remember(form);
});
document.addEventListener("htmx:afterRequest", ({ detail }) => waiting.has(detail.elt) && free(detail.elt));
addEventListener("pageshow", () => [...waiting.keys()].forEach(free));
if (performance.getEntriesByType("navigation")[0]?.type === "back_forward") recall(history.state?.sent ?? {});
