"""`python -m benchmarks.python_blocks RUN`: how much of the Python that a model writes can be tokenised as Python.

Of blocks of 20 lines the share that `tokenize` of the standard library reads without an error. Every block begins with
a line that is not indented and has an empty line before it, and is cut after 20 lines, wherever that is, so real source
does not reach 100 % either: a cut through brackets or a long string is an error. Three sources, measured alike:

- the run: after two line ends, drawn from its own distribution (`--temperature`),
- real source: the run's held-out part, blocks drawn without replacement,
- a 5-gram model of characters of the run's training part, with stupid backoff (Brants et al. 2007).

A text that never ends its 20 lines counts as an error, and so does what `tokenize` marks as no token.
"""

import argparse
import io
import json
import re
import sys
import tokenize
from collections.abc import Callable, Sequence
from functools import cache
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
ROWS = 128
"""Blocks that the run writes side by side."""


def is_python(block: str) -> bool:
    """Whether `tokenize` reads all of it."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(block).readline))
    except (tokenize.TokenError, SyntaxError):
        return False
    return all(token.type != tokenize.ERRORTOKEN for token in tokens)


def cut(text: str) -> str:
    """The first lines of a text; "" where it has fewer."""
    lines = text.split("\n")
    return "\n".join(lines[:LINES]) + "\n" if len(lines) > LINES else ""


def real_blocks(source: str, count: int, seed: int) -> list[str]:
    """Blocks of a source, in random order, none twice."""
    starts = [match.end() for match in re.finditer(r"\n\n(?=\S)", source)]
    order = np.random.default_rng(seed).permutation(len(starts))
    blocks = (cut(source[starts[k] : starts[k] + 40 * 200 * LINES]) for k in order)
    return [block for block in blocks if block][:count]


def written_blocks(
    fitted: FittedLanguageModel, count: int, most: int, temperature: float, seed: int
) -> list[str]:
    """What the run writes, `ROWS` blocks side by side, of at most so many tokens each."""
    vocabulary, found = fitted.vocabulary, []
    prompt, never = read_prompt(vocabulary, START).tokens, never_written(vocabulary)
    while len(found) < count:
        rows = min(ROWS, count - len(found))
        columns, ends = [], torch.zeros(rows, dtype=torch.int64)
        tokens = write_tokens(
            fitted.network.eval(), prompt, most, Sampling(temperature), never=never, rows=rows, seed=seed + len(found)
        )  # fmt: skip
        for token in tokens:
            columns.append(token)
            ends += torch.tensor([vocabulary.decode([one]).count("\n") for one in token.tolist()])
            if bool((ends >= LINES).all()):
                break
        found += [cut(vocabulary.decode(row)) for row in torch.stack(columns, 1).tolist()]
    return found


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

    def block(self, most: int, random: np.random.Generator) -> str:
        before, written = tuple(self.number(one) for one in START), []
        end, ends = self.number("\n"), 0
        while len(written) < most and ends < LINES:
            one = int(np.searchsorted(self.scores(before).cumsum(), random.random() * (1 - 1e-12)))
            written.append(one)
            ends += one == end
            before = (*before, one)[-(ORDER - 1) :]
        return cut("".join(chr(self.characters[one]) for one in written))


def judged(name: str, blocks: Callable[[], list[str]]) -> dict[str, object]:
    """One row of the table."""
    made = blocks()
    accepted = [is_python(block) if block else False for block in made]
    share = float(np.mean(accepted))
    row = {
        "source": name,
        "blocks": len(made),
        "accepted": share,
        "standard_error": (share * (1 - share) / len(made)) ** 0.5,
        "different": len(set(made)) / len(made),
        "characters_a_block": float(np.mean([len(block) for block in made])),
        "without_20_lines": made.count(""),
    }
    print(
        f"{name:12} {share:7.1%} ± {row['standard_error']:.1%} of {len(made):,} blocks   "
        f"different {row['different']:.1%}   {row['characters_a_block']:.0f} characters a block   "
        f"without 20 lines {row['without_20_lines']}",
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
    parser.add_argument("--most", type=int, default=4000, help="tokens of a block")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--example", action="store_true", help="also print the run's first block")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args(arguments)
    fitted = load_fitted(options.run)
    corpus = read(fitted.config)
    if corpus.validation is None:
        raise SystemExit(f"{options.run}: nothing was held out, so there is no real source to compare with")
    held_out, count, seed = corpus.validation.text, options.blocks, options.seed
    written = written_blocks(fitted, count, options.most, options.temperature, seed)
    grams, random = FiveGrams(corpus.training.text), np.random.default_rng(seed)
    print(
        f"run {options.run}, temperature {options.temperature:g}, seed {seed}, Python {sys.version.split()[0]}"
    )
    rows = [
        judged("the run", lambda: written),
        judged("real source", lambda: real_blocks(held_out, count, seed)),
        judged("5-gram", lambda: [grams.block(options.most, random) for _ in range(count)]),
    ]
    if options.example:
        print(written[0])
    if options.out:
        figures = {"machine": machine(), "temperature": options.temperature, "seed": seed, "rows": rows}
        options.out.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
