// Numbers and names as text.

function plain(value, digits = 4) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "\u2013" : value < 0 ? "\u2212\u221e" : "\u221e";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

function signed(value, digits = 3) {
  return (value > 0 ? "+" : "") + plain(value, digits);
}

function percent(share) {
  if (!Number.isFinite(share)) return "\u2013";
  if (share > 0 && share < 0.0005) return "under 0.1%";
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}%`;
}

function shortened(text, length) {
  const letters = Array.from(text);
  return letters.length > length ? `${letters.slice(0, length - 1).join("")}\u2026` : text;
}

// Names of the steps without what all of them begin with, such as the year of a date.
function shortNames(names, unit) {
  if (unit !== "step" || names.length < 2) return names;
  let same = 0;
  while (names[0][same] && names.every((name) => name[same] === names[0][same])) same++;
  const parts = names[0].slice(0, same).match(/^.*[-/ :T]/); // not in the midst of a number
  return parts ? names.map((name) => name.slice(parts[0].length)) : names;
}

// The index that a key leads to from `at`, or null for a key that leads nowhere.
function movedBy(key, at, count, backwards = false) {
  const ahead = backwards ? -1 : 1;
  const far = { PageUp: -10, PageDown: 10, Home: -count, End: count, ArrowUp: -1, ArrowDown: 1 };
  const by = { ArrowRight: ahead, ArrowLeft: -ahead, ...far }[key];
  return by === undefined ? null : Math.max(0, Math.min(count - 1, at + by));
}
