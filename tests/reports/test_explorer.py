"""The explorer's page: its values are the recording's within a byte, and what does not fit is refused."""

import dataclasses
import math

import explorer_cases as cases
import numpy as np
import pytest
import torch
import trace_cases

import gatewise as gw
from gatewise.errors import GatewiseError, UsageError
from gatewise.memory import CallTrace
from gatewise.reports.explorer import Corpus, door, explore
from gatewise.reports.explorer import corpus as corpora
from gatewise.reports.explorer.quantised import quantised


@pytest.mark.parametrize("low", [-1.0, 0.0])
@pytest.mark.parametrize("size", [1e-6, 1.0, 3e4])
def test_a_byte_is_off_by_half_a_step_at_most_and_zero_is_zero(low, size):
    values = np.random.default_rng(1).uniform(low * size, size, 5000).astype(np.float32)
    values[7] = 0
    made = quantised(values)
    assert made.numbers.itemsize == 1 and made.signed == (low < 0)
    largest = np.abs(values.astype(np.float64)).max()
    assert made.error == pytest.approx(largest / (254 if low < 0 else 510))
    off = np.abs(made.numbers.astype(np.float64) * made.scale - values)
    assert off.max() <= made.error * (1 + 1e-6)
    assert off.max() > 0.9 * made.error, "the bound is no looser than it has to be"
    assert made.numbers[7] == 0


def test_nothing_but_zeros_stays_zeros():
    made = quantised(np.zeros((2, 3), np.float32))
    assert not made.numbers.any() and made.scale > 0


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_the_maps_of_a_page_are_the_recordings_within_a_byte(cell, reverse):
    lt = trace_cases.random(cell, 30, 3, 7, lengths=[30, 21, 4], reverse=reverse)
    html = explore(CallTrace([lt]), row=1).html
    side = cases.embedded(html, "explorer-values")["sides"][0]
    assert side["steps"] == [str(t + 1) for t in range(21)]
    (layer,) = side["layers"]
    expected = {**lt.gates} | ({"c": lt.c} if lt.c is not None else {}) | {"h": lt.h}
    assert layer["maps"].keys() == expected.keys()
    for name, values in expected.items():
        shown = cases.numbers(html, layer["maps"][name])
        true = values[:21, 1].numpy().T
        assert shown.shape == (7, 21)
        size = 1.0 if name in "iforz" else np.abs(true).max()
        assert np.abs(shown - true).max() <= size / (510 if name in "iforz" else 254) * (1 + 1e-5)


def test_a_rows_time_constants_are_those_of_its_own_gates():
    lt = trace_cases.random("lstm", 30, 2, 5, lengths=[30, 12])
    (layer,) = explore(CallTrace([lt]), row=1).sides[0].layers
    expected = [-1 / np.mean([math.log(f) for f in lt.f[:12, 1, unit].tolist()]) for unit in range(5)]
    assert layer.time_constants == pytest.approx(expected, rel=1e-5)
    rnn = torch.nn.RNN(3, 4)
    with torch.no_grad(), gw.record(rnn) as trace:
        rnn(torch.randn(5, 1, 3))
    (plain,) = explore(trace).sides[0].layers
    assert np.isnan(plain.time_constants).all() and list(plain.maps) == ["h"]


def test_contributions_add_up_to_the_answer_of_a_readout():
    torch.manual_seed(0)
    model = torch.nn.Sequential()
    model.rnn = gw.LSTM(3, 6, num_layers=2, bidirectional=True, proj_size=4)
    x = torch.randn(9, 2, 3)

    def answer(made):
        return made[0].mean(0) @ torch.linspace(-1, 1, 8)

    readout = gw.memory.readout(model, x, answer)
    made = explore(readout, row=1)
    of_top = [layer for layer in made.sides[0].layers if layer.name.startswith("layer 1")]
    assert [layer.name for layer in of_top] == ["layer 1", "layer 1, reverse"]
    with torch.no_grad():
        expected = answer(model.rnn(x))[1].item()
    assert sum(float(layer.contributions.sum()) for layer in of_top) == pytest.approx(expected, abs=1e-5)
    below = [layer for layer in made.sides[0].layers if layer.name.startswith("layer 0")]
    assert not any(layer.contributions.any() for layer in below)


@pytest.mark.parametrize("reverse", [False, True])
def test_without_an_answer_a_contribution_is_the_state_at_the_end(reverse):
    lt = trace_cases.random("lstm", 9, 1, 5, reverse=reverse)
    (layer,) = explore(CallTrace([lt])).sides[0].layers
    assert layer.contributions == pytest.approx(lt.h[0 if reverse else -1, 0].numpy(), rel=1e-6)


def test_variants_and_resets_are_shown_as_they_were():
    torch.manual_seed(0)
    layer = gw.LSTM(3, 4, layer_norm=True, zoneout=(0.2, 0.1)).train()
    resets = torch.zeros(8, 2, dtype=torch.bool)
    resets[5] = True
    with torch.no_grad(), gw.record(layer) as trace:
        layer(torch.randn(8, 2, 3), resets=resets)
    (shown,) = explore(trace, row=1).sides[0].layers
    lt = trace[""][0]
    kept = lt.kept("c")[:, 1].double()
    keep = kept + (1 - kept) * lt.f[:, 1].double()  # zoneout keeps a unit whole, or leaves it to its gate
    assert shown.time_constants == pytest.approx((-1 / keep.log().mean(0)).abs().numpy(), rel=1e-5)
    off = np.abs(shown.maps["c"].values.values().T - lt.c[:, 1].numpy())
    assert off.max() <= shown.maps["c"].values.error * (1 + 1e-5)


def test_two_texts_are_one_model_and_one_text_is_two_models_unless_said():
    a, b, other = cases.call(seed=0), cases.call(T=25, seed=1), cases.call("gru")
    assert explore(a, b, labels=cases.words(40), other_labels=cases.words(25)).same_model
    assert not explore(a, cases.call(seed=1), labels=cases.words(40)).same_model
    assert not explore(a, other, labels=cases.words(40)).same_model
    assert explore(a, cases.call(seed=1), labels=cases.words(40), same_model=True).same_model
    with pytest.raises(UsageError, match=r"layer 0 lstm of 12 units, and layer 0 gru of 12 units"):
        explore(a, other, labels=cases.words(40), same_model=True)


def test_a_corpus_holds_every_step_of_every_row():
    batch = cases.call(B=3, lengths=[40, 1, 17], seed=3)
    labels = [cases.words(n, f"t{n}-") for n in (40, 1, 17)]
    html = explore(cases.call(), corpus=[(batch, labels), (cases.call(seed=4), [cases.words(40)])]).html
    corpus = cases.embedded(html, "explorer-values")["corpus"]
    assert corpus["texts"] == [*labels, cases.words(40)]
    shown = cases.numbers(html, corpus["states"]["layer 0"]).T
    h = batch[0].h.numpy()
    expected = np.concatenate([h[:40, 0], h[:1, 1], h[:17, 2], cases.call(seed=4)[0].h[:, 0].numpy()])
    assert shown.shape == expected.shape == (98, 12)
    assert np.abs(shown - expected).max() <= np.abs(expected).max() / 254 * (1 + 1e-5)


def test_the_page_says_how_exact_it_is():
    made = explore(cases.call())
    error = max(m.values.error for layer in made.sides[0].layers for m in layer.maps.values())
    assert f"{error:.2g}" in made.html


REFUSED = {
    "no such row": (lambda: explore(cases.call(B=2), row=2), r"no row 2; the batch has 2"),
    "an empty row": (
        lambda: explore(cases.call(B=2, lengths=[40, 0]), row=1),
        r"row 1 has no step",
    ),
    "names of another number": (
        lambda: explore(cases.call(), labels=["a"]),
        r"labels has 1 names; row 0 has 40 steps",
    ),
    "the other's names of another number": (
        lambda: explore(cases.call(), cases.call(T=9), labels=cases.words(40)),
        r"row 0 has 9 steps",
    ),
    "a title for three": (
        lambda: explore(cases.call(), names=["a", "b", "c"]),
        r"names has 3 titles.*1 side",
    ),
    "one text as titles": (lambda: explore(cases.call(), names="a"), r"names is one text"),
    "no trace": (lambda: explore(torch.zeros(3)), r"trace is a Tensor"),
    "names for another number of texts": (
        lambda: explore(cases.call(), corpus=(cases.call(B=2), [cases.words(40)])),
        r"names for 1 texts, and the batch has 2 rows",
    ),
    "one text of another length": (
        lambda: explore(cases.call(), corpus=(cases.call(), [cases.words(39)])),
        r"row 0 has 40 steps, and labels has 39 names",
    ),
    "no pairs": (lambda: explore(cases.call(), corpus=[cases.call()]), r"corpus takes \(trace, labels\)"),
    "nothing in it": (lambda: explore(cases.call(), corpus=[]), r"corpus takes \(trace, labels\)"),
    "other units": (
        lambda: explore(cases.call(), corpus=(cases.call(H=5), [cases.words(40)])),
        r"states of layer 0 have 5 units; the model has 12",
    ),
    "other layers": (
        lambda: explore(cases.call(layer=1), corpus=(cases.call(), [cases.words(40)])),
        r"it has layer 0, and no layer 1",
    ),
    "batches of other layers": (
        lambda: explore(
            cases.call(),
            corpus=[(cases.call(), [cases.words(40)]), (cases.call(layer=1), [cases.words(40)])],
        ),
        r"one batch has layer 0, and another layer 1",
    ),
    "states of another number": (
        lambda: Corpus("c", [["a", "b"]], {"layer 0": np.zeros((3, 4), np.float32)}),
        r"shape \(3, 4\); its texts have 2 steps",
    ),
    "states that are not finite": (
        lambda: Corpus("c", [["a"]], {"layer 0": np.full((1, 4), np.nan, np.float32)}),
        r"not finite",
    ),
    "a corpus without a step": (lambda: Corpus("c", [[]], {}), r"no step"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_numbers(name):
    make, says = REFUSED[name]
    with pytest.raises(UsageError, match=says):
        make()


@pytest.mark.parametrize("gate", ["f", "c"])
def test_values_that_are_not_finite_are_refused_with_their_place(gate):
    lt = trace_cases.random("lstm", 9, 2, 4)
    values = (lt.c if gate == "c" else lt.gates[gate]).clone()
    values[5, 1, 2] = math.inf
    broken = (
        dataclasses.replace(lt, c=values)
        if gate == "c"
        else dataclasses.replace(lt, gates=lt.gates | {gate: values})
    )
    with pytest.raises(UsageError, match=rf"{gate} of row 1 .*not finite, from step 5 on"):
        explore(CallTrace([broken]), row=1)
    explore(CallTrace([broken]), row=0)


def test_above_its_limits_a_page_is_refused_with_what_it_takes(monkeypatch):
    monkeypatch.setattr(door, "MOST_BYTES", 40 * 12 * 6)
    explore(cases.call())
    with pytest.raises(UsageError, match=r"take 5,760 bytes.*holds 2,880"):
        explore(cases.call(), cases.call(seed=1))
    monkeypatch.setattr(corpora, "MOST_BYTES", 40 * 12)
    explore(cases.call(), corpus=(cases.call(), [cases.words(40)]))
    with pytest.raises(UsageError, match=r"2 texts take 492 bytes.*holds 480"):
        explore(cases.call(), corpus=[(cases.call(), [cases.words(40)]), (cases.call(T=1), [cases.words(1)])])


def test_a_page_is_written_whole_and_over_none_unasked(tmp_path):
    path = tmp_path / "page.html"
    made = explore(cases.call(), path=path)
    assert path.read_text(encoding="utf-8") == made.html
    with pytest.raises(GatewiseError, match="exists"):
        explore(cases.call(), path=path)
    explore(cases.call(seed=1), path=path, overwrite=True)
    assert path.read_text(encoding="utf-8") != made.html
    assert "iframe" in made._repr_html_()
