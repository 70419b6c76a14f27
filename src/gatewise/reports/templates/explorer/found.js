// The steps whose states are nearest to the range that the reader marked.

const states = new Map(); // by place and layer
let running = null;
let isStale = false;

function statesOf(place, layerName) {
  const key = `${place} ${layerName}`;
  if (!states.has(key)) {
    const isCorpus = place === "corpus";
    const values = isCorpus ? explorer.corpus.states[layerName] : layerOf(explorer.sides[place], layerName).maps.h;
    const starts = [0];
    for (const text of isCorpus ? explorer.corpus.texts : [explorer.sides[place].steps]) starts.push(starts.at(-1) + text.length);
    states.set(key, new States(values, starts));
  }
  return states.get(key);
}

// Whose mean state is looked for in a place: that of the marked side where the same model made both, else that of the
// place's own model over the same steps; null where these are not the same steps. The corpus is the first side's.
function asker(place) {
  const { side } = chosen.range;
  const model = place === "corpus" ? 0 : place;
  if (model === side || explorer.sameModel) return side;
  return sameSteps ? model : null;
}

function searchesOf() {
  const { from, to } = chosen.range;
  return Array.from(document.querySelectorAll(".place")).map((host) => {
    const place = host.dataset.place === "corpus" ? "corpus" : Number(host.dataset.place);
    const side = asker(place);
    if (side === null) return { host, place, search: null };
    const layerName = layerOf(explorer.sides[side], chosen.layer).name;
    const query = meanOver(statesOf(side, layerName).values, from, to);
    const own = place === chosen.range.side || (place !== "corpus" && sameSteps);
    return { host, place, search: new Search(statesOf(place, layerName), query, chosen.measure, own ? [from, to] : null) };
  });
}

// Search for the present range; a range that changes meanwhile is searched for afterwards.
function search() {
  if (running) {
    isStale = true;
    return;
  }
  isStale = false;
  if (!chosen.range) return clearFound();
  running = searchesOf();
  workOn();
}

function workOn() {
  const until = performance.now() + SLICE;
  const isDone = running.every(({ search }) => search === null || search.work(until));
  if (!isDone) return setTimeout(workOn, 0);
  const done = running;
  running = null;
  tellFound(done);
  if (isStale) setTimeout(search, 0);
}

function clearFound() {
  document.querySelector("#found .marked").hidden = true;
  document.querySelector("#found .hint").hidden = false;
  for (const host of document.querySelectorAll(".place")) {
    host.hidden = true;
    host.querySelector("ol").replaceChildren();
  }
}

function tellFound(done) {
  if (!chosen.range) return clearFound();
  const { side, from, to } = chosen.range;
  const marked = document.querySelector("#found .marked");
  const names = explorer.sides[side].steps;
  const title = explorer.sides.length > 1 ? `${explorer.sides[side].title}, ` : "";
  const what = from === to ? `${explorer.unit} ${from + 1}` : `${explorer.unit}s ${from + 1} to ${to + 1}`;
  marked.replaceChildren(`${title}${what}: `, ...surroundings(names, from, to));
  marked.hidden = false;
  document.querySelector("#found .hint").hidden = true;
  for (const { host, place, search } of done) {
    host.hidden = false;
    tellPlace(host, place, search);
  }
}

function tellPlace(host, place, search) {
  const list = host.querySelector("ol");
  const note = host.querySelector("p");
  const hits = search ? search.best() : [];
  note.textContent = search === null
    ? "Another model read other steps here, so its states cannot be compared."
    : hits.length ? "" : "There is no other step.";
  note.hidden = !note.textContent;
  list.replaceChildren(...hits.map((hit) => hitElement(place, hit, search.states)));
}

function hitElement(place, { step, value }, inside) {
  const item = document.createElement("li");
  item.dataset.step = step;
  item.dataset.value = value;
  const score = document.createElement("span");
  score.className = "score";
  score.textContent = plain(value, 3);
  const text = inside.textOf(step);
  const names = place === "corpus" ? explorer.corpus.texts[text] : explorer.sides[place].steps;
  const own = step - inside.starts[text];
  const words = document.createElement(place === "corpus" ? "span" : "button");
  words.className = "words-around";
  words.append(...surroundings(names, own, own));
  const where = document.createElement("span");
  where.className = "at";
  where.textContent = place === "corpus" ? `text ${shortened(explorer.corpus.ids[text], 40)}, ${explorer.unit} ${own + 1}` : `${explorer.unit} ${own + 1}`;
  if (place !== "corpus") {
    words.type = "button";
    words.addEventListener("click", () => goTo(maps[place], own));
  }
  item.append(score, words, where);
  return item;
}
