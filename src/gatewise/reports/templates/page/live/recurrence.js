// A layer in one direction over a whole text.

// part: cell, reverse, inputs I, units H, and its weights. x: [T, I]. Gives { gates: { i: [T, H], … }, memory: c or h
// [T, H], hidden: h [T, H] }, all in the order of time.
function runPart(part, x, steps, changes = UNCHANGED) {
  const { inputs, units, reverse } = part;
  const cell = CELLS[part.cell];
  const empty = () => new Float64Array(steps * units);
  const memory = empty();
  const found = { units, steps, gates: {}, memory, hidden: cell.hasC ? empty() : memory };
  for (const gate of cell.gates) found.gates[gate] = empty();
  const nothing = new Float64Array(units);
  found.before = { memory: nothing, hidden: nothing };
  const rows = part.weightHh.length / units;
  const sums = { a: new Float64Array(rows), b: new Float64Array(rows) };
  for (let k = 0; k < steps; k++) {
    const t = reverse ? steps - 1 - k : k;
    affine(part.weightIh, part.biasIh, x.subarray(t * inputs, (t + 1) * inputs), sums.a);
    affine(part.weightHh, part.biasHh, found.before.hidden, sums.b);
    cell.step(found, sums, t, changes);
    found.before = { memory: rowOf(memory, t, units), hidden: rowOf(found.hidden, t, units) };
  }
  return found;
}

function rowOf(values, t, units) {
  return values.subarray(t * units, (t + 1) * units);
}

// out = W·x + b, W [rows, inputs]; bias null: without. Four rows at once, so that no sum waits for the one before.
function affine(weights, bias, x, out) {
  const inputs = x.length;
  const rows = out.length;
  let row = 0;
  for (; row + 3 < rows; row += 4) {
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    for (let k = 0, w = row * inputs; k < inputs; k++, w++) {
      const value = x[k];
      s0 += weights[w] * value;
      s1 += weights[w + inputs] * value;
      s2 += weights[w + 2 * inputs] * value;
      s3 += weights[w + 3 * inputs] * value;
    }
    out[row] = s0;
    out[row + 1] = s1;
    out[row + 2] = s2;
    out[row + 3] = s3;
  }
  for (; row < rows; row++) {
    let sum = 0;
    for (let k = 0; k < inputs; k++) sum += weights[row * inputs + k] * x[k];
    out[row] = sum;
  }
  if (bias) for (let k = 0; k < rows; k++) out[k] += bias[k];
}
