// Makes elements, and says numbers and times in words. All text goes in as text: nothing is ever parsed as HTML.

function fill(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function shape(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

// Names and values of other people's writing systems must not turn the text around them.
function isolated(text) {
  return element("bdi", {}, String(text));
}

function brief(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(6)));
}

function percent(share) {
  return share > 0 && share < 0.1 ? `${Number((share * 100).toPrecision(2))} %` : `${Math.round(share * 100)} %`;
}

function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 7200) return `${Number((seconds / 60).toPrecision(3))} min`;
  return `${Number((seconds / 3600).toPrecision(3))} h`;
}

function time(text) {
  return text ? `${text.slice(0, 10)} ${text.slice(11, 19)} UTC` : "–";
}

function many(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

function section(title, classes, ...children) {
  return element("section", { class: classes, "aria-label": title }, element("h2", {}, title), ...children);
}

function legend(...entries) {
  return element("div", { class: "legend" }, entries.filter(Boolean).map(([classes, kind, text]) => element("span", {},
    shape("svg", { viewBox: "0 0 22 12", "aria-hidden": "true" },
      kind === "point" ? shape("circle", { class: classes, cx: 11, cy: 6, r: 4 })
        : kind === "cross" ? shape("path", { class: classes, d: "M7 2l8 8m0-8l-8 8" })
        : kind === "box" ? shape("rect", { class: classes, x: 2, y: 1, width: 18, height: 10 })
        : shape("path", { class: classes, d: "M0 6h22" })), text)));
}
