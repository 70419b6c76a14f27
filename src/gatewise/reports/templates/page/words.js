// The words of a text as one widget: the arrow keys move, and every copy of a word on the page chooses it.

// Let the words in an element choose; words carry their place as data-word. A listbox is moved through with the arrow
// keys. Returns what is to be called when the element holds other words.
function openWords(region, scene) {
  for (const type of ["pointerover", "click"]) {
    region.addEventListener(type, (event) => {
      const found = event.target.closest("[data-word]");
      if (found) scene.choose({ word: Number(found.dataset.word), lit: true });
    });
  }
  region.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") scene.choose({ lit: false });
  });
  const isBox = region.getAttribute("role") === "listbox";
  if (isBox) openKeys(region, scene);
  return markIn(region, scene, isBox);
}

function openKeys(box, scene) {
  box.addEventListener("focus", () => scene.choose({ lit: true }), true);
  box.addEventListener("keydown", (event) => {
    const backwards = getComputedStyle(box).direction === "rtl";
    const to = movedBy(event.key, scene.chosen.word, box.children.length, backwards);
    if (to === null) return;
    event.preventDefault();
    scene.choose({ word: to, lit: true });
    box.children[to].focus();
  });
}

// Show the choice among the words of one region.
function markIn(region, scene, isBox) {
  let words = null;
  let shown = null;
  const mark = () => {
    const { word } = scene.chosen;
    if (word === shown) return;
    words.get(shown)?.classList.remove("chosen");
    words.get(word)?.classList.add("chosen");
    if (isBox) {
      setOption(words.get(shown), false);
      setOption(words.get(word), true);
    }
    shown = word;
  };
  const renew = () => {
    words = new Map();
    for (const found of region.querySelectorAll("[data-word]")) words.set(Number(found.dataset.word), found);
    shown = null;
  };
  renew();
  scene.follow(region, mark);
  return () => {
    renew();
    mark();
  };
}

// The chosen option is the one that the tab key leads to.
function setOption(option, isChosen) {
  if (!option) return;
  option.tabIndex = isChosen ? 0 : -1;
  option.setAttribute("aria-selected", isChosen);
}

for (const region of document.querySelectorAll(".words:not(.live-words), .word-table")) openWords(region, explained);
