// The buttons and lists above the maps.

function zoom(map, factor, x) {
  map.scroll.zoom(factor, x);
  if (chosen.together) for (const other of maps) if (other !== map) other.scroll.follow(map.scroll);
  ask("still");
}

function showMap(name) {
  chosen.map = name;
  if (chosen.order === "marked") sorting++;
  ask("sorted");
  tellTools();
}

function tellTools() {
  const shown = maps.map((map) => map.name);
  for (const button of document.querySelectorAll("[data-map]")) {
    const name = button.dataset.map;
    button.setAttribute("aria-pressed", shown.includes(name));
    button.disabled = !maps.some((map) => map.layer.maps[name]);
  }
  const name = shown.includes(chosen.map) ? chosen.map : shown[0];
  const [limit, diverging] = [limitOf(name, chosen.layer), isSigned(name, chosen.layer)];
  const key = document.querySelector(".key");
  key.querySelector(".ramp").className = `ramp ${diverging ? "diverging" : "rising"}`;
  const digits = limit < 0.995 ? 2 : limit === 1 ? 0 : 1;
  key.querySelector(".low").textContent = diverging ? plain(-limit, digits) : "0";
  key.querySelector(".high").textContent = plain(limit, digits);
  key.querySelector(".what").textContent = document.querySelector(`[data-map="${name}"]`).title;
}

function openTools() {
  const on = (selector, type, act) => {
    for (const element of document.querySelectorAll(selector)) element.addEventListener(type, () => act(element));
  };
  const sortAgain = () => {
    sorting++;
    ask("sorted");
  };
  on("[data-map]", "click", (button) => showMap(button.dataset.map));
  on("[data-zoom]", "click", (button) => zoomAll({ in: 1.6, out: 1 / 1.6, whole: 0 }[button.dataset.zoom]));
  on("[data-tall]", "click", (button) => {
    for (const { scroll } of maps) scroll.factor = Math.max(0.25, Math.min(16, scroll.factor * (button.dataset.tall === "more" ? 2 : 0.5)));
    ask("sorted");
  });
  on("select[name=order]", "change", (list) => {
    chosen.order = list.value;
    sortAgain();
  });
  on("select[name=layer]", "change", (list) => {
    chosen.layer = list.value;
    sortAgain();
    search();
    tellTools();
  });
  on("select[name=measure]", "change", (list) => {
    chosen.measure = list.value;
    search();
  });
  on("input[name=together]", "change", (box) => {
    chosen.together = box.checked;
    for (const map of maps) map.scroll.fit(spanOf(map));
    if (box.checked && maps.length > 1) maps[1].scroll.follow(maps[0].scroll);
    ask("still");
  });
  on("input[name=aligned]", "change", (box) => {
    chosen.aligned = box.checked;
    sortAgain();
  });
}

function zoomAll(factor) {
  if (chosen.together) zoom(maps[0], factor);
  else for (const map of maps) zoom(map, factor);
}
