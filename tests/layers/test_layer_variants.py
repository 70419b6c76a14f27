"""The layers' variants: parameters and their first values, seeds, copies, and what is refused."""

import copy

import pytest
import torch
from contract.layer_cases import stir
from layer_pairs import flat
from safetensors.torch import load, save

import gatewise as gw
from gatewise.errors import UsageError

I, H = 3, 4  # noqa: E741
LAYERS = {
    "peephole": (gw.LSTM, {"peephole": True}),
    "coupled": (gw.LSTM, {"coupled": True}),
    "layer_norm": (gw.LSTM, {"layer_norm": True}),
    "layer_norm_without_bias": (gw.LSTM, {"layer_norm": True, "bias": False}),
    "zoneout": (gw.LSTM, {"zoneout": (0.2, 0.1)}),
    "drop_h": (gw.LSTM, {"recurrent_dropout": 0.3}),
    "drop_g": (gw.LSTM, {"recurrent_dropout": 0.3, "recurrent_dropout_on": "g"}),
    "drop_weights": (gw.LSTM, {"recurrent_dropout": 0.3, "recurrent_dropout_on": "weights"}),
    "projected": (gw.LSTM, {"proj_size": 3, "coupled": True, "layer_norm": True, "zoneout": (0.2, 0)}),
    "many": (
        gw.LSTM, {"coupled": True, "peephole": True, "zoneout": (0.2, 0.1), "recurrent_dropout": 0.3},
    ),
    "gru_drop_h": (gw.GRU, {"recurrent_dropout": 0.3}),
    "gru_before_drop_weights": (
        gw.GRU, {"recurrent_dropout": 0.3, "recurrent_dropout_on": "weights", "reset_after": False},
    ),
    "rnn_drop_h": (gw.RNN, {"recurrent_dropout": 0.3, "nonlinearity": "relu"}),
}  # fmt: skip
every_layer = pytest.mark.parametrize("name", LAYERS)


def make(name, **options):
    kind, fixed = LAYERS[name]
    return kind(I, H, dtype=torch.float64, **fixed, **options)


PARAMETERS = {
    "peephole": {
        "weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,),
        "weight_peephole_l0": (12,),
    },
    "many": {
        "weight_ih_l0": (12, 3), "weight_hh_l0": (12, 4), "bias_ih_l0": (12,), "bias_hh_l0": (12,),
        "weight_peephole_l0": (8,),
    },
    "layer_norm": {
        "weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,),
        "weight_norm_ih_l0": (16,), "weight_norm_hh_l0": (16,), "weight_norm_c_l0": (4,), "bias_norm_c_l0": (4,),
    },
    "layer_norm_without_bias": {
        "weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4),
        "weight_norm_ih_l0": (16,), "weight_norm_hh_l0": (16,), "weight_norm_c_l0": (4,),
    },
    "projected": {
        "weight_ih_l0": (12, 3), "weight_hh_l0": (12, 3), "bias_ih_l0": (12,), "bias_hh_l0": (12,),
        "weight_hr_l0": (3, 4),
        "weight_norm_ih_l0": (12,), "weight_norm_hh_l0": (12,), "weight_norm_c_l0": (4,), "bias_norm_c_l0": (4,),
    },
    "drop_weights": {
        "weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS)
def test_names_shapes_and_first_values_of_the_parameters(name):
    layer = make(name, num_layers=2, bidirectional=True)
    named = {k: tuple(v.shape) for k, v in layer.named_parameters()}
    expected = PARAMETERS[name]
    assert dict(list(named.items())[: len(expected)]) == expected
    assert [k for k in named if k.endswith("_l0")] == list(expected)
    deeper = {k.replace("_l0", "_l1_reverse"): shape for k, shape in expected.items()}
    deeper["weight_ih_l1_reverse"] = (expected["weight_ih_l0"][0], 2 * layer.output_size)
    assert {k: v for k, v in named.items() if k.endswith("_l1_reverse")} == deeper
    for k, parameter in layer.named_parameters():
        if k.startswith("weight_norm"):
            assert torch.equal(parameter, torch.ones_like(parameter))
        elif k.startswith("bias_norm"):
            assert not parameter.any()
        else:
            assert 0.5 / 2 < parameter.abs().max() <= 1 / 2  # 1/√H
    assert [len(w) for w in layer.all_weights] == [len(expected)] * 4
    assert all(a is b for a, b in zip(layer.all_weights[0], layer.parameters(), strict=False))


@pytest.mark.parametrize("coupled", [False, True])
def test_initial_biases_of_the_forget_gate(coupled):
    layer = gw.LSTM(2, 100, coupled=coupled, forget_bias=2.0, num_layers=2)
    f = slice(0, 100) if coupled else slice(100, 200)
    for k in range(2):
        w = layer.weights(k)
        assert torch.equal(w.b_ih[f], torch.full((100,), 2.0)) and not w.b_hh[f].any()
        rest = torch.ones(len(w.b_ih), dtype=torch.bool)
        rest[f] = False
        assert w.b_ih[rest].abs().max() <= 0.1 and w.b_hh[rest].abs().min() > 0
    layer = gw.LSTM(2, 100, coupled=coupled, chrono=50)
    steps = layer.bias_ih_l0[f].double().exp()
    assert steps.min() >= 1 - 1e-5 and steps.max() <= 49 * (1 + 1e-5) and steps.std() > 10
    assert not layer.bias_hh_l0[f].any()
    others = layer.bias_ih_l0[100:] if coupled else layer.bias_ih_l0[200:]
    assert others.any() and others.abs().max() <= 0.1


def test_reset_parameters_draws_them_again():
    layer = make("projected")
    stir(layer)
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
    layer.reset_parameters()
    assert layer.weight_ih_l0.any() and not layer.bias_norm_c_l0.any()
    assert torch.equal(layer.weight_norm_c_l0, torch.ones_like(layer.weight_norm_c_l0))


def outputs(layer, **call):
    return torch.cat([t.flatten() for t in flat(layer(torch.ones(6, 4, I, dtype=torch.float64), **call))])


@every_layer
def test_masks_come_from_torchs_generator_in_training_only(name):
    layer = make(name, num_layers=2, bidirectional=True)
    state = torch.get_rng_state()
    first = outputs(layer)
    drew = not torch.equal(torch.get_rng_state(), state)
    assert drew == layer.variant.random
    assert torch.equal(outputs(layer), first) != layer.variant.random
    torch.set_rng_state(state)
    assert torch.equal(outputs(layer), first)
    layer.eval()
    state = torch.get_rng_state()
    assert torch.equal(outputs(layer), outputs(layer))
    assert torch.equal(torch.get_rng_state(), state)


def test_every_layer_and_direction_draws_masks_of_its_own():
    layer = gw.RNN(H, H, num_layers=2, bidirectional=True, recurrent_dropout=0.5, dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        for k in range(2):
            for end in ("", "_reverse"):
                getattr(layer, f"weight_hh_l{k}{end}").copy_(torch.eye(H) / 2)  # h_n shows which units it saw
    h0 = torch.ones(4, 30, H, dtype=torch.float64)
    _, h_n = layer(torch.zeros(1, 30, H, dtype=torch.float64), h0)
    seen = h_n > 0
    assert all(0.3 < s.double().mean() < 0.7 for s in seen)
    assert not any(torch.equal(seen[a], seen[b]) for a in range(4) for b in range(a))


@every_layer
def test_state_dict_goes_round_without_pickle(name):
    layer, other = make(name, num_layers=2).eval(), make(name, num_layers=2).eval()
    stir(layer)
    assert not torch.equal(outputs(layer), outputs(other))
    other.load_state_dict(load(save(layer.state_dict())), strict=True)
    assert torch.equal(outputs(layer), outputs(other))
    twin = copy.deepcopy(layer)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    assert torch.equal(outputs(twin), outputs(other))


def test_another_variants_weights_do_not_load():
    with pytest.raises(RuntimeError, match="weight_peephole_l0"):
        gw.LSTM(I, H).load_state_dict(gw.LSTM(I, H, peephole=True).state_dict())
    with pytest.raises(RuntimeError, match="size mismatch"):
        gw.LSTM(I, H).load_state_dict(gw.LSTM(I, H, coupled=True).state_dict())


REPRS = [
    (gw.LSTM(3, 4, peephole=True, coupled=True), "LSTM(3, 4, peephole=True, coupled=True)"),
    (gw.LSTM(3, 4, 2, layer_norm=True), "LSTM(3, 4, num_layers=2, layer_norm=True)"),
    (gw.LSTM(3, 4, zoneout=(0.1, 0)), "LSTM(3, 4, zoneout=(0.1, 0.0))"),
    (
        gw.LSTM(3, 4, recurrent_dropout=0.5, recurrent_dropout_on="g", recompute=True),
        "LSTM(3, 4, recurrent_dropout=0.5, recurrent_dropout_on='g', recompute=True)",
    ),
    (gw.GRU(3, 4, recurrent_dropout=0.5, reset_after=False), "GRU(3, 4, recurrent_dropout=0.5, reset_after=False)"),
    (gw.RNN(3, 4, nonlinearity="relu", recompute=True), "RNN(3, 4, recompute=True, nonlinearity='relu')"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "text"), REPRS, ids=[text for _, text in REPRS])
def test_repr_shows_the_options_that_were_set(layer, text):
    assert repr(layer) == text


@every_layer
def test_to_torch_refuses_by_name(name):
    layer = make(name)
    torch_name, variant = layer.torch_class.__name__, layer.variant.names[0]
    with pytest.raises(
        UsageError, match=f"torch.nn.{torch_name} has no {variant}; this layer cannot become one"
    ):
        layer.to_torch()


def test_recomputation_is_no_variant():
    layer = gw.LSTM(I, H, recompute=True)
    x = torch.randn(5, 2, I)
    torch.testing.assert_close(layer.to_torch()(x)[0], layer(x)[0])


@every_layer
def test_the_meta_device_infers_shapes(name):
    kind, options = LAYERS[name]
    layer = kind(I, H, num_layers=2, bidirectional=True, device="meta", **options)
    output, states = layer(torch.zeros(5, 2, I, device="meta"))
    assert output.shape == (5, 2, 2 * layer.output_size)
    assert flat(states)[0].shape == (4, 2, layer.output_size)


@pytest.mark.parametrize("name", ["layer_norm", "many", "gru_drop_h"])
def test_to_another_dtype(name):
    layer = make(name).eval()
    exact = outputs(layer)
    layer = layer.to(torch.bfloat16)
    x = torch.ones(6, 4, I, dtype=torch.bfloat16)
    got = torch.cat([t.flatten() for t in flat(layer(x))])
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.double(), exact, rtol=0.05, atol=0.02)


REFUSED = [
    (lambda: gw.LSTM(3, 4, layer_norm=True, peephole=True), r"layer_norm and peephole do not go together"),
    (
        lambda: gw.LSTM(3, 4, zoneout=(0.1, 0.1), proj_size=2),
        r"zoneout=\(0.1, 0.1\) keeps units of h.*projection",
    ),
    (lambda: gw.LSTM(3, 4, zoneout=0.1), r"zoneout is 0.1; it is a pair"),
    (lambda: gw.LSTM(3, 4, recurrent_dropout=1.0), r"recurrent_dropout is 1.0; it is a probability"),
    (lambda: gw.LSTM(3, 4, coupled="yes"), r"coupled is 'yes'; it must be True or False"),
    (lambda: gw.LSTM(3, 4, recompute=1), r"recompute is 1; it must be True or False"),
    (lambda: gw.GRU(3, 4, recurrent_dropout=0.1, recurrent_dropout_on="g"), r"'g' is a variant of the LSTM"),
    (lambda: gw.RNN(3, 4, recurrent_dropout=0.1, recurrent_dropout_on="c"), r"recurrent_dropout_on is 'c'"),
    (lambda: gw.GRU(3, 4, zoneout=(0.1, 0)), r"zoneout"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_refused_by_name(call, message):
    with pytest.raises((UsageError, TypeError), match=message):
        call()
