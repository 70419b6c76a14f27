// The layer that is shown, the file to save, printing, and the first drawing.

const blocks = Array.from(document.querySelectorAll("[data-layer]"));
const opened = new Set();

function showLayer() {
  for (const block of blocks) block.hidden = Number(block.dataset.layer) !== chosen.layer;
  for (const list of document.querySelectorAll("select[name=layer]")) list.value = chosen.layer;
  fillTable();
  if (opened.has(chosen.layer)) return;
  opened.add(chosen.layer);
  for (const block of blocks.filter((one) => !one.hidden)) {
    if (block.dataset.holds === "belt") openBelt(block, chosen.layer);
    if (block.dataset.holds === "gates") openGates(block, chosen.layer);
    if (block.dataset.holds === "step") openStep(block, chosen.layer);
  }
}

// The columns of the table that belong to a layer.
function fillTable() {
  const { stepOf, written, retained } = layer();
  for (const row of document.querySelectorAll(".word-table tbody tr")) {
    const step = stepOf.get(Number(row.dataset.word));
    const at = (values) => (values === null || step === undefined ? "" : plain(values[step]));
    row.querySelector(".written").textContent = at(written);
    row.querySelector(".retained").textContent = at(retained);
  }
}

function openSelectors() {
  for (const list of document.querySelectorAll("select[name=layer]")) {
    list.addEventListener("change", () => choose({ layer: Number(list.value) }));
  }
}

// The numbers as a file, made here from what the page holds.
function openDownload() {
  const link = document.querySelector("a.download");
  const values = document.getElementById("download-values");
  if (!link || !values) return;
  link.href = URL.createObjectURL(new Blob([values.textContent], { type: "application/json" }));
  link.hidden = false;
}

// On paper: light, with everything unfolded, and nothing that follows the pointer.
function print(isPrinting) {
  if (isPrinting === printing) return;
  printing = isPrinting;
  document.documentElement.classList.toggle("printing", printing);
  for (const details of document.querySelectorAll("details")) {
    if (printing) details.dataset.wasOpen = details.open;
    details.open = printing || details.dataset.wasOpen === "true";
  }
  redraw();
}

function redraw() {
  palette = new Map();
  for (const plot of plots) plot.draw();
}

document.documentElement.classList.add("scripted");
openSelectors();
openDownload();
openVariables();
if (page.layers) {
  chosen.unit = layer().start;
  listeners.layer.push(showLayer);
  showLayer();
}
redraw();
for (const listener of listeners.choice) listener();

window.addEventListener("beforeprint", () => print(true));
window.addEventListener("afterprint", () => print(false));
matchMedia("print").addEventListener("change", (event) => print(event.matches));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".plot, .words, .word-table, .step")) choose({ lit: false });
});
