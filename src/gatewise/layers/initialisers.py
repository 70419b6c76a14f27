"""Initial values of the gates' biases: how long a layer remembers before it has learned anything."""

import torch
from torch import Tensor

from gatewise.errors import UsageError


def check(forget_bias: float | None, chrono: int | None) -> None:
    """Raise a UsageError when the two are given together, or chrono's horizon is too short to draw from."""
    if forget_bias is not None and chrono is not None:
        raise UsageError(
            f"forget_bias={forget_bias} and chrono={chrono} both set the forget gate's bias; give one"
        )
    if chrono is not None and chrono < 3:
        raise UsageError(f"chrono={chrono}; the longest dependency must be at least 3 steps")


def lstm_forget_bias(bias_ih: Tensor, bias_hh: Tensor, value: float, *, coupled: bool = False) -> None:
    """Set the forget gate's bias in place: `value` in bias_ih [4H], 0 in bias_hh [4H]; coupled gates have [3H].

    A bias of 0, 1, 2, 3, 5 keeps a memory for 1.4, 3.2, 7.9, 20.6, 149 steps (e-fold).

    Source: Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015, section 3.
    """
    rows = _forget_rows(bias_ih, coupled)
    with torch.no_grad():
        bias_ih[rows] = value
        bias_hh[rows] = 0


def lstm_chrono(bias_ih: Tensor, bias_hh: Tensor, horizon: int, *, coupled: bool = False) -> None:
    """Set the biases of the forget and the input gate in place, so that time constants fill 1 … horizon - 1 steps.

    b_f ~ log U[1, horizon - 1], b_i = -b_f, both in bias_ih [4H]; those rows of bias_hh are 0. Coupled gates, [3H],
    have no b_i: σ(-b_f) = 1 - σ(b_f) is their input gate already.

    Source: Tallec & Ollivier 2018, "Can recurrent neural networks warp time?", equation 17.
    """
    rows = _forget_rows(bias_ih, coupled)
    with torch.no_grad():
        b_f = torch.empty_like(bias_ih[rows]).uniform_(1, horizon - 1).log_()
        bias_ih[rows] = b_f
        bias_hh[rows] = 0
        if not coupled:
            bias_ih[: rows.start] = -b_f
            bias_hh[: rows.start] = 0


def _forget_rows(bias: Tensor, coupled: bool) -> slice:
    """The rows of f: the first block of coupled gates (f, g, o), else the second (i, f, g, o)."""
    H = bias.shape[0] // (3 if coupled else 4)
    return slice(0, H) if coupled else slice(H, 2 * H)


def gru_chrono(bias_ih: Tensor, bias_hh: Tensor, horizon: int) -> None:
    """The same for a GRU, whose z keeps: b_z ~ log U[1, horizon - 1] in bias_ih [3H], 0 in those rows of bias_hh.

    Source: Tallec & Ollivier 2018, section 2 (leaky and gated networks).
    """
    H = bias_ih.shape[0] // 3
    with torch.no_grad():
        bias_ih[H : 2 * H] = torch.empty_like(bias_ih[:H]).uniform_(1, horizon - 1).log_()
        bias_hh[H : 2 * H] = 0


def rnn_identity(weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor) -> None:
    """Set a plain RNN's recurrent weights [H, H] to the identity and its biases [H] to 0, in place.

    With ReLU, units that are above zero are then copied from step to step, and the error travels back through them
    unchanged, until training moves the weights. The input weights, here as they are, are N(0, 0.001) in the paper.

    Source: Le, Jaitly & Hinton 2015, "A simple way to initialize recurrent networks of rectified linear units",
    section 3.
    """
    with torch.no_grad():
        torch.nn.init.eye_(weight_hh)
        bias_ih.zero_()
        bias_hh.zero_()
