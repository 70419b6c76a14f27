"""The backends that can run a sequence: who may run what, why, and how to force one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

from gatewise.errors import UsageError
from gatewise.kernels.weights import Weights


@dataclass(frozen=True)
class Call:
    """What a backend must know of a call to say whether it can run it."""

    cell: str
    device: str
    dtype: torch.dtype
    empty: bool


@dataclass(frozen=True)
class Backend:
    """A way to run one layer in one direction over a whole sequence.

    Attributes:
        name: what `gw.backend` takes.
        what: one phrase that says what runs.
        refuse: why it cannot run a call, or None where it can.
    """

    name: str
    what: str
    refuse: Callable[[Call], str | None]


@dataclass(frozen=True)
class Choice:
    """The backend that runs a call, and a line for each backend that says why or why not."""

    backend: str
    reasons: dict[str, str]

    def __str__(self) -> str:
        lines = [f"{self.backend} runs this call"]
        return "\n".join(lines + [f"  {name}: {reason}" for name, reason in self.reasons.items()])


def describe(cell: str, x: Tensor, weights: Weights) -> Call:
    """The `Call` of these arguments; x is [T, B, I]."""
    return Call(
        cell=cell,
        device=x.device.type,
        dtype=weights.w_ih.dtype,
        empty=x.numel() == 0,
    )


def _refuse_naive(call: Call) -> str | None:
    return None


def _refuse_aten(call: Call) -> str | None:
    if call.cell == "gru_reset_before":
        return "PyTorch's GRU applies the reset gate after the recurrent product only"
    if call.empty:
        return "PyTorch's layers take no empty sequence and no empty batch"
    if not call.dtype.is_floating_point:
        return f"PyTorch's layers do not run in {call.dtype}"
    if call.device not in ("cpu", "cuda"):
        return f"not tried on {call.device} devices"
    return None


# In the order of preference; `aten` is PyTorch's own fused layers.
_BACKENDS = {
    b.name: b
    for b in (
        Backend(
            "aten", "PyTorch's own kernels: oneDNN or its C++ loop on a CPU, cuDNN on a GPU", _refuse_aten
        ),
        Backend("naive", "the cell unrolled in Python, the definition", _refuse_naive),
    )
}

_forced: ContextVar[str | None] = ContextVar("gatewise_backend", default=None)


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Force a backend for the gatewise layers called inside the block.

    Args:
        name: "naive" or "aten".

    Raises:
        UsageError: there is no such backend; inside the block, a call that the backend cannot run.

    Example:
        with gw.backend("naive"):
            output, state = layer(x)
    """
    if name not in _BACKENDS:
        raise UsageError(f"there is no backend {name!r}; there are {', '.join(_BACKENDS)}")
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def choose(call: Call) -> Choice:
    """The backend for a call: the forced one, else the first that does not refuse.

    Raises:
        UsageError: the forced backend refuses the call.
    """
    forced = _forced.get()
    reasons: dict[str, str] = {}
    chosen: str | None = None
    for name, candidate in _BACKENDS.items():
        refusal = candidate.refuse(call)
        if name == forced and refusal is not None:
            raise UsageError(f"backend {name!r} cannot run this call: {refusal}")
        if refusal is not None:
            reasons[name] = f"cannot: {refusal}"
        elif forced is not None and name != forced:
            reasons[name] = f"could; {forced!r} is forced"
        elif chosen is not None:
            reasons[name] = f"could; {chosen!r} comes first"
        else:
            chosen = name
            reasons[name] = f"runs: {candidate.what}" + (" (forced)" if forced else "")
    assert chosen is not None  # naive refuses nothing
    return Choice(chosen, reasons)
