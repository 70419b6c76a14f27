"""The outcome of a study of faithfulness: means over the texts, with intervals and beside random words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatewise.bootstrap import Floats, interval, resamples
from gatewise.data.wording import count
from gatewise.errors import UsageError
from gatewise.markdown import markdown_table
from gatewise.tasks.classify.faithfulness.curves import SHARES
from gatewise.tasks.classify.faithfulness.log import Measured
from gatewise.tasks.classify.faithfulness.rankings import RANDOM


@dataclass(frozen=True)
class Interval:
    """A mean over the texts, and where 95 % of its bootstrap lie."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Side:
    """One ranking, its words removed or its words alone.

    Args:
        curve: mean drop of the probability at each share, [S].
        score_curve: the same of the score (log odds for two labels).
        area: the mean over the shares, which ERASER calls the area over the perturbation curve (AOPC).
        over_random: paired, text by text: `area` less that of random words.
        times_random: their ratio; None where random words lose nothing that could be told from 0.
    """

    curve: list[float]
    score_curve: list[float]
    area: Interval
    over_random: Interval
    times_random: Interval | None


@dataclass(frozen=True)
class Row:
    """removed: comprehensiveness, higher is better. alone: sufficiency, lower is better."""

    ranking: str
    removed: Side
    alone: Side


@dataclass(frozen=True)
class Faithfulness:
    """What a study measured.

    Args:
        setup: what the figures hang on.
        texts: those of the sample, as drawn.
        rankings: the measured ones.
        refused: others that were asked for, with the reason.
        notes: on the sample.
    """

    setup: dict[str, Any]
    texts: list[Measured]
    rankings: list[str]
    refused: dict[str, str]
    notes: list[str]

    def paired(self, one: str, other: str, side: str = "removed") -> Interval:
        """How much more `one` loses than `other`, text by text, as a mean over the shares.

        Args:
            one, other: measured rankings.
            side: "removed" or "alone".

        Raises:
            UsageError: a ranking that was not measured, or another side.
        """
        for name in (one, other):
            if name not in self.rankings:
                raise UsageError(f"{name!r} was not measured; there are {', '.join(self.rankings)}")
        if side not in ("removed", "alone"):
            raise UsageError(f"side is {side!r}; it can be 'removed' or 'alone'")
        difference = (self._drops(one, side) - self._drops(other, side)).mean(1)
        return _interval(float(difference.mean()), _resampled(len(self.texts)) @ difference)

    def rows(self) -> list[Row]:
        """One row a ranking, the most comprehensive first."""
        often = _resampled(len(self.texts))
        sides = {
            side: {name: (self._drops(name, side), self._drops(name, f"{side}_score")) for name in self.rankings}
            for side in ("removed", "alone")
        }  # fmt: skip
        rows = [
            Row(name, *(_side(*found[name], found[RANDOM][0], often) for found in sides.values()))
            for name in self.rankings
        ]
        return sorted(rows, key=lambda row: -row.removed.area.mean)

    def _drops(self, ranking: str, name: str) -> Floats:
        """[N, S]."""
        return np.array([getattr(text.drops[ranking], name) for text in self.texts])

    def to_markdown(self) -> str:
        """Two tables, which read well as plain text too, and what is to be said of them."""
        rows = self.rows()
        without = markdown_table(
            ("without its words", "mean drop", "more than random", "times random", *_SHARES),
            [(row.ranking, *_cells(row.removed, with_ratio=True)) for row in rows],
        )
        alone = markdown_table(
            ("its words alone", "mean drop", "more than random", *_SHARES),
            [(row.ranking, *_cells(row.alone, with_ratio=False)) for row in rows],
        )
        words = sum(text.words for text in self.texts) / len(self.texts)
        head = (
            f"What the probability of the predicted label loses when the highest words of a ranking are taken out "
            f"(more is better), and when they are left alone (less is better). {count(len(self.texts), 'text')} of "
            f"{words:,.0f} words on average; in brackets 95 % intervals over the texts.\n\n"
        )
        said = [*self.notes, *(f"not measured: {name}: {why}" for name, why in self.refused.items())]
        return f"{head}{without}\n{alone}\n" + "".join(f"* {line}\n" for line in said)

    def to_dict(self) -> dict[str, Any]:
        """Rows and setup as plain values; the texts stand in the log."""
        return {
            "texts": len(self.texts),
            "setup": self.setup,
            "rows": [asdict(row) for row in self.rows()],
            "refused": self.refused,
            "notes": self.notes,
        }


_SHARES = tuple(f"{share:.0%}" for share in SHARES)


def _cells(side: Side, *, with_ratio: bool) -> tuple[str, ...]:
    ratio = side.times_random
    shown = "" if ratio is None else f"{ratio.mean:.1f} [{ratio.low:.1f}, {ratio.high:.1f}]"
    curve = tuple(f"{value:.3f}" for value in side.curve)
    return (str(side.area), str(side.over_random), *((shown,) if with_ratio else ()), *curve)


def _resampled(texts: int) -> Floats:
    """How often each text is drawn in each resample, as a share: [RESAMPLES, N]."""
    return np.concatenate([*resamples(texts)]) / texts


def _side(found: Floats, scores: Floats, random: Floats, often: Floats) -> Side:
    """found, scores, random: [N, S]."""
    area, by_chance = found.mean(1), random.mean(1)  # [N]
    chance = often @ by_chance
    ratio = None
    if by_chance.mean() > 0 and chance.min() > 0:
        ratio = _interval(float(area.mean() / by_chance.mean()), (often @ area) / chance)
    return Side(
        found.mean(0).tolist(),
        scores.mean(0).tolist(),
        _interval(float(area.mean()), often @ area),
        _interval(float((area - by_chance).mean()), often @ (area - by_chance)),
        ratio,
    )


def _interval(mean: float, resampled: Sequence[float] | Floats) -> Interval:
    return Interval(mean, *interval(resampled))
