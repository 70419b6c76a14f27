"""A ragged batch as one dense LSTM call: padding steps that hold the cell state still.

x gets one more feature, 1 on the padding and 0 elsewhere, whose weights shut the input gate and open the forget gate
so far that they are exactly 0 and 1. Through the padding c is therefore carried over unchanged, forward and in its
gradient, and the last c of the dense call is the c at each row's length. A reverse pass runs on rows turned round
within their length. It costs the padded work and nothing else, so it is for batches of similar lengths.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.kernels.ragged import padding
from gatewise.kernels.weights import Weights

# So far that no other summand of a pre-activation counts beside it; σ of it is exactly 1 or 0, and it is finite in
# float32 and bf16.
_SATURATING = 1e30

# Below this share of valid steps the padded work of a training step costs more than a call for each distinct length
# with its replayed backward pass (reckoned from measured steps: the two meet at 0.14 to 0.31, by shape).
MIN_FILL = 0.3


def pays(lengths: Tensor, T: int) -> bool:
    """Whether so much of a [T, B] batch is valid that one padded call is the fastest."""
    return bool(lengths.sum() >= MIN_FILL * T * lengths.shape[0])


class Padded(NamedTuple):
    """A ragged batch prepared for a dense call; T steps, B rows.

    Attributes:
        x: [T, B, I + 1], each row in the order of its pass.
        weights: the layer's, with the column for the padding in w_ih.
        mask: [T, B, 1], true on the padding.
        lengths: [B].
        turn: [T, B] source times of the rows, None for a forward pass; it is its own inverse.
    """

    x: Tensor
    weights: Weights
    mask: Tensor
    lengths: Tensor
    turn: Tensor | None

    def in_time(self, steps: Tensor) -> Tensor:
        """[T, B, *] between the order of the pass and the order of time; either way."""
        if self.turn is None:
            return steps
        return steps[self.turn, torch.arange(steps.shape[1], device=steps.device)]

    def last(self, h_pass: Tensor, h0: Tensor) -> Tensor:
        """The state [B, P] at each row's length, from the outputs [T, B, P] in the order of the pass."""
        rows = torch.arange(len(self.lengths), device=h0.device)
        return torch.where((self.lengths > 0)[:, None], h_pass[(self.lengths - 1).clamp(min=0), rows], h0)

    def add_at_last(self, grad: Tensor, grad_last: Tensor) -> Tensor:
        """The gradient of `last` added in place to that of its outputs [T, B, P]."""
        rows = (self.lengths > 0).nonzero().squeeze(1)
        return grad.index_put_((self.lengths[rows] - 1, rows), grad_last[rows], accumulate=True)


def prepare(x: Tensor, weights: Weights, lengths: Tensor, *, reverse: bool) -> Padded:
    """x [T, B, I] and the weights of an LSTM, ready for a dense forward pass."""
    T = x.shape[0]
    mask = padding(lengths, T)
    x = torch.cat((x.masked_fill(mask, 0), mask.to(x.dtype)), dim=-1)
    H = weights.hidden_size
    column = weights.w_ih.new_zeros(4 * H, 1)
    column[:H], column[H : 2 * H] = -_SATURATING, _SATURATING
    padded = Padded(x, weights._replace(w_ih=torch.cat((weights.w_ih, column), dim=1)), mask, lengths, None)
    if not reverse:
        return padded
    steps = torch.arange(T, device=x.device)[:, None]
    padded = padded._replace(turn=torch.where(mask[..., 0], steps, lengths - 1 - steps))
    return padded._replace(x=padded.in_time(x))
