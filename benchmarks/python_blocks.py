"""`python -m benchmarks.python_blocks RUN`: how much of the Python that a model writes can be tokenised as Python.

Of blocks of 20 lines the share that `tokenize` of the standard library reads without an error. A block begins with a
line that is not indented and has an empty line before it, and is cut after 20 lines, wherever that is, so real source
does not reach 100 % either: a cut through brackets or a long string is an error. Beside it stands the share of blocks
that are read without an error once they may go on to the end of what was cut through, for 20 further lines at most.

Three texts, from which blocks are taken alike, at random and none twice:

- the run's: `ROWS` texts side by side, drawn from its own distribution (`--temperature`, `--top-p`),
- real source: the run's held-out part,
- that of a 5-gram model of characters of the run's training part, with stupid backoff (Brants et al. 2007).

What `tokenize` marks as no token is an error as well.
"""

import argparse
import io
import json
import re
import sys
import tokenize
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.measure import machine
from gatewise.decoding.sampling import Sampling
from gatewise.tasks.generate.fitted import FittedLanguageModel, load_fitted
from gatewise.tasks.generate.recipe import read
from gatewise.tasks.generate.writing import never_written, read_prompt, write_tokens

LINES, START = 20, "\n\n"
BACKOFF, ORDER = 0.4, 5
ROWS, MOST = 64, 40_000
"""Texts that are written side by side; characters that are looked at for a block."""


def is_python(block: str) -> bool:
    """Whether `tokenize` reads all of it."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(block).readline))
    except (tokenize.TokenError, SyntaxError):
        return False
    return all(token.type != tokenize.ERRORTOKEN for token in tokens)


def ends_well(lines: Sequence[str]) -> bool:
    """Whether `tokenize` reads the first 20 lines, or these with some of those after them."""
    return any(is_python("".join(lines[:end])) for end in range(LINES, len(lines) + 1))


def blocks_of(texts: Sequence[str], count: int, seed: int) -> list[list[str]]:
    """At most `count` blocks of the texts, in random order, none twice: 20 lines each, and up to 20 that follow."""
    starts = [(text, match.end()) for text in texts for match in re.finditer(r"\n\n(?=\S)", text)]
    found: list[list[str]] = []
    for k in np.random.default_rng(seed).permutation(len(starts)):
        text, start = starts[k]
        lines = list(islice(io.StringIO(text[start : start + MOST]), 2 * LINES))
        if len(lines) >= LINES and lines[LINES - 1].endswith("\n"):
            found.append([line for line in lines if line.endswith("\n")])
        if len(found) == count:
            break
    return found


def written(fitted: FittedLanguageModel, characters: int, sampling: Sampling, seed: int) -> list[str]:
    """`ROWS` texts of so many tokens from the run."""
    vocabulary = fitted.vocabulary
    prompt, never = read_prompt(vocabulary, START).tokens, never_written(vocabulary)
    tokens = write_tokens(
        fitted.network.eval(), prompt, characters, sampling, never=never, rows=ROWS, seed=seed
    )
    return [START + vocabulary.decode(row) for row in torch.stack(list(tokens), 1).tolist()]


class FiveGrams:
    """A model of characters: P(c | the four before) by counts; unseen ones by 0.4 times the model of three, and so on.

    Stupid backoff gives scores; to draw from them they are divided by their sum.
    """

    def __init__(self, text: str) -> None:
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        self.characters, numbers = np.unique(codes, return_inverse=True)
        self.size = len(self.characters)
        grams = numbers.astype(np.int64)
        self.counts = [np.unique(grams, return_counts=True)]
        for order in range(2, ORDER + 1):
            grams = grams[:-1] * self.size + numbers[order - 1 :]
            self.counts.append(np.unique(grams, return_counts=True))
        self.scores = cache(self._scores)

    def number(self, character: str) -> int:
        return int(np.searchsorted(self.characters, ord(character)))

    def _scores(self, before: tuple[int, ...]) -> NDArray[np.float64]:
        """Probability of each character after these, at most four: [V]."""
        found = self.counts[0][1] / self.counts[0][1].sum()
        for order in range(2, len(before) + 2):
            code = 0
            for one in before[-(order - 1) :]:
                code = code * self.size + one
            grams, counts = self.counts[order - 1]
            low, high = np.searchsorted(grams, [code * self.size, (code + 1) * self.size])
            found = found * BACKOFF
            if high > low:
                found[grams[low:high] % self.size] = counts[low:high] / counts[low:high].sum()
        return found / found.sum()

    def text(self, characters: int, random: np.random.Generator) -> str:
        found = [self.number(one) for one in START]
        for _ in range(characters):
            before = tuple(found[-(ORDER - 1) :])
            found.append(int(np.searchsorted(self.scores(before).cumsum(), random.random() * (1 - 1e-12))))
        return "".join(chr(self.characters[one]) for one in found)


def judged(name: str, texts: Sequence[str], count: int, seed: int) -> dict[str, object]:
    """One row of the table."""
    blocks = blocks_of(texts, count, seed)
    if not blocks:
        raise SystemExit(f"{name}: no block of {LINES} lines in {sum(map(len, texts)):,} characters")
    firsts = ["".join(lines[:LINES]) for lines in blocks]
    share = float(np.mean([is_python(block) for block in firsts]))
    row = {
        "source": name,
        "blocks": len(blocks),
        "accepted": share,
        "standard_error": (share * (1 - share) / len(blocks)) ** 0.5,
        "accepted_when_ended": float(np.mean([ends_well(lines) for lines in blocks])),
        "different": len(set(firsts)) / len(blocks),
        "characters_a_block": float(np.mean([len(block) for block in firsts])),
    }
    print(
        f"{name:12} {share:7.1%} ± {row['standard_error']:.1%} of {len(blocks):,} blocks   "
        f"when they may end {row['accepted_when_ended']:.1%}   different {row['different']:.1%}   "
        f"{row['characters_a_block']:.0f} characters a block",
        flush=True,
    )
    return row


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.python_blocks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="a language model of Python source")
    parser.add_argument("--blocks", type=int, default=1000)
    parser.add_argument(
        "--characters", type=int, default=20_000, help=f"of each of {ROWS} texts that are written"
    )
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--example", action="store_true", help="also print the run's first block")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args(arguments)
    fitted = load_fitted(options.run)
    corpus = read(fitted.config)
    if corpus.validation is None:
        raise SystemExit(f"{options.run}: nothing was held out, so there is no real source to compare with")
    held_out, count, seed = corpus.validation.text, options.blocks, options.seed
    sampling = Sampling(options.temperature, top_p=options.top_p)
    own = written(fitted, options.characters, sampling, seed)
    grams, random = FiveGrams(corpus.training.text), np.random.default_rng(seed)
    print(
        f"run {options.run}, temperature {options.temperature:g}, top-p {options.top_p:g}, seed {seed}, "
        f"Python {sys.version.split()[0]}"
    )
    rows = [
        judged("the run", own, count, seed),
        judged("real source", [held_out], count, seed),
        judged("5-gram", [grams.text(options.characters, random) for _ in range(ROWS)], count, seed),
    ]
    if options.example:
        print("".join(blocks_of(own, 1, seed)[0][:LINES]))
    if options.out:
        figures = {"machine": machine(), "sampling": asdict(sampling), "seed": seed, "rows": rows}
        options.out.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
