// A sequence of numbers: what was kept over time, the variables, and what each pushed.

class Timeline {
  constructor(host) {
    this.host = host;
    this.kept = new Set(page.kept);
    this.held = page.held.some(Number.isFinite) ? { most: largest(page.held), tall: 58 } : null;
    this.push = page.push.some(Number.isFinite) ? { most: largest(page.push), tall: 78 } : null;
    this.bottom = 8 + (this.held ? this.held.tall : 0) + (this.push ? this.push.tall : 0);
    this.plot = new Plot(host, {
      height: () => this.bottom + 24,
      paint: (pen, axis) => this.paint(pen, axis),
      mark: (pen, axis) => this.mark(pen, axis),
    });
    host.addEventListener("keydown", (event) => {
      const to = movedBy(event.key, chosen.word, page.words.length);
      if (to === null) return;
      event.preventDefault();
      choose({ word: to, lit: true });
    });
  }

  // Above, bars of what is held; below them the push, up for and down against.
  paint(pen, axis) {
    const wide = Math.max(1, axis.column * 0.72);
    pen.fillStyle = colour("cursor-wash");
    for (const word of this.kept) pen.fillRect(axis.x(word) - axis.column / 2, 4, axis.column, this.bottom - 4);
    const bars = (values, { most }, floor, height, shade) => {
      pen.fillStyle = colour("line");
      pen.fillRect(axis.left, floor, axis.right - axis.left, 1);
      values.forEach((value, word) => {
        const size = (height * value) / most || 0; // nothing where there is no number
        pen.fillStyle = colour(shade(value));
        pen.fillRect(axis.x(word) - wide / 2, floor - Math.max(size, 0), wide, Math.abs(size));
      });
    };
    if (this.held) bars(page.held, this.held, 4 + this.held.tall, this.held.tall - 4, () => "grey-1");
    if (this.push) bars(page.push, this.push, this.bottom - 40, 34, (value) => (value < 0 ? "against" : "for"));
    if (!this.held && !this.push) {
      pen.fillStyle = colour("line");
      pen.fillRect(axis.left, this.bottom, axis.right - axis.left, 1);
    }
    paintTimes(pen, axis, this.bottom + 12);
  }

  mark(pen, axis) {
    const name = page.words[chosen.word];
    const held = this.held ? `held ${percent(page.held[chosen.word])}` : "";
    const push = this.push ? `push ${signed(page.push[chosen.word], 2)}` : "";
    this.host.setAttribute("aria-valuenow", chosen.word + 1);
    this.host.setAttribute("aria-valuetext", [name, held, push].filter(Boolean).join(", "));
    if (printing) return;
    markColumn(pen, axis, 4, this.bottom);
    const strong = { weight: 700, size: axis.narrow ? 11 : 12 };
    beside(pen, axis, 40, held, strong);
    beside(pen, axis, this.bottom - 40, push, strong);
    const own = shortened(axis.narrow ? page.short[chosen.word] : name, axis.narrow ? 11 : 20);
    beside(pen, axis, this.bottom + 12, own, { size: axis.narrow ? 10 : 12 });
  }
}

// A line for each variable, each on its own scale.
class Values {
  constructor(host) {
    this.values = floats(page.variables.values);
    this.names = page.variables.names;
    this.plot = new Plot(host, {
      height: () => this.names.length * 64 + 8,
      paint: (pen, axis) => this.names.forEach((_, row) => this.paintRow(pen, axis, row)),
      mark: (pen, axis) => this.mark(pen, axis),
    });
  }

  at(word, row) {
    return this.values[word * this.names.length + row];
  }

  paintRow(pen, axis, row) {
    const top = row * 64 + 8;
    const known = page.words.map((_, word) => this.at(word, row)).filter(Number.isFinite);
    const [low, high] = known.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    pen.fillStyle = colour("line");
    pen.fillRect(axis.left, top + 52, axis.right - axis.left, 1);
    pen.strokeStyle = colour("accent");
    pen.lineWidth = 1.5;
    pen.beginPath();
    let isDrawing = false; // a missing value breaks the line
    page.words.forEach((_, word) => {
      const value = this.at(word, row);
      const y = top + 48 - 44 * (high > low ? (value - low) / (high - low) : 0.5);
      if (Number.isFinite(value)) isDrawing ? pen.lineTo(axis.x(word), y) : pen.moveTo(axis.x(word), y);
      isDrawing = Number.isFinite(value);
    });
    pen.stroke();
    const tick = { size: 9, tone: "soft", align: "right" };
    if (known.length && !axis.narrow) {
      write(pen, compact(high), axis.left - 5, top + 6, tick);
      write(pen, compact(low), axis.left - 5, top + 46, tick);
    }
    beside(pen, axis, top + 18, shortened(this.names[row], axis.narrow ? 10 : 18), { });
  }

  mark(pen, axis) {
    if (printing) return;
    markColumn(pen, axis, 4, this.names.length * 64 + 4);
    this.names.forEach((_, row) => {
      const value = this.at(chosen.word, row);
      const text = Number.isNaN(value) ? "missing" : compact(value);
      beside(pen, axis, row * 64 + 44, text, { weight: 700 });
    });
  }
}

// Variables over time: how far each pushed, one colour for and one against, with the sign where there is room for it.
class PushMap {
  constructor(host, readout) {
    this.push = floats(page.variables.push);
    this.names = page.variables.names;
    this.most = largest(this.push);
    this.readout = readout;
    this.row = 0;
    this.tall = this.names.length < 12 ? 30 : 18;
    this.plot = new Plot(host, {
      height: () => this.names.length * this.tall + 30,
      paint: (pen, axis) => this.paint(pen, axis),
      mark: (pen, axis) => this.mark(pen, axis),
      pick: (x, y, axis) => {
        this.row = Math.max(0, Math.min(this.names.length - 1, Math.floor((y - 4) / this.tall)));
        return { word: axis.word(x) };
      },
    });
  }

  at(word, row) {
    return this.push[word * this.names.length + row];
  }

  paint(pen, axis) {
    const rows = this.names.length;
    const shade = shades(["minus", "middle", "plus"]);
    const at = (word, row) => shade(0.5 + this.at(word, row) / this.most / 2);
    paintMap(pen, axis, page.words.length, rows, 4, rows * this.tall, at);
    this.names.forEach((name, row) => {
      const y = 4 + (row + 0.5) * this.tall;
      beside(pen, axis, y, shortened(name, axis.narrow ? 10 : 20), { size: axis.narrow ? 10 : 12 });
      for (let word = 0; word < page.words.length && axis.column >= 9; word++) {
        const share = this.at(word, row) / this.most;
        if (Math.abs(share) < 0.2) continue;
        const tone = Math.abs(share) > 0.6 ? "on-scale" : "ink";
        write(pen, share > 0 ? "+" : "\u2212", axis.x(word), y, { tone, size: 11, align: "center" });
      }
    });
    paintTimes(pen, axis, rows * this.tall + 18);
  }

  mark(pen, axis) {
    const { word } = chosen;
    const push = this.at(word, this.row);
    this.readout.textContent = `${page.words[word]}: ${this.names[this.row]} pushed ${signed(push, 4)}`;
    if (printing) return;
    markColumn(pen, axis, 4, 4 + this.names.length * this.tall);
    pen.strokeStyle = colour("ink");
    pen.lineWidth = 1.5;
    pen.strokeRect(axis.left + word * axis.column, 4 + this.row * this.tall, axis.column, this.tall);
  }
}

// The first, the middle and the last time, or as many as there is room for.
function paintTimes(pen, axis, y) {
  const last = page.words.length - 1;
  const places = axis.right - axis.left > 420 ? [0, Math.round(last / 2), last] : [0, last];
  for (const word of new Set(places)) {
    const align = word === 0 ? "left" : word === last ? "right" : "center";
    const x = align === "left" ? axis.left : align === "right" ? axis.right : axis.x(word);
    write(pen, shortened(page.words[word], 18), x, y, { size: 10, tone: "soft", align });
  }
}

function compact(value) {
  const size = Math.abs(value);
  const text = size !== 0 && (size < 0.001 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace("-", "\u2212");
}

function largest(values) {
  return values.reduce((most, value) => (Math.abs(value) > most ? Math.abs(value) : most), 0) || 1;
}

function openVariables() {
  const kinds = { timeline: Timeline, values: Values, "push-map": PushMap };
  for (const [name, Kind] of Object.entries(kinds)) {
    const host = document.querySelector(`.plot.${name}`);
    if (host) new Kind(host, document.querySelector(".push-readout"));
  }
}
