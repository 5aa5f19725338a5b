// The head of the page: what came out, and what to do.

function head() {
  const { study, best, advice, times } = view.data;
  const ended = best.trials - best.left, first = advice.slice(0, 3), more = advice.slice(3);
  const currency = view.data.jobs.map((job) => job.currency).find(Boolean) || "";
  return [
    element("header", {},
      element("h1", {}, isolated(study.name)),
      element("p", { class: "quiet" }, `${study.aim} `, isolated(study.objective),
        ` · ${study.schedule}, ${study.parallel} at once · engine ${study.engine}`, element("span", { id: "live" })),
      element("dl", { class: "facts" },
        ...(view.data.objectives.length
          ? [fact("on the front", view.data.front.length, "value"), fact("hypervolume", brief(best.hypervolume))]
          : [fact("best value", brief(best.value), "value"), fact("in trial", best.trial ?? "–")]),
        fact("trials", `${ended} of ${best.trials}`),
        fact("failed", best.failed),
        best.stopped ? fact("stopped early", best.stopped) : null,
        best.outside !== undefined ? fact(`outside the ${bounds()}`, best.outside) : null,
        view.data.running.length ? fact("running", view.data.running.length) : null,
        times.lanes.length ? fact("machine time", duration(times.total)) : null,
        best.cost !== undefined ? fact("cost", `${best.cost.toFixed(2)} ${currency}`) : null)),
    element("div", { class: "grid" },
      section("What to do", "half",
        first.length ? element("ul", { class: "advice" }, first.map(sentence))
          : element("p", { class: "quiet" }, ended ? "Nothing stands out yet." : "No trial has ended yet."),
        more.length ? element("details", {}, element("summary", {}, `${many(more.length, "other finding")}`),
          element("ul", { class: "advice" }, more.map(sentence))) : null,
        best.ended ? element("p", { class: "quiet" }, `Ended early: ${best.ended}.`) : null),
      view.data.front.length ? section("Best compromises", "half", compromises()) : section("Best parameters", "half", ...bestParameters())),
  ];
}

function bestParameters() {
  const { best, recommended, trials } = view.data;
  if (view.best < 0) return [element("p", { class: "quiet" }, best.nearest ? `No trial keeps all ${bounds()}.` : "No trial has completed.")];
  return [parametersOf(view.best),
    recommended && recommended !== best.trial ? element("div", {},
      element("p", {}, `Recommended, because the study is noisy: trial ${recommended}`),
      parametersOf(trials.number.indexOf(recommended))) : null];
}

function fact(term, text, classes = null) {
  return element("div", {}, element("dt", {}, term), element("dd", { class: classes }, String(text)));
}

function sentence({ kind, text }) {
  return element("li", { "data-kind": kind }, isolated(text));
}

function parametersOf(index) {
  const given = view.data.parameters.filter((each) => each.values[index] !== null).map((each) => `--${each.name}=${quoted(exact(each, index))}`), text = given.join(" ");
  // A line breaks between two flags, not in one.
  const flags = element("code", { class: "flags", tabindex: 0, role: "group", "aria-label": "Parameters as flags" },
    given.map((flag) => [element("span", {}, flag), " "]).flat());
  const copy = element("button", { type: "button", onclick: () => {
    getSelection().selectAllChildren(flags);
    const done = () => { copy.textContent = "Copied"; };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => {});
  } }, "Copy");
  return element("div", {}, flags, element("div", { class: "tools" }, copy));
}

function exact(parameter, index) {
  const value = parameter.values[index];
  if (!parameter.labels) return String(value);
  const text = parameter.labels[value];
  try {
    const read = JSON.parse(text);
    return typeof read === "string" ? read : text;
  } catch {
    return text;
  }
}

// As a shell reads it.
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
