// One side's map.

const LIVES_WIDTH = () => (innerWidth < 640 ? 24 : 44);
const KEPT = 16; // pictures of all sides

const pictures = new Map();
let sorting = 0; // counts the orders, so that no picture of an older one is shown

class SideMap {
  constructor(host, k) {
    Object.assign(this, { host, k, side: explorer.sides[k], order: null, shown: null, paintedLives: "" });
    const find = (name) => host.querySelector(name);
    this.still = find(".still");
    this.moving = find(".moving");
    this.livesCanvas = find(".lives");
    this.names = find(".steps");
    this.window = find(".window");
    this.scroll = new Scroll(find(".scroller"), this.side.steps.length);
    painters.sorted.push(() => this.sort());
    painters.still.push(() => this.paintStill());
    painters.moving.push(() => this.paintMoving());
  }

  get layer() {
    return layerOf(this.side, chosen.layer);
  }

  // The chosen map, or the one before where this side's cell has no such gate.
  get name() {
    if (this.layer.maps[chosen.map]) this.shown = chosen.map;
    else if (!this.layer.maps[this.shown]) this.shown = firstMap(this.layer);
    return this.shown;
  }

  get values() {
    return this.layer.maps[this.name];
  }

  // The steps after which "value where marked" sorts: this side's range, else what is pointed at, else the last step.
  span() {
    const { range, point } = chosen;
    if (range && (range.side === this.k || sameSteps)) return [range.from, range.to];
    if (point && (point.side === this.k || sameSteps)) return [point.step, point.step];
    return [this.side.steps.length - 1, this.side.steps.length - 1];
  }

  sort() {
    const first = maps[0];
    const isLed = chosen.aligned && explorer.sameModel && this !== first && first.values.rows === this.values.rows;
    this.order = isLed ? first.order : rowsOrder(this.layer, this.values, chosen.order, ...this.span());
    this.rowOf = new Uint16Array(this.order.length);
    this.order.forEach((unit, row) => (this.rowOf[unit] = row));
    this.scroll.rows = this.values.rows;
    this.scroll.fit(spanOf(this));
  }

  picture() {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const level = Math.max(0, Math.ceil(Math.log2(1 / (this.scroll.wide * ratio))));
    const key = `${sorting} ${this.k} ${this.layer.name} ${this.name} ${level}`;
    let found = pictures.get(key);
    if (!found) {
      const table = shadeTable(this.values, limitOf(this.name, chosen.layer), isSigned(this.name, chosen.layer));
      found = new Picture(this.values, this.order, table, level);
    }
    pictures.delete(key);
    pictures.set(key, found); // the last one used stands last
    if (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
    return found;
  }

  paintStill() {
    const { scroll } = this;
    if (!scroll.width) return;
    const pen = sized(this.still, scroll.width, scroll.height);
    const picture = this.picture();
    picture.copy(pen, scroll.left, scroll.top, scroll.wide * 2 ** picture.level, scroll.tall, scroll.width, scroll.height);
    this.paintLives();
    paintNames(this.names, scroll, this.side.short, scroll.width);
  }

  // No bars for a plain RNN, nor for a projected h, whose rows are no units of the memory. Drawn anew where the rows are
  // others, or scrolled.
  paintLives() {
    const { scroll, order } = this;
    const state = [sorting, scroll.top, scroll.tall, scroll.height, LIVES_WIDTH(), this.layer.name, order.length].join();
    if (state === this.paintedLives) return;
    this.paintedLives = state;
    const { lives } = this.layer;
    const most = longest(lives);
    const hasBars = lives.length === order.length && most > 0;
    paintLives(this.livesCanvas, scroll, hasBars ? lives : [], order, LIVES_WIDTH(), most);
    this.host.querySelector(".corner").textContent = hasBars ? `τ to ${plain(most, most < 10 ? 1 : 0)}` : "";
  }

  paintMoving() {
    const { scroll } = this;
    if (!scroll.width) return;
    const pen = sized(this.moving, scroll.width, scroll.height);
    const { range } = chosen;
    if (range && (range.side === this.k || sameSteps)) this.paintRange(pen, range);
    const { step, unit } = pointOn(this);
    const end = Math.min(scroll.width, scroll.x(this.side.steps.length));
    if (step !== null) this.cross(pen, scroll.x(step), 0, scroll.wide, scroll.height);
    if (unit !== null) this.cross(pen, 0, scroll.y(this.rowOf[unit]), end, scroll.tall);
    tellPoint(this, step, unit);
  }

  // A frame that is seen on light and on dark, around a column or a row.
  cross(pen, x, y, width, height) {
    for (const [by, name] of [[1.5, "paper"], [0.5, "cursor"]]) {
      pen.strokeStyle = colour(name);
      pen.lineWidth = by === 0.5 ? 1 : 2;
      pen.strokeRect(x - by, y - by, width + 2 * by, height + 2 * by);
    }
  }

  paintRange(pen, { from, to }) {
    const { scroll } = this;
    const [left, right] = [scroll.x(from), scroll.x(to + 1)];
    pen.fillStyle = colour("paper");
    pen.globalAlpha = 0.45;
    pen.fillRect(0, 0, left, scroll.height);
    pen.fillRect(right, 0, scroll.width - right, scroll.height);
    pen.globalAlpha = 1;
    pen.fillStyle = colour("accent");
    for (const x of [left - 2, right]) pen.fillRect(x, 0, 2, scroll.height);
  }
}

// Which step and unit of this side are pointed at: those of the other side too, as far as they mean the same.
function pointOn(map) {
  const { point } = chosen;
  if (!point) return { step: null, unit: null };
  const isOwn = point.side === map.k;
  const step = isOwn || sameSteps ? point.step : null;
  const unit = (isOwn || explorer.sameModel) && point.unit < map.order.length ? point.unit : null;
  return { step, unit };
}

function firstMap(layer) {
  return ["f", "z", "h"].find((name) => layer.maps[name]);
}

// As many steps as the window of a side has to have room for.
function spanOf(map) {
  return chosen.together ? Math.max(...maps.map((one) => one.side.steps.length)) : map.side.steps.length;
}
