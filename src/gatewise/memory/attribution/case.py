"""What every method of attribution is given, the refusals that they share, and a run on another input."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatewise.errors import UsageError
from gatewise.memory.in_graph import CaughtCall, graph, run_model
from gatewise.memory.opening import packed_like
from gatewise.memory.readout import Readout, Target, answer_of, read_call_of


class Shares(NamedTuple):
    """An answer shared out by one method, all float64.

    Shape: scores [T, B]; rest [B], what belongs to no step; by_variable [T, B, I] or None.
    """

    scores: Tensor
    rest: Tensor
    by_variable: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """One answer of a model that is to be explained.

    Attributes:
        call: of the recurrent module, as it was in the run that is explained.
        readout: how the answer reads the module's top layer.
        baseline: the input [T, B, I] that stands for nothing, in the dtype and on the device of `call.x`.
        points: nodes of the quadrature of ig.
    """

    model: nn.Module
    inputs: Any
    target: Target
    call: CaughtCall
    readout: Readout
    baseline: Tensor = field(repr=False)
    points: int

    @property
    def label(self) -> str:
        """The place of the module, for messages."""
        return self.call.opened.label

    def valid(self) -> Tensor:
        """True within each row's length: [T, B] bool."""
        return self.call.traces[0].valid()

    def run(self, x: Tensor) -> Tensor:
        """The answer [B] of the model, in the graph, with x [T, B, I] as the input of the recurrent module.

        What the model computes before the module, and hands past it, stays as it was.
        """
        opened = self.call.opened

        def replace(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if args:
                return (self._as_given(args[0], x), *args[1:]), kwargs
            name = "input" if kwargs.get("input") is not None else "x"
            return args, kwargs | {name: self._as_given(kwargs[name], x)}

        hook = opened.module.register_forward_pre_hook(replace, with_kwargs=True)
        try:
            with graph([opened]):
                return answer_of(run_model(self.model, self.inputs), self.target, x.shape[1])
        finally:
            hook.remove()

    def _as_given(self, given: Any, x: Tensor) -> Any:
        """x in the form in which the model gives the module its input."""
        if isinstance(given, PackedSequence):
            return packed_like(given, x)
        if given.dim() == 2:
            return x[:, 0]
        return x.transpose(0, 1) if self.call.opened.module.batch_first else x


def case_of(
    model: nn.Module,
    inputs: Any,
    target: Target,
    *,
    at: str | None = None,
    baseline: Tensor | None = None,
    points: int = 1,
) -> Case:
    """Run the model once, in the mode that it is in; see `attribute` for the arguments and the errors."""
    if points < 1:
        raise UsageError(f"points is {points}; the quadrature takes 1 or more")
    readout, call = read_call_of(model, inputs, target, at)
    return Case(model, inputs, target, call, readout, _baseline(call, baseline), points)


def _baseline(call: CaughtCall, given: Tensor | None) -> Tensor:
    if given is None:
        return torch.zeros_like(call.x)
    given = given.detach().to(call.x)
    shape = tuple(call.x.shape)
    if given.dim() > 3 or any(n not in (1, m) for n, m in zip(given.shape[::-1], shape[::-1], strict=False)):
        raise UsageError(
            f"baseline has shape {tuple(given.shape)}; it takes [{shape[2]}] or {list(shape)}, the input of "
            f"{call.opened.label}"
        )
    return given.expand(shape)


@contextmanager
def in_eval(model: nn.Module) -> Iterator[None]:
    """Every module of the model in eval mode inside the block, and afterwards in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def refuse_cells(case: Case, method: str, cells: tuple[str, ...], because: str) -> None:
    """Raise a UsageError unless the module's cell is one of `cells`."""
    cell = case.call.opened.cell
    if cell not in cells:
        raise UsageError(f"{case.label}: {method} is not defined for the cell {cell}: {because}")


def refuse_variants(case: Case, method: str) -> None:
    """Raise a UsageError for a variant of the cell, or for resets."""
    lt = case.call.traces[0]
    what = lt.variant.names[0] if lt.variant.names else None if lt.borders is None else "resets"
    if what is not None:
        raise UsageError(
            f"{case.label}: {method} is defined for the plain {lt.cell}, and this call has {what}; push, ig and "
            "occlusion can be taken"
        )


Method = Callable[[Case], Shares]


def total(parts: list[Shares]) -> Shares:
    """The sum of the shares of a module's directions."""
    return Shares(torch.stack([p.scores for p in parts]).sum(0), torch.stack([p.rest for p in parts]).sum(0))
