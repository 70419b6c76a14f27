// The gates: their mean and the middle half of the units at every step; and every unit as a map.

const STRIP = 76;

class Strip {
  constructor(host, k, values, [low, high]) {
    Object.assign(this, { k, values, low, high });
    this.parts = quartiles(values, layer(k).steps, layer(k).units);
    this.plot = new Plot(host, {
      mirrored: layer(k).reverse,
      height: () => STRIP + 12,
      paint: (pen, axis) => this.paint(pen, axis),
      mark: (pen, axis) => this.mark(pen, axis),
    });
  }

  y(value) {
    return 6 + STRIP * (1 - (value - this.low) / (this.high - this.low));
  }

  paint(pen, axis) {
    for (const value of [this.low, (this.low + this.high) / 2, this.high]) {
      pen.fillStyle = colour("line");
      pen.fillRect(axis.left, Math.round(this.y(value)) - 0.5, axis.right - axis.left, 1);
    }
    const tick = { size: 10, tone: "soft", align: axis.mirrored ? "left" : "right" };
    const x = axis.mirrored ? axis.right + 4 : axis.left - 4;
    for (const value of [this.low, this.high]) write(pen, scaleName(value), x, this.y(value), tick);
    const { positions } = layer(this.k);
    const { low, mean, high } = this.parts;
    const xs = positions.map((word) => axis.x(word));
    pen.fillStyle = colour("band-wash");
    pen.beginPath();
    xs.forEach((at, step) => pen.lineTo(at, this.y(high[step])));
    for (let step = xs.length - 1; step >= 0; step--) pen.lineTo(xs[step], this.y(low[step]));
    pen.fill();
    pen.strokeStyle = colour("accent");
    pen.lineWidth = axis.column > 5 ? 2 : 1.25;
    pen.lineJoin = "round";
    pen.beginPath();
    xs.forEach((at, step) => pen.lineTo(at, this.y(mean[step])));
    pen.stroke();
  }

  mark(pen, axis) {
    const step = layer(this.k).stepOf.get(chosen.word);
    if (step === undefined || printing) return;
    markColumn(pen, axis, 6, 6 + STRIP);
    const { low, mean, high } = this.parts;
    pen.fillStyle = colour("accent");
    pen.beginPath();
    pen.arc(axis.x(chosen.word), this.y(mean[step]), 4, 0, 2 * Math.PI);
    pen.fill();
    const size = axis.narrow ? 11 : 12;
    beside(pen, axis, STRIP / 2 - 4, `${plain(mean[step], 2)} mean`, { size, weight: 700, });
    const half = axis.narrow ? "half: " : "middle half: ";
    const range = `${plain(low[step], 2)}\u2013${plain(high[step], 2)}`;
    beside(pen, axis, STRIP / 2 + 12, half + range, { size: axis.narrow ? 9 : 11, tone: "soft" });
  }
}

// All units of a gate, those that keep longest at the top.
class UnitMap {
  constructor(host, k, values, range) {
    Object.assign(this, { k, values, range, order: unitsByHalfLife(layer(k)) });
    this.tall = Math.max(96, Math.min(300, layer(k).units * 5));
    this.rowOf = [];
    this.order.forEach((unit, row) => (this.rowOf[unit] = row));
    this.plot = new Plot(host, {
      mirrored: layer(k).reverse,
      height: () => this.tall + 8,
      paint: (pen, axis) => this.paint(pen, axis),
      mark: (pen, axis) => this.mark(pen, axis),
      pick: (x, y, axis) => ({ word: axis.word(x), unit: this.unitAt(y) }),
    });
  }

  unitAt(y) {
    const row = Math.floor(((y - 4) / this.tall) * this.order.length);
    return this.order[Math.max(0, Math.min(this.order.length - 1, row))];
  }

  paint(pen, axis) {
    const { units, positions } = layer(this.k);
    const [low, high] = this.range;
    const shade = shades(low < 0 ? ["minus", "middle", "plus"] : ["none", "half", "full"]);
    const at = (word, row) => {
      const step = layer(this.k).stepOf.get(word);
      return step === undefined ? null : shade((this.values[step * units + this.order[row]] - low) / (high - low));
    };
    paintMap(pen, axis, page.words.length, units, 4, this.tall, at);
    const tick = { size: 10, tone: "soft" };
    if (positions.length && !axis.narrow) {
      beside(pen, axis, 10, "keeps longest", tick);
      beside(pen, axis, this.tall - 2, "keeps shortest", tick);
    }
  }

  mark(pen, axis) {
    const { units, halfLives } = layer(this.k);
    const step = layer(this.k).stepOf.get(chosen.word);
    if (step === undefined || printing) return;
    const x = Math.round(axis.x(chosen.word)) - 0.5;
    const y = 4 + ((this.rowOf[chosen.unit] + 0.5) / units) * this.tall;
    for (const [wide, name] of [[3, "paper"], [1, "cursor"]]) { // seen on light and on dark
      pen.fillStyle = colour(name);
      pen.fillRect(x - wide / 2, 4, wide, this.tall);
      pen.fillRect(axis.left, Math.round(y) - wide / 2, axis.right - axis.left, wide);
    }
    const size = axis.narrow ? 10 : 12;
    const line = Math.max(30, Math.min(this.tall - 40, y));
    beside(pen, axis, line - 8, `unit ${chosen.unit}: ${plain(this.values[step * units + chosen.unit], 2)}`, {
      size, weight: 700, 
    });
    const life = halfLives[chosen.unit];
    if (!Number.isNaN(life)) {
      beside(pen, axis, line + 8, `half-life ${plain(life, 1)}`, { size: size - 1, tone: "soft" });
    }
  }
}

// Paint a map of columns and rows; at(column, row) is a colour [r, g, b] or null.
function paintMap(pen, axis, columns, rows, top, height, at) {
  const image = new ImageData(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const found = at(column, row);
      if (found) image.data.set([...found, 255], 4 * (row * columns + column));
    }
  }
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(image, 0, 0);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(canvas, axis.left, top, axis.right - axis.left, height);
}

function quartiles(values, steps, units) {
  const parts = { low: [], mean: [], high: [] };
  for (let step = 0; step < steps; step++) {
    const sorted = values.slice(step * units, (step + 1) * units).sort();
    parts.low.push(sorted[Math.floor((units - 1) * 0.25)]);
    parts.high.push(sorted[Math.ceil((units - 1) * 0.75)]);
    parts.mean.push(sorted.reduce((a, b) => a + b, 0) / units);
  }
  return parts;
}

function unitsByHalfLife({ units, halfLives }) {
  const life = (unit) => (Number.isNaN(halfLives[unit]) ? -1 : halfLives[unit]);
  const all = Array.from({ length: units }, (_, unit) => unit);
  return all.sort((a, b) => (life(a) === life(b) ? a - b : life(b) - life(a)));
}

function scaleName(value) {
  return Number.isInteger(value) ? plain(value, 0) : plain(value, 1);
}

// Gates lie between 0 and 1; the state of a plain RNN between -1 and 1, or above 0 for relu.
function rangeOf(k, gate) {
  if (gate !== "h") return [0, 1];
  if (!layer(k).relu) return [-1, 1];
  return [0, layer(k).memory.reduce((a, b) => Math.max(a, b), 0) || 1];
}

function openGates(block, k) {
  for (const host of block.querySelectorAll(".plot[data-gate]")) {
    const { gate } = host.dataset;
    const Kind = host.classList.contains("unit-map") ? UnitMap : Strip;
    new Kind(host, k, gate === "h" ? layer(k).memory : layer(k).gates[gate], rangeOf(k, gate));
  }
}
