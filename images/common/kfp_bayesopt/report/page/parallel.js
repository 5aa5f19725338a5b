// Parallel coordinates: a line for each trial, and brushes on the axes that choose some of them on the whole page.

const MOST_AXES = 12;
const AXIS_WIDTH = 96;

function parallel(width) {
  const done = view.trials.filter((each) => !each.failed), listed = view.parameters.slice(0, MOST_AXES);
  const names = [...listed.map((each) => each.name), valueName()];
  const least = names.length * AXIS_WIDTH * 0.75;
  const plot = new Plot({ label: "Parallel coordinates of all completed trials", width: Math.max(width, least), height: 330,
    least, margin: { left: 52, right: 60, top: 34, bottom: 18 } });
  const [low, high] = rangeOf(done.map((each) => each.value), minimizes());
  const x = linear(0, Math.max(names.length - 1, 1), plot.left, plot.right);
  const values = linear(low, high, plot.bottom, plot.top);
  const scales = listed.map((each) => scaleOf(each, plot.bottom, plot.top));
  const clamp = (place) => Math.min(Math.max(place, plot.top), plot.bottom);
  view.valueScale = (value) => (plot.bottom - clamp(values(value))) / (plot.bottom - plot.top);

  const ranked = [...done].sort((one, other) => (isBetter(one.value, other.value) ? 1 : -1));
  const lines = ranked.map((trial, rank) => ({ trial, share: ranked.length > 1 ? rank / (ranked.length - 1) : 1,
    places: [...listed.map((each, index) => [x(index), each.values[trial.index], scales[index]])
      .filter(([, value]) => value !== null).map(([at, value, scale]) => [at, scale(value)]),
      [x(names.length - 1), clamp(values(trial.value))]] }));
  drawLines(plot, lines);
  names.forEach((name, index) => axis(plot, name, x(index), index < listed.length ? scales[index] : values));
  const chosen = done.filter(isChosen).length;
  return element("figure", {},
    element("div", { class: "tools" },
      element("span", { class: "quiet" }, view.brushes.size ? `${chosen} of ${many(done.length, "trial")} chosen` :
        "Drag along an axis, or reach it with Tab and press the up and down keys, to choose trials."),
      view.brushes.size ? element("button", { type: "button", onclick: () => { view.brushes.clear(); redraw(); } }, "Show all") : null),
    element("div", { class: "wide" }, plot.host),
    element("figcaption", {}, `${isDark() ? "Bright" : "Dark"} lines are the best trials, ${isDark() ? "dark" : "bright"} ones the worst; the thick one is the best.`,
      view.parameters.length > MOST_AXES ? ` The ${MOST_AXES} most important of ${view.parameters.length} parameters.` : ""));
}

function isDark() {
  return !view.printing && matchMedia("(prefers-color-scheme: dark)").matches;
}

// The best trials stand out from the ground.
function shade(share) {
  return colour(isDark() ? share : 1 - share);
}

function drawLines(plot, lines) {
  const context = lines.length > MOST_SHAPES && !view.printing ? plot.canvas() : null, crowded = lines.length > 300;
  for (const { trial, share, places } of [...lines.filter((each) => !isChosen(each.trial)), ...lines.filter((each) => isChosen(each.trial))]) {
    const best = trial.index === view.best, out = !isChosen(trial);
    const d = places.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    if (context) {
      context.globalAlpha = out ? 0.02 : best ? 1 : share > 0.9 ? 0.5 : 0.12;
      context.strokeStyle = best ? getComputedStyle(document.documentElement).getPropertyValue("--best") : shade(share);
      context.lineWidth = best ? 3 : 1;
      context.stroke(new Path2D(d));
    } else {
      plot.add("path", { class: `line${best ? " best" : ""}${out ? " out" : ""}`, stroke: best ? null : shade(share), d,
        "stroke-opacity": best || out || !crowded ? null : share > 0.9 ? 0.7 : 0.2,
        "data-trial": trial.number });
    }
  }
}

function axis(plot, name, x, scale) {
  plot.add("path", { class: "axis", d: `M${x} ${plot.top}V${plot.bottom}` });
  for (const { value, text } of scale.ticks(5)) {
    plot.add("text", { x: x - 5, y: Math.min(Math.max(scale(value), plot.top), plot.bottom) + 4, "text-anchor": "end" }, shortened(text, 7));
  }
  plot.add("text", { class: "title", x, y: 18, "text-anchor": "middle" }, shortened(name, 12), shape("title", {}, name));
  const height = plot.bottom - plot.top, brush = view.brushes.get(name);
  const box = plot.add("rect", { class: "brush", x: x - 9, width: 18, y: 0, height: 0, visibility: "hidden" });
  const place = ([low, high]) => {
    box.setAttribute("visibility", "visible");
    box.setAttribute("y", plot.bottom - high * height);
    box.setAttribute("height", Math.max(1, (high - low) * height));
  };
  if (brush) place(brush);
  const catcher = plot.add("rect", { class: "catcher", x: x - 16, width: 32, y: plot.top, height, tabindex: 0, "data-axis": name,
    role: "slider", "aria-orientation": "vertical", "aria-label": `Choose trials by ${name}`, "aria-valuemin": 0, "aria-valuemax": 100,
    "aria-valuenow": brush ? Math.round(((brush[0] + brush[1]) / 2) * 100) : 50,
    "aria-valuetext": brush ? `from ${Math.round(brush[0] * 100)} % to ${Math.round(brush[1] * 100)} % of the axis` : "all" });
  const share = (event) => {
    const bounds = plot.svg.getBoundingClientRect();
    const y = (event.clientY - bounds.top) * (plot.height / bounds.height);
    return Math.min(Math.max((plot.bottom - y) / height, 0), 1);
  };
  let begin = null;
  catcher.addEventListener("pointerdown", (event) => {
    begin = share(event);
    catcher.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  catcher.addEventListener("pointermove", (event) => {
    if (begin !== null) place([Math.min(begin, share(event)), Math.max(begin, share(event))]);
  });
  catcher.addEventListener("pointerup", (event) => {
    // Near an end of the axis means its end.
    const [low, high] = [Math.min(begin, share(event)), Math.max(begin, share(event))];
    const range = [low < 0.02 ? 0 : low, high > 0.98 ? 1 : high];
    begin = null;
    choose(name, range[1] - range[0] < 0.01 ? null : range);
  });
  catcher.addEventListener("keydown", (event) => {
    const move = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
    if (event.key === "Escape") choose(name, null);
    if (!move) return;
    event.preventDefault();
    const [low, high] = view.brushes.get(name) ?? (move > 0 ? [-0.05, 0.2] : [0.8, 1.05]);
    const shifted = Math.min(Math.max(low + move, 0), 1 - (high - low));
    choose(name, [shifted, shifted + (high - low)]);
  });
}

function choose(name, range) {
  if (range) view.brushes.set(name, range);
  else view.brushes.delete(name);
  view.page = 0;
  redraw();
  document.querySelector(`[data-axis="${CSS.escape(name)}"]`)?.focus({ preventScroll: true });
  say(`${view.trials.filter(isChosen).length} trials chosen`);
}
