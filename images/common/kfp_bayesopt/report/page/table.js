// The table of all trials, their details, the failures by their reasons, and what the study was run with.

const ROWS = 25;
const MOST_COLUMNS = 8;

function columns() {
  const { trials } = view.data;
  return [
    { key: "number", title: "trial", of: (trial) => trial.number, right: true },
    { key: "value", title: valueName(), of: (trial) => trial.value, text: (trial) => (trial.failed ? trial.state : brief(trial.value)), right: true },
    ...view.data.objectives.filter((each, index) => index !== view.objective).map(({ name, values }) => ({ key: `objective ${name}`,
      title: name, of: (trial) => values[trial.index], text: (trial) => brief(values[trial.index]), right: true })),
    ...view.parameters.slice(0, MOST_COLUMNS).map((each) => ({ key: `parameter ${each.name}`, title: each.name,
      of: (trial) => (each.labels ? each.labels[each.values[trial.index]] ?? null : each.values[trial.index]),
      text: (trial) => shown(each, trial.index), right: !each.labels })),
    { key: "seconds", title: "time", of: (trial) => trials.seconds[trial.index], text: (trial) => duration(trials.seconds[trial.index]), right: true },
  ];
}

function chosenTrials(listed) {
  const words = view.query.toLowerCase().split(/\s+/).filter(Boolean), { trials, parameters } = view.data;
  const text = (trial) => [`trial ${trial.number}`, trial.state, brief(trial.value),
    trials.reason[trial.index] === null ? "" : trials.reasons[trials.reason[trial.index]],
    ...parameters.map((each) => `${each.name}=${shown(each, trial.index)}`)].join(" ").toLowerCase();
  const found = view.trials.filter((trial) => isChosen(trial) && (!words.length || matches(text(trial), words)));
  const column = listed.find((each) => each.key === view.sort.key) ?? listed[0], sign = view.sort.up ? 1 : -1;
  return found.sort((one, other) => {
    const [a, b] = [column.of(one), column.of(other)];
    if (a === null || b === null) return (a === null) - (b === null) || one.number - other.number;
    return (typeof a === "number" ? a - b : String(a).localeCompare(String(b))) * sign || one.number - other.number;
  });
}

function matches(text, words) {
  return words.every((word) => text.includes(word));
}

function table() {
  const host = element("div", {}), filter = element("input", { type: "search", placeholder: "Filter: words, all of which must be there",
    "aria-label": "Filter the trials", size: 34, oninput: (event) => {
      view.query = event.target.value;
      view.page = 0;
      host.replaceChildren(...rows(host));
    } });
  filter.value = view.query;
  host.append(...rows(host));
  return element("div", {}, element("div", { class: "tools" }, filter, element("button", { type: "button", onclick: saveTable }, "Save as CSV")), host);
}

function rows(host) {
  const listed = columns(), found = chosenTrials(listed), again = () => host.replaceChildren(...rows(host));
  view.page = Math.min(view.page, Math.max(0, Math.ceil(found.length / ROWS) - 1));
  const first = view.page * ROWS, visible = view.printing ? found : found.slice(first, first + ROWS);
  const sortBy = (column) => {
    view.sort = { key: column.key, up: view.sort.key === column.key ? !view.sort.up : true };
    again();
    host.querySelector(`[data-key="${CSS.escape(column.key)}"]`)?.focus();
  };
  const turn = (by) => { view.page += by; again(); };
  return [
    element("div", { class: "wide" }, element("table", {},
      element("thead", {}, element("tr", {}, listed.map((column) => element("th", { class: column.right ? "right" : null, scope: "col",
        "aria-sort": view.sort.key === column.key ? (view.sort.up ? "ascending" : "descending") : "none" },
      element("button", { type: "button", "data-key": column.key, onclick: () => sortBy(column) }, isolated(shortened(column.title, 24)),
        view.sort.key === column.key ? (view.sort.up ? " ↑" : " ↓") : ""))))),
      element("tbody", {}, visible.map((trial) => element("tr", { class: trial.index === view.best ? "best" : trial.failed ? "bad" : null,
        tabindex: 0, "data-trial": trial.number, onclick: () => openTrial(trial.index),
        onkeydown: (event) => onEnter(event, () => openTrial(trial.index)) },
      listed.map((column) => element("td", { class: column.right ? "right" : null },
        isolated(column.text ? column.text(trial) : column.of(trial))))))))),
    element("div", { class: "tools" },
      element("button", { type: "button", disabled: view.page === 0, onclick: () => turn(-1) }, "Previous"),
      element("span", { class: "quiet" }, found.length ? `${first + 1} to ${Math.min(first + ROWS, found.length)} of ${many(found.length, "trial")}`
        : "no trial"),
      element("button", { type: "button", disabled: first + ROWS >= found.length, onclick: () => turn(1) }, "Next")),
  ];
}

// Without what the key would do next: press the button that has got the focus.
function onEnter(event, act) {
  if (event.key !== "Enter") return;
  event.preventDefault();
  act();
}

function saveTable() {
  const { trials, parameters } = view.data, metrics = Object.keys(trials.metrics);
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    // A sheet would take it for a formula.
    const safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = [["trial", "state", "value", ...parameters.map((each) => each.name), ...metrics, "seconds", "started"]];
  for (const { index, number, state, value } of view.trials) {
    lines.push([number, state, value, ...parameters.map((each) => (each.labels ? each.labels[each.values[index]] ?? null : each.values[index])),
      ...metrics.map((name) => trials.metrics[name][index]), trials.seconds[index], trials.started[index]]);
  }
  const content = new Blob([lines.map((line) => line.map(cell).join(",")).join("\n") + "\n"], { type: "text/csv" });
  const link = element("a", { href: URL.createObjectURL(content), download: `${view.data.study.name}.csv` });
  link.click();
  URL.revokeObjectURL(link.href);
}

function openTrial(index) {
  const { trials, parameters } = view.data, trial = view.trials[index], dialog = document.getElementById("details");
  const reason = trials.reason[index] === null ? null : trials.reasons[trials.reason[index]];
  const entries = [
    ["state", trial.state], [valueName(), trial.failed ? null : String(trial.value)], ["not the best because", trial.broken], ["reason", reason],
    ...parameters.map((each) => [each.name, each.values[index] === null ? null : exact(each, index)]),
    ...Object.entries(trials.metrics).map(([name, values]) => [name, values[index]]),
    ["iteration", trials.iteration[index]], ["attempt", trials.attempt[index]], ["started", time(trials.started[index])],
    ["took", duration(trials.seconds[index])], ["cost", trials.cost[index]],
    ["memory", trials.memory[index] === null ? null : `${(trials.memory[index] / 1e6).toFixed(0)} MB`],
    ["machine and process", trials.who ? trials.who[index] : null],
    ["last lines", trials.lines && trials.lines[index].length ? trials.lines[index].join("\n") : null],
  ].filter(([, value]) => value !== null && value !== undefined);
  const close = element("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(element("h2", {}, `Trial ${trial.number}`),
    element("table", {}, element("tbody", {}, entries.map(([name, value]) => element("tr", {},
      element("th", { scope: "row" }, isolated(name)), element("td", {}, isolated(value)))))),
    element("p", { class: "quiet" }, "As flags"), parametersOf(index), close);
  hideTip();
  if (!dialog.open) dialog.showModal();
  close.focus();
}

function running() {
  const named = view.parameters.slice(0, MOST_COLUMNS);
  return element("div", { class: "wide" }, element("table", { class: "plain" },
    element("thead", {}, element("tr", {}, ["trial", ...named.map((each) => each.name), "since"].map((title) =>
      element("th", { scope: "col" }, isolated(shortened(title, 24)))))),
    element("tbody", {}, view.data.running.map(({ trial, since, parameters }) => element("tr", {}, element("td", {}, trial),
      named.map((each) => element("td", {}, isolated(parameters[each.name] ?? "–"))), element("td", {}, time(since)))))));
}

// Failed trials by their reasons without what differs from trial to trial, the most frequent first.
function failures() {
  const { trials } = view.data, groups = new Map(), failed = view.trials.filter((each) => each.failed);
  failed.forEach((trial) => {
    const reason = trials.reason[trial.index], kind = trials.kinds[reason] ?? trials.reasons[reason];
    const group = groups.get(kind) ?? { found: [], reasons: new Set() };
    group.found.push(trial);
    group.reasons.add(trials.reasons[reason]);
    groups.set(kind, group);
  });
  const share = (count) => `${many(count, "trial")} (${percent(count / failed.length)} of the failures, ${percent(count / view.trials.length)} of all): `;
  return [...groups.entries()].sort((one, other) => other[1].found.length - one[1].found.length).slice(0, 20).map(([kind, { found, reasons }]) => element("div", {},
    element("p", { class: "reason" }, element("strong", {}, share(found.length)), isolated(reasons.size > 1 ? kind : [...reasons][0])),
    element("div", { class: "numbers" }, found.slice(0, 30).map((trial) => element("button", { type: "button",
      "aria-label": `Trial ${trial.number}`, onclick: () => openTrial(trial.index) }, trial.number)),
    found.length > 30 ? `and ${found.length - 30} more` : null)));
}

function provenance() {
  const { study, jobs, version, model } = view.data;
  const entries = [["study", `${study.name}, fingerprint ${study.fingerprint}`], ["kfp-bayesopt", version],
    model ? ["model", `Gaussian process of ${many(model.trials, "trial")}`] : null].filter(Boolean);
  return [
    element("table", { class: "plain" }, element("tbody", {}, entries.map(([name, value]) => element("tr", {},
      element("th", { scope: "row" }, name), element("td", {}, isolated(value)))))),
    ...jobs.map((job) => element("details", {}, element("summary", {}, isolated(`${job.id}: ${job.state}, ${job.place}, ${time(job.submitted)}`)),
      element("table", { class: "plain" }, element("tbody", {}, [["by", job.by], ["reason", job.reason], ["code", job.code],
        ...Object.entries(job.images).map(([step, image]) => [`image ${step}`, image])].filter(([, value]) => value)
        .map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, isolated(value)))))))),
  ];
}
