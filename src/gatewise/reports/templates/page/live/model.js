// The model of the page, and what it does with a text.

const UNKNOWN = 1;

class Model {
  constructor(values) {
    const { tokenizer, embedding, parts, directions, pooling, output } = values;
    const { labels, temperature, truncation } = values;
    Object.assign(this, { directions, pooling, labels, temperature, truncation });
    this.parts = parts.map(decodedPart); // the bottom layer first, of each layer the forward direction first
    this.attention = values.attention && decodedLinear(values.attention);
    this.output = decodedLinear(output);
    this.embedding = { size: embedding.size, words: floats(embedding.words), pairs: null };
    this.vocabularySize = this.embedding.words.length / embedding.size;
    if (embedding.pairs) this.openPairs(embedding.pairs);
    const Kind = { words: WordsTokenizer, bpe: BpeTokenizer }[tokenizer.kind];
    this.tokenizer = new Kind(decodedTokenizer(tokenizer), new Alphabet());
  }

  openPairs({ keys, vectors }) {
    const found = new Float64Array(bytes(keys).buffer);
    this.embedding.pairs = { rows: new Map(Array.from(found, (key, at) => [key, at + 1])), vectors: floats(vectors) };
  }

  get top() {
    return this.parts.length - this.directions;
  }

  // The text's tokens, and which of them are read.
  read(text) {
    const tokens = this.tokenizer.encode(text);
    const positions = keptPlaces(tokens.length, this.truncation);
    return { text, tokens, positions, ids: positions.map((at) => tokens[at].id) };
  }

  // changes: one entry a part, or none for a part that is left as it is.
  run({ ids }, changes = []) {
    const steps = ids.length;
    let x = this.embedded(ids);
    const parts = [];
    for (let k = 0; k < this.parts.length; k += this.directions) {
      const layer = this.parts.slice(k, k + this.directions);
      const found = layer.map((part, d) => runPart(part, x, steps, changes[k + d]));
      parts.push(...found);
      x = besideEachOther(found);
    }
    const width = this.output.weight.length / this.labels.length;
    const reading = POOLINGS[this.pooling](x, steps, width, this);
    const pooled = new Float64Array(width);
    for (let k = 0; k < x.length; k++) pooled[k % width] += reading[k] * x[k];
    const logits = new Float64Array(this.labels.length);
    affine(this.output.weight, this.output.bias, pooled, logits);
    const probabilities = softmax(logits.map((logit) => logit / this.temperature));
    return { steps, parts, reading, width, pooled, logits, probabilities };
  }

  embedded(ids) {
    const { size, words, pairs } = this.embedding;
    const x = new Float32Array(ids.length * size);
    ids.forEach((id, t) => {
      const row = words.subarray(id * size, (id + 1) * size);
      const pair = (pairs && t > 0 && pairs.rows.get(ids[t - 1] * this.vocabularySize + id)) || 0;
      for (let k = 0; k < size; k++) x[t * size + k] = row[k] + (pairs ? pairs.vectors[pair * size + k] : 0);
    });
    return x;
  }

  // What counts for a label: its row of the output minus the mean of the others'.
  contrast(values, label) {
    const labels = this.labels.length;
    const width = values.length / labels;
    return Float64Array.from({ length: width }, (_, j) => {
      let others = 0;
      for (let k = 0; k < labels; k++) if (k !== label) others += values[k * width + j];
      return values[label * width + j] - others / (labels - 1);
    });
  }
}

function decodedPart(part) {
  const found = { ...part };
  for (const name of ["weightIh", "weightHh", "biasIh", "biasHh"]) found[name] = part[name] && floats(part[name]);
  return found;
}

function decodedLinear({ weight, bias }) {
  return { weight: floats(weight), bias: floats(bias) };
}

function decodedTokenizer(tokenizer) {
  if (tokenizer.kind === "words") return tokenizer;
  return { ...tokenizer, merges: new Int32Array(bytes(tokenizer.merges).buffer) };
}

// The hidden states [T, H] of the directions as [T, D·H].
function besideEachOther(found) {
  if (found.length === 1) return found[0].hidden;
  const [{ steps, units }] = found;
  const width = found.length * units;
  const joined = new Float64Array(steps * width);
  found.forEach(({ hidden }, d) => {
    for (let t = 0; t < steps; t++) joined.set(rowOf(hidden, t, units), t * width + d * units);
  });
  return joined;
}
