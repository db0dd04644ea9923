/* Asks before a form is sent.
 *
 *   <form method="post" data-confirm="Stop the job and undo its 4 changes?">…<button>Cancel and undo</button></form>
 *   <form … data-confirm="12 snapshots go with it." data-confirm-name="persistent_data">…</form>
 *
 * With `data-confirm-name` the name has to be typed; it is sent along as `confirm_name`, for the server to check.
 * `data-confirm-title` is the head line (default: the button's words), `data-confirm-no` the words of the
 * way back. The attributes may also sit on one of several submit buttons. Works for plain and for hx-* forms.
 */
const agreed = new WeakSet();

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function question(settings, words) {
  const name = settings.confirmName;
  const yes = element("button", { className: name ? "btn btn-danger" : "btn btn-primary", value: "yes", disabled: Boolean(name) }, words);
  const no = element("button", { className: "btn btn-quiet", type: "button" }, settings.confirmNo || "Keep as it is");
  const title = element("h2", { id: "confirm-title" }, settings.confirmTitle || words);
  const form = element("form", { method: "dialog" }, title, element("p", {}, settings.confirm));
  let typed = null;
  if (name) {
    typed = element("input", { className: "form-control mono", autocomplete: "off", spellcheck: false, id: "confirm-name" });
    typed.addEventListener("input", () => (yes.disabled = typed.value !== name));
    const label = element("label", { htmlFor: "confirm-name" }, "Type ", element("code", {}, element("b", {}, name)), " to go on");
    form.append(element("div", { className: "field" }, label, typed));
  }
  // Enter in the field presses the only submit button of the form, which does nothing until the name is right.
  form.append(element("div", { className: "acts" }, no, yes));
  const dialog = element("dialog", {}, form);
  no.addEventListener("click", () => dialog.close("no"));
  dialog.setAttribute("aria-labelledby", "confirm-title");
  return { dialog, focus: typed ?? no };
}

function ask(form, submitter, settings) {
  const words = (submitter?.textContent || submitter?.value || "Go on").trim();
  const { dialog, focus } = question(settings, words);
  dialog.addEventListener("close", () => {
    dialog.remove();
    submitter?.focus();
    if (dialog.returnValue !== "yes" || !form.isConnected) return;
    if (settings.confirmName) note(form, settings.confirmName);
    agreed.add(form);
    form.requestSubmit(submitter?.isConnected ? submitter : null);
  });
  document.body.append(dialog);
  dialog.showModal();
  focus.focus();
}

function note(form, name) {
  const field = form.elements.confirm_name ?? element("input", { type: "hidden", name: "confirm_name" });
  field.value = name;
  form.append(field);
}

document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    const source = event.submitter?.dataset.confirm === undefined ? form : event.submitter;
    if (source.dataset.confirm === undefined || agreed.delete(form)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(form, event.submitter, { ...source.dataset });
  },
  true,
);
