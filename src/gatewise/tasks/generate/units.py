"""Units of a language model that follow something which the text itself gives: "interesting cells", found by search.

Source: Karpathy, Johnson & Fei-Fei 2015, "Visualizing and understanding recurrent networks", for cells that follow
quotes, line lengths and indentation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.errors import DataError, UsageError
from gatewise.memory import probe, record, track
from gatewise.reports.coloured_text import LEVELS, ColouredText, ColouredTexts, Mark
from gatewise.tasks.classify.states import State, chosen_state, content
from gatewise.tasks.generate.corpus import Part
from gatewise.tasks.generate.fitted import FittedLanguageModel
from gatewise.tasks.generate.page import shown_token
from gatewise.tasks.generate.signals import SIGNALS, at_tokens

PIECE = 256
"""Tokens of a piece of the text; pieces are what is dealt anew, and what a page shows."""
LEAST = 8
"""Pieces."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FollowingUnit:
    """The unit that follows a signal most closely.

    Attributes:
        signal: its name. layer: of the unit, 0 at the bottom. unit: its number in the layer.
        correlation: Pearson's r with its state. p: corrected for the number of units, as in `gw.memory.track`.
        one_unit, all_units: R² of a linear probe of this kind on pieces that were held out, from the best unit alone
            and from all; None without scikit-learn. shuffled: of all units, where the signal was dealt anew.
    """

    signal: str
    layer: int
    unit: int
    correlation: float
    p: float
    one_unit: float | None
    all_units: float | None
    shuffled: float | None


@dataclass(frozen=True, eq=False)
class TextUnits:
    """For each signal the unit that follows it most closely, the strongest first; N tokens were read.

    Attributes:
        state: "c" or "h". notes: which signals the text does not have, and what was left unread.
        texts: for each unit the piece in which its signal moves most, coloured by its state.
    """

    state: State
    units: list[FollowingUnit]
    tokens: int
    all_units: int
    permutations: int
    notes: list[str]
    texts: list[ColouredText] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the coloured texts as plain values."""
        names = ("state", "tokens", "all_units", "permutations", "notes")
        return {name: getattr(self, name) for name in names} | {"units": [asdict(one) for one in self.units]}

    def to_html(self, title: str) -> str:
        """One self-contained page of the coloured texts."""
        return ColouredTexts(title, self.texts, self.notes).html


def find_text_units(
    fitted: FittedLanguageModel,
    part: Part,
    *,
    state: str | None = None,
    most: int = 16_384,
    permutations: int = 200,
    seed: int = 0,
) -> TextUnits:
    """Which units of all layers follow where in its line, its brackets, quotes or strings a text is.

    The text is read from its beginning with carried state. A correlation shows that a unit goes with a signal, not that
    the model uses it. Use a text that the run was not trained on.

    Args:
        state: "c" or "h"; None: c of an LSTM, h of the others.
        most: tokens that are read; their states are all held, 8 bytes a unit and token, a few times over.
        permutations, seed: as in `gw.memory.track`; whole pieces are dealt.

    Raises:
        DataError: a text of fewer than 8 pieces of 256 tokens, or one in which no signal moves.
        UsageError: a state that the cell does not have; `most` or permutations too small.
    """
    if most < LEAST * PIECE:
        raise UsageError(f"most is {most}; at least {LEAST * PIECE:,} tokens are needed")
    whole = fitted.tokens(part.content)
    tokens = whole[: min(most, len(whole)) // PIECE * PIECE]
    if len(tokens) < LEAST * PIECE:
        raise DataError(
            f"{part.source}: has {len(whole):,} tokens ({fitted.vocabulary.kind}); {LEAST * PIECE:,} at least are "
            "needed"
        )
    contents = _contents(fitted, part, tokens)
    text = b"".join(contents).decode("utf-8", "surrogateescape")
    states, sizes, chosen = _states(fitted, tokens, state)
    notes = [f"the first {len(tokens):,} of {len(whole):,} tokens were read"] * (len(tokens) < len(whole))
    found: list[tuple[FollowingUnit, ColouredText]] = []
    for name, signal_of in SIGNALS.items():
        signal = np.split(at_tokens(signal_of(text), text, contents), len(states))
        if not np.ptp(signal):
            notes.append(f"nothing of the text is {name}")
            continue
        tracking = track(states, signal, permutations=permutations, seed=seed)
        ((best, correlation, p),) = tracking.best(1)
        layer = int(np.searchsorted(np.cumsum(sizes), best, side="right"))
        unit = best - sum(sizes[:layer])
        following = FollowingUnit(name, layer, unit, correlation, p, *_probed(states, signal, seed))
        found.append((following, _coloured(following, chosen, states, best, signal, contents)))
    if not found:
        raise DataError(f"{part.source}: no signal moves in the first {len(tokens):,} tokens")
    found.sort(key=lambda one: -abs(one[0].correlation))
    return TextUnits(
        chosen, [one for one, _ in found], len(tokens), sum(sizes), permutations, notes, [two for _, two in found]
    )  # fmt: skip


def _contents(fitted: FittedLanguageModel, part: Part, tokens: Tensor) -> list[bytes]:
    """What stands in the text at each token, in UTF-8; also at a character that the model does not know."""
    if fitted.vocabulary.kind == "characters":
        return [one.encode() for one in part.text[: len(tokens)]]
    return [fitted.vocabulary.to_bytes([token]) for token in tokens.tolist()]


@torch.no_grad()
def _states(
    fitted: FittedLanguageModel, tokens: Tensor, state: str | None
) -> tuple[list[Tensor], list[int], State]:
    """The states of all layers side by side, one [PIECE, ΣH] a piece; the layers' sizes; which state it is."""
    network, carried, found = fitted.network.train(False), None, []
    sizes, chosen = [], None
    for piece in tokens.split(PIECE):
        with record(network.recurrent) as trace:
            _, _, carried = network.hidden(piece[:, None].to(network.embedding.device), carried)
        layers = trace.layers()
        chosen = chosen_state(layers[0], state)
        sizes = [lt.content_shape[2] for lt in layers]
        found.append(torch.cat([content(lt, chosen)[0][:, 0] for lt in layers], -1).cpu())
    assert chosen is not None
    return found, sizes, chosen


def _probed(
    states: list[Tensor], signal: list[Floats], seed: int
) -> tuple[float | None, float | None, float | None]:
    """R² of one unit, of all, and of all where the signal was dealt anew."""
    if not find_spec("sklearn"):
        return None, None, None
    try:
        found = probe(states, signal, shuffles=1, seed=seed)
    except UsageError:  # the signal moves in so few pieces that one side of the split has none of it
        return None, None, None
    return found.one_unit, found.score, found.shuffled


def _coloured(
    following: FollowingUnit, state: State, states: list[Tensor], best: int, signal: list[Floats], contents: list[bytes]
) -> ColouredText:  # fmt: skip
    """The piece in which the signal moves most: how high the unit's state is, and where the signal is high."""
    values = torch.stack([piece[:, best] for piece in states]).double().numpy()  # [pieces, PIECE]
    low, high = np.quantile(values, [0.01, 0.99])
    at = int(np.argmax([piece.std() for piece in signal]))
    levels = ((values[at] - low) / max(high - low, 1e-12) * LEVELS).round().clip(0, LEVELS).astype(int)
    middle = (np.min(signal) + np.max(signal[at])) / 2
    here = contents[at * PIECE : (at + 1) * PIECE]
    marks = [
        Mark(shown_token(content.decode("utf-8", "replace")), int(level), bool(value > middle), b"\n" in content)
        for content, level, value in zip(here, levels, signal[at], strict=True)
    ]  # fmt: skip
    return ColouredText(
        following.signal,
        f"layer {following.layer}, unit {following.unit}: correlation of {state} {following.correlation:+.3f}, "
        f"p {following.p:.4f}",
        float(low),
        float(high),
        marks,
    )
