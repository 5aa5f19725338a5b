// What the page shows: the study, and what a person has chosen.

const view = {
  data: null, // what `contents.py` wrote
  trials: [], // a trial each: index, number, value, failed, broken, state, begin and end in seconds
  best: -1, // index of the best trial
  axis: "trial", // of the history: trial or time
  map: 0, // which pair of parameters
  objective: 0, // which of several is shown
  pair: [0, 1], // which of them the front shows
  brushes: new Map(), // of the parallel coordinates: by name of the axis the lowest and the highest place, 0 to 1
  query: "", // of the table
  sort: { key: "number", up: true },
  page: 0,
  allSlices: false,
  printing: false,
};

function load(data) {
  view.data = data;
  const { number, value, state, started, seconds } = data.trials;
  const zero = data.times.begin ? Date.parse(data.times.begin) / 1000 : 0;
  view.trials = number.map((each, index) => {
    const begin = Date.parse(started[index]) / 1000 - zero;
    return { index, number: each, value: value[index], failed: value[index] === null, broken: data.trials.broken?.[index] ?? null, state: state[index], begin,
      end: begin + seconds[index] };
  });
  view.best = data.best.trial ? number.indexOf(data.best.trial) : -1;
  view.parameters = importantFirst(data);
  if (data.objectives.length) showObjective(Math.min(view.objective, data.objectives.length - 1));
}

function minimizes() {
  return view.data.study.direction === "minimize";
}

function isBetter(one, other) {
  return minimizes() ? one < other : one > other;
}

// The parameters, the most important one first; in the order of the study file while that is not known.
function importantFirst(data) {
  const order = new Map((data.model ? data.model.importance : []).map(({ name }, index) => [name, index]));
  return [...data.parameters].sort((one, other) => (order.get(one.name) ?? 1e9) - (order.get(other.name) ?? 1e9));
}

function parameterNamed(name) {
  return view.data.parameters.find((each) => each.name === name);
}

// Whether a trial lies in all brushes.
function isChosen(trial) {
  for (const [name, [low, high]] of view.brushes) {
    const place = placeOn(name, trial);
    if (place === null || place < low || place > high) return false;
  }
  return true;
}

// Where a trial lies on an axis of the parallel coordinates, from 0 to 1; null where it failed and has no value.
function placeOn(name, trial) {
  if (name === valueName()) return trial.failed ? null : view.valueScale(trial.value);
  const parameter = parameterNamed(name);
  const value = parameter?.values[trial.index] ?? null;
  return value === null ? null : scaleOf(parameter, 0, 1)(value);
}

function resultOf(trial) {
  const { objectives } = view.data;
  if (!objectives.length) return `value ${brief(trial.value)}`;
  return objectives.map(({ name, values }) => `${name} ${brief(values[trial.index])}`).join(", ");
}

function described(trial) {
  const rows = view.parameters.filter((each) => each.values[trial.index] !== null).slice(0, 12).map((each) => `${each.name} = ${shown(each, trial.index)}`);
  if (view.parameters.length > 12) rows.push(`and ${view.parameters.length - 12} more`);
  const reason = view.data.trials.reason[trial.index];
  const result = trial.failed ? `failed: ${shortened(view.data.trials.reasons[reason], 160)}` : `${resultOf(trial)}${trial.broken ? ` (${trial.broken})` : ""}`;
  return `trial ${trial.number}: ${result}\n${rows.join("\n")}`;
}

// What trials are outside of: limits, or constraints that were asked for later.
function brokenKinds() {
  return view.data.best.outside_of ?? ["limits"];
}

function bounds() {
  return brokenKinds().join(" and ");
}

// What the legend says of trials that cannot be the best, or null where there is none.
function brokenLegend(trials) {
  const told = [
    trials.some((each) => each.broken && each.state !== "stopped") ? `breaks a ${brokenKinds().map((kind) => kind.slice(0, -1)).join(" or a ")}` : null,
    trials.some((each) => each.state === "stopped") ? "stopped early" : null,
  ].filter(Boolean);
  return told.length ? ["trial broken", "point", told.join(" or ")] : null;
}
