"""The gates of a finished layer, read from its output, against the oracle that computed them step by step."""

import numpy as np
import pytest
import torch
from oracle import CELLS, Params, random_params, run

from gatewise.errors import UsageError
from gatewise.kernels import Weights, replay

GATES = {"lstm": "ifgo", "gru": "rzn", "gru_reset_before": "rzn", "rnn_tanh": "h", "rnn_relu": "h"}
KINDS = [(cell, 0) for cell in GATES] + [("lstm", 3)]
LENGTHS = [None, [6, 2, 0, 5]]
TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-6}


class Finished:
    """A layer that the oracle ran: its tensors, and every gate of every step."""

    def __init__(self, cell, projection=0, *, lengths=None, reverse=False, dtype=torch.float64, T=6, B=4):
        rng = np.random.default_rng(3)
        params = random_params(rng, CELLS[cell].gates, 3, 5, projection=projection)
        x = rng.normal(size=(T, B, 3))
        h0 = np.tanh(rng.normal(size=(B, projection or 5)))
        c0 = rng.normal(size=(B, 5)) if cell == "lstm" else None
        made = run(cell, x, h0, c0, params, None if lengths is None else np.array(lengths), reverse=reverse)
        gates = {name: np.zeros((T, B, 5)) for name in GATES[cell]}
        for t, rows, happened in made.tape.steps:
            for name in gates:
                gates[name][t, rows] = happened[name]
        self.cell, self.reverse = cell, reverse
        self.gates = np.concatenate(list(gates.values()), axis=-1)
        self.c_seq = made.c_seq
        self.x, self.h_seq, self.h0, self.c0 = (
            None if a is None else torch.tensor(a, dtype=dtype) for a in (x, made.h_seq, h0, c0)
        )
        self.weights = Weights(*(None if p is None else torch.tensor(p, dtype=dtype) for p in params))
        self.params: Params = params
        self.lengths = None if lengths is None else torch.tensor(lengths)

    def replay(self, **options):
        return replay(
            self.cell, self.x, self.h_seq, self.h0, self.c0, self.weights, self.lengths,
            reverse=self.reverse, **options,
        )  # fmt: skip


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("cell", "projection"), KINDS)
def test_gates_and_cell_states_are_those_of_the_layer(cell, projection, lengths, reverse, dtype):
    layer = Finished(cell, projection, lengths=lengths, reverse=reverse, dtype=dtype)
    seen = layer.replay()
    np.testing.assert_allclose(seen.gates.double(), layer.gates, atol=TOLERANCE[dtype], rtol=0)
    if cell == "lstm":
        np.testing.assert_allclose(seen.c_seq.double(), layer.c_seq, atol=TOLERANCE[dtype] * 4, rtol=0)
    else:
        assert seen.c_seq is None
    assert seen.pre is None
    assert float(seen.residual) <= TOLERANCE[dtype]


@pytest.mark.parametrize("needs_graph", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("cell", "projection"), KINDS)
def test_pre_activations_give_the_gates(cell, projection, lengths, needs_graph):
    layer = Finished(cell, projection, lengths=lengths)
    layer.x.requires_grad_(needs_graph)
    seen = layer.replay(keep_pre=True)
    pre = seen.pre.detach().numpy()
    names = GATES[cell]
    squash = {"g": np.tanh, "n": np.tanh, "h": np.tanh if cell == "rnn_tanh" else lambda a: np.maximum(a, 0)}
    valid = np.ones((6, 4), bool) if lengths is None else np.arange(6)[:, None] < np.array(lengths)
    for k, name in enumerate(names):
        part = pre[..., k * 5 : (k + 1) * 5]
        got = squash.get(name, lambda a: 1 / (1 + np.exp(-a)))(part)
        np.testing.assert_allclose(
            got[valid], layer.gates[..., k * 5 : (k + 1) * 5][valid], atol=1e-14, rtol=0
        )
    assert not pre[~valid].any()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(("cell", "projection"), KINDS)
def test_replay_is_differentiable_in_everything(cell, projection, lengths, reverse):
    lengths = None if lengths is None else [3, 0]
    layer = Finished(cell, projection, lengths=lengths, reverse=reverse, T=3, B=2)
    tensors = [layer.x, layer.h_seq, layer.h0, layer.c0, *layer.weights]
    leaves = [t.requires_grad_() for t in tensors if t is not None and t is not layer.weights.w_hr]

    def gates_and_states(*_):
        seen = layer.replay(keep_pre=True)
        return [t for t in seen[:3] if t is not None]

    assert torch.autograd.gradcheck(gates_and_states, leaves, atol=1e-8)


@pytest.mark.parametrize("cell", GATES)
def test_the_paths_with_and_without_a_graph_agree(cell):
    layer = Finished(cell, lengths=[6, 2, 0, 5], reverse=True, dtype=torch.float32)
    plain = layer.replay()
    layer.x.requires_grad_()
    with_graph = layer.replay()
    assert with_graph.gates.requires_grad
    torch.testing.assert_close(with_graph.gates.detach(), plain.gates, atol=5e-7, rtol=0)


@pytest.mark.parametrize("cell", GATES)
def test_the_layers_own_tensors_are_not_written_to(cell):
    layer = Finished(cell, lengths=[6, 2, 0, 5])
    tensors = [layer.x, layer.h_seq, layer.h0, layer.c0, *layer.weights]
    before = [None if t is None else t.clone() for t in tensors]
    layer.replay(keep_pre=True)
    assert all(a is None or torch.equal(a, b) for a, b in zip(tensors, before, strict=True))


@pytest.mark.parametrize(("cell", "projection"), KINDS)
def test_the_residual_is_the_distance_from_the_layers_h(cell, projection):
    layer = Finished(cell, projection, T=1)
    layer.h_seq[0, 2, 1] += 0.25
    assert float(layer.replay().residual) == pytest.approx(0.25, abs=1e-12)


@pytest.mark.parametrize("cell", GATES)
def test_nan_in_the_padding_reaches_nothing(cell):
    layer = Finished(cell, lengths=[6, 2, 0, 5])
    clean = layer.replay(keep_pre=True)
    layer.x[2:, 1] = torch.nan
    layer.x[:, 2] = torch.nan
    dirty = layer.replay(keep_pre=True)
    assert all(a is None or torch.equal(a, b) for a, b in zip(clean, dirty, strict=True))


@pytest.mark.parametrize("cell", GATES)
def test_no_steps_and_no_rows(cell):
    for T, B in ((0, 4), (3, 0)):
        seen = Finished(cell, T=T, B=B).replay(keep_pre=True)
        assert seen.gates.shape == (T, B, 5 * len(GATES[cell]))
        assert float(seen.residual) == 0


def test_half_precision_is_replayed_in_float32():
    layer = Finished("lstm", dtype=torch.bfloat16)
    seen = layer.replay()
    assert seen.gates.dtype == torch.float32
    # What is left is the rounding of the bfloat16 inputs, weights and h: 8 bits of mantissa.
    np.testing.assert_allclose(seen.gates.double(), layer.gates, atol=1e-2, rtol=0)


def test_autocast_does_not_lower_the_precision():
    layer = Finished("lstm", dtype=torch.float32)
    plain = layer.replay()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.replay().gates, plain.gates)


def test_an_unknown_cell_is_refused_by_name():
    layer = Finished("lstm")
    with pytest.raises(UsageError, match='"qrnn" cell cannot be replayed'):
        replay("qrnn", layer.x, layer.h_seq, layer.h0, layer.c0, layer.weights)
