/* Choosing rows of a list: all of the page, a range with Shift, and how many there are.
 *
 *   <th class="pick"><input type="checkbox" data-pick-page></th>
 *   <td class="pick"><input type="checkbox" name="pk" value="17" form="picked"></td>
 *   <form id="picked" data-picked><b data-picked-count></b> <input type="checkbox" name="all" value="1234" data-pick-all> …</form>
 *
 * The form is seen while something is chosen, and it works without this script, too.
 */
const form = document.querySelector("[data-picked]");
const page = document.querySelector("[data-pick-page]");
const every = document.querySelector("[data-pick-all]");
let last = null; // the box that was pressed last

function boxes() {
  return [...document.querySelectorAll('td.pick input[name="pk"]:enabled')];
}

function show() {
  const all = boxes();
  const chosen = all.filter((box) => box.checked).length;
  const count = every?.checked ? every.value : chosen;
  form.classList.toggle("on", Boolean(Number(count)));
  form.querySelector("[data-picked-count]").textContent = `${count} chosen`;
  page.checked = chosen > 0 && chosen === all.length;
  page.indeterminate = chosen > 0 && chosen < all.length;
}

function range(from, to) {
  const all = boxes();
  const [first, end] = [all.indexOf(from), all.indexOf(to)].sort((a, b) => a - b);
  if (first >= 0) for (const box of all.slice(first, end + 1)) box.checked = to.checked;
}

if (form && page) {
  form.classList.add("scripted");
  page.addEventListener("change", () => {
    for (const box of boxes()) box.checked = page.checked;
    if (every && !page.checked) every.checked = false;
    show();
  });
  document.addEventListener("click", (event) => {
    const box = event.target.closest?.('td.pick input[name="pk"]');
    if (!box) return;
    if (event.shiftKey && last?.isConnected) range(last, box);
    if (every) every.checked = false;
    last = box;
    show();
  });
  every?.addEventListener("change", () => {
    for (const box of boxes()) box.checked = every.checked;
    show();
  });
  document.addEventListener("rows:read", show); // a row that was chosen may be gone
  show(); // a browser that comes back remembers what was checked
}
