"""A gatewise layer and torch's, with the same weights, called the same way and compared to the last output."""

from typing import Any

import torch
from compare import assert_same
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import gatewise as gw

KINDS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "lstm": (gw.LSTM, nn.LSTM, {}),
    "lstm_projected": (gw.LSTM, nn.LSTM, {"proj_size": 2}),
    "gru": (gw.GRU, nn.GRU, {}),
    "rnn_tanh": (gw.RNN, nn.RNN, {}),
    "rnn_relu": (gw.RNN, nn.RNN, {"nonlinearity": "relu"}),
}
I, H = 3, 4  # noqa: E741


def pair(kind: str, dtype: torch.dtype = torch.float64, **options: Any) -> tuple[Any, Any]:
    """(ours, torch's) with equal weights."""
    ours_class, torch_class, fixed = KINDS[kind]
    theirs = torch_class(I, H, **fixed, **options, dtype=dtype)
    ours = ours_class(I, H, **fixed, **options, dtype=dtype)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def flat(result: Any) -> list[Tensor]:
    """The tensors of a layer's result in order; a packed output gives its data."""
    if isinstance(result, PackedSequence):
        return [result.data]
    if isinstance(result, Tensor):
        return [result]
    return [tensor for part in result for tensor in flat(part)]


def initial(kind: str, passes: int, batch: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Any:
    """A random hx of torch's shape, with gradients."""
    P = KINDS[kind][2].get("proj_size", H)
    h = torch.randn(passes, *batch, P, dtype=dtype, requires_grad=True)
    if not kind.startswith("lstm"):
        return h
    return h, torch.randn(passes, *batch, H, dtype=dtype, requires_grad=True)


def make_input(
    form: str, T: int, B: int, batch_first: bool, dtype: torch.dtype = torch.float64
) -> tuple[Any, Tensor]:
    """x in this form, and the leaf tensor that its gradient goes to."""
    if form == "unbatched":
        leaf = torch.randn(T, I, dtype=dtype, requires_grad=True)
        return leaf, leaf
    leaf = torch.randn(*((B, T) if batch_first else (T, B)), I, dtype=dtype, requires_grad=True)
    if form == "batched":
        return leaf, leaf
    lengths = torch.arange(B) % T + 1  # every length from 1 to T, unsorted order below
    lengths = (
        lengths.flip(0).sort(descending=True).values
        if form == "packed_sorted"
        else lengths[torch.randperm(B)]
    )
    lengths[lengths.argmax()] = T
    packed = pack_padded_sequence(
        leaf, lengths, batch_first=batch_first, enforce_sorted=form == "packed_sorted"
    )
    return packed, leaf


def gradients(result: Any, leaves: list[Tensor]) -> list[Tensor]:
    """Gradients of all outputs under fixed cotangents."""
    outputs = flat(result)
    seeds = [torch.linspace(-1, 2, o.numel(), dtype=o.dtype).reshape(o.shape) for o in outputs]
    got = torch.autograd.grad(
        outputs, leaves, seeds, allow_unused=True, materialize_grads=True, retain_graph=True
    )
    return list(got)


def compare(ours: Any, theirs: Any, x: Any, leaf: Tensor, hx: Any = None, tolerance: float = 1e-12) -> None:
    """Both layers on the same call: outputs, states, and the gradients of x, hx and every parameter."""
    results, grads = [], []
    for layer in (ours, theirs):
        result = layer(x) if hx is None else layer(x, hx)
        leaves = [leaf, *([] if hx is None else flat(hx)), *layer.parameters()]
        results.append(result)
        grads.append(gradients(result, leaves))
    got, expected = results
    assert type(got[0]) is type(expected[0])
    if isinstance(got[0], PackedSequence):
        for a, b in zip(got[0][1:], expected[0][1:], strict=True):
            assert (a is None and b is None) or torch.equal(a, b)
    names = ["output", "h_n", "c_n"]
    for name, a, b in zip(names, flat(got), flat(expected), strict=False):
        assert_same(a, b, name, tolerance)
    names = [
        "x",
        *(["h_0", "c_0"][: len(flat(hx))] if hx is not None else []),
        *dict(ours.named_parameters()),
    ]
    for name, a, b in zip(names, *grads, strict=True):
        assert_same(a, b, f"gradient of {name}", tolerance)
