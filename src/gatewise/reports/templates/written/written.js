// One token at a time: chosen with the pointer, or with the arrow keys.
const buttons = Array.from(document.querySelectorAll(".written button"));
const parts = Array.from(document.querySelectorAll("article.step"));

function show(chosen) {
  buttons.forEach((button, k) => {
    button.setAttribute("aria-pressed", String(k === chosen));
    button.tabIndex = k === chosen ? 0 : -1;
  });
  parts.forEach((part, k) => (part.hidden = k !== chosen));
}

function move(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const next = buttons[buttons.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
  next.click();
}

document.documentElement.classList.add("scripted");
buttons.forEach((button, k) => {
  button.addEventListener("click", () => show(k));
  button.addEventListener("keydown", move);
});
show(Math.max(0, parts.findIndex((part) => "start" in part.dataset)));
