"""`gw.report`: the model's answer as a sum on the page, held and push against the pooling written out, and refusals."""

import datetime
import json
import re

import numpy as np
import pytest
import torch
from torch import nn
from trace_cases import random

import gatewise as gw
from gatewise.errors import GatewiseError, UsageError
from gatewise.memory import CallTrace, ModuleTrace, Trace, held, push, readout

POOLINGS = ("last", "mean", "max")
T, B, F, H = 9, 3, 4, 6


class Classifier(nn.Module):
    """Two labels from a pooled recurrent layer."""

    def __init__(self, layer, pooling="last"):
        super().__init__()
        self.rnn, self.pooling = layer, pooling
        self.head = nn.Linear(layer.hidden_size * (2 if layer.bidirectional else 1), 2)

    def forward(self, x):
        out, state = self.rnn(x)
        if self.pooling == "last":
            h_n = state[0] if isinstance(state, tuple) else state
            last = h_n[-2:] if self.rnn.bidirectional else h_n[-1:]
            return self.head(torch.cat(list(last), dim=-1))
        return self.head(out.mean(0) if self.pooling == "mean" else out.max(0).values)


def weights_of(pooling, lt):
    """How each pooling reads h, written out: None, [T, B] or [T, B, P]."""
    if pooling == "last":
        return None
    if pooling == "mean":
        return torch.full(lt.h.shape[:2], 1 / len(lt.h))
    return torch.zeros_like(lt.h).scatter_(0, lt.h.argmax(0, keepdim=True), 1.0)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU])
def test_the_sum_is_the_models_answer_and_the_words_are_held_and_push(cls, both, pooling):
    model, x = Classifier(cls(F, H, num_layers=2, bidirectional=both), pooling), torch.randn(T, B, F)
    read = readout(model, x, 1)
    page = gw.report(read, row=2).page
    answer = float(model(x)[2, 1].detach())
    (pushes, total), (initial, start), (constant, bias), (last, value) = page.terms
    assert (pushes, initial, constant, last) == ("pushes of all steps", "initial state", "constant", "answer")
    assert value == pytest.approx(answer, abs=1e-6) and bias == pytest.approx(
        float(model.head.bias[1].detach()), abs=1e-6
    )
    assert total + start + bias + page.residual == pytest.approx(value, abs=1e-12)
    assert abs(page.residual) <= 1e-6 and start == 0

    tops = [read.traces[1]] + ([read.traces[1, "reverse"]] if both else [])
    directions = model.head.weight[1].detach().chunk(len(tops))
    own = [weights_of(pooling, lt) for lt in tops]
    expected_push = sum(push(lt, a, v)[:, 2] for lt, a, v in zip(tops, own, directions, strict=True))
    expected_held = sum(held(lt, a)[:, 2] for lt, a in zip(tops, own, strict=True)) / len(tops)
    torch.testing.assert_close(
        torch.tensor([w.push for w in page.words]), expected_push, atol=1e-6, rtol=0, check_dtype=False
    )
    torch.testing.assert_close(
        torch.tensor([w.held for w in page.words]), expected_held, atol=1e-6, rtol=0, check_dtype=False
    )
    assert sum(w.push for w in page.words) == pytest.approx(total, abs=1e-12)
    for view, lt, a in zip(page.layers, tops, own, strict=False):
        np.testing.assert_allclose(view.edge, held(lt, a)[:, 2], atol=1e-6)


def test_the_layers_stand_top_first_and_only_the_top_is_read():
    model = Classifier(nn.LSTM(F, H, num_layers=2, bidirectional=True))
    page = gw.report(readout(model, torch.randn(T, B, F), 0), labels=list("abcdefghi")).page
    assert [view.name for view in page.layers] == [
        "rnn, layer 1",
        "rnn, layer 1, reverse",
        "rnn, layer 0",
        "rnn, layer 0, reverse",
    ]
    assert [view.edge is None for view in page.layers] == [False, False, True, True]
    assert [view.push is None for view in page.layers] == [False, False, True, True]
    assert [view.reading is None for view in page.layers] == [False, False, True, True]
    first, second = page.layers[:2]
    assert first.reading is not None and second.reading is not None
    assert first.reading.argmax() == T - 1 and second.reading.argmax() == 0
    both = np.asarray(first.push) + np.asarray(second.push)
    np.testing.assert_allclose([word.push for word in page.words], both, atol=1e-7)
    said = " ".join(page.limits)
    assert "gates themselves also depend on the words before" in said
    assert "An upper layer reads" in said and "A reverse layer reads from the end" in said
    assert "by its gradient" in said


def test_a_ragged_batch_is_cut_to_the_row():
    layer = gw.LSTM(F, H)
    x, lengths = torch.randn(T, B, F), torch.tensor([9, 4, 6])

    class Ragged(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = layer, nn.Linear(H, 2)

        def forward(self, x):
            return self.head(self.rnn(x, lengths=lengths)[1][0][-1])

    model = Ragged()
    page = gw.report(readout(model, x, 0), labels=["a", "b", "c", "d"], row=1).page
    assert [word.text for word in page.words] == ["a", "b", "c", "d"]
    assert page.layers[0].belt is not None and page.layers[0].belt.shape == (4, 4)
    assert page.terms[-1][1] == pytest.approx(float(model(x)[1, 0].detach()), abs=1e-6)
    assert sum(value for _, value in page.terms[:-1]) == pytest.approx(page.terms[-1][1], abs=1e-6)


def test_a_projection_is_summed_too():
    layer = gw.LSTM(F, H, proj_size=2)
    with gw.record(layer) as trace, torch.no_grad():
        out, _ = layer(torch.randn(T, B, F))
    v = torch.tensor([1.0, -3.0])
    page = gw.report(trace, target=v, row=1).page
    assert page.layers[0].hidden.shape == (T, 2) and page.layers[0].memory.shape == (T, H)
    assert page.terms[-1][1] == pytest.approx(float(out[-1, 1] @ v), abs=1e-6)
    assert abs(page.residual) <= 1e-6
    np.testing.assert_allclose([w.held for w in page.words], held(trace[""][0])[:, 1], atol=1e-7)


def test_without_a_target_held_is_the_memory_at_the_end_and_nothing_pushes():
    net = nn.GRU(F, H)
    with gw.record(net) as trace:
        net(torch.randn(T, B, F))
    page = gw.report(trace, row=1).page
    np.testing.assert_allclose([w.held for w in page.words], held(trace[""][0])[:, 1], atol=1e-7)
    assert all(np.isnan(word.push) for word in page.words)
    view = page.layers[0]
    assert page.terms == [] and view.reading is None and view.push is None and view.edge is None
    assert page.unit == "step" and [word.text for word in page.words] == [str(t) for t in range(1, T + 1)]
    assert "No answer was named" in " ".join(page.limits) and "gradient" not in " ".join(page.limits)
    assert page.title == "gru, row 1" and page.heading == "What gru remembered of 9 steps"


@pytest.mark.parametrize("reverse", [False, True])
def test_a_vector_reads_the_last_step_and_weights_read_every_step(reverse):
    lt = random("lstm", T=5, B=2, H=3, reverse=reverse)
    call = CallTrace([lt])
    v, last = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), 0 if reverse else 4
    page = gw.report(call, target=v, row=1).page
    assert [name for name, _ in page.terms] == ["pushes of all steps", "initial state", "answer"]
    assert page.terms[-1][1] == pytest.approx(float(lt.h[last, 1] @ v), abs=1e-12)
    assert abs(page.residual) <= 1e-12
    np.testing.assert_allclose([w.push for w in page.words], push(lt, None, v)[:, 1], atol=1e-12)

    q = torch.randn(5, 2, 3, dtype=torch.float64)
    page = gw.report(call, target=q, row=1).page
    assert page.terms[-1][1] == pytest.approx(float((q * lt.h)[:, 1].sum()), abs=1e-12)
    assert abs(page.residual) <= 1e-12
    same = gw.report(call, target=q[:, 1].numpy(), row=1).page
    assert same.terms == page.terms
    listed = gw.report(call, target=v.tolist(), row=1).page
    assert listed.terms[-1][1] == pytest.approx(float(lt.h[last, 1] @ v), abs=1e-12)


def test_a_vector_for_two_directions_reads_both_ends():
    net = nn.LSTM(F, H, bidirectional=True).double()
    x, v = torch.randn(T, B, F).double(), torch.randn(2 * H).double()
    with gw.record(net) as trace, torch.no_grad():
        _, (h_n, _) = net(x)
    page = gw.report(trace, target=v, row=0).page
    assert page.terms[-1][1] == pytest.approx(float(torch.cat([h_n[0, 0], h_n[1, 0]]) @ v), abs=1e-12)
    assert abs(page.residual) <= 1e-12


def test_the_push_of_one_step_is_divided_by_gradient_times_input():
    # One step from an empty memory: push = Q·i(x)·g(x) with Q = v·o·tanh(c)/c held fixed.
    model, x = Classifier(nn.LSTM(F, H)).double(), torch.randn(1, 2, F).double()
    page = gw.report(readout(model, x, 1), features=["a", "b", "c", "d"], row=1).page
    lstm, v = model.rnn, model.head.weight[1].detach()
    row = x[0, 1].clone().requires_grad_()
    i, _, g, o = (lstm.weight_ih_l0 @ row + lstm.bias_ih_l0 + lstm.bias_hh_l0).chunk(4)
    written = i.sigmoid() * g.tanh()
    worth = (v * o.sigmoid() * written.tanh() / written).detach()
    whole = (worth * written).sum()
    (gradient,) = torch.autograd.grad(whole, row)
    split = (gradient * row).detach()
    found = page.variables
    assert found is not None and found.push is not None
    assert list(found.names) == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(found.values, x[:, 1].numpy())
    np.testing.assert_allclose(found.push, split[None].numpy(), atol=1e-12)
    assert found.residual == pytest.approx(abs(float((whole - split.sum()).detach())), abs=1e-12)


def test_the_variables_of_two_directions_add_up_and_leave_the_residual():
    model, x = Classifier(nn.GRU(F, H, bidirectional=True), "mean").double(), torch.randn(T, B, F).double()
    read = readout(model, x, 0)
    page = gw.report(read, features=list("abcd"), row=2).page
    found = page.variables
    assert found is not None and found.push is not None and found.push.shape == (T, F)
    ones = torch.ones(H).double()
    parts = [
        gw.memory.push_by_variable(read.traces[key], read.weights[key], ones, x, read.w_ih[key]).push[:, 2]
        for key in read.weights
    ]
    np.testing.assert_allclose(found.push, sum(parts), atol=1e-12)
    left = [abs(w.push - row.sum()) for w, row in zip(page.words, found.push, strict=True)]
    assert found.residual == pytest.approx(max(left), abs=1e-12)


def test_a_plain_rnn_has_layers_and_no_sum():
    model = Classifier(nn.RNN(F, H))
    page = gw.report(readout(model, torch.randn(T, B, F), 1), features=list("abcd")).page
    assert page.terms == [] and all(np.isnan([w.held, w.push]).all() for w in page.words)
    assert page.variables is not None and page.variables.push is None
    assert page.limits[0] == (
        "A plain RNN keeps no sum of what it wrote, so no step has a part that is held, or a push."
    )
    assert len(page.limits) == 2 and page.cautions == []


def test_times_and_labels_name_the_steps():
    call = CallTrace([random("lstm", T=3, B=1)])
    days = [datetime.date(2024, 3, 1), datetime.datetime(2024, 3, 1, 12, 30), np.datetime64("2024-03-02T01")]
    page = gw.report(call, times=days).page
    assert [w.text for w in page.words] == ["2024-03-01", "2024-03-01 12:30:00", "2024-03-02 01"]
    assert page.unit == "step"
    page = gw.report(call, times=np.array([0.1 + 0.2, 3.0, 1700000000.5])).page
    assert [w.text for w in page.words] == ["0.3", "3", "1700000000.5"]
    page = gw.report(call, times=torch.tensor([1, 2, 3]), labels=["rest", "run", "rest"]).page
    assert [w.text for w in page.words] == ["1 rest", "2 run", "3 rest"] and page.unit == "step"
    page = gw.report(call, ["so", "it", "goes"], title="A text").page
    assert (page.unit, page.title, page.heading) == ("word", "A text", "A text")
    assert [word.space for word in page.words] == ["", " ", " "]


def test_every_form_of_a_recording_is_taken():
    net = nn.LSTM(F, H)
    model, x = Classifier(net), torch.randn(T, B, F)
    with gw.record(model) as trace:
        model(x)
    read = readout(model, x, 0)
    pages = [
        gw.report(form, target=read).page
        for form in (trace, trace["rnn"], trace["rnn"].calls[0], read.traces)
    ]
    pages.append(gw.report(trace, target=read, at="rnn").page)
    pages.append(gw.report(read).page)
    assert all(page.terms == pages[0].terms and page.heading == pages[0].heading for page in pages)


def test_a_residual_of_more_than_a_hundredth_is_a_caution():
    call = CallTrace([random("gru", T=4, B=1, residual=0.5)])
    (caution,) = gw.report(call).page.cautions
    assert caution.startswith(
        "the gates of net.rnn, layer 0 give an h that differs by 0.5 from the layer's own"
    )
    fine = CallTrace([random("gru", T=4, B=1, residual=1e-7)])
    assert gw.report(fine).page.cautions == []


def test_what_an_answer_reads_besides_h_is_a_caution():
    net = nn.LSTM(F, H)

    class Cells(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            out, (_, c_n) = self.net(x)
            return out[-1].sum(-1) + c_n[-1].sum(-1)

    page = gw.report(readout(Cells(), torch.randn(T, B, F), lambda y: y)).page
    assert page.cautions == ["the answer also reads the final cell state c_n, which these weights leave out"]


def test_a_long_sequence_gets_no_belt(monkeypatch):
    monkeypatch.setattr("gatewise.reports.report.BELT_STEPS", 3)
    page = gw.report(CallTrace([random("lstm", T=4, B=1)])).page
    assert page.layers[0].belt is None and page.words[0].held > 0
    assert page.limits[-1] == "The belt is left out: 4 steps are too many for it."
    assert gw.report(CallTrace([random("lstm", T=3, B=1)])).page.layers[0].belt is not None


def recorded(times=1, steps=T):
    net = nn.LSTM(F, H)
    with gw.record(net) as trace:
        for _ in range(times):
            net(torch.randn(steps, B, F))
    return trace


def two_modules():
    model = nn.Sequential(nn.LSTM(F, F), nn.Identity(), nn.GRU(F, H))
    with gw.record(model) as trace:
        model[2](model[0](torch.randn(T, B, F))[0])
    return trace


REFUSED = [
    (recorded, {"labels": ["a"] * 8}, "labels has 8 names; row 0 has 9 steps"),
    (recorded, {"times": range(10)}, "times has 10 names; row 0 has 9 steps"),
    (recorded, {"labels": "abcdefghi"}, "labels is one text; it takes a list of 9, one for each step of row 0"),
    (recorded, {"row": 3}, "there is no row 3; the batch has 3, counted from 0"),
    (recorded, {"at": "encoder"}, "nothing was recorded at 'encoder'; the recurrent modules are ''"),
    (recorded, {"features": ["a"]}, "features needs the input of the layer, which a trace does not hold"),
    (recorded, {"target": 1}, "target is 1, and a trace knows no output of the model; give what"),
    (recorded, {"target": "positive"}, "target is 'positive', and a trace knows no output"),
    (recorded, {"target": ["x"]}, "target is a list; it takes a readout, or a tensor of numbers"),
    (
        recorded,
        {"target": torch.ones(5)},
        "target has shape (5,); it takes [6] (a direction at the last step), [9, 6] or [9, 3, 6]",
    ),
    (lambda: recorded(0), {}, "nothing was called while it was recorded: ''"),
    (lambda: recorded(0)[""], {}, "the model was not called while it was recorded"),
    (lambda: recorded(2), {}, "the model was called 2 times; give one of trace[''].calls, or trace[''].concat()"),
    (lambda: CallTrace([]), {}, "the trace holds no layer"),
    (lambda: Trace([ModuleTrace("a.lstm", [])]), {}, "nothing was called while it was recorded: 'a.lstm'"),
    (two_modules, {}, "2 recurrent modules were recorded, '0', '2'; name one with at="),
    (lambda: nn.LSTM(F, H), {}, "trace is a LSTM; it takes what gatewise.record yields"),
    (lambda: CallTrace([random("lstm", lengths=[7, 0, 2])]), {"row": 1}, "row 1 has no step"),
]  # fmt: skip


@pytest.mark.parametrize(("made", "options", "sentence"), REFUSED, ids=[r[2][:40] for r in REFUSED])
def test_refusals(made, options, sentence):
    with pytest.raises(UsageError, match=re.escape(sentence)):
        gw.report(made(), **options)


def test_refusals_of_readouts():
    model, x = Classifier(nn.LSTM(F, H, num_layers=2)), torch.randn(T, B, F)
    read = readout(model, x, 0)
    with pytest.raises(
        UsageError, match=r"rnn has 2 layers, and its top layer reads what the one below made"
    ):
        gw.report(read, features=["a"] * F)
    with pytest.raises(UsageError, match="at is 'other'; the readout is of 'rnn'"):
        gw.report(read, at="other")
    with pytest.raises(UsageError, match="the first argument is a readout, which is its own target"):
        gw.report(read, target=read)
    with gw.record(model) as trace:
        model(x + 1)
    with pytest.raises(UsageError, match="the trace and the readout are of different runs"):
        gw.report(trace, target=read)
    single = readout(Classifier(nn.LSTM(F, H)), x, 0)
    with pytest.raises(UsageError, match="features has 3 names; the layer has 4 inputs"):
        gw.report(single, features=["a", "b", "c"])


@pytest.mark.parametrize(
    ("options", "has_resets", "has"),
    [
        ({"layer_norm": True}, False, "layer_norm"),
        ({"zoneout": (0.1, 0.0)}, False, "zoneout"),
        ({"recurrent_dropout": 0.1}, True, "resets inside the sequence"),
    ],
)
def test_a_page_of_another_cell_than_the_plain_one_is_refused(options, has_resets, has):
    layer = gw.LSTM(F, H, **options).eval()
    resets = torch.ones(T, B, dtype=torch.bool) if has_resets else None
    with gw.record(layer) as trace:
        layer(torch.randn(T, B, F), resets=resets)
    with pytest.raises(UsageError, match=f"shows how a plain lstm works, and this call has {has}$"):
        gw.report(trace)


def test_dropout_that_is_off_makes_no_other_cell():
    layer = gw.LSTM(F, H, recurrent_dropout=0.3, recurrent_dropout_on="g").eval()
    with gw.record(layer) as trace:
        layer(torch.randn(T, B, F))
    assert len(gw.report(trace).page.words) == T


def test_states_that_are_not_finite_are_refused():
    lt = random("lstm", T=4, B=1)
    lt.h[2:] = torch.nan
    with pytest.raises(UsageError, match="h of row 0 holds numbers that are not finite, from step 2 on"):
        gw.report(CallTrace([lt]))


def test_a_module_called_twice_can_be_joined():
    net = nn.LSTM(F, H)
    with gw.record(net) as trace:
        _, state = net(torch.randn(4, B, F))
        net(torch.randn(3, B, F), state)
    assert len(gw.report(trace[""].concat()).page.words) == 7
    assert len(gw.report(trace[""].calls[1]).page.words) == 3


def test_save_writes_the_page_once(tmp_path):
    made = gw.report(recorded(), title="<b>mine</b>")
    file = tmp_path / "page.html"
    assert made.save(file) == file and file.read_text(encoding="utf-8") == made.html
    assert made.html.startswith("<!doctype html>") and "&lt;b&gt;mine&lt;/b&gt;" in made.html
    with pytest.raises(GatewiseError, match=r"page\.html: exists; name another file, or pass overwrite=True"):
        made.save(file)
    with pytest.raises(GatewiseError, match="there is no folder"):
        made.save(tmp_path / "none" / "page.html")
    with pytest.raises(GatewiseError, match="is a folder"):
        made.save(tmp_path)
    gw.report(recorded(), path=file, overwrite=True, title="second")
    assert "<title>second</title>" in file.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    made = gw.report(recorded(), title='"><script>alert(1)</script>')
    frame = made._repr_html_()
    assert frame.startswith('<iframe srcdoc="') and "<script" not in frame and frame.count('"><') == 1
    assert repr(made).startswith("Report(") and repr(made).endswith("9 steps)")


def test_what_can_be_downloaded_is_what_the_page_shows():
    model, x = Classifier(nn.LSTM(F, H)), torch.randn(T, B, F)
    page = gw.report(readout(model, x, 0), features=list("abcd")).page
    values = json.loads(json.dumps(page.download))
    assert values["push"] == [w.push for w in page.words] and values["held"] == [w.held for w in page.words]
    assert values["terms"] == dict(page.terms) and values["residual"] == page.residual
    assert page.variables is not None and values["variables"]["names"] == list("abcd")
    assert [layer["name"] for layer in values["layers"]] == ["rnn, layer 0"]
