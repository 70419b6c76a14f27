// What the reader has chosen, and who is told of it: all of them once, in the next frame of the screen.

const page = JSON.parse(document.getElementById("page-values").textContent);
page.held = floats(page.held);
page.push = floats(page.push);
page.short = shortNames(page.words);

// lit: the reader points at the word just now, so its band stands out from the others.
const chosen = { layer: 0, word: page.start, unit: 0, lit: false };
const listeners = { layer: [], choice: [] };
let wanted = null;

function choose(change) {
  if (wanted === null) {
    wanted = {};
    requestAnimationFrame(settle);
  }
  Object.assign(wanted, change);
}

function settle() {
  const change = wanted;
  wanted = null;
  if (change.layer !== undefined && change.layer !== chosen.layer) {
    chosen.layer = change.layer;
    chosen.unit = layer().start;
    for (const listener of listeners.layer) listener();
  }
  Object.assign(chosen, change);
  for (const listener of listeners.choice) listener();
}

// Bring an element up to the choice: at once while it is seen, else when the reader pauses, so that what is out of
// sight costs the pointer nothing.
const PAUSE = 60; // milliseconds

function follow(element, update) {
  let isSeen = true;
  let waiting = null;
  const now = () => {
    clearTimeout(waiting);
    waiting = null;
    update();
  };
  const see = ([entry]) => {
    isSeen = entry.isIntersecting;
    if (isSeen && waiting !== null) now();
  };
  new IntersectionObserver(see, { rootMargin: "50px" }).observe(element);
  listeners.choice.push(() => {
    if (isSeen) return now();
    clearTimeout(waiting);
    waiting = setTimeout(now, PAUSE);
  });
}

// Layers are decoded when they are first shown.
const layers = [];

function layer(k = chosen.layer) {
  if (!layers[k]) layers[k] = readLayer(document.getElementById(`layer-values-${k}`).textContent);
  return layers[k];
}

function readLayer(text) {
  const found = JSON.parse(text);
  for (const name of Object.keys(found.gates)) found.gates[name] = floats(found.gates[name]);
  for (const name of ["memory", "initial", "belt", "edge", "reading", "halfLives", "written", "retained"]) {
    found[name] = found[name] === null ? null : floats(found[name]);
  }
  found.stepOf = new Map(found.positions.map((word, step) => [word, step]));
  return found;
}

// Little-endian float32, as every browser's machine has it.
function floats(base64) {
  const raw = atob(base64);
  const bytes = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k);
  return new Float32Array(bytes.buffer);
}
