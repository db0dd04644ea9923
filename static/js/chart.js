/* Charts of samples, drawn by uPlot, each with its figures as a table.
 *
 *   <div class="chart" data-chart="/hosts/7/samples/?span=day" data-figures="load" role="img" aria-label="Load"></div>
 *   <details class="figures"><summary>…</summary><div class="scroll"></div></details>
 *
 * The address answers {"since": seconds, "until": seconds, "at": [seconds, …], "figures": [{"name", "label", "unit", "values": [number or null, …]}, …]}.
 * The last of several figures is the whole that the others are part of. Charts of one address share its answer.
 */
import { label, words } from "./units.js";

const AGAIN = 5 * 60 * 1000; // samples are taken so often
const BINARY = Array.from({ length: 60 }, (_, power) => 2 ** power);
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
const charts = new Map(); // what is drawn in each place: {plot, answer}

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const when = (seconds) => exact.format(seconds * 1000);

function figuresOf(place, answer) {
  const names = place.dataset.figures.split(" ");
  return names.map((name) => answer.figures.find((figure) => figure.name === name));
}

function isEmpty(figures) {
  return figures.every((figure) => figure.values.every((value) => value === null));
}

function say(place, text) {
  charts.get(place)?.plot?.destroy();
  charts.delete(place);
  const line = document.createElement("p");
  line.textContent = text;
  place.replaceChildren(line);
}

function colours() {
  const ground = { fill: `color-mix(in srgb, ${token("--cs-accent")} 14%, transparent)` };
  return {
    first: { stroke: token("--cs-accent"), width: 2, ...ground },
    between: { stroke: token("--cs-warn"), width: 1.5, dash: [5, 4] },
    whole: { stroke: token("--cs-edge"), width: 1.5 },
    axis: { stroke: token("--cs-muted"), grid: token("--cs-line") },
  };
}

function lineOf(figure, index, count, tones) {
  const look = index === 0 ? tones.first : index === count - 1 ? tones.whole : tones.between;
  const value = (_, number) => words(number, figure.unit);
  return { label: figure.label, value, points: { size: 5 }, ...look };
}

// A day is named at its midnight, and wherever the labels are days apart.
function timeLabels(_, splits, axis, space, step) {
  return splits.map((at) => {
    const moment = new Date(at * 1000);
    const midnight = moment.getHours() === 0 && moment.getMinutes() === 0;
    return step >= 86400 || midnight ? day.format(moment) : clock.format(moment);
  });
}

function optionsOf(place, answer, figures) {
  const tones = colours();
  const axis = { stroke: tones.axis.stroke, grid: { stroke: tones.axis.grid, width: 1 }, ticks: { show: false } };
  const unit = figures[0].unit;
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  return {
    ...sizeOf(place),
    scales: { x: { range: () => [answer.since, answer.until] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, font, size: 30, values: timeLabels, grid: { show: false } },
      {
        ...axis, font, size: unit === "bytes" ? 76 : 64, space: 34,
        values: (_, splits) => splits.map((value) => label(value, unit)),
        ...(unit === "bytes" ? { incrs: BINARY } : {}),
      },
    ],
    series: [{ label: "At", value: (_, at) => (at === null ? "-" : when(at)) }, ...figures.map((figure, index) => lineOf(figure, index, figures.length, tones))],
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    hooks: { setLegend: [showLast] },
  };
}

// Where nothing is pointed at, the legend tells of the last sample.
function showLast(plot) {
  if (plot.legend.idx === null || plot.legend.idx === undefined) {
    plot.setLegend({ idx: plot.data[0].length - 1 }, false);
  }
}

function sizeOf(place) {
  const style = getComputedStyle(place);
  const across = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
  const down = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
  const legend = parseFloat(style.getPropertyValue("--legend"));
  return { width: place.clientWidth - across, height: place.clientHeight - down - legend };
}

function draw(place, answer) {
  const figures = figuresOf(place, answer);
  if (isEmpty(figures)) {
    say(place, "No samples yet. One is taken every five minutes.");
    return;
  }
  charts.get(place)?.plot.destroy();
  place.replaceChildren();
  const data = [answer.at, ...figures.map((figure) => figure.values)];
  const plot = new window.uPlot(optionsOf(place, answer, figures), data, place);
  charts.set(place, { plot, answer });
  showLast(plot);
  describe(place, figures);
}

function describe(place, figures) {
  place.dataset.title ??= place.getAttribute("aria-label");
  const last = figures.map((figure) => {
    const value = figure.values.findLast((each) => each !== null) ?? null;
    return `${figure.label} ${words(value, figure.unit)}`;
  });
  place.setAttribute("aria-label", `${place.dataset.title}. Now: ${last.join(", ")}. All figures are in the table below.`);
}

function cell(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function row(...cells) {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
}

// The newest first. Made when it is asked for: most people look at the chart.
function fillTable(place) {
  const details = place.nextElementSibling;
  const answer = charts.get(place)?.answer;
  if (!details?.open || !answer) return;
  const figures = figuresOf(place, answer);
  const table = cell("table", "", "t");
  const head = row(cell("th", "At"), ...figures.map((figure) => cell("th", figure.label, "num")));
  head.querySelectorAll("th").forEach((each) => each.setAttribute("scope", "col"));
  table.createTHead().append(head);
  const body = table.createTBody();
  for (let index = answer.at.length - 1; index >= 0; index -= 1) {
    if (figures.every((figure) => figure.values[index] === null)) continue;
    const values = figures.map((figure) => cell("td", words(figure.values[index], figure.unit), "num"));
    body.append(row(cell("td", when(answer.at[index])), ...values));
  }
  details.querySelector(".scroll").replaceChildren(table);
}

async function read(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

async function load(url, places) {
  try {
    const answer = await read(url);
    for (const place of places) {
      draw(place, answer);
      fillTable(place);
    }
  } catch (error) {
    for (const place of places) {
      if (!charts.has(place)) say(place, "The samples could not be loaded. Load the page again.");
    }
    console.warn(`${url}: ${error.message}`);
  }
}

const places = [...document.querySelectorAll("[data-chart]")];

function loadAll() {
  for (const url of new Set(places.map((place) => place.dataset.chart))) {
    load(url, places.filter((place) => place.dataset.chart === url));
  }
}

function drawAgain() {
  for (const [place, { answer }] of [...charts]) draw(place, answer);
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) charts.get(target)?.plot.setSize(sizeOf(target));
});
for (const place of places) {
  resized.observe(place);
  place.nextElementSibling?.addEventListener("toggle", () => fillTable(place));
}
new MutationObserver(drawAgain).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
setInterval(() => document.hidden || loadAll(), AGAIN);
loadAll();
