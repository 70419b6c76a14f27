"""Every form of call of torch's and gatewise's layers, opened and compared with the oracle gate by gate."""

import itertools
import warnings

import numpy as np
import pytest
import torch
from record_cases import Nest, assert_call, expected_layers
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from gatewise import layers as gwl
from gatewise.errors import UsageError
from gatewise.memory import ledger, record

F64 = {"dtype": torch.float64}
KINDS = {
    "lstm": (nn.LSTM, {}),
    "lstm_projected": (nn.LSTM, {"proj_size": 2}),
    "gru": (nn.GRU, {}),
    "rnn_tanh": (nn.RNN, {}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
    "no_bias": (nn.LSTM, {"bias": False}),
    "gw_lstm": (gwl.LSTM, {}),
    "gw_lstm_projected": (gwl.LSTM, {"proj_size": 2}),
    "gw_gru": (gwl.GRU, {}),
    "gw_gru_reset_before": (gwl.GRU, {"reset_after": False}),
    "gw_rnn": (gwl.RNN, {}),
}


def build(kind, **options):
    cls, extra = KINDS[kind]
    return cls(3, 4, **extra, **options, **F64)


def states_of(layer, B):
    """Random initial states as the layer takes them, and as (h0, c0)."""
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    h0 = torch.rand(rows, B, getattr(layer, "proj_size", 0) or 4, **F64)
    c0 = torch.rand(rows, B, 4, **F64) if layer.mode == "LSTM" else None
    return (h0 if c0 is None else (h0, c0)), h0, c0


@pytest.fixture(autouse=True)
def _quiet_projection():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
        yield


@pytest.mark.parametrize(("layers", "both"), list(itertools.product([1, 3], [False, True])))
@pytest.mark.parametrize("kind", KINDS)
def test_every_gate_of_every_layer(kind, layers, both):
    layer = build(kind, num_layers=layers, bidirectional=both)
    x = torch.randn(6, 4, 3, **F64)
    hx, h0, c0 = states_of(layer, 4)
    with record(layer) as trace:
        layer(x, hx)
        layer(x)
    assert_call(trace[""].calls[0], expected_layers(layer, x, h0, c0))
    assert_call(trace[""].calls[1], expected_layers(layer, x))


@pytest.mark.parametrize("kind", KINDS)
def test_pre_activations_on_request(kind):
    layer = build(kind, bidirectional=True)
    with record(layer, pre=True) as trace:
        layer(torch.randn(6, 4, 3, **F64))
    for lt in trace.layers():
        for name, gate in lt.gates.items():
            squash = torch.tanh if name in "gn" else torch.sigmoid
            torch.testing.assert_close(squash(getattr(lt, f"{name}_pre")), gate, atol=1e-14, rtol=0)
        if not lt.gates:
            squash = torch.tanh if lt.cell == "rnn_tanh" else torch.relu
            torch.testing.assert_close(squash(lt.h_pre), lt.h, atol=1e-14, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_first_and_keyword_arguments(kind):
    layer = build(kind, batch_first=True, num_layers=2)
    x = torch.randn(4, 6, 3, **F64)
    hx, h0, c0 = states_of(layer, 4)
    with record(Nest(layer)) as trace:
        layer(**{"x" if kind.startswith("gw") else "input": x}, hx=hx)
    assert trace.paths == ["body.rnn"]
    assert_call(trace["body.rnn"].calls[0], expected_layers(layer, x.transpose(0, 1), h0, c0))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_unbatched_input_is_a_batch_of_one(kind, batch_first):
    layer = build(kind, num_layers=2, bidirectional=True, batch_first=batch_first)
    x = torch.randn(6, 3, **F64)
    _, h0, c0 = states_of(layer, 1)
    hx = h0[:, 0] if c0 is None else (h0[:, 0], c0[:, 0])
    with record(layer) as trace:
        layer(x, hx)
        layer(x)
    assert_call(trace[""].calls[0], expected_layers(layer, x[:, None], h0, c0))
    assert_call(trace[""].calls[1], expected_layers(layer, x[:, None]))


@pytest.mark.parametrize("lengths", [[6, 4, 4, 1], [2, 6, 1, 5]], ids=["sorted", "unsorted"])
@pytest.mark.parametrize("kind", KINDS)
def test_packed_rows_stand_in_the_callers_order(kind, lengths):
    layer = build(kind, num_layers=2, bidirectional=True)
    rows = [torch.randn(n, 3, **F64) for n in lengths]
    packed = pack_sequence(rows, enforce_sorted=lengths == sorted(lengths, reverse=True))
    hx, h0, c0 = states_of(layer, 4)
    with record(layer) as trace:
        layer(packed, hx)
        layer(packed)
    x = nn.utils.rnn.pad_sequence(rows)
    assert_call(trace[""].calls[0], expected_layers(layer, x, h0, c0, lengths))
    assert_call(trace[""].calls[1], expected_layers(layer, x, lengths=lengths))
    assert trace[""].calls[0][1, "reverse"].lengths.tolist() == lengths


@pytest.mark.parametrize("kind", [k for k in KINDS if k.startswith("gw")])
def test_lengths_in_any_order_with_zero_among_them(kind):
    layer = build(kind, num_layers=2, bidirectional=True)
    x = torch.randn(6, 4, 3, **F64)
    hx, h0, c0 = states_of(layer, 4)
    with record(layer) as trace:
        layer(x, hx, [3, 0, 6, 1])
        layer(x, lengths=torch.tensor([3, 0, 6, 1]))
    assert_call(trace[""].calls[0], expected_layers(layer, x, h0, c0, [3, 0, 6, 1]))
    assert_call(trace[""].calls[1], expected_layers(layer, x, lengths=[3, 0, 6, 1]))


def test_no_steps_and_no_rows_of_a_gatewise_layer():
    layer = build("gw_lstm", num_layers=2, bidirectional=True)
    with record(layer) as trace:
        layer(torch.randn(0, 4, 3, **F64))
        layer(torch.randn(6, 0, 3, **F64))
    assert trace[""].calls[0][1].i.shape == (0, 4, 4)
    assert trace[""].calls[1][1, "reverse"].c.shape == (6, 0, 4)
    assert [lt.residual for lt in trace.layers()] == [0.0] * 8


def test_a_stack_is_opened_layer_by_layer():
    stack = gwl.Stack([gwl.GRU(3, 4, bidirectional=True, **F64), gwl.LSTM(8, 4, **F64)])
    x = torch.randn(6, 4, 3, **F64)
    with record(stack) as trace:
        stack(x, lengths=[6, 2, 0, 5])
    assert trace.paths == ["layers.0", "layers.1"]
    below = expected_layers(stack.layers[0], x, lengths=[6, 2, 0, 5])
    assert_call(trace["layers.0"].calls[0], below)
    between = torch.tensor(np.concatenate([below[0, False]["h"], below[0, True]["h"]], axis=-1))
    assert_call(trace["layers.1"].calls[0], expected_layers(stack.layers[1], between, lengths=[6, 2, 0, 5]))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_lower_precision_is_within_its_rounding(dtype, tolerance):
    layer = nn.LSTM(8, 16, 2, bidirectional=True, dtype=dtype)
    with record(layer) as trace:
        layer(torch.randn(20, 4, 8, dtype=dtype))
    for lt in trace.layers():
        assert lt.f.dtype == torch.float32
        assert lt.residual <= tolerance
        assert ledger(lt).residual <= 1e-5


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, gwl.LSTM])
def test_autocast(cls):
    layer = cls(8, 16, 2)
    with torch.autocast("cpu", torch.bfloat16), record(layer) as trace:
        layer(torch.randn(20, 4, 8))
    assert all(lt.h.dtype == torch.float32 and lt.residual <= 2e-2 for lt in trace.layers())
    assert len(trace.layers()) == 2


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn_tanh", "gw_lstm", "gw_gru"])
@pytest.mark.parametrize("packed", [False, True])
def test_dropout_between_layers_in_training_is_drawn_again(kind, packed):
    layer = build(kind, num_layers=3, bidirectional=True, dropout=0.4)
    x = torch.randn(6, 4, 3, **F64)
    lengths = [2, 6, 1, 5] if packed else None
    given = pack_sequence([x[:n, b] for b, n in enumerate(lengths)], enforce_sorted=False) if packed else x
    torch.manual_seed(7)
    output, _ = layer(given)
    torch.manual_seed(7)
    with record(layer) as trace:
        layer(given)
    call = trace[""].calls[0]
    # The masks of the run itself: what the second layer read, seen in its pre-activations, decides its output.
    top = torch.cat([call[2].h, call[2, "reverse"].h], dim=-1)
    expected = nn.utils.rnn.pad_packed_sequence(output)[0] if packed else output
    assert torch.equal(top, expected)
    assert all(lt.residual <= 1e-14 for lt in call.values())
    undropped = expected_layers(layer, x, lengths=lengths)
    assert np.abs(undropped[1, False]["h"] - call[1].h.numpy()).max() > 1e-3
    assert_call(
        {0: call[0], (0, "reverse"): call[0, "reverse"]}, {k: undropped[k] for k in [(0, False), (0, True)]}
    )


def test_dropout_masks_that_cannot_be_drawn_again_are_refused():
    layer = build("lstm", num_layers=2, dropout=0.5)

    def disturb(module, args):
        torch.rand(1)

    with (
        record(layer),
        pytest.raises(UsageError, match=r"dropout masks .* could not be drawn again.*eval mode"),
    ):
        layer.register_forward_pre_hook(disturb)  # runs after the state of the generator was read
        layer(torch.randn(6, 4, 3, **F64))


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_dropout_of_nothing_and_of_everything(p):
    layer = build("lstm", num_layers=2, dropout=p)
    x = torch.randn(6, 4, 3, **F64)
    with record(layer) as trace:
        layer(x)
    masks = {0: 1.0 - p}
    assert_call(trace[""].calls[0], expected_layers(layer, x, masks=masks))


def test_dropout_in_eval_mode_draws_nothing():
    layer = build("lstm", num_layers=2, dropout=0.5).eval()
    x = torch.randn(6, 4, 3, **F64)
    with record(layer) as trace:
        layer(x)
    assert_call(trace[""].calls[0], expected_layers(layer, x))


def test_a_hook_that_changes_the_result_is_not_mistaken_for_the_layer():
    layer = build("lstm")
    layer.register_forward_hook(lambda module, args, result: (result[0] * 2, result[1]))
    x = torch.randn(6, 4, 3, **F64)
    with record(layer) as trace:
        output, _ = layer(x)
    assert_call(trace[""].calls[0], expected_layers(layer, x))
    assert torch.equal(output, trace[""][0].h * 2)


def test_a_layer_whose_weights_change_under_it_gives_a_warning():
    layer = build("lstm")

    def change(module, args, result):
        module.weight_ih_l0.data += 1

    with record(layer):
        layer.register_forward_hook(change, prepend=True)
        with pytest.warns(
            UserWarning, match=r"the model, layer 0: the replayed gates give an h that differs by \d"
        ):
            layer(torch.randn(6, 4, 3, **F64))


def test_changing_tensors_in_place_afterwards_does_not_reach_the_trace():
    layer = build("gru")
    x, h0 = torch.randn(6, 4, 3, **F64), torch.rand(1, 4, 4, **F64)
    expected = expected_layers(layer, x.clone(), h0.clone())
    with torch.no_grad(), record(layer) as trace:
        output, _ = layer(x, h0)
        output.zero_()
        h0.zero_()
        x.zero_()
    assert_call(trace[""].calls[0], expected)


def test_weight_norm_is_seen_as_it_was_applied():
    layer = nn.utils.parametrizations.weight_norm(build("lstm"), "weight_hh_l0")
    x = torch.randn(6, 4, 3, **F64)
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(1.7)
    with record(layer) as trace:
        layer(x)
    assert_call(trace[""].calls[0], expected_layers(layer, x))


@pytest.mark.parametrize(
    "kind", ["lstm", "lstm_projected", "gru", "gw_lstm", "gw_gru_reset_before", "rnn_tanh"]
)
def test_grad_leaves_the_trace_in_the_graph(kind):
    layer = build(kind, num_layers=2, bidirectional=True)
    x = torch.randn(5, 2, 3, **F64, requires_grad=True)
    names = dict(layer.named_parameters())

    def all_gates(x, *weights):
        with record(layer, grad=True) as trace:
            torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))
        seen = trace[""].calls[0]
        return sum(
            (g * (k + 1)).cos().sum()
            for lt in seen.values()
            for k, g in enumerate([lt.h, *lt.gates.values()])
        )

    weights = [p.detach().clone().requires_grad_() for p in names.values()]
    got = torch.autograd.grad(all_gates(x, *weights), [x, *weights])
    # Directional derivatives by central differences.
    for leaf, grad in zip([x, *weights], got, strict=True):
        direction = torch.randn_like(leaf)
        ends = []
        for step in (1e-6, -1e-6):
            moved = [v + step * direction if v is leaf else v for v in [x, *weights]]
            with torch.no_grad():
                ends.append(float(all_gates(*moved)))
        slope = (ends[0] - ends[1]) / 2e-6
        assert float((grad * direction).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-6)
