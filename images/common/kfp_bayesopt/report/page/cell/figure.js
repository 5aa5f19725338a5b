// One figure alone.

function alone(name) {
  redraw = () => {
    const page = document.getElementById("page"), names = FIGURES.map((each) => each.draw.name), at = names.indexOf(name);
    const figure = FIGURES[at];
    fit();
    hideTip();
    // Of several objectives, what follows their choice shows one of them.
    const chooses = view.data.objectives.length > 0 && at > names.indexOf("objectiveChoice");
    const drawn = figure.when() ? figure.draw(Math.max(page.clientWidth - 2 * MARGIN - 34, 240))
      : element("p", { class: "quiet" }, "Nothing to draw yet.");
    page.replaceChildren(section(figure.title, "", ...(chooses ? [objectiveChoice()] : []), drawn));
    page.dataset.drawn = name;
    fit();
  };
}
