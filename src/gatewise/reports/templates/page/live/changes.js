// What the reader changes in the model while it runs: gates that are held, and words whose write is erased. A change is
// { part, gate, value, unit, word } for a gate that is held from a word on (word null: from the first), or
// { part, erased } with the word whose write is erased.

const GATE_NAMES = { f: "forget gate", i: "input gate", o: "output gate", z: "update gate", r: "reset gate" };

class ChangeList {
  constructor() {
    this.all = [];
  }

  // The same gate of the same units is held at one value; the last one stands.
  hold(change) {
    const isSame = (one) => ["part", "gate", "unit", "word"].every((name) => one[name] === change[name]);
    this.all = [...this.all.filter((one) => !isSame(one)), change];
  }

  isErased(part, word) {
    return this.all.some((one) => one.part === part && one.erased === word);
  }

  toggleErased(part, word) {
    if (this.isErased(part, word)) this.all = this.all.filter((one) => one.part !== part || one.erased !== word);
    else this.all.push({ part, erased: word });
  }

  remove(change) {
    this.all = this.all.filter((one) => one !== change);
  }

  // Another text has other words, so what hangs on a word goes.
  forgetWords() {
    this.all = this.all.filter(({ word, erased }) => word === null && erased === undefined);
  }

  // One entry a part, for the model to run with; undefined for one that stays as it is.
  byPart(parts, { positions }) {
    const stepOf = stepsByWord(positions);
    return parts.map((_, part) => {
      const own = this.all.filter((one) => one.part === part);
      if (!own.length) return undefined;
      const held = own.filter(({ gate }) => gate);
      const erased = own.filter(({ gate }) => !gate);
      return new Changes(
        held.map((one) => ({ ...one, from: one.word === null ? 0 : stepOf.get(one.word) })),
        erased.map((one) => stepOf.get(one.erased)),
      );
    });
  }
}

// A change in words.
function changeName({ part, gate, value, unit, word, erased }, parts, words) {
  const place = parts.length > 1 ? `${parts[part].name}: ` : "";
  if (!gate) return `${place}what \u201c${shortened(words[erased], 40)}\u201d wrote is erased`;
  const where = unit === null ? "in all units" : `in unit ${unit}`;
  const from = word === null ? "at every word" : `from \u201c${shortened(words[word], 40)}\u201d on`;
  return `${place}${GATE_NAMES[gate]} held ${value ? "open" : "shut"} ${where}, ${from}`;
}
