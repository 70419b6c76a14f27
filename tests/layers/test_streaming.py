"""Single steps: `layer.step` with its graph, and streams against the oracle, the layer, and each other."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from compare import array, assert_same, assert_values, rms
from contract.layer_cases import oracle_params, variation_of
from layer_pairs import flat
from oracle import stack
from torch import nn

import gatewise as gw
from gatewise.errors import UsageError, UsageTypeError
from gatewise.kernels import native
from gatewise.layers.streaming import Stream

I = 5  # noqa: E741
LAYERS = {
    "lstm": (gw.LSTM, {}),
    "lstm_without_bias": (gw.LSTM, {"bias": False}),
    "projected": (gw.LSTM, {"proj_size": 3}),
    "peephole": (gw.LSTM, {"peephole": True}),
    "coupled": (gw.LSTM, {"coupled": True}),
    "layer_norm": (gw.LSTM, {"layer_norm": True}),
    "zoneout": (gw.LSTM, {"zoneout": (0.2, 0.1)}),
    "projected_norm_zoneout": (gw.LSTM, {"proj_size": 3, "layer_norm": True, "zoneout": (0.2, 0)}),
    "coupled_peephole_drop_g": (
        gw.LSTM,
        {"coupled": True, "peephole": True, "recurrent_dropout": 0.3, "recurrent_dropout_on": "g"},
    ),
    "gru": (gw.GRU, {}),
    "gru_drop_h": (gw.GRU, {"recurrent_dropout": 0.3}),
    "gru_reset_before": (gw.GRU, {"reset_after": False}),
    "rnn_tanh": (gw.RNN, {}),
    "rnn_relu_drop_weights": (
        gw.RNN,
        {"nonlinearity": "relu", "recurrent_dropout": 0.3, "recurrent_dropout_on": "weights"},
    ),
}
BACKENDS = [
    pytest.param("native", marks=pytest.mark.skipif(not native.available(), reason="no native kernels")),
    "naive",
]
every_layer = pytest.mark.parametrize("name", LAYERS)
every_backend = pytest.mark.parametrize("backend", BACKENDS)
native_only = pytest.mark.skipif(not native.available(), reason="no native kernels")


def make(name="lstm", H=8, **options):
    kind, fixed = LAYERS[name]
    layer = kind(I, H, **{"dtype": torch.float64, **fixed, **options})
    with torch.no_grad():
        for parameter_name, parameter in layer.named_parameters():
            if "norm" in parameter_name:  # scales that are not all one, and no chaos
                parameter.uniform_(0.2, 0.6)
    return layer


def draw(layer, T=7, B=3):
    return torch.randn(T, B, I, dtype=layer.weight_ih_l0.dtype)


def draw_state(layer, B=3):
    sizes = [layer.output_size, layer.hidden_size] if layer.has_c else [layer.output_size]
    states = [torch.randn(layer.num_layers, B, size, dtype=layer.weight_ih_l0.dtype) for size in sizes]
    return tuple(states) if layer.has_c else states[0]


def stream_of(layer, backend, batch_size=3):
    with gw.backend(backend):
        stream = layer.streaming(batch_size)
    assert stream.backend == backend
    return stream


def whole(layer, x, state=None):
    """What the layer makes of x in eval mode, with the backend that runs here."""
    training = layer.training
    with torch.no_grad():
        result = layer.eval()(x, state)
    layer.train(training)
    return result


# Values


@every_layer
@every_backend
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("H", [8, 33])
def test_steps_equal_the_oracle(name, backend, dtype, H):
    layer = make(name, H, num_layers=2, dropout=0.5, dtype=dtype)  # in training mode
    x, state = draw(layer), draw_state(layer)
    stream = stream_of(layer, backend)
    stream.state = state
    got = torch.stack([stream.step(x_t) for x_t in x])
    h0, *c0 = flat(state)
    expected = stack(
        layer.cell, array(x), array(h0), array(c0[0]) if c0 else None, oracle_params(layer)[0],
        variation=variation_of(layer),
    )  # fmt: skip
    values = [v for v in (expected.output, expected.h_n, expected.c_n) if v is not None]
    size = rms(values)
    for what, tensor, value in zip(("output", "h", "c"), [got, *flat(stream.state)], values, strict=False):
        assert_values(tensor, value, what, size)


@every_layer
@every_backend
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sizes", [[1, 2, 7, 30], [40], [13, 0, 13, 14]])
def test_pieces_equal_the_whole(name, backend, dtype, sizes):
    layer = make(name, H=20, num_layers=2, dtype=dtype)
    x = draw(layer, T=40)
    with gw.backend(backend):
        expected, state = whole(layer, x)
    stream = stream_of(layer, backend)
    got = torch.cat([stream.run(piece) for piece in x.split(sizes)])
    for a, b in zip([got, *flat(stream.state)], [expected, *flat(state)], strict=True):
        assert torch.equal(a, b)  # bit for bit


@every_layer
@every_backend
def test_a_run_is_its_steps(name, backend):
    layer = make(name)
    x = draw(layer)
    first, second = stream_of(layer, backend), stream_of(layer, backend)
    got = first.run(x)
    for t, x_t in enumerate(x):
        assert torch.equal(second.step(x_t), got[t])
    for a, b in zip(flat(first.state), flat(second.state), strict=True):
        assert torch.equal(a, b)


@native_only
@pytest.mark.parametrize("name", native._module().available() if native.available() else [])
@pytest.mark.parametrize("B", [1, 2, 9])
def test_every_instruction_set_gives_the_bits_of_the_whole(name, B):
    layer = make("lstm", H=35, dtype=torch.float32)
    x, before = draw(layer, B=B), native.isa()
    assert native._module().use(name)
    try:
        stream = stream_of(layer, "native", B)
        expected = whole(layer, x)[0]
        assert torch.equal(torch.stack([stream.step(x_t) for x_t in x]), expected)
    finally:
        native._module().use(before)


@native_only
def test_numbers_too_small_for_float32_are_flushed_as_in_the_whole():
    layer = gw.RNN(1, 4, nonlinearity="relu", bias=False)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(0.1 * torch.eye(4))
    x = torch.zeros(60, 1, 1)
    state = torch.ones(1, 1, 4)
    stream = stream_of(layer, "native", 1)
    stream.state = state
    got, expected = stream.run(x), whole(layer, x, state)[0]
    assert torch.equal(got, expected)
    assert got[30].min() > 0
    assert got[-1].max() == 0  # 1e-60; a denormal on the way would be above zero at 1e-40
    assert not ((got > 0) & (got < torch.finfo(torch.float32).tiny)).any()


@every_backend
def test_a_nan_stays_in_its_row(backend):
    layer = make()
    x = draw(layer)
    stream = stream_of(layer, backend)
    clean = stream.run(x)
    stream.reset()
    x[2, 1] = torch.nan
    got = stream.run(x)
    assert torch.equal(got[:, [0, 2]], clean[:, [0, 2]])
    assert torch.equal(got[:2, 1], clean[:2, 1])
    assert got[2:, 1].isnan().all()


@native_only
def test_a_million_steps():
    T = 1_000_000
    layer = gw.LSTM(1, 3)
    x = torch.randn(T, 1, 1)
    stream = layer.streaming()
    got = torch.cat([stream.run(x[:1]), stream.run(x[1:])])
    expected, state = whole(layer, x)
    assert torch.equal(got, expected)
    assert torch.equal(stream.state[1], state[1])


# Forms


@every_backend
@pytest.mark.parametrize("name", ["projected", "gru"])
def test_without_a_batch(backend, name):
    layer = make(name, num_layers=2)
    x = draw(layer, B=1)[:, 0]  # [T, I]
    expected, state = whole(layer, x)
    stream = stream_of(layer, backend, 1)
    assert_same(stream.run(x), expected)
    stream.reset()
    got = torch.stack([stream.step(x_t) for x_t in x])
    assert got.shape == expected.shape
    assert_same(got, expected)
    for a, b in zip(flat(stream.state), flat(state), strict=True):
        assert_same(a[:, 0], b)  # a stream's state has its B


@every_backend
def test_batch_first(backend):
    layer = make("lstm", batch_first=True)
    x = draw(layer).transpose(0, 1)  # [B, T, I]
    stream = stream_of(layer, backend)
    assert_same(stream.run(x), whole(layer, x)[0])


@every_backend
@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize(
    "form", ["columns", "rows", "expanded", "reversed", "parameter", "subclass", "negated"]
)
def test_every_layout_of_a_frame(backend, B, form):
    class Own(torch.Tensor):
        pass

    layer = make()
    plain = torch.randn(B, I, dtype=torch.float64)
    if form == "expanded":
        plain[:] = plain[0]
    frame = {
        "columns": plain.t().contiguous().t(),
        "rows": torch.cat([plain, plain], dim=1)[:, :I],
        "expanded": plain[:1].expand(B, I),
        "reversed": plain.flip(0).contiguous().flip(0),
        "parameter": nn.Parameter(plain),
        "subclass": plain.as_subclass(Own),
        "negated": torch.complex(plain, -plain).conj().imag,  # negated when it is read, not before
    }[form]
    stream, out = stream_of(layer, backend, B), torch.empty(B, 8, dtype=torch.float64)
    expected = stream.step(plain)
    stream.reset()
    with torch.no_grad():
        assert_same(stream.step(frame, out=out), expected)


@every_backend
@pytest.mark.parametrize("B", [1, 3])
def test_a_single_column_that_is_negated_when_it_is_read(backend, B):
    layer, plain = gw.LSTM(1, 1).double(), torch.randn(B, dtype=torch.float64)
    frame = torch.complex(plain, -plain).conj().imag[:, None]
    assert frame.is_neg() and frame.stride(1) == 1, "as plain as it can look"
    stream = stream_of(layer, backend, B)
    expected = stream.step(plain[:, None])
    stream.reset()
    assert torch.equal(stream.step(frame), expected)
    stream.reset()
    out = torch.zeros(B, dtype=torch.complex128).conj().imag[:, None]
    assert torch.equal(stream.step(plain[:, None], out=out), expected)


@every_backend
@pytest.mark.parametrize("form", ["columns", "rows", "every_other"])
def test_every_layout_of_out(backend, form):
    layer = make()
    room = torch.full((8, 32), 7.0, dtype=torch.float64)
    out = {"columns": room[:, :3].t(), "rows": room[:3, :8], "every_other": room[:3, :16:2]}[form]
    stream, x_t = stream_of(layer, backend), torch.randn(3, I, dtype=torch.float64)
    expected = stream.step(x_t)
    stream.reset()
    assert stream.step(x_t, out=out) is out
    assert torch.equal(out, expected)
    assert (room == 7).sum() == room.numel() - out.numel()  # nothing beside it was written to


@every_backend
def test_float16_and_its_state(backend):
    layer = make(dtype=torch.float16)
    x = draw(layer)
    stream = stream_of(layer, backend)
    got = stream.run(x)
    assert got.dtype == stream.dtype == torch.float16
    assert {state.dtype for state in stream.state} == {torch.float16}
    assert_same(got, whole(layer, x)[0], tolerance=4e-3)


@every_layer
@pytest.mark.parametrize("B", [1, 3])
def test_where_pytorch_tells_less_of_its_tensors_a_stream_asks_python(name, B):
    layer = make(name, num_layers=2)
    x = draw(layer, B=B)
    stream, slow = layer.streaming(B), layer.streaming(B)
    slow._fast = lambda x_t, out: None  # as it is with a PyTorch that lacks DLPack's C functions
    out = torch.empty(B, layer.output_size, dtype=torch.float64)
    for x_t in x:
        expected = stream.step(x_t)
        assert torch.equal(slow.step(x_t, out=out), expected)
    assert torch.equal(slow.step(x[0]), stream.step(x[0]))


@native_only
@pytest.mark.skipif(not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"), reason="an older PyTorch")
def test_plain_tensors_take_the_fast_way():
    layer = make(dtype=torch.float32)
    stream = layer.streaming()
    x_t, out = torch.randn(1, I), torch.empty(1, 8)
    assert stream._fast(x_t, out) is out
    assert stream._fast(x_t, None).shape == (1, 8)
    assert stream._fast(x_t[0], out[0]).shape == stream._fast(x_t[0], None).shape == (8,)
    assert stream._fast(x_t.double(), out) is None


# State and buffers


@every_layer
@every_backend
def test_a_state_goes_from_the_layer_to_a_stream_and_back(name, backend):
    layer = make(name, num_layers=2).eval()
    x = draw(layer, T=9)
    expected, final = whole(layer, x)
    _, state = whole(layer, x[:4])
    stream = stream_of(layer, backend)
    stream.state = state
    assert_same(stream.run(x[4:6]), expected[4:6])
    rest, last = whole(layer, x[6:], stream.state)
    assert_same(rest, expected[6:])
    for a, b in zip(flat(last), flat(final), strict=True):
        assert_same(a, b)


@every_backend
def test_a_state_is_a_copy_both_ways(backend):
    layer = make()
    x, state = draw(layer), draw_state(layer)
    stream = stream_of(layer, backend)
    stream.state = state
    kept = [s.clone() for s in state]
    for s in state:
        s.fill_(torch.nan)
    read = stream.state
    stream.run(x)
    for a, b in zip(read, kept, strict=True):
        assert torch.equal(a, b)
    for s in read:
        s.fill_(torch.nan)
    assert not any(s.isnan().any() for s in stream.state)


@every_backend
def test_a_state_without_its_batch(backend):
    layer = make("gru", num_layers=2)
    h = torch.randn(2, 8, dtype=torch.float64)
    stream = stream_of(layer, backend, 1)
    stream.state = h
    assert torch.equal(stream.state, h[:, None])
    stream.state = None
    assert stream.state.count_nonzero() == 0


@every_backend
def test_no_output_is_used_again(backend):
    layer = make()
    x = draw(layer)
    stream = stream_of(layer, backend)
    outputs = [stream.step(x_t) for x_t in x]
    kept = [y.clone() for y in outputs]
    stream.run(x)
    assert len({y.data_ptr() for y in outputs}) == len(outputs)
    for y, copy in zip(outputs, kept, strict=True):
        assert torch.equal(y, copy)


@every_backend
@pytest.mark.parametrize("batch_size", [1, 3])
def test_out_is_what_is_returned_and_nothing_reads_it(backend, batch_size):
    layer = make("lstm", num_layers=2)
    x = draw(layer, B=batch_size)
    stream, other = stream_of(layer, backend, batch_size), stream_of(layer, backend, batch_size)
    out = torch.empty(batch_size, 8, dtype=torch.float64)
    for x_t in x:
        assert stream.step(x_t, out=out) is out
        assert torch.equal(out, other.step(x_t))
        out.fill_(torch.nan)


@every_backend
def test_out_may_be_the_frame_itself(backend):
    layer = make("gru", H=I)
    stream, other = stream_of(layer, backend), stream_of(layer, backend)
    frame = torch.randn(3, I, dtype=torch.float64)
    for _ in range(3):
        expected = other.step(frame.clone())
        assert torch.equal(stream.step(frame, out=frame), expected)


@every_backend
def test_autograd_knows_that_out_was_written_to(backend):
    layer, head = make(), nn.Linear(8, 1, dtype=torch.float64)
    x = draw(layer)
    stream, out = stream_of(layer, backend), torch.empty(3, 8, dtype=torch.float64)
    loss = sum(head(stream.step(x_t, out=out)).sum() for x_t in x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    loss = sum(head(stream.step(x_t)).sum() for x_t in x)
    loss.backward()


@every_backend
@pytest.mark.parametrize(
    "rows",
    [[1], [0, 2], torch.tensor([2, 2]), torch.tensor([True, False, True]), 1, [], [True, False, False]],
)
def test_some_rows_begin_again(backend, rows):
    layer = make("lstm", num_layers=2)
    x, state = draw(layer), draw_state(layer)
    stream = stream_of(layer, backend)
    stream.state = state
    stream.reset(rows)
    index = torch.as_tensor(rows)
    zeroed = torch.zeros(3, dtype=torch.bool)
    zeroed[index.long() if index.dtype != torch.bool else index] = True
    for a, b in zip(stream.state, state, strict=True):
        assert torch.equal(a[:, ~zeroed], b[:, ~zeroed])
        assert a[:, zeroed].count_nonzero() == 0
    for s in state:
        s[:, zeroed] = 0
    assert_same(stream.run(x), whole(layer, x, state)[0])


@every_layer
@every_backend
def test_later_changes_of_the_layer_do_not_reach_the_stream(name, backend):
    layer = make(name, num_layers=2)
    x = draw(layer)
    stream, other = stream_of(layer, backend), stream_of(layer, backend)
    expected = other.run(x)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(torch.nan)
    layer.to(torch.float32)
    assert torch.equal(stream.run(x), expected)


@every_backend
def test_a_stream_made_and_fed_under_inference_mode_lives_on_outside(backend):
    layer = make()
    x = draw(layer)
    expected, _ = whole(layer, x)
    with torch.inference_mode():
        stream = stream_of(layer, backend)
        out = torch.empty(3, 8, dtype=torch.float64)
        first = stream.step(x[0], out=out).clone()
        state = stream.state
    assert_same(first, expected[0])
    stream.state = state
    assert_same(stream.run(x[1:]), expected[1:])
    stream.reset([0])
    stream.reset()
    with torch.inference_mode():
        assert_same(stream.run(x), expected)


# Stacks


@every_backend
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_stack(backend, batch_first):
    options = {"dtype": torch.float64, "batch_first": batch_first}
    layers = [
        gw.GRU(I, 4, num_layers=2, **options),
        gw.LSTM(4, 9, proj_size=6, **options),
        gw.RNN(6, 2, **options),
    ]
    layer = gw.Stack(layers, dropout=0.5)
    x = torch.randn(9, 3, I, dtype=torch.float64)
    x = x.transpose(0, 1) if batch_first else x
    expected, final = whole(layer, x)
    _, state = whole(layer, x[:, :4] if batch_first else x[:4])
    stream = stream_of(layer, backend)
    stream.state = state
    assert_same(
        stream.run(x[:, 4:] if batch_first else x[4:]), expected[:, 4:] if batch_first else expected[4:]
    )
    for a, b in zip(flat(stream.state), flat(final), strict=True):
        assert_same(a, b)
    stream.state = (None, state[1], None)
    assert stream.state[0].count_nonzero() == stream.state[2].count_nonzero() == 0
    assert torch.equal(stream.state[1][1], state[1][1])
    stream.state = None
    assert all(s.count_nonzero() == 0 for s in flat(stream.state))
    layer.eval()
    state = None
    for t in range(3):
        y, state = layer.step(x[:, t] if batch_first else x[t], state)
        assert_same(y, expected[:, t] if batch_first else expected[t])


# layer.step


@every_layer
def test_steps_of_a_layer_and_their_gradients_equal_the_whole(name):
    layer = make(name, num_layers=2).eval()
    x, state = draw(layer).requires_grad_(), draw_state(layer)
    expected = layer(x, state)
    outputs = []
    for x_t in x:
        y, state = layer.step(x_t, state)
        outputs.append(y)
    got = (torch.stack(outputs), state)
    seeds = [torch.randn_like(t) for t in flat(expected)]
    leaves = [x, *layer.parameters()]
    for a, b in zip(flat(got), flat(expected), strict=True):
        assert_same(a, b)
    grads = [torch.autograd.grad(flat(result), leaves, seeds) for result in (got, expected)]
    for a, b in zip(*grads, strict=True):
        assert_same(a, b)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_step_without_a_batch(batch_first):
    layer = make("lstm", num_layers=2, batch_first=batch_first)
    x = draw(layer, B=1)[:, 0]
    expected, final = layer(x)
    state = None
    for t, x_t in enumerate(x):
        y, state = layer.step(x_t, state)
        assert_same(y, expected[t])
    for a, b in zip(state, final, strict=True):
        assert_same(a, b)


def test_a_step_is_a_call_that_can_be_recorded():
    layer = make("gru")
    x = draw(layer)
    with gw.record(layer) as whole_trace:
        layer(x)
    with gw.record(layer) as trace:
        state = None
        for x_t in x:
            _, state = layer.step(x_t, state)
    assert len(trace[""].calls) == len(x)
    assert_same(torch.cat([call[0].z for call in trace[""].calls]), whole_trace[""][0].z)


# Threads


@every_backend
def test_eight_streams_in_eight_threads(backend):
    layer = make("lstm", H=40, dtype=torch.float32)
    xs = [draw(layer, T=60, B=1) for _ in range(8)]
    streams = [stream_of(layer, backend, 1) for _ in xs]
    alone = stream_of(layer, backend, 1)
    expected = []
    for x in xs:
        alone.reset()
        expected.append(alone.run(x))
    start = threading.Barrier(8)

    def work(stream, x):
        start.wait()
        steps = [stream.step(x_t) for x_t in x[:30]]
        return torch.cat([torch.stack(steps), stream.run(x[30:])])

    with ThreadPoolExecutor(8) as pool:
        for got, value in zip(pool.map(work, streams, xs), expected, strict=True):
            assert torch.equal(got, value)


@native_only
def test_a_stream_in_the_middle_of_another_threads_steps_says_so():
    layer = make("lstm", H=256, dtype=torch.float32)
    x = draw(layer, T=8_000, B=1)
    stream = layer.streaming()
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(stream.run, x)
        with pytest.raises(UsageError, match="another thread is in the middle of a step of this stream"):
            while not work.done():
                stream.step(x[0])
        steps, state = work.result(), stream.state
    assert torch.equal(state[0][0], steps[-1])  # the refused step changed nothing


# Choice of the backend


@native_only
def test_native_runs_where_it_can():
    assert make().streaming().backend == "native"


def test_without_native_kernels_the_definition_runs(monkeypatch):
    monkeypatch.setattr(native, "_missing", "no C++ compiler worked when Gatewise was installed")
    layer = make()
    x = draw(layer)
    stream = layer.streaming(3)
    assert stream.backend == "naive"
    assert_same(stream.run(x), whole(layer, x)[0])
    with gw.backend("native"), pytest.raises(UsageError, match="cannot run this stream: no C\\+\\+ compiler"):
        layer.streaming()


def test_a_backend_without_streams():
    with gw.backend("aten"), pytest.raises(UsageError, match="backend 'aten' has no streams"):
        make().streaming()


# What is refused


@pytest.mark.parametrize(
    "layer", [gw.GRU(3, 4, bidirectional=True), gw.Stack([gw.GRU(3, 4, bidirectional=True)])]
)
def test_a_bidirectional_layer(layer):
    with pytest.raises(UsageError, match="a stream cannot see the future: this GRU has bidirectional=True"):
        layer.streaming()
    with pytest.raises(UsageError, match="a step cannot see the future: this GRU has bidirectional=True"):
        layer.step(torch.randn(2, 3))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, None])
def test_batch_sizes(batch_size):
    with pytest.raises(UsageError, match=r"batch_size is .*; it is a whole number, 1 or more"):
        make().streaming(batch_size)


def test_layers_of_different_types():
    layer = gw.Stack([gw.GRU(3, 4), gw.LSTM(4, 5, dtype=torch.float64)])
    with pytest.raises(UsageError, match=r"layer 1 is torch.float64 on cpu, layer 0 is torch.float32 on cpu"):
        layer.streaming()


D = torch.float64
WRONG_STEPS = {
    "no tensor": (([0.0] * 5,), r"x_t is \[0.0, .*; it must be a tensor"),
    "features": ((torch.ones(3, 4, dtype=D),), r"x_t has shape \(3, 4\); for this stream it must be \(3, 5\)"),
    "rows": ((torch.ones(2, 5, dtype=D),), r"x_t has shape \(2, 5\); for this stream it must be \(3, 5\)"),
    "no batch": ((torch.ones(5, dtype=D),), r"x_t has shape \(5,\); for this stream it must be \(3, 5\)"),
    "type": ((torch.ones(3, 5),), "x_t is torch.float32; this stream's weights are torch.float64"),
    "device": ((torch.ones(3, 5, dtype=D, device="meta"),), "x_t is on meta; this stream is on cpu"),
    "graph": (
        (torch.ones(3, 5, dtype=D, requires_grad=True),),
        r"x_t needs a gradient, and a stream records none; call it under torch.no_grad\(\), or use layer.step",
    ),
    "out": ((torch.ones(3, 5, dtype=D), [0.0]), r"out is \[0.0\]; it must be a tensor"),
    "out's shape": (
        (torch.ones(3, 5, dtype=D), torch.ones(3, 5, dtype=D)),
        r"out has shape \(3, 5\); for this stream it must be \(3, 8\)",
    ),
    "out's type": (
        (torch.ones(3, 5, dtype=D), torch.ones(3, 8)), "out is torch.float32; this stream's weights are torch.float64",
    ),
    "out's graph": (
        (torch.ones(3, 5, dtype=D), torch.ones(3, 8, dtype=D, requires_grad=True)), "out needs a gradient",
    ),
}  # fmt: skip


@every_backend
@pytest.mark.parametrize("what", WRONG_STEPS)
def test_wrong_steps(backend, what):
    (x_t, *out), message = WRONG_STEPS[what]
    stream = stream_of(make(), backend)
    stream.step(torch.ones(3, 5, dtype=D))
    before = stream.state
    with pytest.raises(UsageError, match=message):
        stream.step(x_t, *out)
    for a, b in zip(stream.state, before, strict=True):
        assert torch.equal(a, b)


@every_backend
def test_wrong_steps_of_a_single_row(backend):
    stream = stream_of(make(), backend, 1)
    with pytest.raises(
        UsageError, match=r"x_t has shape \(4,\); for this stream it must be \(1, 5\) or \(5,\)"
    ):
        stream.step(torch.ones(4, dtype=D))
    with pytest.raises(UsageError, match="out has 2 dimensions, x_t has 1"):
        stream.step(torch.ones(5, dtype=D), torch.ones(1, 8, dtype=D))


@every_backend
def test_wrong_pieces(backend):
    single, several = stream_of(make(), backend, 1), stream_of(make(batch_first=True), backend)
    with pytest.raises(
        UsageError, match=r"x has shape \(2, 3, 5\); this stream takes \[T, 1, 5\] or \[T, 5\]"
    ):
        single.run(torch.ones(2, 3, 5, dtype=D))
    with pytest.raises(UsageError, match=r"x has shape \(7, 3, 5\); this stream takes \[3, T, 5\]"):
        several.run(torch.ones(7, 3, 5, dtype=D))
    with pytest.raises(UsageError, match="x needs a gradient"):
        single.run(torch.ones(2, 1, 5, dtype=D, requires_grad=True))


def lstm_state(L=1, B=3, P=8, H=8, dtype=D):
    return torch.zeros(L, B, P, dtype=dtype), torch.zeros(L, B, H, dtype=dtype)


WRONG_STATES = {
    "one": (lstm_state()[0], r"state holds 1 tensors; this layer takes \(h, c\)"),
    "rows": (lstm_state(B=2), r"h of the state has shape \(1, 2, 8\); it must be \(1, 3, 8\)"),
    "c": (lstm_state(H=7), r"c of the state has shape \(1, 3, 7\); it must be \(1, 3, 8\)"),
    "no batch": (
        (torch.zeros(1, 8, dtype=D),) * 2,
        r"h of the state has shape \(1, 8\); it must be \(1, 3, 8\)",
    ),
    "type": (
        lstm_state(dtype=torch.float32),
        "h of the state is torch.float32; this stream's weights are torch.float64",
    ),
    "no tensors": ((0, 0), "h of the state is 0; it must be a tensor"),
}


@every_backend
@pytest.mark.parametrize("what", WRONG_STATES)
def test_wrong_states(backend, what):
    state, message = WRONG_STATES[what]
    stream = stream_of(make(), backend)
    stream.run(draw(make()))
    before = stream.state
    with pytest.raises(UsageError, match=message):
        stream.state = state
    for a, b in zip(stream.state, before, strict=True):
        assert torch.equal(a, b)


def test_wrong_states_of_a_stack_and_of_a_gru():
    stream = gw.Stack([gw.GRU(3, 4), gw.GRU(4, 4)]).streaming()
    with pytest.raises(UsageError, match="state holds 1 states; the stack has 2 layers"):
        stream.state = (None,)
    stream = gw.GRU(3, 4).streaming()
    with pytest.raises(UsageError, match="state holds 2 tensors; this layer takes h"):
        stream.state = lstm_state()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 3], "rows go from 0 to 3; this stream has rows 0 to 2"),
        ([-1], "rows go from -1 to -1; this stream has rows 0 to 2"),
        ([0.5], r"rows is \[0.5\]; it is a list of whole numbers, or a bool tensor of 3"),
        ([True, False], r"rows is \[True, False\]; it is a list of whole numbers, or a bool tensor of 3"),
        ([[1]], r"rows is \[\[1\]\]; it is a list of whole numbers"),
    ],
)
def test_wrong_rows(rows, message):
    with pytest.raises(UsageError, match=message):
        make().streaming(3).reset(rows)


@pytest.mark.parametrize(
    ("x_t", "message"),
    [
        (
            torch.ones(1, 3, 5, dtype=D),
            r"x_t has 3 dimensions; a step takes \[batch, features\] or \[features\]",
        ),
        (torch.ones(3, 4, dtype=D), "x has 4 features; this layer was built with input_size=5"),
        ([0.0], r"x_t is \[0.0\]; it must be a tensor"),
    ],
)
def test_wrong_steps_of_a_layer(x_t, message):
    with pytest.raises(UsageError, match=message):
        make().step(x_t)


def test_wrong_types_are_type_errors():
    with pytest.raises(UsageTypeError):
        make().step([0.0])
    with pytest.raises(UsageTypeError):
        make().streaming().step([0.0])


def test_a_stream_cannot_be_recorded():
    stream = make().streaming()
    with pytest.raises(UsageError, match="a stream keeps no gates; record the layer"), gw.record(stream):
        pass


def test_what_a_stream_says_of_itself():
    stream = gw.LSTM(3, 8, proj_size=2).streaming(4)
    assert isinstance(stream, Stream)
    assert (stream.batch_size, stream.input_size, stream.output_size) == (4, 3, 2)
    assert repr(stream) == f"Stream(3 -> 2, batch_size=4, torch.float32, cpu, {stream.backend})"
