// The words of the text as one widget: the arrow keys move, and every copy of a word on the page chooses it.

const box = document.querySelector(".words[role=listbox]");
const options = box ? Array.from(box.children) : [];
const copies = new Map(); // word -> the elements that stand for it
let shownWord = null;

for (const found of document.querySelectorAll("[data-word]")) {
  const word = Number(found.dataset.word);
  if (!copies.has(word)) copies.set(word, []);
  copies.get(word).push(found);
}

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
}

if (box) {
  box.addEventListener("focus", () => choose({ lit: true }), true);
  box.addEventListener("keydown", (event) => {
    const backwards = getComputedStyle(box).direction === "rtl";
    const to = movedBy(event.key, chosen.word, options.length, backwards);
    if (to === null) return;
    event.preventDefault();
    choose({ word: to, lit: true });
    options[to].tabIndex = 0;
    options[to].focus();
  });
}

listeners.choice.push(() => {
  if (chosen.word === shownWord) return;
  for (const old of copies.get(shownWord) ?? []) old.classList.remove("chosen");
  for (const now of copies.get(chosen.word) ?? []) now.classList.add("chosen");
  const before = options[shownWord];
  if (before) {
    before.tabIndex = -1;
    before.removeAttribute("aria-selected");
  }
  const option = options[chosen.word];
  if (option) {
    option.tabIndex = 0;
    option.setAttribute("aria-selected", "true");
  }
  shownWord = chosen.word;
});
