"""A quick check of every backend: does it compute what the definition of its cell says, forward and backward?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

import gatewise as gw
from gatewise.errors import UsageError

T, B, INPUT, HIDDEN = 24, 5, 12, 16
LAYERS: dict[str, Any] = {"lstm": gw.LSTM, "gru": gw.GRU, "rnn": gw.RNN}
# Largest relative error in L2 norm of the output and of the input's gradient, against the definition in float64.
CAPS = {torch.float32: (2e-6, 1e-5), torch.bfloat16: (1.6e-2, 4e-2)}


@dataclass(frozen=True)
class Check:
    """One backend on one kind of call.

    Args:
        chosen: whether this backend is the one that runs such a call unasked.
        output_error, gradient_error: relative L2 distances to the definition; None where the backend cannot run.
        reason: why it cannot run, or what went wrong.
    """

    cell: str
    dtype: str
    device: str
    backend: str
    chosen: bool
    verdict: str
    output_error: float | None = None
    gradient_error: float | None = None
    reason: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict != "FAILED"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_backends() -> list[Check]:
    """Every backend on LSTM, GRU and RNN, in float32 and bfloat16, on the CPU and on a GPU where there is one."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    return [
        check
        for cell in LAYERS
        for dtype in CAPS
        for device in devices
        for check in _check_call(cell, dtype, device)
    ]


def _check_call(cell: str, dtype: torch.dtype, device: str) -> list[Check]:
    """All backends on one kind of call; the weights and the input are the same, already rounded to `dtype`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = LAYERS[cell](INPUT, HIDDEN).to(dtype)
        x = torch.randn(T, B, INPUT).to(dtype)  # [T, B, I]
        direction = torch.randn(T, B, HIDDEN, dtype=torch.float64)  # of the scalar that is differentiated
    wanted = _run(layer.double(), x.double(), direction, "naive")
    layer = layer.to(device=device, dtype=dtype)
    choice = gw.explain_backend(layer, x.to(device))
    found = []
    for name in choice.reasons:
        what = (cell, str(dtype).removeprefix("torch."), device, name, name == choice.backend)
        try:
            got = _run(layer, x.to(device), direction, name)
        except UsageError as error:
            found.append(Check(*what, "cannot run", reason=str(error)))
            continue
        output, gradient = _distance(got[0], wanted[0]), _distance(got[1], wanted[1])
        fine = output <= CAPS[dtype][0] and gradient <= CAPS[dtype][1]
        found.append(Check(*what, "passed" if fine else "FAILED", output, gradient))
    return found


def _run(layer: nn.Module, x: Tensor, direction: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    """The output [T, B, H], and the gradient of its product with `direction` for x [T, B, I]."""
    x = x.detach().requires_grad_()
    # cuDNN's default, TF32, rounds float32 products to 10 bits: that is a choice of precision, not a fault to be found.
    with gw.backend(backend), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        output = layer(x)[0]
        (gradient,) = torch.autograd.grad((output * direction.to(output)).sum(), x)
    return output.detach(), gradient


def _distance(found: Tensor, wanted: Tensor) -> float:
    return float((found.double().cpu() - wanted).norm() / wanted.norm())
