// How wide a step and how tall a row is, and the scrolling of one side or of both together.

const WIDEST = 48; // pixels of a step
const TALLEST = 16; // pixels of a row
const MOST_HEIGHT = () => (innerWidth < 640 ? 300 : 512);
const START_HEIGHT = 320; // few units are drawn this high, if that makes no row too tall

class Scroll {
  constructor(host, steps) {
    Object.assign(this, { host, steps, rows: 1, wide: 1, tall: 1, factor: 1, isWhole: true, width: 0, height: 0 });
    this.room = host.querySelector(".room");
  }

  get left() {
    return this.host.scrollLeft;
  }

  get top() {
    return this.host.scrollTop;
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
  }

  // Widen a step by a factor around the point x of the window; a factor of 0 shows the whole text.
  zoom(factor, x = this.width / 2) {
    const step = (this.left + x) / this.wide;
    const least = this.width / this.span;
    this.wide = Math.max(least, Math.min(Math.max(WIDEST, least), this.wide * factor));
    this.isWhole = this.wide === least;
    this.fit(this.span);
    this.host.scrollLeft = step * this.wide - x;
  }

  follow(other) {
    Object.assign(this, { wide: other.wide, isWhole: other.isWhole });
    this.fit(this.span);
    this.host.scrollLeft = other.left;
    this.host.scrollTop = other.top;
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
    if (x < 0) this.host.scrollLeft += x - this.width / 4;
    else if (x + this.wide > this.width) this.host.scrollLeft += x + this.wide - 0.75 * this.width;
    if (y < 0) this.host.scrollTop += y;
    else if (y + this.tall > this.height) this.host.scrollTop += y + this.tall - this.height;
  }
}
