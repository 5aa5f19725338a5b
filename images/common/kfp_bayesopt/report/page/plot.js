// A plot: axes as SVG; trials as SVG up to a thousand and in print, on a canvas beyond; what the pointer and the keys show.

const MOST_SHAPES = 1000;

class Plot {
  constructor({ label, width, height, margin = {}, least = 0, over = false }) {
    this.over = over;
    this.margin = { top: 10, right: 12, bottom: 26, left: 56, ...margin };
    this.width = width;
    this.height = height;
    this.svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    this.host = element("div", { class: "plot" }, this.svg);
    if (least) this.host.style.setProperty("--least", `${least}px`);
    this.label = label;
  }

  get left() { return this.margin.left; }
  get right() { return this.width - this.margin.right; }
  get top() { return this.margin.top; }
  get bottom() { return this.height - this.margin.bottom; }

  add(name, attributes, ...children) {
    const made = shape(name, attributes, ...children);
    this.svg.append(made);
    return made;
  }

  path(classes, points) {
    const d = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y))
      .map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    if (d) this.add("path", { class: classes, d });
  }

  xAxis(scale, { count = Math.max(2, Math.floor(this.width / 90)), letters = 12, title = null } = {}) {
    for (const { value, text } of scale.ticks(count)) {
      const x = scale(value);
      this.add("path", { class: "gridline", d: `M${x} ${this.top}V${this.bottom}` });
      const anchor = x > this.right - 20 ? "end" : x < this.left + 14 ? "start" : "middle";
      this.add("text", { x, y: this.bottom + 15, "text-anchor": anchor }, shortened(text, letters));
    }
    this.add("path", { class: "axis", d: `M${this.left} ${this.bottom}H${this.right}` });
    if (title) this.add("text", { x: this.right, y: this.height - 1, "text-anchor": "end" }, title);
  }

  yAxis(scale, { count = Math.max(2, Math.floor(this.height / 50)), letters = 9 } = {}) {
    for (const { value, text } of scale.ticks(count)) {
      const y = scale(value);
      this.add("path", { class: "gridline", d: `M${this.left} ${y}H${this.right}` });
      this.add("text", { x: this.left - 6, y: y + 4, "text-anchor": "end" }, shortened(text, letters));
    }
    this.add("path", { class: "axis", d: `M${this.left} ${this.top}V${this.bottom}` });
  }

  // A canvas that lies under the SVG, or over it, and has its coordinates.
  canvas() {
    const made = element("canvas", { "aria-hidden": "true" }), sharp = Math.min(window.devicePixelRatio || 1, 2);
    made.width = this.width * sharp;
    made.height = this.height * sharp;
    if (this.over) this.host.append(made);
    else this.host.prepend(made);
    const context = made.getContext("2d");
    context.scale(sharp, sharp);
    return context;
  }

  // Draw trials: {x, y, trial, failed, broken, best, out}.
  points(points, size = 3.6) {
    const radius = points.length > 300 ? size * 0.7 : size;
    const ordered = [...points.filter((each) => each.out), ...points.filter((each) => !each.out && !each.best),
      ...points.filter((each) => each.best)];
    if (points.length > MOST_SHAPES && !view.printing) return this.drawn(ordered, radius);
    for (const { x, y, trial, failed, broken, best, out } of ordered) {
      const classes = `${failed ? "failed" : "trial"}${best ? " best" : ""}${broken ? " broken" : ""}${out ? " out" : ""}`;
      if (failed) this.add("path", { class: classes, "data-trial": trial, d: cross(x, y, radius) });
      else this.add("circle", { class: classes, "data-trial": trial, cx: x.toFixed(1), cy: y.toFixed(1), r: best ? radius * 1.5 : radius });
    }
  }

  drawn(points, radius) {
    const context = this.canvas(), style = getComputedStyle(document.documentElement);
    for (const { x, y, failed, broken, best, out } of points) {
      context.globalAlpha = out ? 0.08 : broken ? 0.2 : best ? 1 : 0.55;
      const paint = style.getPropertyValue(failed ? "--failed" : best ? "--best" : "--trial");
      if (failed) {
        context.strokeStyle = paint;
        context.stroke(new Path2D(cross(x, y, radius)));
      } else {
        context.fillStyle = paint;
        context.beginPath();
        context.arc(x, y, best ? radius * 2 : radius, 0, 7);
        context.fill();
      }
    }
  }

  // Show what a point is when the pointer is near, or when it is reached with the arrow keys; Enter or a click opens it.
  hover(points, describe, open) {
    const known = points.filter((each) => !each.out);
    if (!known.length) return;
    const ring = this.add("circle", { class: "mark", r: 7, visibility: "hidden" });
    let current = null;
    const show = (point, keys) => {
      current = point;
      ring.setAttribute("visibility", point ? "visible" : "hidden");
      if (!point) return hideTip();
      ring.setAttribute("cx", point.x);
      ring.setAttribute("cy", point.y);
      const box = this.svg.getBoundingClientRect(), scale = box.width / this.width;
      showTip(describe(point), box.left + point.x * scale, box.top + point.y * scale, keys);
    };
    this.host.addEventListener("pointermove", (event) => {
      const box = this.svg.getBoundingClientRect(), scale = this.width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      let nearest = null, least = 24 ** 2;
      for (const point of known) {
        const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
        if (distance < least) [nearest, least] = [point, distance];
      }
      if (nearest !== current) show(nearest, false);
    });
    this.host.addEventListener("pointerleave", () => show(null));
    this.host.addEventListener("blur", () => show(null));
    this.host.addEventListener("click", () => current && open && open(current));
    this.host.tabIndex = 0;
    this.host.setAttribute("role", "group");
    this.host.setAttribute("aria-label", `${this.label}; arrow keys go through ${many(known.length, "point")}`);
    this.host.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step) {
        const at = current ? known.indexOf(current) + step : step > 0 ? 0 : known.length - 1;
        show(known[(at + known.length) % known.length], true);
        event.preventDefault();
      } else if (current && open && event.key === "Enter") onEnter(event, () => open(current));
      else if (event.key === "Escape") show(null);
    });
  }
}

function cross(x, y, size) {
  return `M${(x - size).toFixed(1)} ${(y - size).toFixed(1)}l${2 * size} ${2 * size}m0 ${-2 * size}l${-2 * size} ${2 * size}`;
}

function showTip(text, x, y, spoken) {
  const tip = document.getElementById("tip");
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(x + 14, window.innerWidth - box.width - 6))}px`;
  tip.style.top = `${Math.max(4, y + 14 + box.height > window.innerHeight ? y - box.height - 12 : y + 14)}px`;
  if (spoken) say(text);
}

function hideTip() {
  document.getElementById("tip").hidden = true;
}

function say(text) {
  document.getElementById("said").textContent = text;
}
