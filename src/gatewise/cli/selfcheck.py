"""Does every backend compute what the definition of its cell says, forward and backward, on this machine?

The reference is the `naive` backend in float64: the step of a cell as `gatewise.cells` writes it in plain PyTorch, once
a time step, with PyTorch's own derivatives. It shares no code with the fused kernels that it judges.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.layers.base import Recurrent

LAYERS: dict[str, Any] = {
    "lstm": gw.LSTM,
    "lstm projected": partial(gw.LSTM, proj_size=5),
    "gru": gw.GRU,
    "gru reset before": partial(gw.GRU, reset_after=False),
    "rnn": gw.RNN,
    "rnn relu": partial(gw.RNN, nonlinearity="relu"),
}
QUICK = ("lstm", "gru", "rnn")
# Largest relative error in L2 norm of all values together and of all gradients together.
CAPS = {torch.float64: (1e-12, 1e-12), torch.float32: (2e-6, 1e-5), torch.bfloat16: (1.6e-2, 4e-2)}

OF_EVERY_CELL: tuple[dict[str, Any], ...] = (
    {"recurrent_dropout": 0.2},
    {"recurrent_dropout": 0.2, "recurrent_dropout_on": "weights"},
)
OF_THE_LSTM: tuple[dict[str, Any], ...] = (
    {"recurrent_dropout": 0.2, "recurrent_dropout_on": "g"},
    {"peephole": True},
    {"coupled": True},
    {"layer_norm": True},
    {"zoneout": (0.2, 0.0)},
    {"coupled": True, "peephole": True, "zoneout": (0.2, 0.0), "recurrent_dropout": 0.2},
    {"coupled": True, "layer_norm": True, "recurrent_dropout": 0.2, "recurrent_dropout_on": "g"},
)
SIZES = ((24, 5, 12, 16), (1, 3, 3, 33), (40, 4, 8, 19))  # (T, B, I, H)


@dataclass(frozen=True)
class Case:
    """One call: a layer's options, its sizes, and whether it is ragged and has borders inside its sequences."""

    cell: str
    T: int = 24
    B: int = 5
    I: int = 12  # noqa: E741
    H: int = 16
    lengths: bool = False
    resets: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        more = [f"{name}={value}" for name, value in self.options.items()]
        more += [name for name in ("lengths", "resets") if getattr(self, name)]
        return ", ".join([f"{self.T} steps, {self.B} rows, {self.I} features, {self.H} units", *more])


@dataclass
class Check:
    """One backend on the cases of one cell and dtype.

    Attributes:
        chosen: whether this backend is the one that runs the first of them unasked.
        cases: how many of them it ran.
        output_error, gradient_error: the largest relative L2 distances to the definition of outputs with final
            states, and of the gradients of x and all parameters; None where there is none.
        output_allowed, gradient_allowed: the largest that pass.
        reason: why it cannot run, or what went wrong first.
    """

    cell: str
    dtype: str
    device: str
    backend: str
    chosen: bool
    output_allowed: float
    gradient_allowed: float
    verdict: str = "cannot run"
    cases: int = 0
    output_error: float | None = None
    gradient_error: float | None = None
    seconds: float = 0.0
    reason: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict != "FAILED"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def take(self, case: Case, errors: tuple[float, float | None]) -> None:
        """Count a case that ran."""
        output, gradient = errors
        fine = output <= self.output_allowed and (gradient is None or gradient <= self.gradient_allowed)
        self.cases += 1
        self.output_error = _larger(self.output_error, output)
        if gradient is not None:
            self.gradient_error = _larger(self.gradient_error, gradient)
        if not fine:
            self.fail(f"{case}: too far from the definition")
        elif self.verdict == "cannot run":
            self.verdict, self.reason = "passed", ""

    def fail(self, reason: str) -> None:
        if self.passed:
            self.verdict, self.reason = "FAILED", reason


def _larger(one: float | None, other: float) -> float:
    """The larger of both; a NaN stays."""
    return other if one is None or math.isnan(other) or other > one else one


def quick_cases() -> list[Case]:
    """One call of LSTM, GRU and RNN."""
    return [Case(cell) for cell in QUICK]


def selftest_cases() -> list[Case]:
    """Every cell in three sizes, ragged and with borders; and the variants, one by one and together."""
    found = []
    for cell in LAYERS:
        calls = [(lengths, resets) for lengths in (False, True) for resets in (False, True)]
        found += [Case(cell, *size, *call) for size in SIZES for call in calls]
        variants = OF_EVERY_CELL + (OF_THE_LSTM if cell.startswith("lstm") else ())
        found += [
            Case(cell, *SIZES[-1], *call, options) for options in variants for call in (calls[0], calls[-1])
        ]
    return found


def check_backends(cases: list[Case], dtypes: tuple[torch.dtype, ...]) -> Iterator[Check]:
    """Every backend on these cases in these dtypes, on the CPU and on a GPU where there is one."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for cell in dict.fromkeys(case.cell for case in cases):
        for dtype in dtypes:
            for device in devices:
                yield from _check_cell([case for case in cases if case.cell == cell], dtype, device)


def _check_cell(cases: list[Case], dtype: torch.dtype, device: str) -> list[Check]:
    """All backends on the cases of one cell; the definition itself is not judged by itself."""
    layer, x, call = _build(cases[0], dtype, device)
    choice = gw.explain_backend(layer, x, **call)
    name = str(dtype).removeprefix("torch.")
    checks = [
        Check(cases[0].cell, name, device, backend, backend == choice.backend, *CAPS[dtype])
        for backend in choice.reasons
        if (backend, dtype, device) != ("naive", torch.float64, "cpu")
    ]
    for case in cases:
        wanted = _run(*_build(case, dtype, "cpu", exact=True), backend="naive")
        for check in checks:
            if check.backend == "naive" and dtype == torch.bfloat16 and case.options:
                continue  # the definition itself, rounded at every operation: what it finds is rounding
            start = time.perf_counter()
            try:
                got = _run(*_build(case, dtype, device), backend=check.backend)
            except UsageError as error:
                check.reason = check.reason or ("" if check.cases else str(error))
                continue
            except RuntimeError as error:
                check.fail(f"{case}: {error}")
                continue
            check.seconds += time.perf_counter() - start
            kinked = "relu" in case.cell and dtype == torch.bfloat16  # rounding moves it across its kink
            check.take(case, (_distance(got[0], wanted[0]), None if kinked else _distance(got[1], wanted[1])))
    return checks


def _build(
    case: Case, dtype: torch.dtype, device: str, *, exact: bool = False
) -> tuple[Recurrent, Tensor, dict[str, Any]]:
    """(layer, x, what else it is called with), from the same numbers each time; `exact`: rounded, then in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = LAYERS[case.cell](case.I, case.H, **case.options)
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                # Contractive weights, that errors do not grow; so are small scales of layer normalisation.
                parameter.uniform_(0.2, 0.6) if "norm" in name else parameter.mul_(0.5)
        x = torch.randn(case.T, case.B, case.I)
        lengths = torch.randint(0, case.T + 1, (case.B,)).index_fill_(0, torch.tensor(0), case.T)
        resets = torch.rand(case.T, case.B) < 0.2
    final = torch.float64 if exact else dtype
    call = {
        "lengths": lengths.to(device) if case.lengths else None,
        "resets": resets.to(device) if case.resets else None,
    }
    return layer.to(dtype).to(device, final), x.to(dtype).to(device, final), call


def _run(layer: Recurrent, x: Tensor, call: dict[str, Any], *, backend: str) -> tuple[Tensor, Tensor]:
    """All values, one after another, in float64 on the CPU; and all gradients of their product with fixed numbers."""
    x = x.detach().requires_grad_()
    # cuDNN's default, TF32, rounds float32 products to 10 bits: that is a choice of precision, not a fault to be found.
    flags = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.random.fork_rng(devices=[]), gw.backend(backend), flags:
        torch.manual_seed(1)  # of the masks
        output, state = layer(x, **call)
        values = [output, *(state if isinstance(state, tuple) else (state,))]
        directions = [
            torch.linspace(-1, 1.5, v.numel(), dtype=torch.float64).reshape(v.shape).to(v) for v in values
        ]
        gradients = torch.autograd.grad(values, [x, *layer.parameters()], directions)
    return _joined(values), _joined(gradients)


def _joined(tensors: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    return torch.cat([t.detach().flatten().cpu().double() for t in tensors])


def _distance(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())
