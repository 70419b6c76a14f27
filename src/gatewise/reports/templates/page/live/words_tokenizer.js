// A text as words: small letters, a word with its inner apostrophes, a number with its inner points and commas, or one
// other character; a line break tag is a blank.

const [LESS, GREATER, SLASH, SPACE] = codesOf("<>/ ");
const [APOSTROPHE, CURLY, POINT, COMMA] = codesOf("'\u2019.,");

function codesOf(text) {
  return Array.from(text, (character) => character.codePointAt(0));
}

class WordsTokenizer {
  constructor({ vocabulary }, alphabet) {
    this.alphabet = alphabet;
    this.numberOf = new Map(vocabulary.map((word, number) => [word, number]));
  }

  // Tokens in order: { id, start, end }, with their places in the text.
  encode(text) {
    const { codes, from, to } = this.normalised(text);
    const tokens = [];
    let at = 0;
    while (at < codes.length) {
      if (this.alphabet.is(BLANK, codes[at])) {
        at++;
        continue;
      }
      const end = this.tokenEnd(codes, at);
      const id = this.numberOf.get(spelled(codes, at, end)) ?? UNKNOWN;
      tokens.push({ id, start: from[at], end: to[end - 1] });
      at = end;
    }
    return tokens;
  }

  // The characters as they are looked up, with the places in the text that each came from.
  normalised(text) {
    const { codes, starts } = charactersOf(text);
    const found = { codes: [], from: [], to: [] };
    const put = (code, first, last) => {
      found.codes.push(code);
      found.from.push(starts[first]);
      found.to.push(starts[last]);
    };
    for (let at = 0; at < codes.length; at++) {
      const end = this.lineBreakEnd(codes, at);
      if (end > at) {
        put(SPACE, at, end);
        at = end - 1;
      } else if (codes[at] === DOTTED_I) {
        put("i".codePointAt(0), at, at + 1);
        put(DOT_ABOVE, at, at + 1);
      } else {
        put(codes[at] === CURLY ? APOSTROPHE : this.alphabet.small.get(codes[at]) ?? codes[at], at, at + 1);
      }
    }
    return found;
  }

  // Where a tag <br> that begins at `at` ends; `at` where none begins.
  lineBreakEnd(codes, at) {
    const letter = (place, capital) => (codes[place] & ~0x20) === capital.codePointAt(0);
    if (codes[at] !== LESS || !letter(at + 1, "B") || !letter(at + 2, "R")) return at;
    let end = this.alphabet.endOf(BLANK, codes, at + 3);
    if (codes[end] === SLASH) end++;
    return codes[end] === GREATER ? end + 1 : at;
  }

  tokenEnd(codes, at) {
    const { alphabet } = this;
    const number = this.runEnd(NUMBER, [POINT, COMMA], codes, at);
    if (number > alphabet.endOf(NUMBER, codes, at)) return number;
    return alphabet.is(WORDLIKE, codes[at]) ? this.runEnd(WORDLIKE, [APOSTROPHE], codes, at) : at + 1;
  }

  // The end of runs of a kind with one sign between each two.
  runEnd(kind, signs, codes, at) {
    let end = this.alphabet.endOf(kind, codes, at);
    while (end > at && signs.includes(codes[end]) && end + 1 < codes.length && this.alphabet.is(kind, codes[end + 1])) {
      end = this.alphabet.endOf(kind, codes, end + 1);
    }
    return end;
  }
}
