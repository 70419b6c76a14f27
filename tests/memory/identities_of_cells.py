"""The equations of the cells, step by step, and the gates read back from a layer's output."""

import numpy as np
from identity_cases import Seen
from identity_list import PARTS, identity, kinds

PART = PARTS[0]


def _values(case):
    """Every gate and state of every layer and direction, as recorded and as the oracle has it."""
    for lt, seen in case.pairs():
        for name, values in seen.gates.items():
            yield getattr(lt, name), values
        yield lt.h, seen.h
        if seen.cell == "lstm":
            yield lt.c, seen.c


def _cell(name, formula, computed, of_kinds, also=()):
    identity(PART, name, formula, computed, of_kinds, also=also)(_values)


_cell(
    "LSTM",
    "i, f, o = σ(W x + U h + b), g = tanh(…), c_t = f⊙c_{t-1} + i⊙g, h_t = o⊙tanh(c_t)",
    "cells.lstm.lstm_step",
    ["LSTM", "LSTM of one layer"],
    ["cells/test_cell_steps.py", "contract/test_contract_values.py"],
)
_cell("projection", "h = W_hr (o⊙tanh c)", "cells.lstm.lstm_step", ["LSTM, projected"])
_cell("peepholes", "i, f see c_{t-1}, o sees c_t", "cells.lstm.lstm_step", ["LSTM, peepholes"])
_cell("coupled gates", "i = 1 - f", "cells.lstm.lstm_step", ["LSTM, coupled"])
_cell(
    "layer normalisation",
    "n⊙LN(W x) + n'⊙LN(U h) + b, h = o⊙tanh(n_c⊙LN(c) + b_c), and the raw c is carried on",
    "cells.lstm.lstm_step",
    ["LSTM, layer norm"],
)
_cell(
    "zoneout",
    "c_t = m⊙c_{t-1} + (1-m)⊙(f⊙c_{t-1} + i⊙g), h_t likewise; m drawn in training, its mean in eval",
    "cells.zoneout",
    ["LSTM, zoneout on c", "LSTM, zoneout on c and h"],
)
_cell(
    "recurrent dropout",
    "on h_{t-1}, on g, on U: the value times its mask, g recorded after it",
    "cells.lstm.lstm_step",
    ["LSTM, dropout on h", "LSTM, dropout on g", "LSTM, dropout on U"],
)
_cell(
    "GRU, reset after the product",
    "n = tanh(W x + b + r⊙(U h + b')), h_t = (1-z)⊙n + z⊙h_{t-1}",
    "cells.gru.gru_step",
    ["GRU"],
)
_cell(
    "GRU, reset before the product",
    "n = tanh(W x + b + U (r⊙h) + b')",
    "cells.gru.gru_step",
    ["GRU, reset before"],
)
_cell("plain RNN", "h_t = tanh(W x + U h_{t-1} + b), or ReLU", "cells.rnn.rnn_step", ["RNN", "RNN, ReLU"])
_cell(
    "gates read back from the output",
    "all pre-activations are x Wᵀ + h_shift Uᵀ + b; only c needs a scan",
    "kernels.replay.replay",
    [name for name in kinds() if name.startswith("torch.nn")],
    ["kernels/test_replay.py", "memory/test_record_layers.py"],
)


@identity(
    PART,
    "the residual of a replay",
    "o⊙tanh(c) = h, with W_hr, masks and LN(c) where there are any",
    "LayerTrace.residual",
    kinds(),
    also=["memory/test_gates_for_free.py"],
)
def residual(case):
    return [(lt.residual, 0.0) for lt, _ in case.pairs()]


def _products(seen: Seen):
    """W x + b and U h + b' of every step, [T, B, G*H] each."""
    p = seen.params
    return seen.x @ p.w_ih.T + p.b_ih, seen.before("h") @ p.w_hh.T + p.b_hh


@identity(
    PART,
    "pre-activations",
    "i_pre = W_i x + b_i + U_i h_{t-1} + b'_i, and so for every gate; n_pre = W_n x + b_n + r⊙(U_n h_{t-1} + b'_n)",
    "record(pre=True)",
    ["LSTM", "LSTM, projected", "GRU", "RNN", "torch.nn.LSTM", "torch.nn.GRU", "torch.nn.RNN"],
    also=["memory/test_record_layers.py"],
)
def pre_activations(case):
    for lt, seen in case.pairs():
        of_x, of_h = _products(seen)
        names = list(seen.gates) or ["h"]
        blocks = dict(
            zip(
                names,
                zip(*(np.split(a, len(names), axis=-1) for a in (of_x, of_h)), strict=True),
                strict=True,
            )
        )
        for name, (from_x, from_h) in blocks.items():
            pre = from_x + (seen.gates["r"] * from_h if name == "n" else from_h)
            yield lt.pre[name], np.where(seen.valid()[..., None], pre, 0.0)
