// The whole page in a cell: what is new comes in an element of the notebook beside the frame.

const SECONDS_BETWEEN_LOOKS = 1;

function inCell(id) {
  const drawn = redraw;
  redraw = () => { fit(); drawn(); fit(); };
  follow = async () => {
    const news = () => window.parent.document.getElementById(id);
    let tag = null, waiting = null;
    for (;;) {
      try {
        const found = news();
        if (found && found.dataset.tag !== tag) {
          waiting = await unpack(found.textContent.trim());
          tag = found.dataset.tag;
        }
        if (waiting && !isBusy()) {
          load(waiting);
          waiting = null;
          redraw();
          say(`${many(view.trials.length, "trial")} ended`);
        }
      } catch {
        return; // a front end that keeps frames apart, or that has taken the cell away
      }
      await new Promise((done) => setTimeout(done, SECONDS_BETWEEN_LOOKS * 1000));
    }
  };
}
