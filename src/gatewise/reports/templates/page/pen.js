// Colours of the style sheet, and text, for canvases.

// The colours of the style sheet, looked up once for each theme, since asking for a style makes the browser lay out.
let palette = new Map();
const letters = getComputedStyle(document.body).fontFamily;

function colour(name) {
  if (!palette.has(name)) {
    palette.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  }
  return palette.get(name);
}

function font(size, weight = 400) {
  return `${weight} ${size}px ${letters}`;
}

function write(pen, text, x, y, { size = 12, tone = "ink", align = "left", baseline = "middle", weight = 400 }) {
  pen.font = font(size, weight);
  pen.fillStyle = colour(tone);
  pen.textAlign = align;
  pen.textBaseline = baseline;
  pen.fillText(text, x, y);
}

// From a share, 0 to 1, to a colour between three of the style sheet.
function shades(names) {
  const stops = names.map((name) => colour(`scale-${name}`).match(/[0-9a-f]{2}/gi).map((part) => parseInt(part, 16)));
  return (share) => {
    if (Number.isNaN(share)) return null;
    const at = Math.max(0, Math.min(1, share)) * 2;
    const k = Math.min(1, Math.floor(at));
    return stops[k].map((from, channel) => Math.round(from + (stops[k + 1][channel] - from) * (at - k)));
  };
}
