"""Which variants of a cell run, as one value.

Sources, one a variant: peephole, Gers & Schmidhuber 2000, "Recurrent nets that time and count"; coupled gates (CIFG),
Greff et al. 2017, "LSTM: a search space odyssey"; layer normalisation, Ba, Kiros & Hinton 2016; zoneout, Krueger et
al. 2017; recurrent dropout on h, Gal & Ghahramani 2016, "A theoretically grounded application of dropout in recurrent
neural networks"; on g, Semeniuta, Severyn & Barth 2016, "Recurrent dropout without memory loss"; on the recurrent
weights, Merity, Keskar & Socher 2018, "Regularizing and optimizing LSTM language models".
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from gatewise.errors import UsageError, UsageTypeError

DROPOUT_ON = ("h", "g", "weights")


@dataclass(frozen=True)
class Variant:
    """The variants of one layer; the equations stand in `gatewise.cells.lstm_step`.

    `str()` of it is what the operator takes, "" for the plain cell; `Variant.parse` is the inverse.

    Attributes:
        layer_norm: both products are normalised over their rows, and c before it is read.
        peephole: i and f see c_{t-1}, o sees c_t.
        coupled: i = 1 - f; the weights have rows for f, g and o only.
        zoneout: probabilities (of c, of h) of keeping a unit's old value for a step, in [0, 1).
        recurrent_dropout: probability of a dropped unit or weight, in [0, 1); in training only.
        recurrent_dropout_on: what is dropped: "h", the h_{t-1} that the recurrent weights read, with one mask for all
            steps; "g", with a mask a step; "weights", entries of w_hh, with one mask a call.

    Raises:
        UsageError: a probability outside [0, 1); another name in `recurrent_dropout_on`; layer_norm with peephole.
    """

    layer_norm: bool = False
    peephole: bool = False
    coupled: bool = False
    zoneout: tuple[float, float] = (0.0, 0.0)
    recurrent_dropout: float = 0.0
    recurrent_dropout_on: str = "h"

    def __post_init__(self) -> None:
        for name in ("layer_norm", "peephole", "coupled"):
            if type(getattr(self, name)) is not bool:
                raise UsageTypeError(f"{name} is {getattr(self, name)!r}; it must be True or False")
        if not isinstance(self.zoneout, tuple | list) or len(self.zoneout) != 2:
            raise UsageError(f"zoneout is {self.zoneout!r}; it is a pair of probabilities, (of c, of h)")
        p_c, p_h = (_probability("zoneout", p) for p in self.zoneout)
        object.__setattr__(self, "zoneout", (p_c, p_h))
        dropout = _probability("recurrent_dropout", self.recurrent_dropout)
        object.__setattr__(self, "recurrent_dropout", dropout)
        if self.recurrent_dropout_on not in DROPOUT_ON:
            known = ", ".join(map(repr, DROPOUT_ON))
            raise UsageError(f"recurrent_dropout_on is {self.recurrent_dropout_on!r}; it can be {known}")
        if self.layer_norm and self.peephole:
            raise UsageError("layer_norm and peephole do not go together; give one of them")

    @property
    def names(self) -> list[str]:
        """The options that are on, for messages."""
        on = [name for name in ("layer_norm", "peephole", "coupled") if getattr(self, name)]
        on += ["zoneout"] if any(self.zoneout) else []
        return on + (["recurrent_dropout"] if self.recurrent_dropout else [])

    @property
    def plain(self) -> bool:
        """Whether this is the cell as torch.nn has it."""
        return not self.names

    @property
    def random(self) -> bool:
        """Whether training draws masks."""
        return self.recurrent_dropout > 0 or any(self.zoneout)

    def check(self, cell: str, *, projected: bool) -> None:
        """Raise a UsageError where a cell has not this variant, or not with a projection."""
        if cell != "lstm":
            lacks = [name for name in self.names if name != "recurrent_dropout"]
            if lacks:
                raise UsageError(f"{lacks[0]} is a variant of the LSTM; a {cell} cell has none")
            if self.recurrent_dropout and self.recurrent_dropout_on == "g":
                raise UsageError(
                    f"recurrent_dropout_on='g' is a variant of the LSTM; a {cell} cell has 'h' and 'weights'"
                )
        if projected and self.zoneout[1]:
            raise UsageError(
                f"zoneout={self.zoneout} keeps units of h, and this layer's h is a projection; give (p_c, 0)"
            )

    def in_steps(self, training: bool) -> "Variant":
        """What of it the steps of a run see: no dropout in eval, and dropped weights are dropped before the run."""
        return _in_steps(self, training)

    def __str__(self) -> str:
        words = [name for name in ("layer_norm", "peephole", "coupled") if getattr(self, name)]
        if any(self.zoneout):
            words.append(f"zoneout={self.zoneout[0]!r}:{self.zoneout[1]!r}")
        if self.recurrent_dropout:
            words.append(f"dropout={self.recurrent_dropout!r}@{self.recurrent_dropout_on}")
        return " ".join(words)

    @staticmethod
    def parse(text: str) -> "Variant":
        """The inverse of `str()`."""
        return _parse(text)


def _probability(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UsageError(f"{name} is {value!r}; it is a probability of at least 0 and below 1")
    return float(value)


@lru_cache
def _in_steps(variant: Variant, training: bool) -> Variant:
    if not training or variant.recurrent_dropout_on == "weights":
        return replace(variant, recurrent_dropout=0.0, recurrent_dropout_on="h")
    return variant


@lru_cache
def _parse(text: str) -> Variant:
    options: dict[str, Any] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if name == "zoneout":
            options["zoneout"] = tuple(map(float, value.split(":")))
        elif name == "dropout":
            p, _, on = value.partition("@")
            options |= {"recurrent_dropout": float(p), "recurrent_dropout_on": on}
        else:
            options[name] = True
    return Variant(**options)


PLAIN = Variant()
