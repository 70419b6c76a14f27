"""How long a layer's units keep, and how hard its gates are driven, before and after: of a training, for example."""

from dataclasses import dataclass, field

from torch import Tensor

from gatewise.errors import UsageError
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.time_constants import LEFT, RIGHT, half_life, known_time_constants, saturation

Saturation = dict[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class MemoryChange:
    """Two traces of one layer side by side.

    Attributes:
        tau_before, tau_after: time constants [H], in steps, as `time_constants` gives them.
        half_life_before, half_life_after: [H], in steps.
        saturation_before, saturation_after: {gate: (left [H], right [H])}, as `saturation` gives them.
        where: the layer, in words.
    """

    tau_before: Tensor = field(repr=False)
    tau_after: Tensor = field(repr=False)
    half_life_before: Tensor = field(repr=False)
    half_life_after: Tensor = field(repr=False)
    saturation_before: Saturation = field(repr=False)
    saturation_after: Saturation = field(repr=False)
    where: str

    @property
    def longer(self) -> int:
        """The units that keep longer than before."""
        return int((self.tau_after > self.tau_before).sum())

    @property
    def sentence(self) -> str:
        """What changed: the median half-life, in how many units it grew, and the gate whose saturation moved most."""
        before, after = (float(lives.median()) for lives in (self.half_life_before, self.half_life_after))
        gate, side, was, now = self._most_moved()
        bound = f"below {LEFT}" if side == "left" else f"above {RIGHT}"
        return (
            f"{self.where}: the median half-life went from {before:.3g} to {after:.3g} steps (longer in {self.longer} "
            f"of {len(self.tau_after)} units), and {gate} is {bound} in {now:.0%} of the steps, {was:.0%} before."
        )

    def _most_moved(self) -> tuple[str, str, float, float]:
        """The gate and side whose mean share of saturated steps moved most, with both shares."""
        moves = [
            (gate, side, float(was.mean()), float(now.mean()))
            for gate, after in self.saturation_after.items()
            for side, was, now in zip(("left", "right"), self.saturation_before[gate], after, strict=True)
        ]
        return max(moves, key=lambda move: abs(move[3] - move[2]))


def compare(before: LayerTrace, after: LayerTrace) -> MemoryChange:
    """Time constants, half-lives and saturation of a layer's units in two traces, and what changed in one sentence.

    Record the same inputs with the weights of before and of after (a copy of the model, or its first weights loaded
    into it); on other inputs a difference may be the inputs'. Unit j of the one is compared with unit j of the other.

    Args:
        before, after: LSTM or GRU traces of one cell and size; rows and lengths may differ.

    Raises:
        UsageError: a plain RNN; two cells or two sizes; a trace without steps, or with NaN in its gates.
    """
    one, other = (f"a {lt.cell} of {lt.content_shape[2]} units" for lt in (before, after))
    if one != other:
        raise UsageError(f"before is {one} and after {other}; units are compared within one layer")
    return MemoryChange(
        known_time_constants(before),
        known_time_constants(after),
        half_life(before),
        half_life(after),
        saturation(before),
        saturation(after),
        after.label,
    )
