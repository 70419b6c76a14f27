// In which order the units stand: order[row] is the unit.

function orderOf(values, compare) {
  const order = Array.from({ length: values.rows }, (_, unit) => unit);
  return Uint16Array.from(compare ? order.sort((a, b) => compare(a, b) || a - b) : order);
}

// The largest first; what is no number last.
function falling(keys) {
  const key = (unit) => (Number.isNaN(keys[unit]) ? -Infinity : keys[unit]);
  return (a, b) => (key(a) === key(b) ? 0 : key(b) - key(a));
}

const ORDERS = {
  index: () => null,
  lives: (layer) => falling(layer.lives),
  contributions: (layer) => falling(layer.contributions.map(Math.abs)),
  marked: (layer, values, from, to) => falling(meanOver(values, from, to)),
};

// How many keys each order needs: an order of the H units of the gates says nothing on the P units of a projected h.
function rowsOrder(layer, values, name, from, to) {
  const fits = { lives: layer.lives.length, contributions: layer.contributions.length }[name] ?? values.rows;
  return orderOf(values, fits === values.rows ? ORDERS[name](layer, values, from, to) : null);
}

// Mean of each row over the steps from … to, both counted in; Float64Array.
function meanOver(values, from, to) {
  const { numbers, columns, rows, scale } = values;
  const means = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let step = from; step <= to; step++) sum += numbers[row * columns + step];
    means[row] = (sum / (to - from + 1)) * scale;
  }
  return means;
}
