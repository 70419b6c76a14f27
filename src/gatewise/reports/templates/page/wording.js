// Numbers and names as text.

function plain(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "\u2013" : value < 0 ? "\u2212\u221e" : "\u221e";
  return value.toFixed(digits).replace("-", "\u2212");
}

function signed(value, digits = 3) {
  return (value > 0 ? "+" : "") + plain(value, digits);
}

function percent(share) {
  if (!Number.isFinite(share)) return "\u2013";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

function shortened(text, length) {
  const letters = Array.from(text);
  return letters.length > length ? `${letters.slice(0, length - 1).join("")}\u2026` : text;
}

// The index that a key leads to from `at`, or null for a key that leads nowhere.
function movedBy(key, at, count, backwards = false) {
  const ahead = backwards ? -1 : 1;
  const far = { PageUp: -10, PageDown: 10, Home: -count, End: count, ArrowUp: -1, ArrowDown: 1 };
  const by = { ArrowRight: ahead, ArrowLeft: -ahead, ...far }[key];
  return by === undefined ? null : Math.max(0, Math.min(count - 1, at + by));
}
