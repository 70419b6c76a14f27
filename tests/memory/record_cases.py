"""What the oracle says of every layer and direction of a recurrent module, from the module's own weights."""

import numpy as np
import torch
from memory_cases import GATES
from oracle import Params, run

from gatewise.memory import LayerTrace


def cell_of(module):
    """The oracle's name for the kind of cell in a torch.nn or gatewise layer."""
    if module.mode == "GRU" and not getattr(module, "reset_after", True):
        return "gru_reset_before"
    return module.mode.lower()


def params_of(module, end):
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    weights = [getattr(module, name + end, None) for name in names]
    return Params(*(None if w is None else w.detach().double().numpy() for w in weights))


def expected_layers(module, x, h0=None, c0=None, lengths=None, masks=None):
    """{(layer, reverse): values by name} for x [T, B, I]; states [L*D, B, *]; masks: dropout factors by layer."""
    cell, directions = cell_of(module), 2 if module.bidirectional else 1
    x = x.detach().double().numpy()
    rows = module.num_layers * directions
    size = getattr(module, "proj_size", 0) or module.hidden_size
    h0 = np.zeros((rows, x.shape[1], size)) if h0 is None else h0.double().numpy()
    c0 = np.zeros((rows, x.shape[1], module.hidden_size)) if c0 is None else c0.double().numpy()
    found = {}
    for layer in range(module.num_layers):
        outputs = []
        for d in range(directions):
            k = layer * directions + d
            params = params_of(module, f"_l{layer}" + ("_reverse" if d else ""))
            start = c0[k] if cell == "lstm" else None
            made = run(
                cell,
                x,
                h0[k],
                start,
                params,
                None if lengths is None else np.asarray(lengths),
                reverse=bool(d),
            )
            gates = {name: np.zeros((*x.shape[:2], module.hidden_size)) for name in GATES[cell]}
            for t, rows_run, happened in made.tape.steps:
                for name in gates:
                    gates[name][t, rows_run] = happened[name]
            found[layer, bool(d)] = {**gates, "h": made.h_seq, "h0": h0[k]}
            if cell == "lstm":
                found[layer, bool(d)] |= {"c": made.c_seq, "c0": c0[k]}
            outputs.append(made.h_seq)
        x = np.concatenate(outputs, axis=-1)
        if masks is not None and layer in masks:
            x = x * masks[layer]
    return found


def assert_layer(lt: LayerTrace, expected, tolerance):
    """Every gate and state of a trace equals the oracle's."""
    for name, values in expected.items():
        got = getattr(lt, name)
        assert tuple(got.shape) == values.shape, name
        np.testing.assert_allclose(
            got.detach().double().numpy(), values, atol=tolerance, rtol=0, err_msg=f"{lt.label}: {name}"
        )
    assert not any(t.requires_grad for t in (lt.h, *lt.gates.values()))
    assert lt.residual <= tolerance


def assert_call(call, expected, tolerance=1e-12):
    assert len(call) == len(expected)
    for (layer, reverse), values in expected.items():
        assert_layer(call[(layer, "reverse") if reverse else layer], values, tolerance)


class Nest(torch.nn.Module):
    """A model that holds a recurrent layer two levels down and calls it once."""

    def __init__(self, layer):
        super().__init__()
        self.body = torch.nn.ModuleDict({"rnn": layer})

    def forward(self, x, *args, **kwargs):
        return self.body["rnn"](x, *args, **kwargs)
