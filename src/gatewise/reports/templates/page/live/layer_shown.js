// A layer as the belt draws it.
function layerShown(model, read, run, explained, k, changes = []) {
  const part = model.parts[k];
  const found = run.parts[k];
  const ledger = writes(part, found, changes[k]);
  const top = explained.top[k - model.top];
  return {
    reverse: part.reverse,
    steps: found.steps,
    units: found.units,
    start: 0,
    positions: read.positions,
    stepOf: stepsByWord(read.positions),
    belt: ledger && beltOf(part, found, ledger),
    edge: top ? top.held : null,
    reading: top ? readingShares(top.a, found) : null,
  };
}

// How strongly each step is read, as shares of 1 [T].
function readingShares(a, { steps, units }) {
  const sums = sumOfRows(a, steps, units);
  const total = sums.reduce((x, y) => x + y, 0);
  return sums.map((sum) => (total > 0 ? sum / total : sum));
}
