"""In training recorded gates are the memory that the backward pass reads; without recording nothing is kept."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from variant_cases import F64, VARIANTS, expected_variants, inputs, make

import gatewise as gw
from gatewise import layers as gwl
from gatewise.kernels import native
from gatewise.memory import ledger, record

needs_native = pytest.mark.skipif(not native.available(), reason="there are no native kernels here")


def place(tensor):
    """The memory that a tensor is a view of."""
    return tensor.untyped_storage().data_ptr()


def saved_by(run):
    """What a run keeps for its backward pass."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        run()
    return kept


@needs_native
@pytest.mark.parametrize("variant", VARIANTS)
def test_in_training_gates_are_views_of_what_the_backward_pass_reads(variant):
    layer = make(variant, num_layers=2, bidirectional=True)
    x, resets = inputs()

    def run():
        nonlocal trace
        with record(layer) as trace:
            layer(x, resets=resets)

    trace = None
    kept = {place(t) for t in saved_by(run)}
    for lt in trace.layers():
        stored = [name for name in lt.gates if not (name == "i" and layer.variant.coupled)]
        assert len({place(lt.gates[name]) for name in stored}) == 1
        assert {place(lt.gates[stored[0]]), place(lt.c), place(lt.h)} <= kept
        assert not any(t.requires_grad for t in (*lt.gates.values(), lt.c, lt.h))


@needs_native
@pytest.mark.parametrize("cls", [gwl.LSTM, gwl.GRU, gwl.RNN])
def test_in_training_recording_keeps_nothing_more(cls):
    layer, x = cls(3, 4), torch.randn(5, 2, 3)

    def recorded():
        with record(layer):
            layer(x)

    plain, more = ([(t.shape, t.dtype) for t in saved_by(run)] for run in (lambda: layer(x), recorded))
    assert plain == more


def outputs_of(run, monkeypatch):
    """What the native kernels left in each forward pass of a run."""
    seen = []
    forward = native.forward

    def spy(*args, **kwargs):
        seen.append(forward(*args, **kwargs))
        return seen[-1]

    with monkeypatch.context() as patch:
        patch.setattr(native, "forward", spy)
        run()
    return seen


@needs_native
@pytest.mark.parametrize("variant", VARIANTS)
def test_without_training_and_recording_nothing_is_stored(variant, monkeypatch):
    layer = make(variant, num_layers=2).eval()
    x, _ = inputs()
    with torch.no_grad():
        for out in outputs_of(lambda: layer(x), monkeypatch):
            assert out.c_seq.numel() == out.reserve.numel() == out.workspace.numel() == 0
        with record(layer) as trace:
            made = outputs_of(lambda: layer(x), monkeypatch)
        for out, lt in zip(made, trace.layers(), strict=True):
            assert place(lt.f) == place(out.reserve) and place(lt.c) == place(out.c_seq)
        for out in outputs_of(lambda: layer(x), monkeypatch):
            assert out.c_seq.numel() == out.reserve.numel() == 0


@needs_native
def test_recompute_stores_gates_only_for_a_recording(monkeypatch):
    layer, x = gwl.LSTM(3, 4, recompute=True), torch.randn(5, 2, 3)
    assert outputs_of(lambda: layer(x), monkeypatch)[0].reserve.numel() == 0
    with record(layer) as trace:
        (out,) = outputs_of(lambda: layer(x), monkeypatch)
    assert place(trace[""][0].f) == place(out.reserve)


@pytest.mark.parametrize("in_training", [True, False])
def test_changing_tensors_in_place_afterwards_does_not_reach_the_trace(in_training):
    layer = make("layer_norm")
    x, resets = inputs()
    hx = torch.rand(1, 4, 4, **F64), torch.rand(1, 4, 4, **F64)
    expected = expected_variants(layer, x, [s.clone() for s in hx], None, resets)[0, False]
    with torch.set_grad_enabled(in_training), record(layer) as trace:
        output, (h_n, c_n) = layer(x, hx, None, resets)
    with torch.no_grad():
        for tensor in (x, resets, *hx, h_n, c_n, *layer.parameters()):
            tensor.zero_()
        if not in_training:  # in training the layer's own backward pass would find it broken
            output.zero_()
    for name, values in expected.items():
        torch.testing.assert_close(getattr(trace[""][0], name), torch.from_numpy(values), atol=1e-12, rtol=0)
    assert trace[""][0].residual <= 1e-12 and ledger(trace[""][0]).residual <= 1e-12


def test_the_residual_is_found_when_it_is_asked_for():
    layer, x = gwl.GRU(3, 4, **F64), torch.randn(5, 2, 3, **F64)
    with gw.backend("naive"), record(layer) as trace:
        layer(x)
    lt = trace[""][0]
    assert "residual" not in vars(lt)
    lt.n[2, 1, 3] += 0.25  # the h of these gates is another one now
    assert lt.residual == pytest.approx(float(0.25 * (1 - lt.z[2, 1, 3])), abs=1e-12)


def test_pytorchs_own_kernels_hand_out_nothing_so_their_gates_are_replayed():
    layer = gwl.LSTM(3, 4, 3, dropout=0.4, bidirectional=True, **F64)
    x = torch.randn(6, 4, 3, **F64)
    with gw.backend("aten"), record(layer) as trace:
        output, _ = layer(x)
    call = trace[""].calls[0]
    assert {lt.source for lt in call.values()} == {"replay"}
    assert max(lt.residual for lt in call.values()) <= 1e-14
    assert torch.equal(torch.cat([call[2].h, call[2, "reverse"].h], dim=-1), output)
    assert not any(t.requires_grad for lt in call.values() for t in (lt.h, lt.f, lt.c))


def test_torch_layers_and_cells_are_replayed():
    model = nn.ModuleDict({"ours": gwl.LSTM(3, 4), "torchs": nn.LSTM(3, 4), "cell": gw.LSTMCell(3, 4)})
    with record(model) as trace:
        model["ours"](torch.randn(5, 2, 3))
        model["torchs"](torch.randn(5, 2, 3))
        model["cell"](torch.randn(2, 3))
    sources = {path: trace[path][0].source for path in trace.paths}
    assert sources == {
        "ours": "kernel" if native.available() else "replay",
        "torchs": "replay",
        "cell": "replay",
    }


def test_calls_in_many_threads_at_once():
    """Each call's trace holds that call's own gates."""
    layer = make("coupled_peephole_zoneout_drop_g", num_layers=2).eval()
    xs = [torch.randn(T, 4, 3, **F64) for T in range(3, 35)]

    def call(x):
        with torch.no_grad():
            return layer(x)[0]

    with record(layer) as trace, ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(call, xs))
    by_length = {len(call[0].h): call for call in trace[""].calls}
    assert len(by_length) == len(trace[""].calls) == len(xs)
    for x, output in zip(xs, outputs, strict=True):
        seen = by_length[len(x)]
        assert torch.equal(seen[1].h, output)
        assert seen[0].residual <= 1e-14 and seen[1].residual <= 1e-14


def test_nobody_watches_after_the_block_whatever_happened_in_it():
    layer = gwl.LSTM(3, 4)
    with record(layer) as outer:
        with pytest.raises(gw.UsageError, match="5 features"), record(layer):
            layer(torch.randn(5, 2, 5))
        assert len(layer.watchers) == 1
        layer(torch.randn(5, 2, 3))
    assert layer.watchers == [] and len(outer[""].calls) == 1


def test_compiled_code_is_not_watched():
    """As with hooks, a function that was compiled around the layer leaves the recording empty."""
    layer, x = gwl.LSTM(3, 4), torch.randn(5, 2, 3)
    compiled = torch.compile(lambda x: layer(x)[0], backend="eager", fullgraph=True)
    with record(layer) as trace:
        torch.testing.assert_close(compiled(x), layer(x)[0])
    assert len(trace[""].calls) == 1
