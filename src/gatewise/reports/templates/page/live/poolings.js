// How the answer reads the hidden states of the top layer: weights a, with pooled = Σ_t a_t⊙h_t. h is [T, width], with
// the directions beside each other, and so is a. A text without words pools to zero.

const POOLINGS = {
  last(h, steps, width, { directions }) {
    const a = new Float64Array(h.length);
    const half = width / directions;
    if (steps === 0) return a;
    a.fill(1, (steps - 1) * width, (steps - 1) * width + half);
    if (directions === 2) a.fill(1, half, width); // the reverse direction ends at the first word
    return a;
  },
  mean(h, steps) {
    return new Float64Array(h.length).fill(1 / steps);
  },
  max(h, steps, width) {
    const a = new Float64Array(h.length);
    for (let j = 0; j < width && steps > 0; j++) {
      let most = 0;
      for (let t = 1; t < steps; t++) if (h[t * width + j] > h[most * width + j]) most = t;
      a[most * width + j] = 1;
    }
    return a;
  },
  attention(h, steps, width, { attention }) {
    const a = new Float64Array(h.length);
    const scores = new Float64Array(steps);
    const { weight, bias } = attention;
    for (let t = 0; t < steps; t++) affine(weight, bias, rowOf(h, t, width), scores.subarray(t, t + 1));
    softmax(scores).forEach((share, t) => a.fill(share, t * width, (t + 1) * width));
    return a;
  },
};

function softmax(scores) {
  const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const sizes = Array.from(scores, (score) => Math.exp(score - most));
  const total = sizes.reduce((a, b) => a + b, 0);
  return sizes.map((size) => size / total);
}
