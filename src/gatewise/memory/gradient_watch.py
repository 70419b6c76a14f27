"""A training's gradient flow, measured every so many steps: logged, and put into words when it changes.

It is a callback of `gatewise.training.loop.fit`, and of any loop that calls it with what it needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError
from gatewise.memory.attribution.case import in_eval
from gatewise.memory.gradient_flow import Reads, check_reads, gradient_flow
from gatewise.memory.gradient_reach import EXPLODED, VANISHED, GradientReach, check_limits, gradient_reach
from gatewise.memory.places import Placed


class Counted(Protocol):
    """How far a training is."""

    @property
    def step(self) -> int: ...


class Moment(Protocol):
    """A training after a step; `gatewise.training.callbacks.Moment` is one."""

    @property
    def tick(self) -> Counted: ...
    @property
    def model(self) -> nn.Module: ...


class GradientWatch:
    """Measures after the first step that it sees, and after every `every`-th, how far back gradients reach.

    The model is run on `inputs` in eval mode (without dropout), with the random state and its own mode as they were
    afterwards, and its `.grad`s untouched: a training is the same with it and without it. It says how the gradient of
    each layer stands at first, and again when its verdict changes (`GradientReach.verdict`), or when it vanishes and
    the steps that it reaches back have halved or doubled since it was last said.

    Args:
        inputs: some examples, the same at each measurement: a tensor, a tuple of positional arguments, or a dict of
            keyword arguments.
        loss_fn: takes what the model returns for them, gives a tensor of one number.
        every: steps between two measurements, at least 1.
        say: receives each sentence, such as "step 1,200: encoder, layer 0: the gradient of c reaches 12 of 400 steps
            back: it falls to 1 % after 12 steps."; None: nothing is said.
        log: receives each measurement as a step and figures by name (`figures`).
        reads: as in `gradient_flow`; "last" shows how far back a layer carries a gradient, whatever the loss reads.
        vanished, exploded: as in `gradient_reach`.

    Attributes:
        history: (step, reaches), a measurement each.

    Raises:
        UsageError: `every` or a limit out of its range, another word in `reads`; at a measurement, what `gradient_flow`
            refuses.
    """

    def __init__(
        self,
        inputs: Any,
        loss_fn: Callable[[Any], Tensor],
        every: int = 100,
        *,
        say: Callable[[str], object] | None = print,
        log: Callable[[int, Mapping[str, float]], object] | None = None,
        reads: Reads = "last",
        vanished: float = VANISHED,
        exploded: float = EXPLODED,
    ) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UsageError(f"every is {every!r}; it is a whole number of at least 1 step")
        check_limits(vanished, exploded)
        check_reads(reads)
        self.inputs, self.loss_fn, self.every = inputs, loss_fn, every
        self.say, self.log = say, log
        self.reads: Reads = reads
        self.vanished, self.exploded = vanished, exploded
        self.history: list[tuple[int, list[GradientReach]]] = []
        self._said: dict[str, GradientReach] = {}

    def __call__(self, moment: Moment) -> None:
        """Measure, if it is time; never ends the training."""
        step = moment.tick.step
        if not self.history or step % self.every == 0:
            self.measure(moment.model, step)

    def measure(self, model: nn.Module, step: int) -> list[GradientReach]:
        """Measure now: one `GradientReach` of each layer, direction and call, in the model's order."""
        with in_eval(model), _random_state_kept(model):
            flow = gradient_flow(model, self.inputs, self.loss_fn, reads=self.reads)
        reaches = [gradient_reach(lf, vanished=self.vanished, exploded=self.exploded) for lf in flow.layers()]
        self.history.append((step, reaches))
        if self.log is not None:
            self.log(step, figures(reaches))
        if self.say is not None:
            self._tell(step, reaches, self.say)
        return reaches

    def _tell(self, step: int, reaches: list[GradientReach], say: Callable[[str], object]) -> None:
        if not self._said:
            say(
                f"gradients are measured every {self.every:,} steps: one vanishes where less than "
                f"{100 * self.vanished:g} % of it is left, and explodes where it grows to more than "
                f"{self.exploded:g} times its size"
            )
        for name, reach in _named(reaches).items():
            if _is_news(reach, self._said.get(name)):
                self._said[name] = reach
                say(f"step {step:,}: {reach.sentence}")


def figures(reaches: list[GradientReach]) -> dict[str, float]:
    """Figures by name, such as "encoder.0/reach": reach, steps, left and growth of each layer; finite ones alone.

    A layer is named by its path and its number, "reverse" after it, and the call where its module was called again.
    """
    return {
        f"{name}/{what}": value
        for name, reach in _named(reaches).items()
        for what in ("reach", "steps", "left", "growth")
        if math.isfinite(value := getattr(reach, what))
    }


def _named(reaches: list[GradientReach]) -> dict[str, GradientReach]:
    found: dict[str, GradientReach] = {}
    for reach in reaches:
        name = own = _name(reach)
        call = 1
        while name in found:
            name, call = f"{own}.call{call}", call + 1
        found[name] = reach
    return found


def _name(at: Placed) -> str:
    parts = [at.path] if at.path else []
    return ".".join([*parts, str(at.layer)] + (["reverse"] if at.reverse else []))


def _is_news(now: GradientReach, said: GradientReach | None) -> bool:
    if said is None or now.verdict != said.verdict:
        return True
    return now.verdict == "vanishes" and not said.reach < 2 * now.reach < 4 * said.reach


@contextmanager
def _random_state_kept(model: nn.Module) -> Iterator[None]:
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=[d.index for d in devices]):
        yield
