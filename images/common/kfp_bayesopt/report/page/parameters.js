// What the objective depends on: importance, slices along each parameter, and a map of two of them.

const MOST_BARS = 20;
const MOST_SLICES = 12;

function importance(width) {
  const model = view.data.model;
  if (!model || !model.importance.length) {
    return element("p", { class: "quiet" }, model ? "Not known yet: the trials so far allow any order of the parameters."
      : "Not known: it takes five trials whose values differ, and one that was not stopped.");
  }
  const all = model.importance, listed = all.slice(0, MOST_BARS);
  const left = Math.min(170, width * 0.34), row = 24;
  const plot = new Plot({ label: "Importance of the parameters", width, height: listed.length * row + 34,
    margin: { left, top: 2, bottom: 30, right: 54 } });
  const x = linear(0, 1, plot.left, plot.right);
  plot.xAxis(x, { count: 4 });
  listed.forEach(({ name, share, low, high }, index) => {
    const y = plot.top + index * row;
    plot.add("text", { class: "title", x: left - 8, y: y + 16, "text-anchor": "end" }, shortened(name, Math.floor(left / 7)));
    plot.add("rect", { class: "bar", x: left, y: y + 4, width: Math.max(1, x(share) - left), height: row - 9, "data-name": name },
      shape("title", {}, `${name}: ${percent(share)}, with 90 % certainty between ${percent(low)} and ${percent(high)}`));
    plot.add("path", { class: "whisker", d: `M${x(low)} ${y + row / 2}H${x(high)}M${x(low)} ${y + 8}v8M${x(high)} ${y + 8}v8` });
    plot.add("text", { x: plot.right + 6, y: y + 16 }, percent(share));
  });
  return element("figure", {}, plot.host, element("figcaption", {},
    "Share of the variance over the whole space that a parameter is part of, alone or with others, by the model; ",
    "the lines are 90 % intervals.", all.length > MOST_BARS ? ` ${all.length - MOST_BARS} less important ones are left out.` : ""));
}

function slices(width) {
  const { slices: found } = view.data.model;
  const names = view.parameters.map(({ name }) => name).filter((name) => found[name]);
  const listed = view.allSlices ? names : names.slice(0, MOST_SLICES);
  const columns = Math.min(Math.max(1, Math.floor((width + 12) / 282)), Math.max(listed.length, width > 700 ? 2 : 1));
  const each = (width - 12 * (columns - 1)) / columns;
  const done = view.trials.filter((trial) => !trial.failed);
  const range = rangeOf(done.map((trial) => trial.value), minimizes());
  return element("figure", {},
    columned(columns, listed.map((name) => slice(parameterNamed(name), found[name], each, range))),
    names.length > MOST_SLICES ? element("div", { class: "tools" }, element("button", { type: "button",
      onclick: () => { view.allSlices = !view.allSlices; redraw(); } },
      view.allSlices ? "Show the most important ones" : `Show all ${names.length}`)) : null,
    element("figcaption", {}, "Line and band: what the model expects along the parameter, all others as in the best trial, ",
      "with a 90 % interval. Points: all trials."));
}

function columned(count, children) {
  const made = element("div", { class: "small" }, children);
  made.style.setProperty("--columns", count);
  return made;
}

function slice(parameter, found, width, [low, high]) {
  const plot = new Plot({ label: `Values along ${parameter.name}`, width, height: 190, margin: { left: 54, top: 22 } });
  const x = scaleOf(parameter, plot.left, plot.right), y = linear(low, high, plot.bottom, plot.top);
  const edge = (value) => Math.min(Math.max(y(value), plot.top), plot.bottom);
  plot.add("text", { class: "title", x: plot.left, y: 13 }, shortened(parameter.name, Math.floor(width / 8)));
  plot.xAxis(x, { count: parameter.labels ? Math.floor(width / 60) : 4, letters: 8 });
  plot.yAxis(y, { count: 4 });
  const there = view.trials.filter((trial) => !trial.failed && parameter.values[trial.index] !== null);
  const points = there.map((trial) => ({ trial: trial.number, index: trial.index,
    best: trial.index === view.best, out: !isChosen(trial), broken: trial.broken, x: x(parameter.values[trial.index]), y: edge(trial.value) }));
  plot.points(points, 2.8);
  if (parameter.labels) {
    found.x.forEach((index, at) => {
      plot.add("path", { class: "mean", d: `M${x(index)} ${edge(found.low[at])}V${edge(found.high[at])}` });
      plot.add("path", { class: "mean", d: `M${x(index) - 7} ${edge(found.mean[at])}h14` });
    });
  } else {
    const along = (values) => found.x.map((value, at) => [x(value), edge(values[at])]);
    plot.path("band", [...along(found.high), ...along(found.low).reverse()]);
    plot.path("mean", along(found.mean));
  }
  plot.hover(points, (point) => described(view.trials[point.index]), (point) => openTrial(point.index));
  return element("figure", {}, plot.host);
}

function map(width) {
  const maps = view.data.model.maps, chosen = maps[Math.min(view.map, maps.length - 1)];
  const [across, up] = [parameterNamed(chosen.x), parameterNamed(chosen.y)];
  const plot = new Plot({ label: `What the model expects over ${chosen.x} and ${chosen.y}`, width,
    height: Math.min(400, width * 0.8), over: true, margin: { left: 70, bottom: 40, right: 14 } });
  const x = scaleOf(across, plot.left, plot.right), y = scaleOf(up, plot.bottom, plot.top);
  const [low, high] = extremes(chosen.mean.flat().filter((value) => value !== null));
  const xs = edges(chosen.xs.map(x), plot.left, plot.right), ys = edges(chosen.ys.map(y), plot.bottom, plot.top);
  plot.xAxis(x, { title: shortened(chosen.x, 40), letters: 8 });
  plot.yAxis(y);
  chosen.mean.forEach((row, j) => row.forEach((mean, i) => {
    const share = minimizes() ? (high - mean) / (high - low || 1) : (mean - low) / (high - low || 1);
    plot.add("rect", { fill: colour(share), x: xs[i].toFixed(2), y: Math.min(ys[j], ys[j + 1]).toFixed(2),
      width: (xs[i + 1] - xs[i] + 0.6).toFixed(2), height: (Math.abs(ys[j] - ys[j + 1]) + 0.6).toFixed(2) });
  }));
  plot.add("text", { class: "title", x: 2, y: 12, "text-anchor": "start" }, shortened(chosen.y, 24));
  const there = view.trials.filter((trial) => !trial.failed && across.values[trial.index] !== null && up.values[trial.index] !== null);
  const points = there.map((trial) => ({ trial: trial.number, index: trial.index,
    best: trial.index === view.best, out: !isChosen(trial), broken: trial.broken, x: x(across.values[trial.index]), y: y(up.values[trial.index]) }));
  plot.svg.classList.add("map");
  plot.points(points, 3.2);
  plot.hover(points, (point) => described(view.trials[point.index]), (point) => openTrial(point.index));
  return element("figure", {},
    maps.length > 1 ? element("div", { class: "tools" }, element("label", {}, "Pair ", element("select", {
      onchange: (event) => { view.map = Number(event.target.value); redraw(); } },
    maps.map((each, index) => element("option", { value: index, selected: index === view.map }, `${each.x}, ${each.y}`))))) : null,
    plot.host,
    element("figcaption", {}, `Yellow is best: ${brief(minimizes() ? low : high)}, dark is worst: `,
      `${brief(minimizes() ? high : low)}, expected by the model with all other parameters as in the best trial. Points: all trials.`));
}

// The bounds of cells whose centres are given.
function edges(centres, from, to) {
  return [from, ...centres.slice(1).map((centre, index) => (centre + centres[index]) / 2), to];
}
