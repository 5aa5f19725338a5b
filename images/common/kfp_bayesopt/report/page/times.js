// Where the time went: sums, and what each machine did when.

const MOST_LANES = 64;

function times(width) {
  const { running, idle, total, lanes, pauses } = view.data.times, share = (seconds) => `${duration(seconds)} (${percent(seconds / (total || 1))})`;
  const listed = lanes.slice(0, MOST_LANES), row = Math.max(7, Math.min(20, 260 / listed.length));
  const plot = new Plot({ label: "What each machine did", width, height: listed.length * row + 50,
    margin: { left: row > 10 ? 74 : 12, top: 4, bottom: 42 } });
  const last = Math.max(1e-3, ...extremes(view.trials.map((each) => each.end)));
  const unit = last > 7200 ? [3600, "hours"] : last > 120 ? [60, "minutes"] : [1, "seconds"];
  const x = linear(0, last / unit[0], plot.left, plot.right), at = (seconds) => x(seconds / unit[0]);
  plot.xAxis(x, { title: unit[1] });
  const boxes = pauses.map(([from, to]) => ({ classes: "span pause", x: at(from), width: at(to) - at(from), y: plot.top,
    height: plot.bottom - plot.top }));
  const spans = [];
  const byNumber = new Map(view.trials.map((each) => [each.number, each]));
  listed.forEach(({ name, spans: found }, lane) => {
    const y = plot.top + lane * row, height = row - Math.min(3, row * 0.25);
    if (row > 10) plot.add("text", { x: plot.left - 6, y: y + row * 0.7, "text-anchor": "end" }, shortened(name, 11));
    for (const [number, start, seconds, starts, proposes] of found) {
      const trial = byNumber.get(number);
      if (!trial) continue;
      if (proposes > 0) boxes.push({ classes: "span proposing", x: at(start - starts - proposes), width: at(start - starts) - at(start - starts - proposes), y, height });
      if (starts > 0) boxes.push({ classes: "span starting", x: at(start - starts), width: at(start) - at(start - starts), y, height });
      const box = { classes: `span${trial.failed ? " bad" : ""}`, x: at(start), width: Math.max(0.7, at(start + seconds) - at(start) - 0.4), y, height };
      boxes.push(box);
      spans.push({ index: trial.index, x: box.x + box.width / 2, y: y + height / 2, text: `${duration(seconds)} in ${name}` });
    }
  });
  drawBoxes(plot, boxes);
  plot.hover(spans, (span) => `${span.text}\n${described(view.trials[span.index])}`, (span) => openTrial(span.index));
  return element("figure", {},
    element("dl", { class: "facts" },
      fact("running", share(running)), ...Object.entries(idle).map(([kind, seconds]) => fact(kind === "unknown" ? "idle, not known why" : kind, share(seconds)))),
    plot.host,
    legend(["span", "box", "a trial"], view.trials.some((each) => each.failed) ? ["span bad", "box", "failed"] : null,
      idle.starting > 0 ? ["span starting", "box", "starting"] : null,
      idle.proposing > 0 ? ["span proposing", "box", "proposing"] : null, pauses.length ? ["span pause", "box", "no job"] : null),
    element("figcaption", {}, "A row is a machine, or a place that machines took one after another; ",
      idle.unknown ? "a gap is idle time." : "a gap is waiting for the slowest trial of a batch.",
      lanes.length > MOST_LANES ? ` The first ${MOST_LANES} of ${lanes.length}.` : ""));
}

function drawBoxes(plot, boxes) {
  if (boxes.length > MOST_SHAPES * 2 && !view.printing) {
    const context = plot.canvas(), style = getComputedStyle(document.documentElement);
    const paints = { "span": "--trial", "span bad": "--failed", "span starting": "--starting", "span proposing": "--proposing", "span pause": "--grid" };
    for (const { classes, x, y, width, height } of boxes) {
      context.fillStyle = style.getPropertyValue(paints[classes]);
      context.fillRect(x, y, width, height);
    }
    return;
  }
  for (const { classes, x, y, width, height } of boxes) {
    plot.add("rect", { class: classes, x: x.toFixed(2), y: y.toFixed(2), width: Math.max(0, width).toFixed(2), height: height.toFixed(2) });
  }
}
