// The intermediate values of trials: how far each came, and which were stopped.

function curves(width) {
  const { curves: known, study } = view.data;
  const plot = new Plot({ label: "The values of trials on the way", width, height: Math.min(380, Math.max(250, width * 0.42)),
    margin: { left: 66, bottom: 40, top: 20 } });
  const [low, high] = rangeOf(known.flatMap((each) => each.values), minimizes());
  const steps = extremes(known.flatMap((each) => each.steps));
  const x = linear(steps[0], steps[1], plot.left, plot.right), inner = linear(low, high, plot.bottom, plot.top);
  const y = (value) => Math.min(Math.max(inner(value), plot.top), plot.bottom);
  plot.xAxis(x, { title: "step" });
  plot.yAxis(Object.assign(y, { ticks: inner.ticks }));
  plot.add("text", { x: 2, y: 12 }, shortened(study.intermediate ?? valueName(), 40));
  const kinds = { stopped: "curve stopped", best: "best-line" }, ends = [];
  const kindOf = (trial) => (trial.index === view.best ? "best" : trial.state);
  const ordered = known.map((each) => ({ ...each, of: view.trials[view.data.trials.number.indexOf(each.trial)] }))
    .filter((each) => each.of).sort((one, other) => (one.of.index === view.best) - (other.of.index === view.best));
  for (const { of, steps: across, values } of ordered) {
    const points = across.map((step, index) => [x(step), y(values[index])]), last = points[points.length - 1];
    plot.path(kinds[kindOf(of)] ?? "curve", points);
    ends.push({ trial: of.number, index: of.index, broken: of.broken, failed: of.failed, best: of.index === view.best, x: last[0], y: last[1] });
  }
  plot.points(ends, 2.6);
  plot.hover(ends, (point) => described(view.trials[point.index]), (point) => openTrial(point.index));
  const all = view.trials.filter((each) => each.state === "stopped").length;
  return element("figure", {}, plot.host,
    legend(["curve", "line", "a trial"], ["best-line", "line", "the best"],
      all ? ["curve stopped", "line", `stopped early (${many(all, "trial")})`] : null),
    known.length < view.trials.length ? element("figcaption", {}, `Of ${known.length} trials.`) : null);
}
