// Reads what the page holds, draws it, and while a study runs asks for what is new.

const SECONDS_BETWEEN_POLLS = 2;

const hasTrials = () => view.trials.length, hasFront = () => view.data.front.length;
const hasMaps = () => view.data.model && view.data.model.maps.length;

// The figures below the head, in their order: when each is there, how wide, and the function that draws it.
const FIGURES = [
  { title: "Running now", when: () => view.data.running.length, draw: running },
  { title: "Front", size: "half", when: hasFront, draw: front },
  { title: "Progress", size: "half", when: hasFront, draw: volume },
  { title: "Objectives", when: hasFront, draw: objectiveChoice },
  { title: "History", size: "most", when: hasTrials, draw: history },
  { title: "Importance", size: "third", when: hasTrials, draw: importance },
  { title: "On the way", when: () => view.data.curves.length, draw: curves },
  { title: "Slices", when: () => view.data.model, draw: slices },
  { title: "Map of two parameters", size: "half", when: hasMaps, draw: map },
  { title: "Where the time went", size: () => (hasMaps() ? "half" : ""), when: hasTrials, draw: times },
  { title: "Parallel coordinates", when: () => view.trials.some((each) => !each.failed), draw: parallel },
  { title: "Failures", when: () => view.trials.some((each) => each.failed), draw: failures },
  { title: "Trials", size: "long", id: "trials", when: hasTrials, draw: table },
  { title: "Study, versions and images", when: () => true, draw: provenance },
];

function figures(width) {
  const wide = width >= 900, all = width - 34, half = wide ? (width - 16) / 2 - 34 : all;
  const third = wide ? (width - 32) / 3 - 34 : all, most = wide ? ((width - 32) / 3) * 2 + 16 - 34 : all;
  const widths = { half, third, most };
  return FIGURES.filter((each) => each.when()).map((each) => {
    const size = (typeof each.size === "function" ? each.size() : each.size) || "";
    const made = section(each.title, size, each.draw(widths[size] || all));
    if (each.id) made.id = each.id;
    return made;
  });
}

function redraw() {
  const page = document.getElementById("page"), style = getComputedStyle(page);
  const width = page.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const scrolled = [window.scrollX, window.scrollY];
  hideTip();
  const found = head();
  found.push(element("div", { class: "grid" }, figures(Math.max(width, 240))));
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
