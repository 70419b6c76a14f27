// One step of one unit, with its numbers in the equations.

// Every number that the boxes of a layer show, by name.
const EQUATIONS = {
  lstm({ gate, memory, before }) {
    const [i, f, g, o] = ["i", "f", "g", "o"].map(gate);
    const shown = Math.tanh(memory);
    return { i, f, g, o, before, memory, kept: f * before, added: i * g, tanh: shown, shown: o * shown };
  },
  gru({ gate, memory, before }) {
    const [r, z, n] = ["r", "z", "n"].map(gate);
    return { r, z, n, before, memory, rest: 1 - z, kept: z * before, added: (1 - z) * n };
  },
  rnn({ memory, before }) {
    return { memory, before };
  },
};

function numbersAt(k, step, unit) {
  const { family, gates, memory, initial, units } = layer(k);
  const before = layer(k).reverse ? step + 1 : step - 1;
  return EQUATIONS[family]({
    gate: (name) => gates[name][step * units + unit],
    memory: memory[step * units + unit],
    before: before < 0 || before >= layer(k).steps ? initial[unit] : memory[before * units + unit],
  });
}

class StepPanel {
  constructor(panel, k) {
    this.k = k;
    this.numbers = panel.querySelectorAll("[data-number]");
    this.bars = panel.querySelectorAll("[data-bar]");
    this.boxes = panel.querySelector(".boxes");
    this.unread = panel.querySelector(".unread");
    this.largest = layer(k).memory.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
    this.word = this.picker(panel, "word", page.words.map((text, at) => `${at + 1}. ${shortened(text, 40)}`));
    this.unit = this.picker(panel, "unit", Array.from({ length: layer(k).units }, (_, unit) => `unit ${unit}`));
    this.show();
  }

  // A list with a button before and one after it.
  picker(panel, what, names) {
    const list = panel.querySelector(`select[name=${what}]`);
    list.append(...names.map((name, at) => new Option(name, at)));
    const go = (to) => choose({ [what]: Math.max(0, Math.min(names.length - 1, to)), lit: true });
    list.addEventListener("change", () => go(Number(list.value)));
    for (const by of [-1, 1]) {
      panel.querySelector(`button[name="${what}"][value="${by}"]`).addEventListener("click", () => go(chosen[what] + by));
    }
    return list;
  }

  show() {
    this.word.value = chosen.word;
    this.unit.value = chosen.unit;
    const step = layer(this.k).stepOf.get(chosen.word);
    this.boxes.hidden = step === undefined;
    this.unread.hidden = step !== undefined;
    if (step === undefined) return;
    const values = numbersAt(this.k, step, chosen.unit);
    for (const cell of this.numbers) cell.textContent = plain(values[cell.dataset.number]);
    for (const bar of this.bars) this.fill(bar, values[bar.dataset.bar]);
  }

  // A gate fills its bar from the left; what has a sign grows from the middle.
  fill(bar, value) {
    const inside = bar.firstElementChild;
    const range = { gate: 1, content: 2, memory: 2 * this.largest }[bar.dataset.scale];
    const wide = Math.min(1, Math.abs(value) / range);
    const start = bar.dataset.scale === "gate" ? 0 : value < 0 ? 0.5 - wide : 0.5;
    inside.style.left = `${100 * start}%`;
    inside.style.width = `${100 * wide}%`;
    bar.classList.toggle("minus", value < 0);
  }
}

function openStep(block, k) {
  const host = block.querySelector(".step");
  const panel = new StepPanel(host, k);
  follow(host, () => chosen.layer === k && panel.show());
}
