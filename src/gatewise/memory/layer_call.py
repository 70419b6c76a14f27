"""One finished call of a recurrent module in one form: time-first, batched, padded, with its lengths."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gatewise.memory.modules import Opened


@dataclass(frozen=True)
class LayerCall:
    """A call of a torch.nn layer.

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
    """The call that a forward hook of the module saw."""
    given = dict(zip(("input", "hx"), args, strict=False)) | kwargs
    x = given["input"]
    if isinstance(x, PackedSequence):
        padded, lengths = pad_packed_sequence(x)
        output, _ = pad_packed_sequence(result[0])
        h0, c0 = _states(opened, given.get("hx"), padded, batched=True)
        return LayerCall(padded, output, h0, c0, lengths.to(padded.device), x)
    batched = x.dim() == 3
    first = opened.module.batch_first and batched
    x, output = (time_first(t, batched, first) for t in (x, result[0]))
    h0, c0 = _states(opened, given.get("hx"), x, batched)
    return LayerCall(x, output, h0, c0, None, None)


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
