// A drawing over time: two canvases, one painted once, one for what moves with the reader's choice.

const plots = [];
const NARROW = 560; // pixels of the page; below, there is less room for labels
const WIDEST = 6000; // pixels of a drawing, however long the sequence
const LEAST = 0.5; // pixels of a word; a sequence that needs more than its room is scrolled
let printing = false;

class Plot {
  // host: an element of class "plot"; it is labelled for those who do not see the drawing.
  // height(axis): its height. paint(pen, axis): what stands still. mark(pen, axis): what moves.
  // pick(x, y, axis): what a point chooses. mirrored: the labels stand at the left. scene: whose words it is over.
  constructor(host, { height, paint, mark, pick = pickWord, mirrored = false, scene = explained }) {
    Object.assign(this, { host, height, paint, mark, pick, mirrored, scene, width: 0 });
    this.still = host.appendChild(document.createElement("canvas"));
    this.moving = host.appendChild(document.createElement("canvas"));
    this.moving.className = "moving";
    for (const type of ["pointermove", "pointerdown"]) {
      this.moving.addEventListener(type, (event) => this.point(event));
    }
    this.moving.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") scene.choose({ lit: false });
    });
    new ResizeObserver(() => requestAnimationFrame(() => this.fit())).observe(host);
    plots.push(this);
    scene.follow(host, () => this.remark());
  }

  point(event) {
    if (this.axis) this.scene.choose({ ...this.pick(event.offsetX, event.offsetY, this.axis), lit: true });
  }

  // Paint again where the room has changed.
  fit() {
    if (this.host.clientWidth !== this.width) this.draw();
  }

  draw() {
    this.width = this.host.clientWidth;
    if (!this.width) return; // it is in a closed part of the page
    this.axis = timeAxis(this.width, this.mirrored, this.scene);
    this.axis.height = this.height(this.axis);
    this.host.style.height = `${this.axis.height + (this.axis.width > this.width ? 14 : 0)}px`;
    this.paint(this.cleared(this.still), this.axis);
    this.cleared(this.moving);
    this.remark();
  }

  cleared(canvas) {
    const ratio = printing ? 2 : Math.min(devicePixelRatio || 1, 3);
    canvas.width = Math.round(this.axis.width * ratio);
    canvas.height = Math.round(this.axis.height * ratio);
    canvas.style.width = `${this.axis.width}px`;
    canvas.style.height = `${this.axis.height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    return pen;
  }

  remark() {
    if (!this.width) return;
    const pen = this.moving.getContext("2d");
    pen.clearRect(0, 0, this.axis.width, this.axis.height);
    this.mark(pen, this.axis);
  }
}

// Where each word stands: a column each, with room for an axis before and for labels after.
function timeAxis(room, mirrored, scene) {
  const narrow = room < NARROW;
  const scale = narrow ? 20 : 36;
  const labels = narrow ? 84 : 156;
  const count = scene.words.length;
  const column = Math.max((room - scale - labels) / count, Math.min(LEAST, WIDEST / count));
  const left = mirrored ? labels : scale;
  const right = left + column * count;
  return {
    narrow, mirrored, scene, column, left, right, labels,
    width: right + (mirrored ? scale : labels),
    x: (word) => left + column * (word + 0.5),
    word: (x) => Math.max(0, Math.min(count - 1, Math.floor((x - left) / column))),
  };
}

function pickWord(x, y, axis) {
  return { word: axis.word(x) };
}

// The chosen word's column, from top to bottom.
function markColumn(pen, axis, top, bottom) {
  const x = axis.x(axis.scene.chosen.word);
  pen.fillStyle = colour("cursor-wash");
  if (axis.column > 5) pen.fillRect(x - axis.column / 2, top, axis.column, bottom - top);
  pen.fillStyle = colour("cursor");
  pen.fillRect(Math.round(x) - 0.5, top, 1, bottom - top);
}

// Text beside the drawing, in the room for labels.
function beside(pen, axis, y, text, settings) {
  const x = axis.mirrored ? axis.left - 10 : axis.right + 10;
  write(pen, text, x, y, { align: axis.mirrored ? "right" : "left", ...settings });
}
