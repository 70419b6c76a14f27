"""LSTM training in bf16 beside bf16 nn.LSTM, dense and packed, where the processor multiplies bf16.

Checked against nn.LSTM in float32 on the same rounded weights, inputs and gradients.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import gatewise as gw
from benchmarks.kernels import peers
from benchmarks.kernels.plan import Shape, shapes
from benchmarks.kernels.ragged import uniform_lengths
from benchmarks.kernels.rows import NoFigureError, Row, Sample, row
from benchmarks.kernels.settings import Settings
from benchmarks.kernels.work import Limits, Work, agree, chosen, inputs, training
from benchmarks.measure import in_turns_for

_LIMITS = Limits(values=1.6e-2, gradients=4e-2)
_INSTRUCTIONS = {"amx_bf16", "avx512_bf16", "bf16"}


def needs_bf16() -> None:
    """Raise `NoFigureError` where the processor has no instruction for bf16 products."""
    info = Path("/proc/cpuinfo")
    if not info.exists() or not _INSTRUCTIONS & set(info.read_text(encoding="utf-8").split()):
        raise NoFigureError("this processor has no bf16 products (AMX, AVX-512 BF16)")


def sample(shape: Shape, seconds: float, *, packed: bool = False) -> Sample:
    """bf16 nn.LSTM and ours, on a dense or a ragged batch."""
    exact_x, exact_grad = (t.detach().bfloat16().float() for t in inputs(shape))
    exact_layer = nn.LSTM(shape.I, shape.H)
    peer = nn.LSTM(shape.I, shape.H, dtype=torch.bfloat16)
    peer.load_state_dict(exact_layer.state_dict())
    exact_layer.load_state_dict(peer.state_dict())
    ours = gw.from_torch(peer)
    x, grad = exact_x.bfloat16().requires_grad_(), exact_grad.bfloat16()
    lengths = uniform_lengths(shape.T, shape.B) if packed else None
    call = {} if lengths is None else {"lengths": lengths}

    def torchs(layer: nn.LSTM, x: Tensor, grad: Tensor) -> Work:
        return training(layer, x, grad) if lengths is None else peers.packed(layer, x, grad, lengths)

    own = training(ours, x, grad, **call)
    agree(torchs(exact_layer, exact_x.requires_grad_(), exact_grad), own, _LIMITS)
    times = in_turns_for(seconds, torchs(peer, x, grad).run, own.run)
    return Sample(str(shape), times, {"backend": chosen(ours, x, lengths)})


def measure(settings: Settings) -> Iterator[Row]:
    def all_shapes(packed: bool) -> Callable[[], list[Sample]]:
        def run() -> list[Sample]:
            needs_bf16()
            return [sample(shape, settings.seconds, packed=packed) for shape in shapes("ragged")]

        return run

    yield row("bf16-training", all_shapes(packed=False))
    yield row("bf16-packed", all_shapes(packed=True))
