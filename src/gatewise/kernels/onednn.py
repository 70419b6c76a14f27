"""oneDNN's LSTM layer on a CPU, with the workspace that its backward pass reads."""

from typing import NamedTuple

import torch
from torch import Tensor

from gatewise.kernels import padded
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


class Outputs(NamedTuple):
    """What a run leaves: h_seq [T, B, H], h_n and c_n [B, H], and bytes for `backward` or None."""

    h_seq: Tensor
    h_n: Tensor
    c_n: Tensor
    workspace: Tensor | None


def forward(
    x: Tensor, h0: Tensor, c0: Tensor, weights: Weights, lengths: Tensor | None, *, reverse: bool, train: bool
) -> Outputs:
    """A batch [T, B, I], in one call; with lengths, padded (see `gatewise.kernels.padded`)."""
    if lengths is None:
        return _dense(x, h0, c0, weights, reverse=reverse, train=train)
    batch = padded.prepare(x, weights, lengths, reverse=reverse)
    out = _dense(batch.x, h0, c0, batch.weights, reverse=False, train=train)
    h_n = batch.last(out.h_seq, h0)
    h_seq = batch.in_time(out.h_seq).masked_fill(batch.mask, 0)
    return Outputs(h_seq, h_n, out.c_n, out.workspace)


def backward(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weights: Weights,
    lengths: Tensor | None,
    outputs: Outputs,
    grads: tuple[Tensor, Tensor, Tensor],
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Gradients of x, h0, c0 and the weights that exist.

    Args:
        outputs: as `forward` returned them, with the workspace.
        grads: the gradients of h_seq, h_n and c_n.
    """
    if lengths is None:
        return _dense_backward(x, h0, c0, weights, outputs, grads, reverse=reverse)
    grad_h_seq, grad_h_n, grad_c_n = grads
    batch = padded.prepare(x, weights, lengths, reverse=reverse)
    grad_h_pass = batch.in_time(grad_h_seq.masked_fill(batch.mask, 0))
    h_pass = batch.in_time(outputs.h_seq)
    dense = Outputs(h_pass, h_pass[-1], outputs.c_n, outputs.workspace)
    in_pass = (batch.add_at_last(grad_h_pass, grad_h_n), torch.zeros_like(grad_h_n), grad_c_n)
    dx, dh0, dc0, dw = _dense_backward(batch.x, h0, c0, batch.weights, dense, in_pass, reverse=False)
    dh0 = torch.where((lengths > 0)[:, None], dh0, grad_h_n)
    return batch.in_time(dx)[..., :-1].contiguous(), dh0, dc0, [dw[0][:, :-1].contiguous(), *dw[1:]]


def _arguments(x: Tensor, h0: Tensor, c0: Tensor, weights: Weights) -> list[Tensor]:
    w_ih, w_hh, b_ih, b_hh = weights[:4]
    if b_ih is None or b_hh is None:  # oneDNN's layer always adds a bias
        b_ih = b_hh = w_ih.new_zeros(w_ih.shape[0])
    return [w.contiguous() for w in (x, w_ih, w_hh, b_ih, b_hh, h0[None], c0[None])]


def _dense(x: Tensor, h0: Tensor, c0: Tensor, weights: Weights, *, reverse: bool, train: bool) -> Outputs:
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
    return Outputs(h_seq, h_n[0], c_n[0], workspace if train else None)


def _dense_backward(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weights: Weights,
    outputs: Outputs,
    grads: tuple[Tensor, Tensor, Tensor],
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
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
