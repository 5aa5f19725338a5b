// In a frame below the cell of a notebook: as high as its content, up to a screen, and as dark as the notebook.

const LEAST_HEIGHT = 120;
const MOST_HEIGHT = 960; // what is higher scrolls, and the details of a trial open where a person sees them
const MARGIN = 4;

// The element of the notebook that holds this frame; null where the frame may not know.
function frameOf() {
  try {
    return window.frameElement;
  } catch {
    return null;
  }
}

function fit() {
  const page = document.getElementById("page"), frame = frameOf();
  page.style.padding = `${MARGIN}px`;
  page.style.maxWidth = "none";
  if (!frame) return;
  const [shade] = (getComputedStyle(frame).color.match(/[\d.]+/g) ?? ["0"]).map(Number);
  const scheme = shade > 128 ? "dark" : "light"; // bright letters are on a dark ground
  if (frame.style.colorScheme !== scheme) frame.style.colorScheme = scheme;
  const whole = Math.ceil(page.getBoundingClientRect().height), height = Math.min(Math.max(LEAST_HEIGHT, whole), MOST_HEIGHT);
  document.documentElement.style.overflow = whole > MOST_HEIGHT ? "auto" : "hidden";
  if (Math.abs(frame.offsetHeight - height) > 1) frame.style.height = `${height}px`;
}
