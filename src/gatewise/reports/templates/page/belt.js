// The conveyor belt: one band for each writing word, as high as what is left of its write.

const BAND_COLOURS = 7;
const GREYS = 2;

class Belt {
  constructor(block, k, scene = explained) {
    Object.assign(this, { k, scene });
    this.readout = block.querySelector(".readout");
    this.restack();
    this.plot = new Plot(block.querySelector(".plot"), {
      scene,
      mirrored: this.layer.reverse,
      height: (axis) => this.place(axis),
      paint: (pen, axis) => this.paint(pen, axis),
      mark: (pen, axis) => this.mark(pen, axis),
      pick: (x, y, axis) => ({ word: this.writerAt(x, y, axis) ?? axis.word(x) }),
    });
  }

  get layer() {
    return this.scene.layer(this.k);
  }

  restack() {
    this.stack = stacked(this.layer);
    this.colourOf = bandColours(this.stack);
  }

  // Rows from the top: how strongly each word is read, the stream, the words.
  place(axis) {
    const height = axis.narrow ? 210 : 300;
    const names = nameRoom(axis);
    Object.assign(this, { top: 34, bottom: 34 + height, ahead: axis.mirrored ? -1 : 1 });
    this.scale = height / (this.stack.highest || 1);
    const end = axis.mirrored ? axis.left : axis.right;
    this.column = { from: end + this.ahead * 12, width: axis.narrow ? 16 : 24 };
    return this.bottom + names + 6;
  }

  paint(pen, axis) {
    this.paintReading(pen, axis);
    const { bands } = this.stack;
    for (let band = bands - 1; band >= 0; band--) {
      pen.fillStyle = colour(this.colourOf[band]);
      pen.fill(this.outline(axis, band, 0.7));
    }
    if (axis.column > 6) this.paintEdges(pen, axis);
    this.paintColumn(pen);
    this.paintLabels(pen, axis);
    pen.fillStyle = colour("ink");
    pen.fillRect(axis.left, this.bottom, axis.right - axis.left, 1);
  }

  paintReading(pen, axis) {
    const { reading, positions } = this.layer;
    if (!reading) return;
    const most = reading.reduce((a, b) => Math.max(a, b), 0) || 1;
    pen.fillStyle = colour("accent");
    reading.forEach((weight, step) => {
      const height = 18 * (weight / most);
      const wide = Math.max(axis.column * 0.7, 1);
      pen.fillRect(axis.x(positions[step]) - wide / 2, 22 - height, wide, height);
    });
    pen.fillStyle = colour("line");
    pen.fillRect(axis.left, 22, axis.right - axis.left, 1);
    beside(pen, axis, 15, axis.narrow ? "read" : "where the answer reads", { size: 11, tone: "soft" });
  }

  // A band of the stream as a closed path; `under` pixels reach below it, so that no gap shows to the next.
  outline(axis, band, under = 0) {
    const { sums, bands, steps, order, lasts } = this.stack;
    const { positions } = this.layer;
    const half = (this.ahead * axis.column) / 2;
    const xs = [];
    const tops = [];
    const floors = [];
    const put = (x, time, isNothing) => {
      const row = time * (bands + 1) + band;
      xs.push(x);
      floors.push(this.bottom - this.scale * sums[row]);
      tops.push(isNothing ? floors[floors.length - 1] : this.bottom - this.scale * sums[row + 1]);
    };
    const x = (time) => axis.x(positions[order[time]]);
    if (band === 0) put(x(0) - half, 0, true);
    for (let time = Math.max(band - 1, 0); time <= lasts[band]; time++) put(x(time), time, time < band);
    if (lasts[band] === steps - 1) put(x(steps - 1) + half, steps - 1);
    const path = new Path2D();
    path.moveTo(xs[0], tops[0]);
    for (let k = 1; k < xs.length; k++) flowTo(path, xs[k - 1], tops[k - 1], xs[k], tops[k]);
    const end = xs.length - 1;
    path.lineTo(xs[end], floors[end] + (band ? under : 0));
    for (let k = end; k > 0; k--) flowTo(path, xs[k], floors[k] + (band ? under : 0), xs[k - 1], floors[k - 1] + (band ? under : 0));
    path.closePath();
    return path;
  }

  paintEdges(pen, axis) {
    pen.strokeStyle = colour("paper");
    pen.lineWidth = 0.8;
    for (let band = 0; band < this.stack.bands; band++) pen.stroke(this.outline(axis, band));
  }

  // What the answer reads, apart from the stream: for each band its floor and top, in pixels.
  columnPart(band) {
    const { shares, starts, steps, bands, sums, readsLast } = this.stack;
    const whole = readsLast ? this.scale * sums[steps * (bands + 1) - 1] : this.bottom - this.top;
    return [this.bottom - whole * starts[band], this.bottom - whole * (starts[band] + shares[band])];
  }

  paintColumn(pen) {
    if (!this.layer.edge) return;
    for (let band = 0; band < this.stack.bands; band++) {
      pen.fillStyle = colour(this.colourOf[band]);
      this.fillPart(pen, band);
      const [floor, top] = this.columnPart(band);
      pen.fillStyle = colour("paper");
      if (floor - top > 3) pen.fillRect(this.columnLeft(), top - 0.4, this.column.width, 0.8);
    }
  }

  columnLeft() {
    return this.ahead > 0 ? this.column.from : this.column.from - this.column.width;
  }

  fillPart(pen, band) {
    const [floor, top] = this.columnPart(band);
    pen.fillRect(this.columnLeft(), top, this.column.width, floor - top);
  }

  // Names beside the widest bands, pushed apart where they would meet.
  paintLabels(pen, axis) {
    this.labels = this.stack.big.map((band) => ({ band, mid: this.columnPart(band).reduce((a, b) => a + b) / 2 }));
    this.labels.sort((a, b) => a.mid - b.mid);
    spread(this.labels, this.top + 6, this.bottom - 4, 15);
    for (const label of this.labels) this.paintLabel(pen, axis, label);
  }

  paintLabel(pen, axis, { band, mid, y }) {
    const hasColumn = Boolean(this.layer.edge);
    const near = this.column.from + this.ahead * (hasColumn ? this.column.width : -8);
    const room = axis.labels - (hasColumn ? this.column.width + 24 : 16);
    const size = axis.narrow ? 10 : 12;
    const share = axis.narrow ? "" : percent(this.stack.shares[band]);
    const name = fitting(pen, this.scene.short[this.wordOf(band)], share, room, size);
    pen.strokeStyle = colour("soft");
    pen.lineWidth = 0.8;
    pen.beginPath();
    pen.moveTo(near + this.ahead * 1.5, mid);
    pen.lineTo(near + this.ahead * 8, y);
    pen.stroke();
    write(pen, name, near + this.ahead * 11, y, { size, align: this.ahead > 0 ? "left" : "right" });
  }

  wordOf(band) {
    return this.layer.positions[this.stack.order[band]];
  }

  bandOf(word) {
    const step = this.layer.stepOf.get(word);
    return step === undefined ? undefined : this.stack.bandAt[step];
  }

  // The word whose band is under the pointer, where it is wide enough to be pointed at.
  writerAt(x, y, axis) {
    const { bands, sums, steps, order } = this.stack;
    if (this.isInColumn(x)) {
      for (let band = 0; band < bands; band++) {
        const [floor, top] = this.columnPart(band);
        if (y <= floor && y >= top) return this.wordOf(band);
      }
    }
    const step = this.layer.stepOf.get(axis.word(x));
    if (step === undefined || x < axis.left || x > axis.right) return undefined;
    const row = (order[0] === 0 ? step : steps - 1 - step) * (bands + 1);
    const depth = (this.bottom - y) / this.scale;
    for (let band = 0; band < bands; band++) {
      const thick = (sums[row + band + 1] - sums[row + band]) * this.scale;
      if (depth >= sums[row + band] && depth < sums[row + band + 1]) return thick > 5 ? this.wordOf(band) : undefined;
    }
    return undefined;
  }

  isInColumn(x) {
    return Boolean(this.layer.edge) && x >= this.columnLeft() && x <= this.columnLeft() + this.column.width;
  }

  // The chosen word's band in full colour, while the others stand back.
  mark(pen, axis) {
    const { chosen } = this.scene;
    const band = this.bandOf(chosen.word);
    const isLit = chosen.lit && band !== undefined && !printing;
    this.plot.still.classList.toggle("back", isLit);
    if (isLit) {
      const isBig = this.stack.big.includes(band);
      const path = this.outline(axis, band);
      pen.fillStyle = colour(isBig ? this.colourOf[band] : "accent");
      pen.fill(path);
      if (this.layer.edge) this.fillPart(pen, band);
      pen.strokeStyle = colour("ink");
      pen.lineWidth = 1;
      pen.stroke(path);
      for (const label of this.labels) if (label.band === band) this.paintLabel(pen, axis, label);
    }
    this.markNames(pen, axis);
  }

  markNames(pen, axis) {
    const { chosen, unit, words } = this.scene;
    const y = this.bottom + 9;
    const flat = namesAreFlat(axis);
    if (unit === "step" && !flat) paintTimes(pen, axis, y + 22);
    if (showsNames(axis)) {
      words.forEach((text, word) => {
        const isChosen = word === chosen.word && !printing;
        const size = Math.max(9, Math.min(11, axis.column - 1));
        const settings = isChosen ? { size, weight: 700 } : { size, tone: "soft" };
        if (flat) write(pen, text, axis.x(word), y + 4, { ...settings, align: "center" });
        else slanted(pen, shortened(text, 14), axis.x(word), y - 2, axis.column < 14 ? 90 : 60, settings);
      });
    } else if (!printing) {
      const x = Math.max(axis.left + 30, Math.min(axis.right - 30, axis.x(chosen.word)));
      pen.fillStyle = colour("ink");
      pen.fillRect(Math.round(axis.x(chosen.word)) - 0.5, this.bottom, 1, 8);
      write(pen, shortened(words[chosen.word], 24), x, y + 8, { size: 12, weight: 700, align: "center" });
    }
  }

  tell() {
    const { chosen, words } = this.scene;
    const band = this.bandOf(chosen.word);
    const name = shortened(words[chosen.word], 40);
    if (band === undefined) {
      this.readout.textContent = `\u201c${name}\u201d was not read.`;
      return;
    }
    const { sums, bands, steps, shares } = this.stack;
    const at = (time) => sums[time * (bands + 1) + band + 1] - sums[time * (bands + 1) + band];
    const [wrote, left] = [at(band), at(steps - 1)];
    const read = this.layer.edge ? ` It makes up ${percent(shares[band])} of what the answer reads.` : "";
    this.readout.textContent =
      `\u201c${name}\u201d wrote ${plain(wrote, 2)}; ${plain(left, 2)} of it ` +
      `(${percent(wrote > 0 ? left / wrote : 0)}) is left at the end.${read}`;
  }
}

// Bands in the order of reading, the first at the bottom. sums[time, band]: all that lies below a band.
function stacked({ belt, edge, reading, steps, reverse }) {
  const order = Array.from({ length: steps }, (_, k) => (reverse ? steps - 1 - k : k));
  const bandAt = [];
  order.forEach((step, band) => (bandAt[step] = band));
  const sums = new Float32Array(steps * (steps + 1));
  const lasts = new Int32Array(steps);
  let highest = 0;
  for (let time = 0; time < steps; time++) {
    const row = time * (steps + 1);
    for (let band = 0; band < steps; band++) {
      sums[row + band + 1] = sums[row + band] + belt[order[time] * steps + order[band]];
    }
    highest = Math.max(highest, sums[row + steps]);
  }
  for (let band = 0; band < steps; band++) {
    lasts[band] = band;
    for (let time = band; time < steps; time++) {
      // Below a 10,000th of the height a band is thinner than any screen shows.
      if (belt[order[time] * steps + order[band]] > 1e-4 * highest) lasts[band] = time;
    }
  }
  const end = belt.subarray(order[steps - 1] * steps, (order[steps - 1] + 1) * steps);
  const parts = order.map((step) => (edge ?? end)[step]);
  const total = parts.reduce((a, b) => a + b, 0) || 1;
  const shares = parts.map((part) => part / total);
  const starts = [];
  shares.reduce((below, share, band) => ((starts[band] = below), below + share), 0);
  const big = order.map((_, band) => band).filter((band) => shares[band] >= 0.02);
  big.sort((a, b) => shares[b] - shares[a]).splice(BAND_COLOURS);
  const readsLast = !edge || Boolean(reading && reading[order[steps - 1]] === 1);
  return { bands: steps, steps, order, bandAt, sums, lasts, highest, shares, starts, big, readsLast };
}

// Hues for those that the answer reads most, in the order of reading; greys in turn for the others.
function bandColours({ bands, big }) {
  const names = Array.from({ length: bands }, (_, band) => `grey-${band % GREYS}`);
  [...big].sort((a, b) => a - b).forEach((band, k) => (names[band] = `band-${k}`));
  return names;
}

// From one point to the next, level at both; a straight line where they are too near for a curve to show.
function flowTo(path, x0, y0, x1, y1) {
  if (Math.abs(x1 - x0) < 5) path.lineTo(x1, y1);
  else path.bezierCurveTo((x0 + x1) / 2, y0, (x0 + x1) / 2, y1, x1, y1);
}

// Give each label a y, near its mid, at least `gap` from the next.
function spread(labels, top, bottom, gap) {
  let least = top;
  for (const label of labels) least = (label.y = Math.max(label.mid, least)) + gap;
  let most = bottom;
  for (const label of [...labels].reverse()) most = (label.y = Math.min(label.y, most)) - gap;
}

// A name with its share, the name cut to the room that there is.
function fitting(pen, name, share, room, size) {
  pen.font = font(size);
  const fits = (text) => pen.measureText(text).width <= room;
  for (let length = 18; length > 1; length--) {
    const text = `${shortened(name, length)} ${share}`;
    if (fits(text)) return text;
  }
  return share;
}

function slanted(pen, text, x, y, degrees, settings) {
  pen.save();
  pen.translate(x, y);
  pen.rotate((-degrees * Math.PI) / 180);
  write(pen, text, 0, 0, { ...settings, align: "right" });
  pen.restore();
}

// Every word has its name where there is room; points in time have theirs if they need not be slanted.
function showsNames(axis) {
  return axis.column >= 7.5 && (axis.scene.unit !== "step" || namesAreFlat(axis));
}

function namesAreFlat(axis) {
  return axis.scene.words.every((text) => Array.from(text).length * 8 < axis.column);
}

// Room for the names under the belt.
function nameRoom(axis) {
  if (!showsNames(axis)) return axis.scene.unit !== "step" ? 26 : 42;
  if (namesAreFlat(axis)) return 26;
  const longest = Math.max(...axis.scene.words.map((text) => Math.min(Array.from(text).length, 14)));
  return 18 + longest * 6;
}

function openBelt(block, k) {
  const host = block.querySelector(".belt");
  if (!host) return;
  const belt = new Belt(host, k);
  follow(host, () => chosen.layer === k && belt.tell());
}
