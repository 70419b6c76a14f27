// The words of a typed text, as the page shows words: how dark one is says what it held, the line under it how it
// pushed.

const HELD_LEVELS = 10;
const PUSH_LEVELS = 5;

// Text from a keyboard as it may be shown: nothing in it turns the direction of writing or is no character.
function shownText(text) {
  return text.replace(/[\p{C}\p{Z}]/gu, (character) => (/[ \u200c\u200d]/.test(character) ? character : "\ufffd"));
}

function shownWords({ text, tokens }) {
  return tokens.map(({ start, end }) => shownText(text.slice(start, end)));
}

// Elements for all words, and the text between them.
function wordElements({ tokens, positions }, words, { held, push }, isErased) {
  const read = new Set(positions);
  const most = (values) => (values ? values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) || 1 : 1);
  const [mostHeld, mostPush] = [most(held), most(push)];
  return tokens.flatMap((token, at) => {
    const element = document.createElement("span");
    element.textContent = words[at];
    element.dataset.word = at;
    element.setAttribute("role", "option");
    element.tabIndex = -1;
    const states = statesOf({ unknown: token.id === UNKNOWN, cut: !read.has(at), erased: isErased(at) });
    element.className = ["w", ...states, ...levels(held?.[at] / mostHeld, push?.[at] / mostPush)].join(" ");
    element.setAttribute("aria-label", [words[at], ...numbersOf(held?.[at], push?.[at]), ...states].join(", "));
    const isApart = at > 0 && token.start > tokens[at - 1].end;
    return isApart ? [" ", element] : [element];
  });
}

function statesOf(states) {
  return Object.keys(states).filter((name) => states[name]);
}

function levels(held, push) {
  const found = Number.isFinite(held) ? [`held-${Math.round(HELD_LEVELS * held)}`] : [];
  const level = Math.round(PUSH_LEVELS * Math.abs(push));
  return level ? [...found, `${push > 0 ? "push" : "pull"}-${level}`] : found;
}

function numbersOf(held, push) {
  return held === undefined ? [] : [`held ${percent(held)}`, `push ${signed(push)}`];
}
