// What the reader has chosen, and what has to be drawn anew for it: once, in the next frame of the screen.

// point: { side, step, unit } or null. range: { side, from, to }, both ends marked, or null.
const chosen = { map: null, layer: null, order: null, measure: "cosine", together: true, aligned: true, point: null, range: null };
const painters = { still: [], moving: [], sorted: [] };
const wanted = new Set();
let frame = null;

// still: the maps as they are scrolled; moving: what follows the pointer; sorted: the order of the rows, then the maps.
function ask(...kinds) {
  for (const kind of kinds) wanted.add(kind);
  if (frame === null) frame = requestAnimationFrame(paintAll);
}

function paintAll() {
  frame = null;
  const kinds = new Set(wanted);
  wanted.clear();
  if (kinds.has("sorted")) kinds.add("still");
  if (kinds.has("still")) kinds.add("moving");
  for (const kind of ["sorted", "still", "moving"]) {
    if (kinds.has(kind)) for (const paint of painters[kind]) paint();
  }
}
