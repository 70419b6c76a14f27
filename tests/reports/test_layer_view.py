"""A layer on a page: the belt against products taken afresh and against the ledger, and one row of a batch."""

import numpy as np
import pytest
import torch
from trace_cases import hand, made, random

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.memory import LayerTrace, half_life, held, ledger
from gatewise.reports.layer_view import belt, layer_view, one_row, place

LENGTHS = [5, 7, 2]
CASES = [(cell, reverse) for cell in ("lstm", "gru", "gru_reset_before") for reverse in (False, True)]
FLOAT32 = 2**-23


def float32_of(tensor, row, steps):
    return tensor[:steps, row].double().numpy().astype(np.float32)


def belt_by_products(lt):
    """Σ_j |R[t,s]⊙written_s|_j of a trace of one row, every product afresh, factor by factor."""
    g = {name: gate.numpy()[:, 0] for name, gate in lt.gates.items()}
    keep, written = (g["f"], g["i"] * g["g"]) if lt.cell == "lstm" else (g["z"], (1 - g["z"]) * g["n"])
    order = list(range(len(keep)))[::-1] if lt.reverse else list(range(len(keep)))
    found = np.zeros((len(keep), len(keep)))
    for place_t, t in enumerate(order):
        for place_s, s in enumerate(order[: place_t + 1]):
            between = order[place_s + 1 : place_t + 1]
            for j in range(keep.shape[1]):
                found[t, s] += abs(np.prod([keep[r, j] for r in between]) * written[s, j])
    return found


def test_the_belt_of_the_example_by_hand():
    rows = [[0.4, 0.0, 0.0], [0.36, 0.2, 0.0], [0.288, 0.16, 0.1]]
    np.testing.assert_allclose(belt(hand()), rows, atol=1e-15)
    np.testing.assert_allclose(belt(hand(reverse=True)), np.array(rows)[::-1, ::-1], atol=1e-15)
    edge = np.array([0.288, 0.16, 0.1]) / 0.548
    np.testing.assert_allclose(layer_view(hand()).edge, edge, atol=FLOAT32)
    np.testing.assert_allclose(layer_view(hand(reverse=True)).edge, edge[::-1], atol=FLOAT32)


@pytest.mark.parametrize(("cell", "reverse"), CASES)
def test_the_belt_is_the_products_and_the_ledger_of_every_step(cell, reverse):
    lt = random(cell, lengths=LENGTHS, reverse=reverse)
    for row, steps in enumerate(LENGTHS):
        one = one_row(lt, row)
        found = layer_view(lt, row).belt
        assert found is not None and found.dtype == np.float32
        np.testing.assert_allclose(found, belt_by_products(one), rtol=FLOAT32)
        for t in range(steps):
            whole = ledger(one, at=t).contributions[:, 0].abs().sum(-1)
            np.testing.assert_allclose(found[t], whole, rtol=FLOAT32)


@pytest.mark.parametrize(("cell", "reverse"), CASES)
def test_the_edge_is_held_and_for_the_last_state_the_last_row_of_the_belt(cell, reverse):
    lt = random(cell, lengths=LENGTHS, reverse=reverse)
    for row, steps in enumerate(LENGTHS):
        view = layer_view(lt, row)
        assert view.belt is not None and view.edge is not None and view.reading is not None
        np.testing.assert_array_equal(view.edge, float32_of(held(lt), row, steps))
        last = 0 if reverse else steps - 1
        np.testing.assert_allclose(view.edge, view.belt[last] / view.belt[last].sum(), rtol=1e-6)
        np.testing.assert_array_equal(view.reading, np.arange(steps) == last)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_edge_of_a_mean_is_the_mean_row_of_the_belt(reverse):
    # Sizes add up over the reading steps, for every keep gate is at least 0.
    lt = random("lstm", lengths=LENGTHS, reverse=reverse)
    weights = lt.valid() / torch.tensor(LENGTHS)
    for row, steps in enumerate(LENGTHS):
        view = layer_view(lt, row, weights=weights)
        assert view.belt is not None and view.edge is not None
        mean = view.belt.mean(0, dtype=np.float64)
        np.testing.assert_allclose(view.edge, mean / mean.sum(), rtol=1e-6)
        np.testing.assert_array_equal(view.edge, float32_of(held(lt, weights), row, steps))
        np.testing.assert_allclose(view.reading, np.full(steps, 1 / steps), rtol=FLOAT32)


def test_reading_per_unit_is_the_share_of_units_read_there():
    lt = random("gru", lengths=LENGTHS)
    largest = lt.h.masked_fill(~lt.valid()[..., None], -torch.inf).argmax(0, keepdim=True)
    weights = torch.zeros_like(lt.h).scatter_(0, largest, 1.0)
    for row, steps in enumerate(LENGTHS):
        counts = np.bincount(largest[0, row], minlength=steps)
        view = layer_view(lt, row, weights=weights)
        np.testing.assert_allclose(view.reading, counts / lt.h.shape[2], rtol=FLOAT32)
        np.testing.assert_array_equal(view.edge, float32_of(held(lt, weights), row, steps))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_one_row_holds_what_the_batch_held_of_it(cell):
    lt = random(cell, lengths=LENGTHS, residual=3e-4)
    view = layer_view(lt, 2, name="own", positions=np.array([4, 6]), push=torch.tensor([0.5, -1.0]))
    assert (view.name, view.cell, view.reverse, view.residual) == ("own", cell, False, 3e-4)
    assert view.positions.tolist() == [4, 6] and view.push is not None and view.push.tolist() == [0.5, -1.0]
    assert list(view.gates) == list(lt.gates)
    for name, gate in lt.gates.items():
        np.testing.assert_array_equal(view.gates[name], float32_of(gate, 2, 2))
    content, initial = (lt.h, lt.h0) if lt.c is None or lt.c0 is None else (lt.c, lt.c0)
    np.testing.assert_array_equal(view.memory, float32_of(content, 2, 2))
    np.testing.assert_array_equal(view.hidden, float32_of(lt.h, 2, 2))
    np.testing.assert_array_equal(view.initial, initial[2].numpy().astype(np.float32))
    keep = lt.gates["f" if cell == "lstm" else "z"][:2, 2].numpy()
    np.testing.assert_allclose(view.half_lives, np.log(0.5) / np.log(keep).mean(0), rtol=1e-6)


def test_an_unread_layer_has_no_edge_and_half_lives_can_be_infinite():
    gates = {
        name: np.full((3, 1, 2), value) for name, value in {"i": 0.5, "f": 1.0, "g": 0.5, "o": 1}.items()
    }
    view = layer_view(made("lstm", gates), is_read=False, half_lives_before=torch.tensor([1.0, 2.0]))
    assert view.edge is None and view.reading is None and view.push is None
    assert np.isinf(view.half_lives).all()
    assert view.half_lives_before is not None and view.half_lives_before.tolist() == [1.0, 2.0]


def test_a_real_layer_with_projection_two_directions_and_gradients():
    net = gw.LSTM(3, 6, proj_size=2, num_layers=2, bidirectional=True)
    with gw.record(net, grad=True) as trace:
        net(torch.randn(4, 2, 3))
    view = layer_view(trace[""][1, "reverse"], 1)
    assert view.name == "lstm, layer 1, reverse" and view.reverse
    assert (view.hidden.shape, view.memory.shape, view.initial.shape) == ((4, 2), (4, 6), (6,))
    assert view.edge is not None and view.edge.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(view.half_lives, half_life(one_row(trace[""][1, "reverse"], 1)))


def test_a_plain_rnn_has_no_sum():
    net = torch.nn.RNN(3, 5)
    with gw.record(net) as trace:
        net(torch.randn(4, 1, 3))
    view = layer_view(trace[""][0])
    assert view.belt is None and view.edge is None and view.gates == {}
    assert view.half_lives.shape == (5,) and np.isnan(view.half_lives).all()
    np.testing.assert_array_equal(view.memory, view.hidden)
    assert view.reading is not None and view.reading.tolist() == [0, 0, 0, 1]


def test_places_in_words():
    assert place(random("lstm", layer=2, reverse=True)) == "net.rnn, layer 2, reverse"
    zeros = torch.zeros(1, 1, 1)
    assert place(LayerTrace("", 0, "forward", "gru", {"z": zeros}, zeros, zeros[0])) == "gru, layer 0"


def test_refusals():
    lt = random("lstm", lengths=[5, 0, 2])
    with pytest.raises(UsageError, match="there is no row 3; the batch has 3, counted from 0"):
        layer_view(lt, 3)
    with pytest.raises(UsageError, match="there is no row -1"):
        layer_view(lt, -1)
    with pytest.raises(UsageError, match="row 1 has no step"):
        layer_view(lt, 1)
    with pytest.raises(UsageError, match=r"weights have shape \(7,\); they take \(7, 3\) or \(7, 3, 4\)"):
        layer_view(lt, weights=torch.ones(7))
    with pytest.raises(UsageError, match="weights of at least 0"):
        layer_view(lt, weights=-torch.ones(7, 3))
