// The words of the text as one widget: the arrow keys move, and every copy of a word on the page chooses it.

const box = document.querySelector(".words[role=listbox]");
const options = box ? Array.from(box.children) : [];

function wordUnder(event) {
  const found = event.target.closest("[data-word]");
  return found ? { word: Number(found.dataset.word), lit: true } : null;
}

for (const region of document.querySelectorAll(".words, .word-table")) {
  for (const type of ["pointerover", "click"]) {
    region.addEventListener(type, (event) => {
      const found = wordUnder(event);
      if (found) choose(found);
    });
  }
  region.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") choose({ lit: false });
  });
  markIn(region);
}

if (box) {
  box.addEventListener("focus", () => choose({ lit: true }), true);
  box.addEventListener("keydown", (event) => {
    const backwards = getComputedStyle(box).direction === "rtl";
    const to = movedBy(event.key, chosen.word, options.length, backwards);
    if (to === null) return;
    event.preventDefault();
    choose({ word: to, lit: true });
    options[to].focus();
  });
}

// Show the choice among the words of one region.
function markIn(region) {
  const words = new Map();
  for (const found of region.querySelectorAll("[data-word]")) words.set(Number(found.dataset.word), found);
  let shown = null;
  follow(region, () => {
    if (chosen.word === shown) return;
    words.get(shown)?.classList.remove("chosen");
    words.get(chosen.word)?.classList.add("chosen");
    if (region === box) {
      setOption(options[shown], false);
      setOption(options[chosen.word], true);
    }
    shown = chosen.word;
  });
}

// The chosen option is the one that the tab key leads to.
function setOption(option, isChosen) {
  if (!option) return;
  option.tabIndex = isChosen ? 0 : -1;
  option.setAttribute("aria-selected", isChosen);
}
