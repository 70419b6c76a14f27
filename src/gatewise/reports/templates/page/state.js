// What is shown, what the reader has chosen in it, and who is told of that.

// Words with the layers that read them. The page has one, and a part of it that reads another text has its own.
class Scene {
  // start: the word that is chosen first. layerAt(k): layer k.
  constructor({ unit, words, start }, layerAt) {
    Object.assign(this, { unit, words, layerAt });
    this.short = shortNames(words, unit);
    // lit: the reader points at the word just now, so its band stands out from the others.
    this.chosen = { layer: 0, word: start, unit: 0, lit: false };
    this.listeners = { layer: [], choice: [] };
    this.wanted = null;
  }

  // The listeners are told once, in the next frame of the screen.
  choose(change) {
    if (this.wanted === null) {
      this.wanted = {};
      requestAnimationFrame(() => this.settle());
    }
    Object.assign(this.wanted, change);
  }

  settle() {
    const change = this.wanted;
    this.wanted = null;
    if (change.layer !== undefined && change.layer !== this.chosen.layer) {
      this.chosen.layer = change.layer;
      this.chosen.unit = this.layer().start;
      for (const listener of this.listeners.layer) listener();
    }
    Object.assign(this.chosen, change);
    this.tell();
  }

  tell() {
    for (const listener of this.listeners.choice) listener();
  }

  // Bring an element up to the choice: at once while it is seen, else when the reader pauses, so that what is out of
  // sight costs the pointer nothing.
  follow(element, update) {
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
    this.listeners.choice.push(() => {
      if (isSeen) return now();
      clearTimeout(waiting);
      waiting = setTimeout(now, PAUSE);
    });
  }

  layer(k = this.chosen.layer) {
    return this.layerAt(k);
  }
}

const PAUSE = 60; // milliseconds

const page = JSON.parse(document.getElementById("page-values").textContent);
page.held = floats(page.held);
page.push = floats(page.push);

// Layers are decoded when they are first shown.
const layers = [];

function decoded(k) {
  if (!layers[k]) layers[k] = readLayer(document.getElementById(`layer-values-${k}`).textContent);
  return layers[k];
}

const explained = new Scene(page, decoded);
const { chosen, listeners } = explained;
page.short = explained.short;

function choose(change) {
  explained.choose(change);
}

function follow(element, update) {
  explained.follow(element, update);
}

function layer(k = chosen.layer) {
  return decoded(k);
}

function readLayer(text) {
  const found = JSON.parse(text);
  for (const name of Object.keys(found.gates)) found.gates[name] = floats(found.gates[name]);
  for (const name of ["memory", "initial", "belt", "edge", "reading", "halfLives", "written", "retained"]) {
    found[name] = found[name] === null ? null : floats(found[name]);
  }
  found.stepOf = stepsByWord(found.positions);
  return found;
}

// Which step of a layer read which word.
function stepsByWord(positions) {
  return new Map(positions.map((word, step) => [word, step]));
}
