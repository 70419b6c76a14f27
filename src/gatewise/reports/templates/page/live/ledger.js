// Memory as a sum of what was written: what each step holds of it, how far it pushed the answer, and the belt.

// What every step wrote into memory, and what it kept of the memory before, [T, H] each; null for a plain RNN. What was
// erased was not written.
function writes(part, found, changes = UNCHANGED) {
  const { gates, steps, units } = found;
  if (!CELLS[part.cell].gates.length) return null;
  const keep = gates.f ?? gates.z;
  const written = new Float64Array(steps * units);
  for (let t = 0; t < steps; t++) {
    if (changes.erases(t)) continue;
    for (let k = t * units; k < (t + 1) * units; k++) {
      written[k] = gates.f ? gates.i[k] * gates.g[k] : (1 - gates.z[k]) * gates.n[k];
    }
  }
  return { keep, written };
}

// The steps in the order of reading.
function readingOrder(steps, reverse) {
  return Array.from({ length: steps }, (_, k) => (reverse ? steps - 1 - k : k));
}

// How much of a write at each step reaches the readings q [T, H]: Q_s = q_s + keep_{s+1}⊙Q_{s+1}.
function readBack(keep, q, steps, units, reverse) {
  const reach = Float64Array.from(q);
  const order = readingOrder(steps, reverse);
  for (let k = steps - 2; k >= 0; k--) {
    const [at, next] = [order[k] * units, order[k + 1] * units];
    for (let j = 0; j < units; j++) reach[at + j] += keep[next + j] * reach[next + j];
  }
  return reach;
}

// How far each step moved the answer [T]: Σ_j of its write times what reaches the readings a⊙v of h.
function pushOf(part, found, { keep, written }, a, v) {
  const { steps, units, memory, gates } = found;
  const q = new Float64Array(a.length);
  for (let k = 0; k < q.length; k++) {
    q[k] = a[k] * v[k % units];
    if (CELLS[part.cell].hasC) q[k] *= gates.o[k] * tanhRatio(memory[k]);
  }
  const reach = readBack(keep, q, steps, units, part.reverse);
  return sumOfRows(reach.map((value, k) => value * written[k]), steps, units);
}

// What each step wrote of the memory that the answer reads, as shares of 1 [T].
function heldOf(part, found, { keep, written }, a) {
  const { steps, units } = found;
  const reach = readBack(keep, a, steps, units, part.reverse);
  const mass = sumOfRows(reach.map((value, k) => Math.abs(value * written[k])), steps, units);
  const total = mass.reduce((x, y) => x + y, 0);
  return mass.map((size) => (total > 0 ? size / total : 0));
}

// belt[t, s]: how much of what step s wrote is in memory at t, Σ_j |R[t,s]⊙written_s|_j; [T, T], in the order of time.
function beltOf(part, found, { keep, written }) {
  const { steps, units } = found;
  const belt = new Float32Array(steps * steps);
  const sizes = written.map(Math.abs);
  const order = readingOrder(steps, part.reverse);
  for (let now = 0; now < steps; now++) {
    const at = order[now] * units;
    for (let past = 0; past <= now; past++) {
      const from = order[past] * units;
      let sum = 0;
      for (let j = 0; j < units; j++) {
        if (past < now) sizes[from + j] *= keep[at + j];
        sum += sizes[from + j];
      }
      belt[order[now] * steps + order[past]] = sum;
    }
  }
  return belt;
}

function sumOfRows(values, steps, units) {
  const sums = new Float64Array(steps);
  for (let t = 0; t < steps; t++) {
    for (let k = t * units; k < (t + 1) * units; k++) sums[t] += values[k];
  }
  return sums;
}

// tanh(c)/c, by its series near 0, where it is 1.
function tanhRatio(c) {
  return Math.abs(c) < 1e-4 ? 1 - (c * c) / 3 : Math.tanh(c) / c;
}
