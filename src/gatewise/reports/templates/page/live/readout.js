// How the answer to a text came about: for each word what it held and how far it pushed towards a label.

// changes: one entry a part. Gives the words' held and push [N] (null where the top layer is a plain RNN), and of each
// part of the top layer its reading a [T, H] and held.
function explainRun(model, read, run, label, changes = []) {
  const v = model.contrast(model.output.weight, label);
  const top = model.parts.slice(model.top).map((part, d) => {
    const found = run.parts[model.top + d];
    const a = ofDirection(run.reading, run, found.units, d);
    const ledger = writes(part, found, changes[model.top + d]);
    if (ledger === null) return { a, held: null, push: null };
    const own = v.subarray(d * found.units, (d + 1) * found.units);
    return { a, held: heldOf(part, found, ledger, a), push: pushOf(part, found, ledger, a, own) };
  });
  const over = (pick, scale) => {
    if (top.some((one) => pick(one) === null)) return null;
    const all = new Float64Array(read.tokens.length);
    for (const one of top) pick(one).forEach((value, step) => (all[read.positions[step]] += scale * value));
    return all;
  };
  return { top, held: over(({ held }) => held, 1 / top.length), push: over(({ push }) => push, 1) };
}

// Of values [T, D·H] what belongs to direction d, [T, H].
function ofDirection(values, { steps, width }, units, d) {
  const own = new Float64Array(steps * units);
  for (let t = 0; t < steps; t++) own.set(rowOf(values, t, width).subarray(d * units, (d + 1) * units), t * units);
  return own;
}
