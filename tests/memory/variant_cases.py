"""Layers with variants, and what the oracle says of every layer and direction of a call of theirs."""

import numpy as np
import torch
from memory_cases import GATES
from oracle import Params, Variation, masks, run
from record_cases import cell_of

from gatewise import layers as gwl

F64 = {"dtype": torch.float64}
VARIANTS = {
    "plain": {},
    "drop_h": {"recurrent_dropout": 0.4},
    "drop_g": {"recurrent_dropout": 0.4, "recurrent_dropout_on": "g"},
    "drop_weights": {"recurrent_dropout": 0.4, "recurrent_dropout_on": "weights"},
    "peephole": {"peephole": True},
    "coupled": {"coupled": True},
    "layer_norm": {"layer_norm": True},
    "zoneout_c": {"zoneout": (0.3, 0.0)},
    "zoneout_h": {"zoneout": (0.0, 0.3)},
    "coupled_peephole_zoneout_drop_g": {
        "coupled": True, "peephole": True, "zoneout": (0.2, 0.1), "recurrent_dropout": 0.3, "recurrent_dropout_on": "g",
    },
    "coupled_norm_zoneout_c_drop_h": {
        "coupled": True, "layer_norm": True, "zoneout": (0.2, 0.0), "recurrent_dropout": 0.3,
    },
}  # fmt: skip
READABLE = [name for name, options in VARIANTS.items() if not options.get("zoneout", (0, 0))[1]]
"""Those whose h is what the gates read of c."""

PARAMETERS = (
    "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr",
    "weight_peephole", "weight_norm_ih", "weight_norm_hh", "weight_norm_c", "bias_norm_c",
)  # fmt: skip
LENGTHS = torch.tensor([6, 2, 0, 5])


def make(variant, cls=gwl.LSTM, **options):
    """A layer from 3 features to 4 units whose scales of layer normalisation are not all 1."""
    layer = cls(3, 4, **VARIANTS[variant], **options, **F64)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.3, 1.2)
    return layer


def inputs(T=6, B=4):
    """x [T, B, 3] and resets [T, B] with some at time 0, some beyond LENGTHS, and rows with several."""
    resets = torch.zeros(T, B, dtype=torch.bool)
    for t, b in [(0, 0), (3, 0), (1, 1), (4, 1), (2, 3), (3, 3), (5, 3)]:
        if t < T and b < B:
            resets[t, b] = True
    return torch.randn(T, B, 3, **F64), resets


def variation_of(layer):
    v = layer.variant
    return Variation(
        v.layer_norm, v.peephole, v.coupled, v.zoneout, v.recurrent_dropout, v.recurrent_dropout_on
    )


class Seeds:
    """The seeds that a layer draws in a call, in order."""

    def __init__(self, layer):
        self.drawn = []
        layer.watchers.append(lambda batch, passes: self.drawn.extend(p.seed for p in passes))

    def numbers(self):
        return [None if seed is None else int(seed) for seed in self.drawn]


def expected_variants(layer, x, hx=None, lengths=None, resets=None, seeds=None):
    """{(layer, reverse): values by name}, with the oracle's Run under "run"; seeds by layer and direction."""
    cell, directions = cell_of(layer), 2 if layer.bidirectional else 1
    rows = layer.num_layers * directions
    x = x.detach().numpy()
    P = layer.proj_size or layer.hidden_size
    h0 = np.zeros((rows, x.shape[1], P)) if hx is None else hx[0].numpy()
    c0 = np.zeros((rows, x.shape[1], layer.hidden_size)) if hx is None else hx[1].numpy()
    found = {}
    for k in range(layer.num_layers):
        outputs = []
        for d in range(directions):
            n = k * directions + d
            end = f"_l{k}" + ("_reverse" if d else "")
            weights = [getattr(layer, name + end, None) for name in PARAMETERS]
            made = run(
                cell, x, h0[n], c0[n] if cell == "lstm" else None,
                Params(*(None if w is None else w.detach().numpy() for w in weights)),
                None if lengths is None else lengths.numpy(),
                reverse=bool(d), variation=variation_of(layer),
                resets=None if resets is None else resets.numpy(), seed=None if seeds is None else seeds[n],
            )  # fmt: skip
            gates = {name: np.zeros((*x.shape[:2], layer.hidden_size)) for name in GATES[cell]}
            for t, of_rows, happened in made.tape.steps:
                for name in gates:
                    gates[name][t, of_rows] = happened[name]
            found[k, bool(d)] = {**gates, "h": made.h_seq, "h0": h0[n]}
            if cell == "lstm":
                found[k, bool(d)] |= {"c": made.c_seq, "c0": c0[n]}
            outputs.append(made.h_seq)
        x = np.concatenate(outputs, axis=-1)
    return found


def zoned(layer, seed, T, B, H):
    """How much of its old c each unit keeps at each step, [T, B, H]: the oracle's masks, or their expectation."""
    p = layer.variant.zoneout[0]
    if seed is None:
        return np.full((T, B, H), p)
    rows = np.arange(B)
    return np.stack([masks.happens(p, seed, masks.ZONEOUT_C, t, rows, H) for t in range(T)])
