// What the page holds: sides, layers, maps and the corpus. Arrays are decoded when they are first asked for.

const explorer = JSON.parse(document.getElementById("explorer-values").textContent);

// One byte a value; value = number · scale.
class Values {
  constructor({ array, rows, scale, signed, limit }) {
    Object.assign(this, { array, rows, scale, signed, limit, decoded: null });
  }

  get numbers() {
    if (this.decoded === null) {
      const found = bytes(JSON.parse(document.getElementById(this.array).textContent));
      this.decoded = this.signed ? new Int8Array(found.buffer) : found;
    }
    return this.decoded;
  }

  get columns() {
    return this.numbers.length / this.rows;
  }

  at(row, column) {
    return this.numbers[row * this.columns + column] * this.scale;
  }
}

for (const side of explorer.sides) {
  side.short = shortNames(side.steps, explorer.unit);
  for (const layer of side.layers) {
    layer.lives = floats(layer.lives);
    layer.contributions = floats(layer.contributions);
    for (const name of Object.keys(layer.maps)) layer.maps[name] = new Values(layer.maps[name]);
  }
}
if (explorer.corpus) {
  const { states } = explorer.corpus;
  for (const name of Object.keys(states)) states[name] = new Values(states[name]);
}

// Both sides have the same steps, so that a step of one is the same step of the other.
const sameSteps = explorer.sides.length === 2
  && explorer.sides[0].steps.length === explorer.sides[1].steps.length
  && explorer.sides[0].steps.every((name, step) => name === explorer.sides[1].steps[step]);
