"""Changed runs against loops that are written out here in NumPy and float64, and identities that must hold."""

import numpy as np
import pytest
import torch
from record_cases import Nest
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import gatewise as gw
from gatewise.memory import Clamp, Erase, Hold, ledger

T, B, F, H = 9, 3, 4, 5
LENGTHS = [9, 4, 7]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def weights_of(module, end="_l0"):
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    return [
        None if not hasattr(module, n + end) else getattr(module, n + end).detach().numpy() for n in names
    ]


def loop(cell, module, x, put, *, end="_l0", lengths=None, reverse=False):
    """Every row by itself. put(name, t, b, value) -> what stands in its place, for each gate and state; h [T, B, P]."""
    w, u, b_w, b_u, w_hr = weights_of(module, end)
    out = np.zeros((*x.shape[:2], len(u[0])))
    for b in range(x.shape[1]):
        steps = range(x.shape[0] if lengths is None else lengths[b])
        h, c = np.zeros(len(u[0])), np.zeros(module.hidden_size)
        for t in reversed(steps) if reverse else steps:
            of_x, of_h = w @ x[t, b] + b_w, u @ h + b_u
            if cell == "lstm":
                i, f, g, o = np.split(of_x + of_h, 4)
                i, f, g = (
                    put(n, t, b, v) for n, v in (("i", sigmoid(i)), ("f", sigmoid(f)), ("g", np.tanh(g)))
                )
                c = put("c", t, b, f * c + i * g)
                read = put("o", t, b, sigmoid(o)) * np.tanh(c)
                h = put("h", t, b, read if w_hr is None else w_hr @ read)
            elif cell == "gru":
                (x_r, x_z, x_n), (h_r, h_z, h_n) = np.split(of_x, 3), np.split(of_h, 3)
                r, z = put("r", t, b, sigmoid(x_r + h_r)), put("z", t, b, sigmoid(x_z + h_z))
                n = put("n", t, b, np.tanh(x_n + r * h_n))
                h = put("h", t, b, (1 - z) * n + z * h)
            else:
                h = put("h", t, b, np.tanh(of_x + of_h))
            out[t, b] = h
    return out


def setting(*rules):
    """`put` for rules (name, value, units, rows, steps)."""

    def put(name, t, b, value):
        for wanted, new, units, rows, steps in rules:
            if name == wanted and b in rows and t in steps:
                value = value.copy()
                value[units] = new
        return value

    return put


def double(module):
    torch.manual_seed(3)
    for p in module.parameters():
        nn.init.uniform_(p, -0.7, 0.7)
    return module.double().eval()


def inputs(features=F):
    return torch.randn(T, B, features, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


EVERY = range(B)
CASES = {
    "lstm-gates": (
        "lstm",
        [Hold("f", 1.0, units=[1, 3], steps=slice(3, None)), Hold("i", 0, steps=[2, 5], rows=1)],
        setting(("f", 1.0, [1, 3], EVERY, range(3, T)), ("i", 0.0, slice(None), [1], [2, 5])),
    ),
    "lstm-states": (
        "lstm",
        [
            Clamp("c", -0.8, units=2, steps=4),
            Clamp("h", 0.3, units=slice(0, 2), rows=[0, 2]),
            Hold("o", 0.25, units=[4]),
            Hold("g", -0.5, units=[0], steps=slice(0, 6, 2)),
        ],
        setting(
            ("c", -0.8, [2], EVERY, [4]),
            ("h", 0.3, [0, 1], [0, 2], range(T)),
            ("o", 0.25, [4], EVERY, range(T)),
            ("g", -0.5, [0], EVERY, [0, 2, 4]),
        ),
    ),
    "gru": (
        "gru",
        [
            Hold("z", 0.9, units=[0], steps=slice(2, 8)),
            Hold("r", 0),
            Hold("n", 0.1, rows=2),
            Clamp("h", 1.5, units=3, steps=1),
        ],
        setting(
            ("z", 0.9, [0], EVERY, range(2, 8)),
            ("r", 0.0, slice(None), EVERY, range(T)),
            ("n", 0.1, slice(None), [2], range(T)),
            ("h", 1.5, [3], EVERY, [1]),
        ),
    ),
    "rnn": (
        "rnn",
        [Clamp("h", 0.5, units=[1], steps=slice(2, 5))],
        setting(("h", 0.5, [1], EVERY, range(2, 5))),
    ),
}
CLASSES = {"lstm": (nn.LSTM, gw.LSTM), "gru": (nn.GRU, gw.GRU), "rnn": (nn.RNN, gw.RNN)}


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_changed_run_is_the_written_out_one(name, ours):
    cell, interventions, put = CASES[name]
    layer, x = double(CLASSES[cell][ours](F, H)), inputs()
    with torch.no_grad(), gw.intervene(layer, *interventions):
        output, state = layer(x)
    expected = loop(cell, layer, x.numpy(), put)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-13)
    h_n = state[0] if cell == "lstm" else state
    np.testing.assert_allclose(h_n[0], expected[-1], rtol=0, atol=1e-13)
    assert np.abs(expected - layer(x)[0].detach().numpy()).max() > 1e-3  # the change is one


@pytest.mark.parametrize("ours", [False, True])
def test_depth_direction_and_lengths(ours):
    """Layer 1 in reverse is changed; layer 0 and layer 1 forward are the plain ones. Steps are time indices."""
    layer, x = double(CLASSES["lstm"][ours](F, H, num_layers=2, bidirectional=True)), inputs()
    where = {"layer": (1, "reverse"), "steps": slice(2, 6)}
    with (
        torch.no_grad(),
        gw.intervene(layer, Hold("f", 0.0, units=[0, 2], **where), Clamp("c", 1.0, units=4, **where)),
    ):
        if ours:
            output = layer(x, lengths=LENGTHS)[0]
        else:
            packed = layer(pack_padded_sequence(x, torch.tensor(LENGTHS), enforce_sorted=False))[0]
            output = pad_packed_sequence(packed)[0]

    def plain(name, t, b, value):
        return value

    below = np.concatenate(
        [
            loop("lstm", layer, x.numpy(), plain, end=f"_l0{d}", lengths=LENGTHS, reverse=bool(d))
            for d in ("", "_reverse")
        ],
        axis=-1,
    )
    put = setting(("f", 0.0, [0, 2], EVERY, range(2, 6)), ("c", 1.0, [4], EVERY, range(2, 6)))
    forward = loop("lstm", layer, below, plain, end="_l1", lengths=LENGTHS)
    reverse = loop("lstm", layer, below, put, end="_l1_reverse", lengths=LENGTHS, reverse=True)
    np.testing.assert_allclose(output, np.concatenate([forward, reverse], axis=-1), rtol=0, atol=1e-13)


@pytest.mark.parametrize("form", ["batch_first", "unbatched"])
def test_other_forms_of_input(form):
    layer, x = double(nn.LSTM(F, H, batch_first=form == "batch_first")), inputs()
    put = setting(("f", 0.5, [1], EVERY, range(T)))
    with torch.no_grad(), gw.intervene(layer, Hold("f", 0.5, units=1)):
        output = (
            layer(x.transpose(0, 1))[0].transpose(0, 1)
            if form == "batch_first"
            else layer(x[:, 0])[0][:, None]
        )
    expected = loop("lstm", layer, x.numpy(), put)[:, : output.shape[1]]
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-13)


def test_units_of_a_projection():
    layer, x = double(nn.LSTM(F, H, proj_size=2)), inputs()
    put = setting(("h", 0.4, [1], EVERY, range(T)), ("f", 1.0, [4], EVERY, range(T)))
    with torch.no_grad(), gw.intervene(layer, Clamp("h", 0.4, units=1), Hold("f", 1, units=4)):
        output = layer(x)[0]
    np.testing.assert_allclose(output, loop("lstm", layer, x.numpy(), put), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("ours", [False, True])
def test_a_state_clamped_to_its_own_values_is_the_plain_run(name, ours):
    layer, x = double(CLASSES[name][ours](F, H, num_layers=2, bidirectional=True)), inputs()
    with torch.no_grad(), gw.record(layer) as trace:
        output, state = layer(x)
    own = trace[""][1, "reverse"]
    same = [
        Clamp(s, getattr(own, s), layer=(1, "reverse"))
        for s in ("c", "h")
        if getattr(own, s, None) is not None
    ]
    with torch.no_grad(), gw.intervene(layer, *same):
        again, state_again = layer(x)
    torch.testing.assert_close(again, output, rtol=0, atol=1e-14)
    torch.testing.assert_close(state_again, state, rtol=0, atol=1e-14)


def test_without_interventions_and_after_the_block_the_model_is_the_plain_one():
    for layer in (double(nn.LSTM(F, H)), double(gw.LSTM(F, H))):
        x = inputs()
        expected, keys = layer(x)[0], set(vars(layer))
        with gw.intervene(layer):
            assert torch.equal(layer(x)[0], expected)
        with pytest.raises(KeyError), gw.intervene(layer, Hold("f", 0)):
            assert not torch.equal(layer(x)[0], expected)
            raise KeyError
        assert torch.equal(layer(x)[0], expected)
        assert set(vars(layer)) == keys


def test_f_open_and_i_shut_keep_c_exactly():
    layer, x = nn.LSTM(F, H), torch.randn(T, B, F)
    state = torch.randn(1, B, H), torch.randn(1, B, H)
    with gw.intervene(layer, Hold("f", 1), Hold("i", 0)):
        _, (_, c_n) = layer(x, state)
    assert torch.equal(c_n, state[1])


ERASED = {
    "lstm": lambda: nn.LSTM(F, H),
    "gru": lambda: gw.GRU(F, H),
    "coupled": lambda: gw.LSTM(F, H, coupled=True),
    "peephole": lambda: gw.LSTM(F, H, peephole=True),
    "layer_norm": lambda: gw.LSTM(F, H, layer_norm=True),
    "zoneout": lambda: gw.LSTM(F, H, zoneout=(0.2, 0.0)),
    "zoneout-train": lambda: gw.LSTM(F, H, zoneout=(0.5, 0.0)).train(),
    "dropped": lambda: gw.LSTM(F, H, recurrent_dropout=0.4, recurrent_dropout_on="g").train(),
}


@pytest.mark.parametrize("name", ERASED)
@pytest.mark.parametrize("at", [2, 6])
def test_erasing_takes_out_what_the_ledger_says_of_the_step(name, at):
    torch.manual_seed(5)
    make = ERASED[name]()
    layer = make.double().train(name in ("zoneout-train", "dropped"))
    x = inputs()

    def run(*interventions):
        torch.manual_seed(6)  # the same masks
        with torch.no_grad(), gw.record(layer) as trace, gw.intervene(layer, *interventions):
            layer(x)
        return trace[""][0]

    plain, changed = run(), run(Erase(steps=2, at=at))
    book = ledger(plain, at=at)
    for lt in (plain, changed):
        assert lt.h.dtype == torch.float64
    memory = [lt.h if name == "gru" else lt.c for lt in (plain, changed)]
    assert book.contributions[2].abs().max() > 1e-2
    torch.testing.assert_close(memory[0][at] - memory[1][at], book.contributions[2], rtol=0, atol=1e-14)
    torch.testing.assert_close(memory[0][:at], memory[1][:at], rtol=0, atol=1e-14)
    assert not torch.allclose(memory[0][at + 1], memory[1][at + 1])  # what comes later reacts


def test_erasing_several_steps_in_reverse_with_lengths_and_segments():
    layer, x = double(gw.LSTM(F, H, bidirectional=True)), inputs()
    resets = torch.zeros(T, B, dtype=torch.bool)
    resets[5, 2] = True  # the reverse direction enters a new segment at step 4

    def run(*interventions):
        with torch.no_grad(), gw.record(layer) as trace, gw.intervene(layer, *interventions):
            layer(x, lengths=LENGTHS, resets=resets)
        return trace[""][0, "reverse"]

    plain = run()
    changed = run(Erase(steps=slice(2, 7), at=1, layer=(0, "reverse"), rows=[1, 2]))
    taken = ledger(plain, at=1).contributions[2:7].sum(0)
    taken[0] = 0
    assert float(ledger(plain, at=1).contributions[5:7, 2].abs().max()) == 0
    torch.testing.assert_close(plain.c[1] - changed.c[1], taken, rtol=0, atol=1e-14)


def test_a_clamped_unit_holds_nothing_more_to_erase():
    layer, x = double(nn.LSTM(F, H)), inputs()
    clamp = Clamp("c", 0.7, units=[1], steps=4)
    with torch.no_grad(), gw.record(layer) as trace:
        with gw.intervene(layer, clamp):
            layer(x)
        with gw.intervene(layer, clamp, Erase(steps=2, at=5)):
            layer(x)
    without, erased = (call[0] for call in trace[""].calls)
    taken = without.f[5] * without.f[4] * without.f[3] * without.i[2] * without.g[2]
    taken[:, 1] = 0
    torch.testing.assert_close(without.c[5] - erased.c[5], taken, rtol=0, atol=1e-14)


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("inside", [False, True])
def test_a_recording_shows_the_changed_gates(ours, inside):
    model, x = Nest(double((gw.LSTM if ours else nn.LSTM)(F, H, num_layers=2))), inputs()
    (path,) = [name for name, m in model.named_modules() if isinstance(m, (nn.LSTM, gw.LSTM))]
    change = gw.intervene(model, Hold("f", 0.125, units=[2], layer=1, path=path))
    with torch.no_grad():
        if inside:
            with change, gw.record(model, pre=True) as trace:
                model(x)
        else:
            with gw.record(model, pre=True) as trace, change:
                model(x)
    seen = trace[path][1]
    assert (seen.f[..., 2] == 0.125).all()
    assert seen.residual < 1e-15
    assert ledger(seen).residual < 1e-15
    others = [0, 1, 3, 4]
    torch.testing.assert_close(seen.f_pre.sigmoid()[..., others], seen.f[..., others], rtol=0, atol=1e-14)
    assert not torch.allclose(seen.f_pre[..., 2].sigmoid(), seen.f[..., 2], atol=1e-3)
    assert trace[path][0].residual < 1e-15


def test_blocks_nest_and_the_last_setting_stands():
    layer, x = double(gw.LSTM(F, H)), inputs()
    with torch.no_grad(), gw.record(layer) as trace, gw.intervene(layer, Hold("f", 1), Hold("i", 0.5)):
        with gw.intervene(layer, Hold("f", 0, units=3)):
            layer(x)
        layer(x)
    inner, outer = (call[0] for call in trace[""].calls)
    assert (inner.f[..., 3] == 0).all()
    assert (inner.f[..., :3] == 1).all()
    assert (inner.i == 0.5).all()
    assert (outer.f == 1).all()


@pytest.mark.parametrize("ours", [False, True])
def test_gradients(ours):
    """Of the inputs, the weights and the value, against finite differences; none through a held gate."""
    layer = double((gw.LSTM if ours else nn.LSTM)(2, 3))
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    value = torch.rand(2, dtype=torch.float64, requires_grad=True)

    def run(x, value, *weights):
        with gw.intervene(
            layer, Hold("f", value, units=[0, 2], steps=slice(1, 3)), Clamp("h", value.sum(), units=1, steps=2),
            Erase(steps=0, at=2),
        ):  # fmt: skip
            output, (_, c_n) = layer(x)
        return output, c_n

    assert torch.autograd.gradcheck(run, (x, value, *layer.parameters()))
    with gw.intervene(layer, Hold("f", 0.5)):
        layer(x)[0].sum().backward()
    grad = layer.weight_ih_l0.grad
    assert (grad[3:6] == 0).all()
    assert (grad[:3] != 0).all()


def test_a_recording_in_the_graph_is_the_changed_run():
    layer, x = double(nn.LSTM(F, H)), inputs()
    value = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)
    changes = Hold("f", value, steps=slice(1, None)), Hold("i", 1), Hold("g", 0.5)
    with gw.record(layer, grad=True) as trace, gw.intervene(layer, *changes):
        layer(x)
    (grad,) = torch.autograd.grad(trace[""][0].c[2, 0, 0], value)
    assert float(grad) == 0.5 + 2 * 0.25 * 0.5  # c_2 = v (v/2 + 1/2) + 1/2


def test_masks_of_training_are_those_of_the_plain_run():
    layer = (
        gw.LSTM(F, H, zoneout=(0.3, 0.2), recurrent_dropout=0.3, dropout=0.2, num_layers=2).double().train()
    )
    x = inputs()
    outputs = []
    for rows in (None, [1]):
        torch.manual_seed(0)
        with torch.no_grad(), gw.intervene(layer, *([] if rows is None else [Hold("f", 0.5, rows=rows)])):
            outputs.append(layer(x)[0])
    torch.testing.assert_close(outputs[1][:, [0, 2]], outputs[0][:, [0, 2]], rtol=0, atol=1e-13)
    assert not torch.allclose(outputs[1][:, 1], outputs[0][:, 1])


def test_weights_are_read_at_each_call():
    layer, x = double(nn.GRU(F, H)), inputs()
    with torch.no_grad(), gw.intervene(layer, Hold("z", 0.5, units=1)):
        layer(x)
        layer.weight_hh_l0.mul_(0.5)
        output = layer(x)[0]
    expected = loop("gru", layer, x.numpy(), setting(("z", 0.5, [1], EVERY, range(T))))
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-13)
