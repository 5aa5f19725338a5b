// The history: every trial, the best so far, and what random search would have.

function history(width) {
  const byTime = view.axis === "time", done = view.trials.filter((each) => !each.failed);
  const plot = new Plot({ label: "History of the values", width, height: Math.min(380, Math.max(250, width * 0.42)),
    margin: { left: 66, bottom: 40, top: 20 } });
  const [low, high] = rangeOf(done.map((each) => each.value), minimizes());
  const y = linear(low, high, plot.bottom, plot.top);
  const last = byTime ? Math.max(1e-3, ...extremes(view.trials.map((each) => each.end)))
    : Math.max(view.data.study.budget, ...extremes(view.trials.map((each) => each.number)));
  const unit = last > 7200 ? [3600, "hours"] : last > 120 ? [60, "minutes"] : [1, "seconds"];
  const x = byTime ? linear(0, last / unit[0], plot.left, plot.right) : linear(0.5, last + 0.5, plot.left, plot.right);
  plot.xAxis(x, { title: byTime ? `${unit[1]} since the first trial was proposed` : "trial" });
  plot.yAxis(y);
  plot.add("text", { x: 2, y: 12 }, shortened(valueName(), 40));
  const edge = (value) => Math.min(Math.max(y(value), plot.top), plot.bottom);
  const at = (trial) => (byTime ? x(trial.end / unit[0]) : x(trial.number));
  const ordered = [...view.trials].sort((one, other) => (byTime ? one.end - other.end : one.number - other.number));

  const { random, random_band: band, random_unknown: unknown } = view.data.model ?? { random: [], random_band: [], random_unknown: null };
  const along = (rows, column) => byNumberOfTrials(rows, column, ordered, byTime ? at : null, x, edge);
  plot.path("random-band", [...along(band, 2), ...along(band, 1).reverse()]);
  plot.path("random-line", along(random, 1));
  const line = [];
  let best = null;
  for (const trial of ordered) {
    if (!trial.failed && !trial.broken && (best === null || isBetter(trial.value, best))) {
      if (best !== null) line.push([at(trial), edge(best)]);
      best = trial.value;
      line.push([at(trial), edge(best)]);
    }
  }
  if (best !== null) line.push([at(ordered[ordered.length - 1]), edge(best)]);
  const points = view.trials.map((trial) => ({ trial: trial.number, index: trial.index, failed: trial.failed,
    best: trial.index === view.best, out: !isChosen(trial), broken: trial.broken, x: at(trial),
    y: trial.failed ? plot.bottom - 6 : edge(trial.value) }));
  plot.points(points);
  plot.path("best-line", line);
  plot.hover(points, (point) => described(view.trials[point.index]), (point) => openTrial(point.index));
  const beyond = done.filter((each) => each.value < low || each.value > high).length;
  const choose = (axis, text) => element("button", { type: "button", "aria-pressed": String(view.axis === axis),
    onclick: () => { view.axis = axis; redraw(); } }, text);
  return element("figure", {},
    element("div", { class: "tools" }, choose("trial", "By trial"), choose("time", "By time")),
    plot.host,
    legend(["trial", "point", "a trial"], ["best-line", "line", "best so far"],
      random.length ? ["random-line", "line", "random search, expected by the model"] : null,
      band.length ? ["random-band", "box", "where nine of ten such searches are, by the model"] : null,
      view.trials.some((each) => each.failed) ? ["failed", "cross", "failed"] : null,
      brokenLegend(view.trials)),
    unknown ? element("figcaption", {}, `Random search is not drawn: ${unknown}.`) : null,
    beyond ? element("figcaption", {}, `${many(beyond, "trial")} beyond the edge ${beyond === 1 ? "is" : "are"} drawn at it.`) : null);
}

// The points of a column of rows that begin with a number of trials: by time, where as many had ended.
function byNumberOfTrials(rows, column, ordered, at, x, edge) {
  const known = rows.filter((row) => row[column] !== null);
  if (!at) return known.map((row) => [x(row[0]), edge(row[column])]);
  return known.filter(([trials]) => trials <= ordered.length).map((row) => [at(ordered[row[0] - 1]), edge(row[column])]);
}

// The lowest and the highest number of a list of any length.
function extremes(numbers) {
  let low = Infinity, high = -Infinity;
  for (const each of numbers) {
    if (each < low) low = each;
    if (each > high) high = each;
  }
  return numbers.length ? [low, high] : [];
}
