"""One finished call of a recurrent module in one form: time-first, batched, padded, with its lengths."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gatewise.errors import UsageError
from gatewise.memory.modules import Opened


@dataclass(frozen=True)
class LayerCall:
    """A call of a layer.

    Attributes:
        x: [T, B, I], rows in the caller's order.
        output: [T, B, D*P].
        h0: [L*D, B, P].
        c0: [L*D, B, H] of an LSTM, else None.
        lengths: [B] int64 on x's device, or None.
        packed: the packed input, where it came packed.
    """

    x: Tensor
    output: Tensor
    h0: Tensor
    c0: Tensor | None
    lengths: Tensor | None
    packed: PackedSequence | None


def read_call(opened: Opened, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> LayerCall:
    """The call that a forward hook of the module saw.

    Raises:
        UsageError: the sequence was reset inside, which a replay cannot see.
    """
    given = dict(zip(("x", "hx", "lengths", "resets"), args, strict=False)) | kwargs
    x = given["x"] if given.get("x") is not None else given["input"]
    if given.get("resets") is not None:
        raise UsageError(f"{opened.label}: a call with resets inside the sequence cannot be recorded")
    if isinstance(x, PackedSequence):
        padded, lengths = pad_packed_sequence(x)
        output, _ = pad_packed_sequence(result[0])
        h0, c0 = _states(opened, given.get("hx"), padded, batched=True)
        return LayerCall(padded, output, h0, c0, lengths.to(padded.device), x)
    batched = x.dim() == 3
    first = opened.module.batch_first and batched
    x, output = (time_first(t, batched, first) for t in (x, result[0]))
    h0, c0 = _states(opened, given.get("hx"), x, batched)
    lengths = given.get("lengths")
    if lengths is not None:
        lengths = torch.as_tensor(lengths, dtype=torch.int64, device=x.device).reshape(-1)
    return LayerCall(x, output, h0, c0, lengths, None)


def time_first(tensor: Tensor, batched: bool, batch_first: bool) -> Tensor:
    if not batched:
        return tensor.unsqueeze(1)
    return tensor.transpose(0, 1) if batch_first else tensor


def _states(opened: Opened, hx: Any, x: Tensor, batched: bool) -> tuple[Tensor, Tensor | None]:
    """The initial states of all layers and directions, zeros where none were given."""
    module = opened.module
    if hx is None:
        rows = module.num_layers * (2 if module.bidirectional else 1)
        h0 = x.new_zeros(rows, x.shape[1], module.proj_size or module.hidden_size)
        return h0, (x.new_zeros(rows, x.shape[1], module.hidden_size) if opened.cell == "lstm" else None)
    given = (hx,) if isinstance(hx, Tensor) else tuple(hx)
    h0, *c0 = given if batched else tuple(s.unsqueeze(1) for s in given)
    return h0, c0[0] if c0 else None
