// Several objectives: which one the page shows, their front, and how the volume that it dominates has grown.

const MOST_ROWS = 12;

// Show an objective on the whole page: its values, its best trial and its model.
function showObjective(index) {
  const { data } = view, chosen = data.objectives[index];
  view.objective = index;
  data.study.direction = chosen.direction;
  data.model = chosen.model;
  view.trials.forEach((trial) => {
    trial.value = chosen.values[trial.index];
    trial.failed = trial.value === null;
  });
  view.best = data.trials.number.indexOf(chosen.best);
  view.parameters = importantFirst(data);
}

// The name of what the page shows of a trial.
function valueName() {
  return view.data.objectives.length ? view.data.objectives[view.objective].name : "value";
}

function front(width) {
  const { objectives, front: numbers } = view.data, [across, up] = view.pair.map((index) => objectives[index]);
  const plot = new Plot({ label: `The front of ${across.name} and ${up.name}`, width, height: Math.min(420, Math.max(260, width * 0.5)),
    margin: { left: 70, bottom: 40, top: 20 } });
  const there = view.trials.filter((trial) => across.values[trial.index] !== null && up.values[trial.index] !== null);
  const scale = (objective, from, to) => {
    const [low, high] = rangeOf(there.map((trial) => objective.values[trial.index]), objective.direction === "minimize");
    const inner = linear(low, high, from, to), least = Math.min(from, to), most = Math.max(from, to);
    return Object.assign((value) => Math.min(Math.max(inner(value), least), most), { ticks: inner.ticks });
  };
  const x = scale(across, plot.left, plot.right), y = scale(up, plot.bottom, plot.top);
  plot.xAxis(x, { title: `${shortened(across.name, 40)} (${across.direction})` });
  plot.yAxis(y);
  plot.add("text", { x: 2, y: 12 }, `${shortened(up.name, 40)} (${up.direction})`);
  const best = new Set(numbers);
  const points = there.map((trial) => ({ trial: trial.number, index: trial.index, best: best.has(trial.number),
    out: !isChosen(trial), broken: trial.broken, x: x(across.values[trial.index]), y: y(up.values[trial.index]) }));
  if (objectives.length === 2) plot.path("best-line", stairs(points.filter((each) => each.best)));
  plot.points(points);
  plot.hover(points, (point) => described(view.trials[point.index]), (point) => openTrial(point.index));
  const choose = (place, label) => element("label", {}, `${label} `, element("select", {
    onchange: (event) => { view.pair[place] = Number(event.target.value); redraw(); } },
  objectives.map((each, index) => element("option", { value: index, selected: index === view.pair[place] }, each.name))));
  return element("figure", {},
    objectives.length > 2 ? element("div", { class: "tools" }, choose(0, "Across"), choose(1, "Up")) : null,
    plot.host,
    legend(["trial", "point", "a trial"], ["trial best", "point", "on the front"],
      brokenLegend(there)),
    element("figcaption", {}, "On the front is a trial than which no other is at least as good in all objectives."));
}

// A line through points of a front that goes along the axes: what lies beyond it is dominated.
function stairs(points) {
  const ordered = [...points].sort((one, other) => one.x - other.x);
  return ordered.flatMap((each, index) => (index ? [[each.x, ordered[index - 1].y], [each.x, each.y]] : [[each.x, each.y]]));
}

function volume(width) {
  const known = view.data.volume, plot = new Plot({ label: "The volume that the front dominates", width,
    height: Math.min(420, Math.max(240, width * 0.5)), margin: { left: 70, bottom: 40, top: 20 } });
  const last = Math.max(view.data.study.budget, ...view.trials.map((each) => each.number));
  const x = linear(0.5, last + 0.5, plot.left, plot.right), y = linear(0, known[known.length - 1][1] || 1, plot.bottom, plot.top);
  plot.xAxis(x, { title: "trial" });
  plot.yAxis(y);
  plot.add("text", { x: 2, y: 12 }, "hypervolume");
  const ended = view.trials[view.trials.length - 1].number;
  plot.path("best-line", [...known, [ended, known[known.length - 1][1]]].flatMap(([trial, size], index) =>
    (index ? [[x(trial), y(known[index - 1][1])], [x(trial), y(size)]] : [[x(trial), y(0)], [x(trial), y(size)]])));
  const { reference } = view.data.best;
  return element("figure", {}, plot.host, element("figcaption", {}, "Of the values between the front and ",
    isolated(Object.entries(reference).map(([name, value]) => `${name} ${brief(value)}`).join(", ")), "."));
}

function compromises() {
  const { objectives, front: numbers } = view.data, { number } = view.data.trials, listed = numbers.slice(0, MOST_ROWS);
  return element("div", { class: "wide" }, element("table", {},
    element("thead", {}, element("tr", {}, ["trial", ...objectives.map((each) => each.name)].map((title) =>
      element("th", { scope: "col", class: "right" }, isolated(shortened(title, 24)))))),
    element("tbody", {}, listed.map((each) => element("tr", {},
      element("td", { class: "right" }, element("button", { type: "button", onclick: () => openTrial(number.indexOf(each)) }, each)),
      objectives.map(({ values }) => element("td", { class: "right" }, brief(values[number.indexOf(each)]))))))),
  numbers.length > MOST_ROWS ? element("p", { class: "quiet" }, `and ${numbers.length - MOST_ROWS} more in the table of trials`) : null);
}

function objectiveChoice() {
  return element("p", { class: "quiet" }, "Below, values are those of ", element("select", { "aria-label": "Objective",
    onchange: (event) => { showObjective(Number(event.target.value)); view.brushes.clear(); redraw(); } },
  view.data.objectives.map((each, index) => element("option", { value: index, selected: index === view.objective }, each.name))), ".");
}
