"""A finished call of a torch.nn layer, opened by replay.

The output of a module is its top layer's; the layers below it are run once more for theirs.
"""

import warnings

import torch
from torch import _VF as VF  # what torch.nn calls; torch.lstm has no type
from torch import Tensor
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gatewise.errors import UsageError
from gatewise.kernels import replay
from gatewise.memory.building import Ran, Seen, build
from gatewise.memory.layer_call import LayerCall
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.modules import Opened

_FUNCTIONS = {"lstm": VF.lstm, "gru": VF.gru, "rnn_tanh": VF.rnn_tanh, "rnn_relu": VF.rnn_relu}
MISMATCH = 1e-2  # a residual above this share of the largest |h| is no rounding


def open_call(opened: Opened, call: LayerCall, rng_state: Tensor | None, keep_pre: bool) -> list[LayerTrace]:
    """Every layer and direction of one call of a torch.nn layer.

    Args:
        rng_state: the CPU generator's state before the call, where the call drew dropout masks.

    Raises:
        UsageError: the dropout masks of the call could not be drawn again.
    """
    if rng_state is None:
        traces = _open_layers(opened, call, keep_pre)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(rng_state)
            traces = _open_layers(opened, call, keep_pre)
    for lt in traces:
        check_residual(lt, drew_masks=rng_state is not None)
    return traces


def _open_layers(opened: Opened, call: LayerCall, keep_pre: bool) -> list[LayerTrace]:
    top = opened.module.num_layers - 1
    traces = []
    x = call.x
    for layer in range(top + 1):
        output = call.output.clone() if layer == top else _run_layer(opened, call, layer, x)
        traces += _open_layer(opened, call, layer, x, output, keep_pre)
        if layer < top:
            x = _drop(opened, call, output) if opened.drops_between_layers else output
    return traces


def _open_layer(
    opened: Opened, call: LayerCall, layer: int, x: Tensor, output: Tensor, keep_pre: bool
) -> list[LayerTrace]:
    directions = 2 if opened.module.bidirectional else 1
    traces = []
    for d, h in enumerate(output.chunk(directions, dim=-1)):
        k = layer * directions + d
        c0 = None if call.c0 is None else call.c0[k]
        ran = Ran(layer, d == 1, x, h, call.h0[k], c0, opened.weights(layer, d == 1), call.lengths)
        traces.append(open_replayed(opened, ran, keep_pre=keep_pre))
    return traces


def open_replayed(opened: Opened, ran: Ran, *, keep_pre: bool = False, copy_h: bool = False) -> LayerTrace:
    """One layer in one direction of a plain cell, from its input and output."""
    seen = replay(
        opened.cell, ran.x, ran.h, ran.h0, ran.c0, ran.weights, ran.lengths,
        reverse=ran.reverse, keep_pre=keep_pre,
    )  # fmt: skip
    gates = None if opened.cell.startswith("rnn") else seen.gates  # a plain RNN's only row block is h itself
    return build(
        opened, ran, Seen(gates, seen.pre, seen.c_seq, "replay", float(seen.residual)), copy_h=copy_h
    )


def _run_layer(opened: Opened, call: LayerCall, layer: int, x: Tensor) -> Tensor:
    """The output [T, B, D*P] of a layer below the top, by the function that the module itself calls."""
    directions = 2 if opened.module.bidirectional else 1
    rows = slice(layer * directions, (layer + 1) * directions)
    h0, c0 = call.h0[rows], None if call.c0 is None else call.c0[rows]
    weights = [opened.weights(layer, reverse=d == 1) for d in range(directions)]
    function, flat = _FUNCTIONS[opened.cell], [t for w in weights for t in w.tensors()]
    training, both, packed = opened.module.training, directions == 2, call.packed
    how = (flat, weights[0].b_ih is not None, 1, 0.0, training, both)
    with warnings.catch_warnings():
        # cuDNN remarks that the weights of one layer are not one block of memory.
        warnings.filterwarnings(
            "ignore", message="RNN module weights are not part of single contiguous chunk"
        )
        if packed is None:
            return function(x, h0 if c0 is None else (h0, c0), *how, False)[0]
        order = packed.sorted_indices
        if order is not None:
            h0, c0 = h0.index_select(1, order), None if c0 is None else c0.index_select(1, order)
        data = packed_like(packed, x).data
        out = function(data, packed.batch_sizes, h0 if c0 is None else (h0, c0), *how)[0]
        return pad_packed_sequence(packed._replace(data=out))[0]


def packed_like(packed: PackedSequence, x: Tensor) -> PackedSequence:
    """x [T, B, I], rows in the caller's order, packed as `packed` is."""
    if packed.sorted_indices is not None:
        x = x.index_select(1, packed.sorted_indices)
    steps = [x[t, : int(rows)] for t, rows in enumerate(packed.batch_sizes)]
    return packed._replace(data=torch.cat(steps))


def _drop(opened: Opened, call: LayerCall, output: Tensor) -> Tensor:
    """The dropout between two layers, drawn in the shape and order of rows in which the module drew it."""
    p, packed = opened.module.dropout, call.packed
    if packed is None:
        return dropout(output, p, training=True)
    data = dropout(packed_like(packed, output).data, p, training=True)
    return pad_packed_sequence(packed._replace(data=data))[0]


def check_residual(lt: LayerTrace, *, drew_masks: bool = False) -> None:
    """Warn, or raise where dropout masks were drawn again, unless replayed gates give the layer's own h."""
    scale = max(1.0, float(lt.h.detach().abs().max())) if lt.h.numel() else 1.0
    if lt.residual <= MISMATCH * scale or lt.residual != lt.residual:  # NaN: the model's own
        return
    if drew_masks:
        raise UsageError(
            f"{lt.label}: the dropout masks of this call in training mode could not be drawn again "
            f"(the output differs by {lt.residual:.2g}); record in eval mode"
        )
    warnings.warn(
        f"{lt.label}: the replayed gates give an h that differs by {lt.residual:.2g} from the layer's own; "
        "its weights changed during the call, or its precision is low",
        stacklevel=2,
    )
