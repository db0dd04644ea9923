/* Measured values in words, as the server writes them: "25 GiB", "1.6 ms", "0.52". */
const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

function bytes(value) {
  if (Math.abs(value) < 1024) return `${Math.round(value)} B`;
  let number = value;
  let unit = -1;
  while (Math.abs(number) >= 1024 && unit < UNITS.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${short(number)} ${UNITS[unit]}`;
}

// Three significant digits, as far as there are any.
function short(number) {
  const size = Math.abs(number);
  return number.toFixed(size >= 100 || Number.isInteger(number) ? 0 : size >= 10 ? 1 : 2);
}

/** A value with its unit ("bytes", "ms" or ""); null was not measured. */
export function words(value, unit) {
  if (value === null || value === undefined) return "-";
  if (unit === "bytes") return bytes(value);
  const number = Number.isInteger(value) ? value.toLocaleString("en") : short(value);
  return unit ? `${number} ${unit}` : number;
}

/** The same beside an axis: no more digits than it needs. */
export function label(value, unit) {
  if (value === null || unit === "bytes") return words(value, unit);
  const number = value.toLocaleString("en", { maximumFractionDigits: 2 });
  return unit ? `${number} ${unit}` : number;
}
