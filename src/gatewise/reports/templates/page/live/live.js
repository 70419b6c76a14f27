// The model run by the page: the reader's own text, and changes while it runs.

const BELT_WORDS = 1000; // a belt takes the square of that in numbers
const TOLERANCE = 1e-5; // between Python's numbers and those of this script
const PATIENCE = 250; // milliseconds between keys, where a text takes long
const QUICK = 30; // milliseconds

const BOXES = [
  "text", "reset", "read", "checked", "answer", "answers", "words", "told", "erase", "label", "layer",
  "changing", "gate", "value", "unit", "from", "hold", "none", "list",
];

class Live {
  constructor(section) {
    this.section = section;
    this.values = JSON.parse(document.getElementById("live-values").textContent);
    this.model = new Model(this.values);
    this.changes = new ChangeList();
    this.belts = new Map();
    this.scene = new Scene({ unit: "word", words: [], start: 0 }, (k) => this.layerAt(k));
    this.took = 0;
    this.label = this.values.label;
    this.part = this.model.top;
    this.find();
    this.listen();
    this.check();
    this.reset();
  }

  find() {
    for (const name of BOXES) this[`${name}Box`] = this.section.querySelector(`[data-live="${name}"]`);
    this.blocks = Array.from(this.section.querySelectorAll("[data-live-part]"));
    this.renewWords = openWords(this.wordsBox, this.scene);
    this.scene.follow(this.section, () => this.tell());
  }

  listen() {
    this.textBox.addEventListener("input", () => this.type());
    this.resetBox.addEventListener("click", () => this.reset());
    this.layerBox?.addEventListener("change", () => this.choosePart(Number(this.layerBox.value)));
    this.labelBox.addEventListener("change", () => {
      this.label = Number(this.labelBox.value);
      this.show();
    });
    this.holdBox?.addEventListener("click", () => this.hold());
    this.eraseBox?.addEventListener("click", () => {
      this.changes.toggleErased(this.part, this.scene.chosen.word);
      this.show();
    });
  }

  // Python's numbers for the explained text beside this script's.
  check() {
    const { text, probabilities, push, label } = this.values;
    const read = this.model.read(text);
    const run = this.model.run(read);
    const far = (ours, theirs) => theirs.reduce((most, value, k) => Math.max(most, Math.abs(value - ours[k])), 0);
    const apart = [far(run.probabilities, probabilities)];
    if (push) apart.push(far(explainRun(this.model, read, run, label).push, push));
    const most = Math.max(...apart);
    const size = most.toExponential(1).replace("-", "\u2212");
    this.checkedBox.textContent =
      most <= TOLERANCE
        ? `Checked in this browser: for the explained text it differs from Python by at most ${size}.`
        : `Do not trust these numbers: for the explained text this browser differs from Python by ${size}.`;
  }

  reset() {
    this.changes = new ChangeList();
    this.textBox.value = this.values.text;
    this.choosePart(this.part, false);
    this.scene.chosen.word = page.start;
    this.compute();
  }

  type() {
    clearTimeout(this.waiting);
    this.changes.forgetWords();
    this.section.setAttribute("aria-busy", true);
    this.waiting = setTimeout(() => this.compute(), this.took > QUICK ? PATIENCE : 0);
  }

  // A text that the model has not read yet.
  compute() {
    const begun = performance.now();
    this.read = this.model.read(this.textBox.value);
    this.plain = this.model.run(this.read);
    this.scene.words = this.scene.short = shownWords(this.read);
    this.scene.chosen.word = Math.max(0, Math.min(this.scene.chosen.word, this.read.tokens.length - 1));
    this.show();
    this.took = performance.now() - begun;
    this.section.setAttribute("aria-busy", false);
  }

  // The text with the changes as they are.
  show() {
    const { model, read } = this;
    this.byPart = this.changes.byPart(model.parts, read);
    this.run = this.changes.all.length ? model.run(read, this.byPart) : this.plain;
    this.explained = explainRun(model, read, this.run, this.label, this.byPart);
    this.layers = [];
    this.showAnswer();
    this.showWords();
    this.showChanges();
    this.showBelt();
    this.tell();
  }

  layerAt(k) {
    this.layers[k] ??= layerShown(this.model, this.read, this.run, this.explained, k, this.byPart);
    return this.layers[k];
  }

  showAnswer() {
    const { labels } = this.model;
    const [now, plainly] = [this.run.probabilities, this.plain.probabilities];
    const isChanged = this.changes.all.length > 0;
    const answer = (probabilities) => {
      const most = probabilities.indexOf(Math.max(...probabilities));
      return `${labels[most]} ${percent(probabilities[most])}`;
    };
    this.answerBox.textContent = answer(now) + (isChanged ? `; without the changes ${answer(plainly)}` : "");
    this.section.classList.toggle("changed", isChanged);
    Array.from(this.answersBox.rows).forEach((row, k) => {
      row.querySelector("rect.fill").setAttribute("width", 100 * now[k]);
      row.querySelector(".now").textContent = percent(now[k]);
      row.querySelector(".plainly").textContent = percent(plainly[k]);
    });
    const total = this.read.tokens.length;
    const unread = total - this.run.steps;
    this.readBox.textContent = unread ? `The text is too long: ${unread} of its ${total} words are not read.` : "";
  }

  showWords() {
    const isErased = (word) => this.changes.isErased(this.part, word);
    this.wordsBox.replaceChildren(...wordElements(this.read, this.scene.words, this.explained, isErased));
    this.wordsBox.classList.toggle("many", this.read.tokens.length > 80);
    this.wordsBox.hidden = !this.read.tokens.length;
    this.renewWords();
  }

  showChanges() {
    if (!this.listBox) return;
    this.noneBox.hidden = this.changes.all.length > 0;
    const items = this.changes.all.map((change) => {
      const item = document.createElement("li");
      const name = changeName(change, this.model.parts, this.scene.words);
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Remove";
      button.setAttribute("aria-label", `Remove: ${name}`);
      button.addEventListener("click", () => {
        this.changes.remove(change);
        this.show();
        this.holdBox.focus();
      });
      item.append(name, " ", button);
      return item;
    });
    this.listBox.replaceChildren(...items);
  }

  choosePart(part, isNew = true) {
    this.part = part;
    const { cell, units } = this.model.parts[part];
    const { gates } = CELLS[cell];
    if (this.layerBox) this.layerBox.value = part;
    for (const box of [this.changingBox, this.eraseBox]) if (box) box.hidden = !gates.length;
    if (this.gateBox) {
      const names = Object.keys(GATE_NAMES).filter((gate) => gates.includes(gate));
      this.gateBox.replaceChildren(...names.map((gate) => new Option(GATE_NAMES[gate], gate)));
      const each = Array.from({ length: units }, (_, unit) => new Option(`unit ${unit}`, unit));
      this.unitBox.replaceChildren(new Option("all units", ""), ...each);
    }
    if (isNew) this.show();
  }

  hold() {
    this.changes.hold({
      part: this.part,
      gate: this.gateBox.value,
      value: Number(this.valueBox.value),
      unit: this.unitBox.value === "" ? null : Number(this.unitBox.value),
      word: this.fromBox.value === "chosen" && this.isRead() ? this.scene.chosen.word : null,
    });
    this.show();
  }

  isRead() {
    return this.read.positions.includes(this.scene.chosen.word);
  }

  showBelt() {
    for (const block of this.blocks) {
      const part = Number(block.dataset.livePart);
      const fits = this.run.steps > 0 && this.run.steps <= BELT_WORDS;
      block.hidden = part !== this.part;
      const figure = block.querySelector(".belt");
      if (!figure) continue;
      figure.hidden = !fits;
      block.querySelector(".no-belt").hidden = fits || !this.run.steps;
      if (part === this.part && fits) this.drawBelt(figure, part);
    }
  }

  drawBelt(figure, part) {
    const belt = this.belts.get(part);
    if (belt) {
      belt.restack();
      belt.plot.draw();
    } else {
      this.belts.set(part, new Belt(figure, part, this.scene));
    }
  }

  // The chosen word in numbers.
  tell() {
    const { word } = this.scene.chosen;
    const name = shortened(this.scene.words[word] ?? "", 40);
    this.toldBox.textContent = name ? this.numbersTold(name, word) : "There is no word yet.";
    if (this.eraseBox) {
      const isErased = this.changes.isErased(this.part, word);
      this.eraseBox.disabled = !this.isRead();
      this.eraseBox.textContent = name ? `${isErased ? "Put back" : "Erase"} what \u201c${name}\u201d wrote` : "Erase";
    }
    if (this.run.steps > 0 && this.run.steps <= BELT_WORDS) this.belts.get(this.part)?.tell();
  }

  numbersTold(name, word) {
    if (!this.isRead()) return `\u201c${name}\u201d is not read.`;
    const { held, push } = this.explained;
    if (!held) return `\u201c${name}\u201d`;
    const toward = this.model.labels[this.label];
    return `\u201c${name}\u201d: held ${percent(held[word])}, push ${signed(push[word])} toward ${toward}.`;
  }
}

// The weights are decoded when the reader comes near.
function openLive() {
  const section = document.getElementById("live");
  const watch = new IntersectionObserver(
    ([entry]) => {
      if (!entry.isIntersecting) return;
      watch.disconnect();
      new Live(section);
    },
    { rootMargin: "400px" },
  );
  watch.observe(section);
}

openLive();
