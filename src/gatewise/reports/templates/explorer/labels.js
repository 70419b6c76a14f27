// Beside a map: the time constants of its rows; and below it: the names of its steps.

const NAMES_HEIGHT = 66;
const ROOM_OF_NAME = 64; // pixels for a name that lies
const ROOM_OF_TURNED = 13; // for one that stands

function sized(canvas, width, height) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    Object.assign(canvas, { width: w, height: h });
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

// The longest of the time constants that end; 0 where there is none.
function longest(lives) {
  return lives.reduce((most, life) => (Number.isFinite(life) ? Math.max(most, life) : most), 0);
}

// A bar for each row, as long as the logarithm of its time constant; without lives none.
function paintLives(canvas, scroll, lives, order, width, most) {
  const pen = sized(canvas, width, scroll.height);
  if (!lives.length) return;
  const room = width - 2;
  const gap = scroll.tall > 3 ? 1 : 0;
  pen.fillStyle = colour("scale-half");
  for (let row = scroll.rowAt(0); row < order.length && scroll.y(row) < scroll.height; row++) {
    const life = lives[order[row]];
    const long = room * (Number.isFinite(life) ? Math.log1p(life) / Math.log1p(most) : 1);
    pen.fillRect(width - long, scroll.y(row), long, scroll.tall - gap);
  }
}

function paintNames(canvas, scroll, names, width) {
  const pen = sized(canvas, width, NAMES_HEIGHT);
  const isTurned = scroll.wide >= ROOM_OF_TURNED && scroll.wide < ROOM_OF_NAME;
  const every = isTurned ? 1 : Math.max(1, Math.ceil(ROOM_OF_NAME / scroll.wide));
  const first = Math.floor(scroll.stepAt(0) / every) * every;
  pen.font = font(11);
  pen.textBaseline = "middle";
  for (let step = first; step < names.length && scroll.x(step) < width; step += every) {
    const x = scroll.x(step) + scroll.wide / 2;
    pen.fillStyle = colour("line");
    pen.fillRect(Math.round(x), 0, 1, 5);
    pen.fillStyle = colour("soft");
    if (isTurned) turned(pen, shortened(names[step], 9), x);
    else lying(pen, shortened(names[step], 10), x, width);
  }
}

function turned(pen, text, x) {
  pen.save();
  pen.translate(x, 8);
  pen.rotate(-Math.PI / 2);
  pen.textAlign = "right";
  pen.fillText(text, 0, 0);
  pen.restore();
}

// In the middle of its step, but not beyond the ends of the map.
function lying(pen, text, x, width) {
  const half = pen.measureText(text).width / 2;
  pen.textAlign = "center";
  pen.fillText(text, Math.max(half, Math.min(width - half, x)), 14);
}
