// One step of each cell, in float64. `a` is what the input says to each gate's row, `b` what the state before says; the
// rows stand as PyTorch has them. Gates are written into the row of step t; changes may put others in their place.

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

const CELLS = {
  lstm: {
    gates: ["i", "f", "g", "o"],
    hasC: true,
    step({ units, gates, memory, hidden, before }, { a, b }, t, changes) {
      const start = t * units;
      const { i, f, g, o } = gates;
      for (let j = 0; j < units; j++) {
        i[start + j] = sigmoid(a[j] + b[j]);
        f[start + j] = sigmoid(a[units + j] + b[units + j]);
        g[start + j] = Math.tanh(a[2 * units + j] + b[2 * units + j]);
        o[start + j] = sigmoid(a[3 * units + j] + b[3 * units + j]);
      }
      for (const gate of ["i", "f", "g", "o"]) changes.hold(gate, t, gates[gate], units);
      const written = changes.erases(t) ? 0 : 1;
      for (let j = 0, k = start; j < units; j++, k++) {
        memory[k] = f[k] * before.memory[j] + written * i[k] * g[k];
        hidden[k] = o[k] * Math.tanh(memory[k]);
      }
    },
  },
  gru: {
    gates: ["r", "z", "n"],
    hasC: false,
    step({ units, gates, memory, before }, { a, b }, t, changes) {
      const start = t * units;
      const { r, z, n } = gates;
      for (let j = 0; j < units; j++) {
        r[start + j] = sigmoid(a[j] + b[j]);
        z[start + j] = sigmoid(a[units + j] + b[units + j]);
      }
      changes.hold("r", t, r, units);
      changes.hold("z", t, z, units);
      for (let j = 0; j < units; j++) n[start + j] = Math.tanh(a[2 * units + j] + r[start + j] * b[2 * units + j]);
      changes.hold("n", t, n, units);
      const written = changes.erases(t) ? 0 : 1;
      for (let j = 0, k = start; j < units; j++, k++) {
        memory[k] = written * (1 - z[k]) * n[k] + z[k] * before.hidden[j];
      }
    },
  },
  rnn_tanh: plainCell(Math.tanh),
  rnn_relu: plainCell((sum) => Math.max(0, sum)),
};

function plainCell(shape) {
  const step = ({ units, memory }, { a, b }, t) => {
    for (let j = 0; j < units; j++) memory[t * units + j] = shape(a[j] + b[j]);
  };
  return { gates: [], hasC: false, step };
}

// What is done to one layer in one direction while it runs. holds: { gate, value, unit (null: all), from: first step }.
// erased: the steps whose write never stands in memory.
class Changes {
  constructor(holds = [], erased = []) {
    this.holds = holds;
    this.erased = new Set(erased);
  }

  hold(gate, t, values, units) {
    for (const held of this.holds) {
      if (held.gate !== gate || t < held.from) continue;
      if (held.unit === null) values.fill(held.value, t * units, (t + 1) * units);
      else values[t * units + held.unit] = held.value;
    }
  }

  erases(t) {
    return this.erased.has(t);
  }
}

const UNCHANGED = new Changes();
