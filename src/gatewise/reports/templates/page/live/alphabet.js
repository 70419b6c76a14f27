// What kind of character a code point is, and its small letter.

const [LETTER, MARK, NUMBER, BLANK] = [1, 2, 4, 8];
const WORDLIKE = LETTER | MARK | NUMBER;
const DOTTED_I = 0x130; // the one capital whose small letter is two characters
const DOT_ABOVE = 0x307;
const NO_CHARACTER = 0xfffd; // stands for half a pair of surrogates

class Alphabet {
  constructor() {
    this.kinds = new Uint8Array(0x110000);
    const classes = [[LETTER, LETTERS], [MARK, MARKS], [NUMBER, NUMBERS], [BLANK, BLANKS]];
    for (const [kind, table] of classes) this.fill(kind, inBase36(table));
    this.small = new Map();
    this.fillSmall(inBase36(CAPITALS));
  }

  fill(kind, runs) {
    let at = 0;
    for (let k = 0; k < runs.length; k += 2) {
      at += runs[k];
      this.kinds.fill(kind, at, at + runs[k + 1]);
      at += runs[k + 1];
    }
  }

  fillSmall(runs) {
    let at = 0;
    for (let k = 0; k < runs.length; k += 4) {
      const [gap, length, step, away] = runs.slice(k, k + 4);
      at += gap;
      for (let n = 0; n < length; n++, at += step) this.small.set(at, at + away);
      at += 1 - step;
    }
  }

  is(kind, code) {
    return (this.kinds[code] & kind) !== 0;
  }

  // The first place at or after `at` where no character of the kind stands.
  endOf(kind, codes, at) {
    while (at < codes.length && this.is(kind, codes[at])) at++;
    return at;
  }
}

function inBase36(table) {
  return table.trim().split(/\s+/).map((digits) => parseInt(digits, 36));
}

// The characters of a text with the places between them: character k stands from starts[k] to starts[k + 1].
function charactersOf(text) {
  const codes = [];
  const starts = [];
  let at = 0;
  while (at < text.length) {
    const code = text.codePointAt(at);
    starts.push(at);
    codes.push(code >= 0xd800 && code < 0xe000 ? NO_CHARACTER : code);
    at += code > 0xffff ? 2 : 1;
  }
  starts.push(text.length);
  return { codes, starts };
}

function spelled(codes, start, end) {
  let text = "";
  for (let k = start; k < end; k++) text += String.fromCodePoint(codes[k]);
  return text;
}
