// Scales: from values to places on the screen, and the marks of their axes.

function linear(low, high, from, to) {
  const width = high - low || 1;
  const scale = (value) => from + ((value - low) / width) * (to - from);
  scale.invert = (place) => low + ((place - from) / (to - from)) * width;
  scale.ticks = (count) => {
    const rough = width / Math.max(count, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
    if (!Number.isFinite(step) || step <= 0) return [{ value: low, text: brief(low) }];
    const ticks = [];
    for (let at = Math.ceil(low / step); at * step <= high && ticks.length < 50; at++) {
      ticks.push({ value: at * step, text: brief(Number((at * step).toPrecision(12))) });
    }
    return ticks;
  };
  return scale;
}

function logarithmic(low, high, from, to) {
  const inner = linear(Math.log10(low), Math.log10(high), from, to);
  const scale = (value) => inner(Math.log10(value));
  scale.invert = (place) => 10 ** inner.invert(place);
  scale.ticks = (count) => {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    if (last - first < 1) return [low, high].map((value) => ({ value, text: brief(value) }));
    const every = Math.ceil((last - first + 1) / Math.max(count, 1));
    const ticks = [];
    for (let power = first; power <= last; power += every) ticks.push({ value: 10 ** power, text: brief(10 ** power) });
    return ticks;
  };
  return scale;
}

function choices(labels, from, to) {
  const scale = (index) => from + ((index + 0.5) / labels.length) * (to - from);
  scale.invert = (place) => Math.min(labels.length - 1, Math.max(0, Math.floor(((place - from) / (to - from)) * labels.length)));
  scale.ticks = (count) => {
    const every = Math.ceil(labels.length / Math.max(count, 1));
    return labels.map((text, value) => ({ value, text })).filter((_, index) => index % every === 0);
  };
  return scale;
}

// The scale of a parameter, as the study file has it.
function scaleOf(parameter, from, to) {
  if (parameter.labels) return choices(parameter.labels, from, to);
  const { low, high, scale } = parameter;
  if (scale === "log") return logarithmic(low, high, from, to);
  return scale === "linear" ? linear(low, high, from, to) : stretched(STRETCHES[scale], low, high, from, to);
}

// Even are the logarithm of the distance to 1, and that of the odds.
const STRETCHES = {
  reverse_log: [(value) => -Math.log1p(-value), (even) => -Math.expm1(-even)],
  logit: [(value) => Math.log(value) - Math.log1p(-value), (even) => 1 / (1 + Math.exp(-even))],
};

function stretched([stretch, shrink], low, high, from, to) {
  const inner = linear(stretch(low), stretch(high), from, to), scale = (value) => inner(stretch(value));
  scale.invert = (place) => shrink(inner.invert(place));
  scale.ticks = (count) => {
    const most = Math.max(Math.min(count, 5), 2);
    return Array.from({ length: most }, (_, index) => from + ((to - from) * index) / (most - 1))
      .map((place) => Number(scale.invert(place).toPrecision(3))).map((value) => ({ value, text: brief(value) }));
  };
  return scale;
}

function shown(parameter, index) {
  const value = parameter.values[index];
  if (value === null) return "–";
  return parameter.labels ? parameter.labels[value] : brief(value);
}

function shortened(text, most) {
  const letters = [...String(text)];
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : String(text);
}

// Where most values lie: what is far worse than the others is drawn at the edge.
function rangeOf(values, minimizes) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => (minimizes ? a - b : b - a));
  if (!sorted.length) return [0, 1];
  const best = sorted[0], quarter = sorted[Math.floor((sorted.length - 1) * 0.75)];
  let worst = sorted[sorted.length - 1];
  const edge = quarter + (quarter - best) * 1.5;
  if (Math.abs(worst / 2 - quarter / 2) > 3 * Math.abs(quarter / 2 - best / 2) && quarter !== best) worst = edge;
  const pad = Math.abs(worst / 2 - best / 2) * 0.12 || Math.abs(best) * 0.05 || 1;
  return [Math.min(best, worst) - pad, Math.max(best, worst) + pad];
}

// From blue to yellow as cividis does, which people see alike: Nuñez, Anderton and Renslow 2018.
const COLOURS = [[0, 34, 78], [33, 61, 110], [76, 85, 107], [108, 110, 114], [141, 136, 120], [179, 163, 108], [219, 194, 83], [254, 232, 56]];

function colour(share) {
  const at = Math.min(Math.max(share, 0), 1) * (COLOURS.length - 1), index = Math.min(Math.floor(at), COLOURS.length - 2);
  return `rgb(${COLOURS[index].map((low, part) => Math.round(low + (COLOURS[index + 1][part] - low) * (at - index))).join(",")})`;
}
