// Reads what the page holds, draws it, and while a study runs asks for what is new.

const SECONDS_BETWEEN_POLLS = 2;

function figures(width) {
  const wide = width >= 900, all = width - 34, half = wide ? (width - 16) / 2 - 34 : all;
  const third = wide ? (width - 32) / 3 - 34 : all, most = wide ? ((width - 32) / 3) * 2 + 16 - 34 : all;
  const { trials, data } = view, model = data.model;
  return [
    data.running.length ? section("Running now", "", running()) : null,
    ...(data.front.length ? [section("Front", "half", front(half)), section("Progress", "half", volume(half)),
      section("Objectives", "", objectiveChoice())] : []),
    trials.length ? section("History", "most", history(most)) : null,
    trials.length ? section("Importance", "third", model && model.importance.length ? importance(third)
      : element("p", { class: "quiet" }, model ? "Not known yet: the trials so far allow any order of the parameters."
        : "Not known: it takes five trials whose values differ, and one that was not stopped.")) : null,
    data.curves.length ? section("On the way", "", curves(all)) : null,
    model ? section("Slices", "", slices(all)) : null,
    model && model.maps.length ? section("Map of two parameters", "half", map(half)) : null,
    trials.length ? section("Where the time went", model && model.maps.length ? "half" : "", times(model && model.maps.length ? half : all)) : null,
    trials.some((each) => !each.failed) ? section("Parallel coordinates", "", parallel(all)) : null,
    trials.some((each) => each.failed) ? section("Failures", "", failures()) : null,
    trials.length ? fillId(section("Trials", "long", table()), "trials") : null,
    section("Study, versions and images", "", provenance()),
  ];
}

function fillId(made, id) {
  made.id = id;
  return made;
}

function redraw() {
  const page = document.getElementById("page"), style = getComputedStyle(page);
  const width = page.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const scrolled = [window.scrollX, window.scrollY];
  hideTip();
  const found = head();
  found.push(element("div", { class: "grid" }, figures(Math.max(width, 240)).filter(Boolean)));
  page.replaceChildren(...found);
  window.scrollTo(...scrolled);
  view.width = width;
  page.dataset.drawn = String(view.trials.length);
}

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// What a person is writing is not taken away by a new trial.
function isBusy() {
  return document.activeElement?.matches("input, select, [data-axis]") || document.getElementById("details").open;
}

async function follow() {
  let tag = null, waiting = null;
  const live = (text) => { const found = document.getElementById("live"); if (found) found.textContent = text; };
  for (;;) {
    try {
      const answer = await fetch("contents", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status === 200) {
        waiting = await answer.json();
        tag = answer.headers.get("ETag");
      } else if (answer.status !== 304) throw new Error(String(answer.status));
      if (waiting && !isBusy()) {
        load(waiting);
        waiting = null;
        redraw();
        say(`${many(view.trials.length, "trial")} ended`);
      }
      live(view.data.problem ? ` · ${view.data.problem}` : ` · live, looked at ${new Date().toLocaleTimeString()}`);
    } catch {
      live(" · the program that served this page has ended, or cannot be reached");
    }
    await new Promise((done) => setTimeout(done, SECONDS_BETWEEN_POLLS * 1000));
  }
}

async function main() {
  const held = document.getElementById("data");
  load(await unpack(held.textContent.trim()));
  redraw();
  window.addEventListener("resize", () => {
    const width = document.getElementById("page").clientWidth;
    if (Math.abs(width - view.seen) > 1) {
      view.seen = width;
      redraw();
    }
  });
  view.seen = document.getElementById("page").clientWidth;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  for (const [event, printing] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(event, () => { view.printing = printing; redraw(); });
  }
  if (held.dataset.live === "1") follow();
}

main();
