// A text as byte pairs: cut into pieces, each piece as bytes, and neighbours merged in the order that was learned.

const CLITICS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
const BLOCK = 2 ** 21; // more than there are tokens

class BpeTokenizer {
  // bytes: the token of each byte. merges: left, right and merged token of each merge, the first learned first.
  constructor({ bytes, merges }, alphabet) {
    Object.assign(this, { alphabet, bytes });
    this.merges = new Map();
    for (let rank = 0; rank < merges.length / 3; rank++) {
      const [left, right, merged] = merges.subarray(3 * rank, 3 * rank + 3);
      this.merges.set(left * BLOCK + right, { rank, merged });
    }
    this.encoder = new TextEncoder();
  }

  // Tokens in order: { id, start, end }, with their places in the text.
  encode(text) {
    const { codes, starts } = charactersOf(text);
    const tokens = [];
    for (let at = 0; at < codes.length; ) {
      const end = this.pieceEnd(codes, at);
      for (const { id, first, last } of this.merged(this.symbols(codes, at, end))) {
        tokens.push({ id, ...this.span(codes, starts, first, last) });
      }
      at = end;
    }
    return tokens;
  }

  // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  pieceEnd(codes, at) {
    const { alphabet } = this;
    if (codes[at] === APOSTROPHE) {
      const near = spelled(codes, at, Math.min(at + 3, codes.length));
      const clitic = CLITICS.find((one) => near.startsWith(one));
      if (clitic) return at + clitic.length;
    }
    const start = codes[at] === SPACE ? at + 1 : at;
    for (const kind of [LETTER, NUMBER]) {
      const end = alphabet.endOf(kind, codes, start);
      if (end > start) return end;
    }
    let end = start;
    while (end < codes.length && !alphabet.is(BLANK | LETTER | NUMBER, codes[end])) end++;
    if (end > start) return end;
    const blanks = alphabet.endOf(BLANK, codes, at);
    return blanks < codes.length && blanks > at + 1 ? blanks - 1 : blanks; // the last blank belongs to what follows
  }

  // The bytes of a piece as tokens, with the characters that they come from.
  symbols(codes, start, end) {
    const found = [];
    for (let k = start; k < end; k++) {
      for (const byte of this.encoder.encode(String.fromCodePoint(codes[k]))) {
        found.push({ id: this.bytes[byte], first: k, last: k + 1 });
      }
    }
    return found;
  }

  // The merge that was learned first is made first, of several the leftmost. Merges wait in a queue, as in the
  // tokenizers library, and one whose pair has gone by then is passed over.
  merged(symbols) {
    const queue = new Queue((a, b) => a.rank - b.rank || a.at - b.at);
    const before = symbols.map((_, k) => k - 1);
    const after = symbols.map((_, k) => (k + 1 < symbols.length ? k + 1 : -1));
    const pair = (at) => this.merges.get(symbols[at].id * BLOCK + symbols[after[at]].id);
    const ask = (at) => {
      const found = at >= 0 && after[at] >= 0 ? pair(at) : undefined;
      if (found) queue.push({ at, ...found });
    };
    symbols.forEach((_, at) => ask(at));
    for (let next = queue.pop(); next; next = queue.pop()) {
      const { at, merged } = next;
      if (symbols[at] === null || after[at] < 0 || pair(at)?.merged !== merged) continue;
      const right = after[at];
      symbols[at] = { id: merged, first: symbols[at].first, last: symbols[right].last };
      symbols[right] = null;
      after[at] = after[right];
      if (after[at] >= 0) before[after[at]] = at;
      ask(before[at]);
      ask(at);
    }
    return symbols.filter((symbol) => symbol !== null);
  }

  // What Python takes for a blank: also the separators of files, groups, records and units.
  isTrimmed(code) {
    return this.alphabet.is(BLANK, code) || (code >= 0x1c && code <= 0x1f);
  }

  // The place of a token in the text, without the blanks before it; with them where it is nothing else.
  span(codes, starts, first, last) {
    let start = first;
    while (start < last && this.isTrimmed(codes[start])) start++;
    return { start: starts[start < last ? start : first], end: starts[last] };
  }
}

// A heap: the least comes out first.
class Queue {
  constructor(compare) {
    this.compare = compare;
    this.heap = [];
  }

  push(one) {
    const { heap } = this;
    let at = heap.push(one) - 1;
    while (at > 0 && this.compare(heap[at], heap[(at - 1) >> 1]) < 0) at = this.swap(at, (at - 1) >> 1);
  }

  pop() {
    const { heap } = this;
    const least = heap[0];
    const last = heap.pop();
    if (heap.length) {
      heap[0] = last;
      this.sink();
    }
    return least;
  }

  sink() {
    const { heap } = this;
    for (let at = 0; ; ) {
      const children = [2 * at + 1, 2 * at + 2].filter((child) => child < heap.length);
      const least = children.reduce((a, b) => (this.compare(heap[b], heap[a]) < 0 ? b : a), at);
      if (least === at) return;
      at = this.swap(at, least);
    }
  }

  swap(a, b) {
    [this.heap[a], this.heap[b]] = [this.heap[b], this.heap[a]];
    return b;
  }
}
