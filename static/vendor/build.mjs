// Copies the vendored files out of node_modules (`make assets`). The results are committed: running cloudstore
// needs neither node nor a network. An icon that a page uses has to be in ICONS.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import subsetFont from "subset-font";

const ICONS = `
  activity archive arrow-90deg-right arrow-clockwise arrow-counterclockwise arrow-down arrow-down-circle
  arrow-down-short arrow-left arrow-left-right arrow-repeat arrow-return-right arrow-right arrow-up arrow-up-short
  asterisk bell bezier2 bookmark box box-arrow-in-right box-arrow-right box-arrow-up-right boxes bricks broadcast building
  calendar3 camera caret-down-fill caret-right-fill check2 check2-all check2-circle check2-square check-circle-fill
  chevron-down chevron-left chevron-right chevron-up circle circle-fill circle-half clipboard clipboard2-check clock
  clock-history cloud cloud-upload code-slash columns-gap copy cpu dash dash-circle database device-hdd device-ssd
  diagram-2 diagram-3 disc download envelope ethernet exclamation-circle exclamation-octagon exclamation-triangle
  exclamation-triangle-fill eye eye-slash file-diff file-earmark file-earmark-text filter fingerprint flag folder
  folder2-open funnel gear globe2 graph-up grid-3x3-gap hand-index hash hdd hdd-network hdd-rack hdd-stack heart-pulse
  hourglass-split house inbox info-circle journal-check journal-text key keyboard layers lightbulb lightning-charge
  link-45deg list list-check list-columns list-task lock lock-fill magic memory moon-stars motherboard node-plus
  patch-check pause-circle pc-display pencil people person person-circle person-plus pin-angle play-circle play-fill
  plug plus-circle plus-lg power question-circle receipt recycle router save scissors search send server share shield
  shield-check shield-exclamation shield-lock shuffle signpost-split skip-end-circle slash-circle sliders sort-down
  sort-up speedometer2 stack star stop-circle stopwatch sun table tag tags terminal thermometer-half three-dots
  three-dots-vertical toggles trash tree truck unlock upload usb-drive wifi-off wrench x x-circle x-circle-fill x-lg
`.trim().split(/\s+/);

const root = new URL("../../", import.meta.url);
const vendor = new URL("static/vendor/", root);
const modules = new URL("node_modules/", root);
const ofTests = new URL("tests/browser/vendor/", root);
const text = (path) => readFile(new URL(path, modules), "utf8");

// A storage that hashes file names refuses a comment that points to a map we do not ship.
const withoutMap = (source) => `${source.replace(/\s*(\/\/|\/\*)# sourceMappingURL=\S+( \*\/)?\s*$/, "")}\n`;

async function copy(from, to) {
  await writeFile(new URL(to, vendor), withoutMap(await text(from)));
}

async function icons() {
  const css = await text("bootstrap-icons/font/bootstrap-icons.css");
  const codes = JSON.parse(await text("bootstrap-icons/font/bootstrap-icons.json"));
  const unknown = ICONS.filter((name) => !codes[name]);
  if (unknown.length) throw new Error(`bootstrap-icons has no ${unknown.join(", ")}`);
  const head = css.slice(0, css.indexOf(".bi-123::before")).replace(/src: [^;]+;/, 'src: url("bootstrap-icons.woff2") format("woff2");');
  const rules = ICONS.map((name) => `.bi-${name}::before { content: "\\${codes[name].toString(16)}"; }\n`);
  await writeFile(new URL("bootstrap-icons.css", vendor), head + rules.join(""));
  const font = await readFile(new URL("bootstrap-icons/font/fonts/bootstrap-icons.woff2", modules));
  const glyphs = String.fromCodePoint(...ICONS.map((name) => codes[name]));
  await writeFile(new URL("bootstrap-icons.woff2", vendor), await subsetFont(font, glyphs, { targetFormat: "woff2" }));
}

async function licences(packages) {
  const parts = [];
  for (const [name, file] of packages) {
    const { version, license, homepage } = JSON.parse(await text(`${name}/package.json`));
    const body = (await text(`${name}/${file}`)).trim();
    parts.push(`${"=".repeat(78)}\n${name} ${version} (${license}) ${homepage ?? ""}\n${"=".repeat(78)}\n\n${body}\n`);
  }
  await writeFile(new URL("LICENSES.txt", vendor), parts.join("\n"));
}

await mkdir(vendor, { recursive: true });
await copy("bootstrap/dist/css/bootstrap.min.css", "bootstrap.min.css");
await copy("bootstrap/dist/js/bootstrap.bundle.min.js", "bootstrap.bundle.min.js");
await copy("htmx.org/dist/htmx.min.js", "htmx.min.js");
await copy("ansi_up/ansi_up.js", "ansi_up.js");
await copy("uplot/dist/uPlot.iife.min.js", "uplot.min.js");
await copy("uplot/dist/uPlot.min.css", "uplot.min.css");
await icons();
await mkdir(ofTests, { recursive: true });
await writeFile(new URL("axe.min.js", ofTests), withoutMap(await text("axe-core/axe.min.js")));
await writeFile(new URL("LICENSE-axe-core.txt", ofTests), `${await text("axe-core/LICENSE")}\nThird parties\n\n${await text("axe-core/LICENSE-3RD-PARTY.txt")}`);
await licences([
  ["bootstrap", "LICENSE"],
  ["@popperjs/core", "LICENSE.md"],
  ["bootstrap-icons", "LICENSE"],
  ["htmx.org", "LICENSE"],
  ["ansi_up", "LICENSE"],
  ["uplot", "LICENSE"],
]);
