"""The backends that can run a sequence: who may run what, why, and how to force one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gatewise.cells import Variant
from gatewise.errors import UsageError
from gatewise.kernels import native
from gatewise.kernels.weights import Weights


@dataclass(frozen=True)
class Call:
    """What a backend must know of a call to say whether it can run it.

    Attributes:
        variant: what its steps see of the layer's variants.
        T, B, I, H, P: its sizes.
        ragged: whether it has lengths.
        resets: whether it has resets.
        train: whether a backward pass may follow.
        tangents: whether forward-mode differentiation may follow it.
    """

    cell: str
    variant: Variant
    device: str
    dtype: torch.dtype
    T: int
    B: int
    I: int  # noqa: E741
    H: int
    P: int
    ragged: bool
    resets: bool
    train: bool
    tangents: bool = False

    @property
    def empty(self) -> bool:
        return 0 in (self.T, self.B)


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


def describe(
    cell: str,
    variant: Variant,
    x: Tensor,
    weights: Weights,
    *,
    ragged: bool,
    resets: bool,
    train: bool,
    tangents: bool = False,
) -> Call:
    """The `Call` of these arguments; x is [T, B, I], `variant` is what the steps see."""
    T, B, I = x.shape  # noqa: E741
    return Call(
        cell, variant, x.device.type, weights.w_ih.dtype, T, B, I, weights.hidden_size, weights.w_hh.shape[1],
        ragged, resets, train, tangents,
    )  # fmt: skip


def in_forward_mode() -> bool:
    """Whether PyTorch differentiates in forward mode here (`torch.func.jvp`, `torch.autograd.forward_ad`)."""
    return forward_ad._current_level >= 0


_NO_TANGENTS = "forward-mode differentiation goes through the definition only"


def _refuse_native(call: Call) -> str | None:
    if not native.available():
        return native.why_missing()
    if call.device != "cpu":
        return f"the native kernels do not run on {call.device} devices"
    if call.dtype not in (torch.float32, torch.float64, torch.bfloat16):
        return f"the native kernels do not run in {call.dtype}"
    if call.tangents:
        return _NO_TANGENTS
    if not hasattr(native, "refuse"):
        return "the native kernels have no recurrences"
    return native.refuse(call)


def _refuse_aten(call: Call) -> str | None:
    if call.cell == "gru_reset_before":
        return "PyTorch's GRU applies the reset gate after the recurrent product only"
    if not call.variant.plain:
        return f"PyTorch's layers have no {call.variant.names[0]}"
    if call.resets:
        return "PyTorch's layers have no resets inside a sequence"
    if call.empty:
        return "PyTorch's layers take no empty sequence and no empty batch"
    if not call.dtype.is_floating_point:
        return f"PyTorch's layers do not run in {call.dtype}"
    if call.device not in ("cpu", "cuda"):
        return f"not tried on {call.device} devices"
    if call.tangents:
        return _NO_TANGENTS
    return None


def _refuse_naive(call: Call) -> str | None:
    return None


# In the order of preference; `aten` is PyTorch's own fused layers.
_BACKENDS = {
    b.name: b
    for b in (
        Backend("native", "our own kernels in C++", _refuse_native),
        Backend(
            "aten", "PyTorch's own kernels: oneDNN or its C++ loop on a CPU, cuDNN on a GPU", _refuse_aten
        ),
        Backend("naive", "the cell unrolled in Python, the definition", _refuse_naive),
    )
}

_forced: ContextVar[str] = ContextVar("gatewise_backend", default="")


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Force a backend for the gatewise layers called inside the block.

    A layer that `torch.compile` compiled keeps what was forced when it was compiled: one that was compiled outside the
    block and would run another backend inside it raises.

    Args:
        name: "native", "aten" or "naive".

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


@torch.compiler.assume_constant_result
def forced() -> str:
    """The name of the forced backend, "" where none is; the compiler takes it for a constant."""
    return _forced.get()


def pick(call: Call, wanted: str) -> str:
    """The name of the backend that runs a call: `wanted`, or where that is "" the first that does not refuse.

    Raises:
        UsageError: the wanted backend refuses the call.
    """
    if not wanted:
        return next(name for name, candidate in _BACKENDS.items() if candidate.refuse(call) is None)
    refusal = _BACKENDS[wanted].refuse(call)
    if refusal is not None:
        raise UsageError(f"backend {wanted!r} cannot run this call: {refusal}")
    return wanted


def choose(call: Call) -> Choice:
    """The backend for a call, the forced one or else the first that does not refuse, with everybody's reasons.

    Raises:
        UsageError: the forced backend refuses the call.
    """
    wanted = forced()
    chosen = pick(call, wanted)
    reasons: dict[str, str] = {}
    for name, candidate in _BACKENDS.items():
        refusal = candidate.refuse(call)
        if name == chosen:
            reasons[name] = f"runs: {candidate.what}" + (" (forced)" if wanted else "")
        elif refusal is not None:
            reasons[name] = f"cannot: {refusal}"
        else:
            reasons[name] = f"could; {wanted!r} is forced" if wanted else f"could; {chosen!r} comes first"
    return Choice(chosen, reasons)
