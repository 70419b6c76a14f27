// Which of n tokens a longer text keeps: its head, its tail, or (middle) a third from the head and the rest from the
// tail.
function keptPlaces(n, { most, where }) {
  const all = Array.from({ length: n }, (_, k) => k);
  if (n <= most) return all;
  const head = { head: most, tail: 0, middle: Math.floor(most / 3) }[where];
  return [...all.slice(0, head), ...all.slice(n - (most - head))];
}
