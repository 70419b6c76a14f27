"""Masks drawn inside the kernels are those of the definition, in every variant and all that go together."""

from itertools import product

import pytest
import torch
from contract.conditions import instruction_set
from native_cases import instruction_sets, make, native_only, run

import gatewise as gw
from gatewise.cells import Variant
from gatewise.kernels import Weights, backend, dropped, native, recurrence
from gatewise.kernels.random_bits import Stream, scales

STRUCTURES = [
    {"layer_norm": norm, "peephole": peephole, "coupled": coupled}
    for norm, peephole, coupled in product([False, True], repeat=3)
    if not (norm and peephole)
]
ZONEOUTS = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.3, 0.2)]
DROPOUTS = [(0.0, "h"), (0.3, "h"), (0.3, "g"), (0.3, "weights")]

pytestmark = native_only


def example(variant, projected, seed):
    """Arguments of `recurrence`, in float64, with more units than any vector has numbers."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(*shape, dtype=torch.float64, generator=generator).sub_(0.5).requires_grad_()

    T, B, I, H = 7, 5, 3, 21  # noqa: E741
    P, rows = (4 if projected else H), (3 if variant.coupled else 4) * H
    weights = Weights(
        draw(rows, I), draw(rows, P), draw(rows), draw(rows), draw(P, H) if projected else None,
        draw(rows - H) if variant.peephole else None,
        *([draw(rows), draw(rows), draw(H), draw(H)] if variant.layer_norm else []),
    )  # fmt: skip
    return "lstm", draw(T, B, I), draw(B, P), draw(B, H), weights, torch.tensor([7, 3, 0, 6, 7])


@pytest.mark.parametrize(
    "structure", STRUCTURES, ids=lambda s: "+".join(k for k, on in s.items() if on) or "plain"
)
@pytest.mark.parametrize("zoneout", ZONEOUTS, ids=str)
@pytest.mark.parametrize("dropout", DROPOUTS, ids=str)
@pytest.mark.parametrize("projected", [False, True])
def test_all_that_go_together_are_those_of_the_definition(structure, zoneout, dropout, projected):
    if projected and zoneout[1]:
        zoneout = (zoneout[0], 0.0)  # not with a projection
    variant = Variant(
        **structure, zoneout=zoneout, recurrent_dropout=dropout[0], recurrent_dropout_on=dropout[1]
    )
    cell, x, h0, c0, weights, lengths = example(variant, projected, seed=5)
    leaves = [x, h0, c0, *weights.tensors()]
    for seed in (None, 0, 2**62 - 1):
        seen = []
        for name in ("native", "naive"):
            with backend(name):
                result = recurrence(
                    cell, x, h0, c0, weights, lengths, variant=variant,
                    seed=None if seed is None else torch.tensor(seed), keep_c=True,
                )  # fmt: skip
            outputs = [t for t in result[:4] if t is not None]
            total = torch.stack([(k + 1) * t.square().sum() for k, t in enumerate(outputs)]).sum()
            seen.append([*outputs, *torch.autograd.grad(total, leaves)])
        for got, expected in zip(*seen, strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("cell", ["gru", "gru_reset_before", "rnn_tanh", "rnn_relu"])
@pytest.mark.parametrize("variant", ["drop_h", "drop_weights"])
def test_the_other_cells_too(cell, variant):
    made = make(cell=cell, variant=variant, dtype=torch.float64, H=21, lengths="with_zeros")
    for got, expected in zip(run(made), run(made, "naive"), strict=True):
        for name, tensor in got.items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("isa", instruction_sets)
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (4, 16), (5, 33), (12, 70)])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("seed", [0, 1, 2**62 - 1])
def test_masks_of_weights(isa, shape, p, seed):
    got = torch.full(shape, torch.nan)
    with instruction_set(isa):
        native._module().drop_weights(seed, p, *shape, got.data_ptr())
    assert torch.equal(got, scales(p, torch.tensor(seed), Stream.WEIGHTS, 0, like=got))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropped_weights_are_those_of_the_definition(dtype, monkeypatch):
    drawn, draw = [], native.drop_weights
    monkeypatch.setattr(native, "drop_weights", lambda *given: drawn.append(given) or draw(*given))
    made = make(cell="lstm", variant="drop_weights", dtype=dtype)
    arguments = made.weights, made.variant, torch.tensor(7)
    got = dropped(*arguments).w_hh
    assert len(drawn) == (dtype != torch.float64), "the native generator draws where it can"
    with backend("naive"):
        expected = dropped(*arguments).w_hh
    assert len(drawn) == (dtype != torch.float64), "the definition draws by itself"
    assert (got == 0).any()
    assert torch.equal(got, expected)


def test_a_layer_draws_other_masks_each_time_it_trains_and_the_same_from_the_same_seed():
    layer, x = gw.LSTM(3, 21, zoneout=(0.2, 0.1), recurrent_dropout=0.3), torch.randn(6, 4, 3)
    with backend("native"):
        torch.manual_seed(1)
        first, second = layer(x)[0], layer(x)[0]
        torch.manual_seed(1)
        again = layer(x)[0]
    assert not torch.equal(first, second)
    assert torch.equal(first, again)
