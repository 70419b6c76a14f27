"""Variants, masks and resets: what the kernels hand out against the oracle, gate by gate."""

import itertools

import numpy as np
import pytest
import torch
from record_cases import assert_call
from variant_cases import F64, LENGTHS, VARIANTS, Seeds, expected_variants, inputs, make

import gatewise as gw
from gatewise import layers as gwl
from gatewise.kernels import native
from gatewise.memory import Trace, record

BACKENDS = ["native", "naive"]


@pytest.fixture(params=BACKENDS)
def _backend(request):
    if request.param == "native" and not native.available():
        pytest.skip("there are no native kernels here")
    with gw.backend(request.param):
        yield


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("ragged", "reset"), list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_gate_of_every_variant(variant, ragged, reset, training):
    layer = make(variant, num_layers=2, bidirectional=True).train(training)
    x, resets = inputs()
    lengths, resets = LENGTHS if ragged else None, resets if reset else None
    hx = torch.rand(4, 4, 4, **F64), torch.rand(4, 4, 4, **F64)
    seeds = Seeds(layer)
    with record(layer) as trace:
        layer(x, hx, lengths, resets)
    call = trace[""].calls[0]
    expected = expected_variants(layer, x, hx, lengths, resets, seeds.numbers())
    assert_call(call, expected)  # the residual, too
    assert {lt.source for lt in call.values()} == {"kernel"}
    assert (seeds.drawn[0] is not None) == (training and layer.variant.random)


@pytest.mark.usefixtures("_backend")
@pytest.mark.parametrize("options", [{"recurrent_dropout": 0.4}, {}])
@pytest.mark.parametrize(("cls", "more"), [(gwl.GRU, {}), (gwl.GRU, {"reset_after": False}), (gwl.RNN, {})])
def test_other_cells_with_masks_and_resets(cls, more, options):
    layer = cls(3, 4, bidirectional=True, **more, **options, **F64)
    x, resets = inputs()
    seeds = Seeds(layer)
    with record(layer, pre=True) as trace:
        layer(x, lengths=LENGTHS, resets=resets)
    expected = expected_variants(layer, x, lengths=LENGTHS, resets=resets, seeds=seeds.numbers())
    assert_call(trace[""].calls[0], expected)
    for lt in trace.layers():
        squash = {"r": torch.sigmoid, "z": torch.sigmoid, "n": torch.tanh, "h": torch.tanh}
        for name, pre in lt.pre.items():
            valid = lt.valid()[..., None]
            got = squash[name](pre).masked_fill(~valid, 0)
            torch.testing.assert_close(got, getattr(lt, name), atol=1e-14, rtol=0)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_pre_activations_of_every_variant(variant, training):
    layer = make(variant, num_layers=2, bidirectional=True).train(training)
    x, resets = inputs()
    with record(layer, pre=True) as trace:
        layer(x, lengths=LENGTHS, resets=resets)
    p = layer.variant.recurrent_dropout
    scale = 1 / (1 - p) if training and layer.variant.recurrent_dropout_on == "g" else 1.0
    for lt in trace.layers():
        valid = lt.valid()[..., None]
        assert list(lt.pre) == [name for name in "ifgo" if name in lt.pre]
        assert ("i" in lt.pre) == (not layer.variant.coupled)
        for name, pre in lt.pre.items():
            got = (pre.tanh() * (lt.g != 0) * scale) if name == "g" else pre.sigmoid() * valid
            torch.testing.assert_close(got, lt.gates[name], atol=1e-14, rtol=0)
            assert not pre.masked_select(~valid.expand_as(pre)).any()


@pytest.mark.parametrize("variant", ["plain", "zoneout_h", "coupled_norm_zoneout_c_drop_h"])
def test_packed_rows_have_their_own_masks(variant):
    """The kernel runs a packed batch in another order of rows, and draws its masks in that order."""
    layer = make(variant, num_layers=2)
    lengths = torch.tensor([2, 6, 1, 5])
    rows = [torch.randn(int(n), 3, **F64) for n in lengths]
    packed = torch.nn.utils.rnn.pack_sequence(rows, enforce_sorted=False)
    seeds = Seeds(layer)
    with record(layer) as trace:
        layer(packed)
    order = packed.sorted_indices
    x = torch.nn.utils.rnn.pad_sequence(rows)
    in_order = expected_variants(layer, x[:, order], lengths=lengths[order], seeds=seeds.numbers())
    inverse = packed.unsorted_indices.numpy()
    expected = {
        key: {name: a[inverse] if name in ("h0", "c0") else a[:, inverse] for name, a in values.items()}
        for key, values in in_order.items()
    }
    assert_call(trace[""].calls[0], expected)
    assert trace[""][0].lengths.tolist() == lengths.tolist()


@pytest.mark.parametrize("variant", ["peephole", "layer_norm", "coupled"])
def test_projection_and_no_bias(variant):
    layer = make(variant, proj_size=2, bias=False)
    x, resets = inputs()
    with record(layer) as trace:
        layer(x, resets=resets)
    assert_call(trace[""].calls[0], expected_variants(layer, x, resets=resets))


def test_dropout_between_layers_needs_no_random_state():
    """A recorded run and one that is not draw the same masks, and the gates are those of the run itself."""
    layer = make("drop_g", num_layers=3, dropout=0.5)
    x, _ = inputs()
    torch.manual_seed(3)
    plain, _ = layer(x)
    torch.manual_seed(3)
    with record(layer) as trace:
        recorded, _ = layer(x)
    call = trace[""].calls[0]
    assert torch.equal(plain, recorded) and torch.equal(call[2].h, recorded)
    assert all(lt.source == "kernel" and lt.residual <= 1e-15 for lt in call.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision(dtype):
    layer = gwl.LSTM(8, 16, 2, layer_norm=True, zoneout=(0.2, 0.1), dtype=dtype)
    x = torch.randn(20, 4, 8, dtype=dtype)
    with record(layer, pre=True) as trace:
        layer(x)
    for lt in trace.layers():
        assert lt.f.dtype == lt.c.dtype == lt.h.dtype == torch.float32
        assert lt.residual <= (1e-6 if dtype == torch.float32 else 1e-2)
        torch.testing.assert_close(
            lt.o_pre.sigmoid(), lt.o, atol=1e-6 if dtype == torch.float32 else 3e-2, rtol=0
        )


@pytest.mark.parametrize("variant", VARIANTS)
def test_grad_leaves_every_variant_in_the_graph(variant):
    layer = make(variant)
    x, resets = inputs(T=4)
    x.requires_grad_()
    names = dict(layer.named_parameters())
    lengths = torch.tensor([4, 2, 0, 3])

    def gates_of(x, *weights):
        torch.manual_seed(2)
        with record(layer, grad=True, pre=True) as trace:
            torch.func.functional_call(
                layer, dict(zip(names, weights, strict=True)), (x, None, lengths, resets)
            )
        lt = trace[""][0]
        return torch.stack([*lt.gates.values(), lt.c, lt.h]).flatten().cos().sum() + lt.f_pre.sum()

    weights = [p.detach().clone().requires_grad_() for p in names.values()]
    with torch.no_grad(), record(layer) as seen:
        torch.manual_seed(2)
        layer(x, None, lengths, resets)
    torch.manual_seed(2)
    with record(layer, grad=True) as in_graph:
        layer(x, None, lengths, resets)
    for name, gate in in_graph[""][0].gates.items():
        torch.testing.assert_close(gate, seen[""][0].gates[name], atol=1e-14, rtol=0)
        assert gate.requires_grad
    got = torch.autograd.grad(gates_of(x, *weights), [x, *weights])
    for leaf, grad in zip([x, *weights], got, strict=True):
        direction = torch.randn_like(leaf)
        ends = []
        for step in (1e-6, -1e-6):
            moved = [v + step * direction if v is leaf else v for v in [x, *weights]]
            with torch.no_grad():
                ends.append(float(gates_of(*moved)))
        slope = (ends[0] - ends[1]) / 2e-6
        assert float((grad * direction).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("variant", ["zoneout_h", "coupled_peephole_zoneout_drop_g", "layer_norm"])
def test_saved_and_loaded_with_its_masks_and_borders(variant, training, tmp_path):
    layer = make(variant, bidirectional=True).train(training)
    x, resets = inputs()
    with record(layer) as trace:
        layer(x, lengths=LENGTHS, resets=resets)
    trace.save(tmp_path / "trace.safetensors")
    loaded = Trace.load(tmp_path / "trace.safetensors")
    for old, new in zip(trace.layers(), loaded.layers(), strict=True):
        assert (old.variant, old.residual, old.source) == (new.variant, new.residual, new.source)
        assert torch.equal(old.borders, new.borders)
        for state in ("c", "h"):
            a, b = old.kept(state), new.kept(state)
            assert a is b is None or np.array_equal(np.asarray(a), np.asarray(b))
        for name in ("norm_c", "norm_c_bias"):
            a, b = getattr(old, name), getattr(new, name)
            assert (a is b is None) or torch.equal(a, b)
        again = gw.memory.ledger(new)
        assert torch.equal(again.contributions, gw.memory.ledger(old).contributions)
