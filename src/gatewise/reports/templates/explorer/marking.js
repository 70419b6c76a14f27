// Pointing and marking, with a mouse, a finger or keys.

function point(map, step, unit) {
  chosen.point = { side: map.k, step, unit };
  ask("moving");
}

// Mark the steps between two, in either order; then `settle` when the range stands.
function mark(map, one, other) {
  chosen.range = { side: map.k, from: Math.min(one, other), to: Math.max(one, other) };
  ask("moving");
  search();
}

function settle() {
  if (chosen.order !== "marked") return;
  sorting++;
  ask("sorted");
}

function clearMark() {
  chosen.range = null;
  ask("moving");
  search();
  settle();
}

// Bring a step into sight and point at it.
function goTo(map, step) {
  const unit = chosen.point?.unit ?? map.order[0];
  point(map, step, Math.min(unit, map.order.length - 1));
  map.scroll.show(step, map.rowOf[chosen.point.unit]);
  map.scroll.host.focus({ preventScroll: true });
  map.host.scrollIntoView({ block: "nearest" });
}

// A drag over `area` marks; its start is kept, so that it can go both ways and beyond the edge.
function dragging(map, area, allowed) {
  let start = null;
  const at = (event) => event.clientX - map.window.getBoundingClientRect().left;
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !allowed(event)) return;
    event.preventDefault();
    map.scroll.host.focus({ preventScroll: true });
    area.setPointerCapture(event.pointerId);
    start = map.scroll.stepAt(at(event));
    mark(map, start, start);
  });
  area.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const x = at(event);
    if (x < 0) map.scroll.moveTo(map.scroll.left + x);
    if (x > map.scroll.width) map.scroll.moveTo(map.scroll.left + x - map.scroll.width);
    const step = map.scroll.stepAt(Math.max(0, Math.min(map.scroll.width - 1, x)));
    if (chosen.range.from !== Math.min(start, step) || chosen.range.to !== Math.max(start, step)) mark(map, start, step);
  });
  for (const type of ["pointerup", "pointercancel"]) {
    area.addEventListener(type, () => {
      if (start !== null) settle();
      start = null;
    });
  }
}

function pointing(map) {
  const see = (event) => {
    point(map, map.scroll.stepAt(event.offsetX), map.order[map.scroll.rowAt(event.offsetY)]);
  };
  map.moving.addEventListener("pointermove", see);
  map.moving.addEventListener("pointerdown", see);
  map.moving.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "mouse" || document.activeElement === map.scroll.host) return;
    chosen.point = null;
    ask("moving");
  });
}

// One widget for the keyboard: arrows move the point, with Shift they mark from where it stood.
function keys(map) {
  let anchor = null;
  map.scroll.host.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      clearMark();
      return;
    }
    if (["+", "=", "-", "0"].includes(event.key)) {
      event.preventDefault();
      zoom(map, { "-": 1 / 1.5, 0: 0 }[event.key] ?? 1.5);
      return;
    }
    const own = chosen.point?.side === map.k ? chosen.point : { step: 0, unit: map.order[0] };
    const row = map.rowOf[own.unit];
    const isUpright = event.key === "ArrowUp" || event.key === "ArrowDown";
    const moved = movedBy(event.key, isUpright ? row : own.step, isUpright ? map.order.length : map.side.steps.length);
    if (moved === null) return;
    event.preventDefault();
    const [step, unit] = isUpright ? [own.step, map.order[moved]] : [moved, own.unit];
    if (event.shiftKey && !isUpright) {
      anchor ??= own.step;
      mark(map, anchor, step);
      settle();
    } else anchor = null;
    point(map, step, unit);
    map.scroll.show(step, map.rowOf[unit]);
    speak(map);
  });
}

// Said to those who do not see the map; not while a pointer moves.
function speak(map) {
  const { step, unit } = chosen.point;
  map.host.querySelector(".spoken").textContent = `${shortened(map.side.steps[step], 40)}: ${pointText(map, step, unit)}`;
}
