"""oneDNN's LSTM layer on a CPU, with the workspace that its backward pass reads."""

import torch
from torch import Tensor

from gatewise.kernels.weights import Weights

_LSTM_MODE = 2  # at::native's code for an LSTM


def runs(cell: str, x: Tensor, weights: Weights) -> bool:
    """Whether oneDNN's layer takes this call: an LSTM on a CPU in float32, or in bf16 where the processor has it."""
    if cell != "lstm" or x.device.type != "cpu" or weights.w_hr is not None:
        return False
    if not torch.backends.mkldnn.enabled:  # pyright: ignore[reportAttributeAccessIssue]
        return False
    if x.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return x.dtype == torch.float32


def _arguments(x: Tensor, h0: Tensor, c0: Tensor, weights: Weights) -> list[Tensor]:
    w_ih, w_hh, b_ih, b_hh, _ = weights
    if b_ih is None or b_hh is None:  # oneDNN's layer always adds a bias
        b_ih = b_hh = w_ih.new_zeros(w_ih.shape[0])
    return [w.contiguous() for w in (x, w_ih, w_hh, b_ih, b_hh, h0[None], c0[None])]


def forward(
    x: Tensor, h0: Tensor, c0: Tensor, weights: Weights, *, reverse: bool, train: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """A dense batch.

    Shape: x [T, B, I], h0 and c0 [B, H]; returns h_seq [T, B, H], h_n and c_n [B, H] and the workspace: bytes for
    `backward`, None unless `train`.
    """
    # PyTorch makes the workspace in grad mode only; below the autograd of our own operator no graph is recorded.
    with torch.set_grad_enabled(train):
        h_seq, h_n, c_n, workspace = torch.ops.aten.mkldnn_rnn_layer(
            *_arguments(x, h0, c0, weights),
            reverse,
            [],
            _LSTM_MODE,
            h0.shape[-1],
            1,
            True,
            False,
            False,
            train,
        )
    return h_seq, h_n[0], c_n[0], workspace


def backward(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weights: Weights,
    outputs: tuple[Tensor, Tensor, Tensor, Tensor],
    grads: tuple[Tensor, Tensor, Tensor],
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Gradients of a dense batch.

    Args:
        outputs: h_seq [T, B, H], h_n, c_n [B, H] and the workspace, as `forward` returned them.
        grads: the gradients of h_seq, h_n and c_n.

    Returns: gradients of x, h0, c0 and of the weights that exist.
    """
    h_seq, h_n, c_n, workspace = outputs
    grad_h_seq, grad_h_n, grad_c_n = grads
    results = torch.ops.aten.mkldnn_rnn_layer_backward(
        *_arguments(x, h0, c0, weights), h_seq, h_n[None], c_n[None],
        grad_h_seq.contiguous(), grad_h_n[None].contiguous(), grad_c_n[None].contiguous(),
        reverse, _LSTM_MODE, h0.shape[-1], 1, True, True, False, [], False, workspace,
    )  # fmt: skip
    dx, dw_ih, dw_hh, db_ih, db_hh, dh0, dc0 = results
    biases = [] if weights.b_ih is None else [db_ih, db_hh]
    return dx, dh0[0], dc0[0], [dw_ih, dw_hh, *biases]
