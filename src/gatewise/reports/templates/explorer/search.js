// The states nearest to a mean state: exact, over all steps, a slice of work at a time.

const LISTED = 8;
const APART = 2; // steps: of two that are no further apart only the nearer one is listed
const SLICE = 5; // milliseconds of work between two looks at the clock of the page

// The states of one place. starts: the first step of each text, and the end.
class States {
  constructor(values, starts) {
    Object.assign(this, { values, starts, squares: null });
  }

  textOf(step) {
    let [low, high] = [0, this.starts.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= step) low = middle;
      else high = middle;
    }
    return low;
  }
}

// A search that is done in slices: work(until) is true when it is finished.
class Search {
  // query: Float64Array of one number a unit. without: [from, to] that are left out, or null.
  constructor(states, query, measure, without) {
    const { columns } = states.values;
    Object.assign(this, { states, query, measure, without, unit: 0, products: new Float64Array(columns) });
    this.squares = states.squares ? null : new Float64Array(columns);
  }

  work(until) {
    const { numbers, rows, columns } = this.states.values;
    const { products, squares } = this;
    while (this.unit < rows) {
      const own = numbers.subarray(this.unit * columns, (this.unit + 1) * columns);
      const by = this.query[this.unit];
      for (let step = 0; step < columns; step++) products[step] += by * own[step];
      if (squares) for (let step = 0; step < columns; step++) squares[step] += own[step] * own[step];
      this.unit++;
      if (performance.now() > until) return false;
    }
    if (squares) this.states.squares = squares;
    return true;
  }

  // The nearest steps, the nearest first: [{ step, value }].
  best() {
    const scores = this.scores();
    const { without, states } = this;
    if (without) scores.fill(-Infinity, without[0], without[1] + 1);
    const found = [];
    while (found.length < LISTED) {
      let at = 0;
      for (let step = 1; step < scores.length; step++) if (scores[step] > scores[at]) at = step;
      if (scores[at] === -Infinity) break;
      found.push({ step: at, value: this.measure === "cosine" ? scores[at] : -scores[at] });
      const text = states.textOf(at);
      scores.fill(-Infinity, Math.max(states.starts[text], at - APART), Math.min(states.starts[text + 1], at + APART + 1));
    }
    return found;
  }

  // Larger is nearer: the cosine, or the distance with a minus.
  scores() {
    const { products, states, query } = this;
    const { scale } = states.values;
    const size = query.reduce((sum, value) => sum + value * value, 0);
    return products.map((product, step) => {
      const square = states.squares[step];
      if (this.measure !== "cosine") return -Math.sqrt(Math.max(0, size - 2 * scale * product + scale * scale * square));
      return square && size ? product / Math.sqrt(square * size) : 0;
    });
  }
}
