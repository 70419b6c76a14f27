// How wide a step and how tall a row is, and the scrolling of one side or of both together.

const WIDEST = 48; // pixels of a step
const TALLEST = 16; // pixels of a row
const MOST_HEIGHT = () => (innerWidth < 640 ? 300 : 512);
const START_HEIGHT = 320; // few units are drawn this high, if that makes no row too tall

class Scroll {
  constructor(host, steps) {
    Object.assign(this, { host, steps, rows: 1, wide: 1, tall: 1, factor: 1, isWhole: true, width: 0, height: 0, left: 0, top: 0 });
    this.room = host.querySelector(".room");
  }

  // Where the host is scrolled to, asked for once: each time the browser may have to lay out the page.
  sync() {
    Object.assign(this, { left: this.host.scrollLeft, top: this.host.scrollTop });
  }

  moveTo(left, top = this.top) {
    if (Math.abs(left - this.left) > 0.5) this.host.scrollLeft = left;
    if (Math.abs(top - this.top) > 0.5) this.host.scrollTop = top;
    this.sync();
  }

  // Bring the sizes up to the room that there is, and to as many steps as the longer side has where both go together.
  fit(steps) {
    this.span = steps;
    this.width = this.host.clientWidth;
    const least = this.width / steps;
    if (this.isWhole || this.wide < least) this.wide = least;
    const natural = Math.max(1, Math.min(TALLEST, Math.floor(START_HEIGHT / this.rows)));
    this.tall = Math.max(1, Math.min(4 * TALLEST, natural * this.factor));
    const inside = Math.round(this.tall * this.rows);
    this.height = Math.min(inside, MOST_HEIGHT());
    this.host.style.height = `${this.height + this.host.offsetHeight - this.host.clientHeight}px`;
    this.room.style.width = `${this.isWhole ? this.width : Math.round(this.wide * steps)}px`;
    this.room.style.height = `${inside}px`;
    this.sync();
  }

  // Widen a step by a factor around the point x of the window; a factor of 0 shows the whole text.
  zoom(factor, x = this.width / 2) {
    const step = (this.left + x) / this.wide;
    const least = this.width / this.span;
    this.wide = Math.max(least, Math.min(Math.max(WIDEST, least), this.wide * factor));
    this.isWhole = this.wide === least;
    this.fit(this.span);
    this.moveTo(step * this.wide - x);
  }

  follow(other) {
    Object.assign(this, { wide: other.wide, isWhole: other.isWhole });
    this.fit(this.span);
    this.moveTo(other.left, other.top);
  }

  stepAt(x) {
    return Math.max(0, Math.min(this.steps - 1, Math.floor((this.left + x) / this.wide)));
  }

  rowAt(y) {
    return Math.max(0, Math.min(this.rows - 1, Math.floor((this.top + y) / this.tall)));
  }

  x(step) {
    return step * this.wide - this.left;
  }

  y(row) {
    return row * this.tall - this.top;
  }

  // Scroll as little as shows a step, and a row.
  show(step, row) {
    const [x, y] = [this.x(step), this.y(row)];
    let { left, top } = this;
    if (x < 0) left += x - this.width / 4;
    else if (x + this.wide > this.width) left += x + this.wide - 0.75 * this.width;
    if (y < 0) top += y;
    else if (y + this.tall > this.height) top += y + this.tall - this.height;
    this.moveTo(left, top);
  }
}
