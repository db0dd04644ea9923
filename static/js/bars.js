/* Bars drawn by uPlot: groups of values side by side, one group for each label, with the figures as a table.
 *
 *   <div class="chart" data-bars='{"title", "unit", "labels": [text, …], "series": [{"label", "values": [number or null, …]}, …]}'></div>
 *   <details class="figures"><summary>…</summary><div class="scroll"></div></details>
 */
import { label, words } from "./units.js";

const plots = new Map();
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function sizeOf(place) {
  const style = getComputedStyle(place);
  const across = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
  const down = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
  return { width: place.clientWidth - across, height: place.clientHeight - down - parseFloat(style.getPropertyValue("--legend")) };
}

// Where a label's group is, each of its bars has a place of its own.
function barsOf(index, count) {
  const share = 0.8 / count;
  return window.uPlot.paths.bars({ size: [share, 120], align: count === 1 ? 0 : index * 2 - 1, gap: 2 });
}

function optionsOf(place, chart) {
  const tones = [token("--cs-accent"), token("--cs-warn")];
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: token("--cs-muted"), font, ticks: { show: false } };
  return {
    ...sizeOf(place),
    scales: {
      x: { time: false, range: () => [-0.6, chart.labels.length - 0.4] },
      y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      { ...axis, grid: { show: false }, splits: () => chart.labels.map((_, at) => at), values: () => chart.labels },
      { ...axis, size: 72, grid: { stroke: token("--cs-line"), width: 1 }, values: (_, splits) => splits.map((value) => label(value, chart.unit)) },
    ],
    series: [
      { label: "Kind", value: (_, at) => chart.labels[at] ?? "-" },
      ...chart.series.map((series, index) => ({
        label: series.label, stroke: tones[index], fill: `color-mix(in srgb, ${tones[index]} 45%, transparent)`, width: 1,
        paths: barsOf(index, chart.series.length), points: { show: false }, value: (_, value) => words(value, chart.unit),
      })),
    ],
    cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
  };
}

function draw(place) {
  const chart = JSON.parse(place.dataset.bars);
  plots.get(place)?.destroy();
  place.replaceChildren();
  const data = [chart.labels.map((_, at) => at), ...chart.series.map((series) => series.values)];
  plots.set(place, new window.uPlot(optionsOf(place, chart), data, place));
  const told = chart.labels.map((name, at) => `${name}: ${chart.series.map((each) => `${each.label} ${words(each.values[at], chart.unit)}`).join(", ")}`);
  place.setAttribute("aria-label", `${chart.title}. ${told.join("; ")}.`);
}

function cell(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  if (tag === "th") made.setAttribute("scope", "col");
  return made;
}

function fillTable(place) {
  const details = place.nextElementSibling;
  if (!details?.open) return;
  const chart = JSON.parse(place.dataset.bars);
  const table = cell("table", "", "t");
  const row = (section, cells) => section.insertRow().append(...cells);
  row(table.createTHead(), [cell("th", "Kind"), ...chart.series.map((each) => cell("th", each.label, "num"))]);
  const body = table.createTBody();
  chart.labels.forEach((name, at) => row(body, [cell("td", name), ...chart.series.map((each) => cell("td", words(each.values[at], chart.unit), "num"))]));
  details.querySelector(".scroll").replaceChildren(table);
}

const places = [...document.querySelectorAll("[data-bars]")];
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) plots.get(target)?.setSize(sizeOf(target));
});
for (const place of places) {
  draw(place);
  resized.observe(place);
  place.nextElementSibling?.addEventListener("toggle", () => fillTable(place));
}
new MutationObserver(() => places.forEach(draw)).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
