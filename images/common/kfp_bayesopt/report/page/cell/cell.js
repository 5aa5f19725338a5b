// In a frame below the cell of a notebook: as high as its content, and as dark as the notebook.

const LEAST_HEIGHT = 120; // of what is drawn
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
  document.documentElement.style.overflow = "hidden"; // all of it is in sight
  const [shade] = (getComputedStyle(frame).color.match(/[\d.]+/g) ?? ["0"]).map(Number);
  const scheme = shade > 128 ? "dark" : "light"; // bright letters are on a dark ground
  if (frame.style.colorScheme !== scheme) frame.style.colorScheme = scheme;
  const height = Math.max(LEAST_HEIGHT, Math.ceil(page.getBoundingClientRect().height));
  if (Math.abs(frame.offsetHeight - height) > 1) frame.style.height = `${height}px`;
}
