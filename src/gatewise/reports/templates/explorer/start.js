// The first drawing, and what keeps it up to date.

document.documentElement.classList.add("scripted");
const maps = Array.from(document.querySelectorAll("[data-side]"), (host, k) => new SideMap(host, k));
chosen.layer = explorer.sides[0].layers[0].name;
chosen.map = firstMap(explorer.sides[0].layers[0]);
chosen.order = document.querySelector("select[name=order]").value;
for (const name of ["together", "aligned"]) {
  const box = document.querySelector(`input[name=${name}]`);
  chosen[name] = box !== null && box.checked;
}

for (const map of maps) {
  const { host } = map.scroll;
  host.addEventListener("scroll", () => {
    map.scroll.sync();
    if (chosen.together) for (const other of maps) if (other !== map) other.scroll.moveTo(map.scroll.left, map.scroll.top);
    ask("still");
  }, { passive: true });
  host.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(map, Math.exp(-event.deltaY / 200), event.clientX - host.getBoundingClientRect().left);
  }, { passive: false });
  new ResizeObserver(() => {
    if (host.clientWidth !== map.scroll.width) ask("sorted");
  }).observe(host);
  pointing(map);
  dragging(map, map.moving, (event) => event.pointerType === "mouse");
  dragging(map, map.names, () => true);
  keys(map);
}

function repaint() {
  palette = new Map();
  sorting++;
  ask("sorted");
}

// The other maps are drawn while nobody waits for them, so that the first switch to one is as quick as the next.
function prepare(left) {
  if (!left.length) {
    document.documentElement.dataset.ready = "";
    return;
  }
  const [map, name] = left[0];
  if (map.layer.maps[name]?.rows !== map.order.length) return prepare(left.slice(1));
  const before = chosen.map;
  chosen.map = name;
  map.picture();
  chosen.map = before;
  map.shown = map.layer.maps[before] ? before : map.shown;
  setTimeout(prepare, 0, left.slice(1));
}

openTools();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
ask("sorted");
requestAnimationFrame(() => {
  tellTools();
  const all = maps.flatMap((map) => Object.keys(map.layer.maps).map((name) => [map, name]));
  setTimeout(prepare, 0, all.slice(0, KEPT));
});
