"""Outputs, states and every gradient equal torch.nn's in float64 to 1e-12, over every option and form of input."""

import pytest
import torch
from layer_pairs import KINDS, H, I, compare, flat, initial, make_input, pair
from pairwise import case_id, many

import gatewise as gw

FACTORS = {
    "kind": list(KINDS),
    "num_layers": [1, 2, 3],
    "bias": [True, False],
    "batch_first": [False, True],
    "dropout": ["0", "1", "0.5 in eval", "1 in eval"],
    "bidirectional": [False, True],
    "form": ["batched", "unbatched", "packed_sorted", "packed_unsorted"],
    "hx": ["given", "none"],
    "T": [1, 2, 5],
    "B": [1, 4],
    "backend": [None, "naive", "aten"],
}
OPTIONS = (
    "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "proj_size", "mode",
)  # fmt: skip
CASES = [c for c in many(FACTORS, rounds=16) if c["num_layers"] > 1 or c["dropout"] == "0"]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_every_option_and_form(case):
    options = {k: case[k] for k in ("num_layers", "bias", "batch_first", "bidirectional")}
    ours, theirs = pair(case["kind"], dropout=float(case["dropout"].split()[0]), **options)
    if "eval" in case["dropout"]:
        ours.eval(), theirs.eval()
    x, leaf = make_input(case["form"], case["T"], case["B"], case["batch_first"])
    passes = case["num_layers"] * (2 if case["bidirectional"] else 1)
    hx = initial(case["kind"], passes, () if case["form"] == "unbatched" else (case["B"],))
    hx = hx if case["hx"] == "given" else None
    if case["backend"] is None:
        compare(ours, theirs, x, leaf, hx)
    else:
        with gw.backend(case["backend"]):
            compare(ours, theirs, x, leaf, hx)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_dropout_in_training_draws_what_torch_draws(kind, batch_first, bidirectional):
    ours, theirs = pair(kind, num_layers=3, dropout=0.5, batch_first=batch_first, bidirectional=bidirectional)
    x = torch.randn(5, 4, I, dtype=torch.float64)
    torch.manual_seed(7)
    expected = flat(theirs(x))
    state_after = torch.get_rng_state()
    torch.manual_seed(7)
    got = flat(ours(x))
    for g, e in zip(got, expected, strict=True):
        torch.testing.assert_close(g, e, rtol=1e-12, atol=1e-12)
    assert torch.equal(torch.get_rng_state(), state_after)
    assert not torch.allclose(flat(ours(x))[0], got[0])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["batched", "packed_unsorted"])
def test_float32_stays_within_rounding_of_torch(kind, form):
    ours, theirs = pair(kind, torch.float32, num_layers=2, bidirectional=True)
    x, leaf = make_input(form, 5, 4, False, torch.float32)
    compare(ours, theirs, x, leaf, initial(kind, 4, (4,), torch.float32), tolerance=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_state_dicts_have_the_same_keys_shapes_and_order(kind, num_layers, bidirectional, bias):
    ours, theirs = pair(kind, num_layers=num_layers, bidirectional=bidirectional, bias=bias)
    shapes = [[(k, v.shape) for k, v in layer.state_dict().items()] for layer in (ours, theirs)]
    assert shapes[0] == shapes[1]
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_the_same_weights_as_torch(kind):
    ours_class, torch_class, fixed = KINDS[kind]
    drawn = []
    for cls in (ours_class, torch_class):
        torch.manual_seed(3)
        drawn.append(cls(I, H, num_layers=2, bidirectional=True, **fixed).state_dict())
    for name, value in drawn[1].items():
        assert torch.equal(drawn[0][name], value), name


def test_positional_arguments_stand_where_torch_has_them():
    lstm = gw.LSTM(3, 4, 2, False, True, 0.25, True, 2, "cpu", torch.float64)
    theirs = torch.nn.LSTM(3, 4, 2, False, True, 0.25, True, 2, "cpu", torch.float64)
    gru = gw.GRU(3, 4, 2, False, True, 0.25, True, "cpu", torch.float64)
    their_gru = torch.nn.GRU(3, 4, 2, False, True, 0.25, True, device="cpu", dtype=torch.float64)
    rnn = gw.RNN(3, 4, 2, "relu", False, True, 0.25, True, "cpu", torch.float64)
    their_rnn = torch.nn.RNN(3, 4, 2, "relu", False, True, 0.25, True, device="cpu", dtype=torch.float64)
    for ours, torchs in ((lstm, theirs), (gru, their_gru), (rnn, their_rnn)):
        for name in OPTIONS:
            assert getattr(ours, name) == getattr(torchs, name), name
        assert next(ours.parameters()).dtype == torch.float64
    assert rnn.nonlinearity == "relu"


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_by_torchs_lists(kind):
    ours, theirs = pair(kind, num_layers=2, bidirectional=True)
    for got, expected in zip(ours.all_weights, theirs.all_weights, strict=True):
        for g, e in zip(got, expected, strict=True):
            assert torch.equal(g, e)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_that_are_frozen_stay_frozen(kind):
    ours, theirs = pair(kind)
    x = torch.randn(5, 2, I, dtype=torch.float64)
    for layer in (ours, theirs):
        layer.weight_hh_l0.requires_grad_(False)
        flat(layer(x))[0].sum().backward()
    assert ours.weight_hh_l0.grad is None
    torch.testing.assert_close(ours.weight_ih_l0.grad, theirs.weight_ih_l0.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_input_is_another_name_for_x(kind):
    ours, theirs = pair(kind)
    x = torch.randn(5, 2, I, dtype=torch.float64)
    torch.testing.assert_close(ours(input=x)[0], theirs(input=x)[0], rtol=0, atol=1e-12)
    with pytest.raises(TypeError, match="no x was given"):
        ours()
    with pytest.raises(TypeError, match="x and input were both given"):
        ours(x, input=x)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_autocast_casts_every_kind(kind):
    ours, theirs = pair(kind, torch.float32, num_layers=2)
    x = torch.randn(5, 2, I)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, expected = flat(ours(x)), flat(theirs(x))
    # On a CPU PyTorch leaves its GRU in float32; ours casts every kind, as both do on a GPU.
    assert {g.dtype for g in got} == {torch.bfloat16}
    for g, e in zip(got, expected, strict=True):
        torch.testing.assert_close(g, e, rtol=0.05, atol=0.05, check_dtype=False)
