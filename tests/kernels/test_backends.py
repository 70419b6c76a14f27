"""The registry: which backend runs, why, and how to force one."""

import threading

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.kernels import native


class Seen(TorchDispatchMode):
    """What our operator is told to run inside the block."""

    def __init__(self):
        super().__init__()
        self.backends = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.name() == "gatewise::recurrence":
            self.backends.add(args[-1])
        return func(*args, **(kwargs or {}))


def what_runs(layer, x, **call):
    """The backend that a call really uses: fused ones go through the operator, naive does not."""
    with torch.no_grad(), Seen() as seen:
        layer(x, **call)
    (backend,) = seen.backends or {"naive"}
    return backend


LAYERS = {
    "lstm": lambda: gw.LSTM(3, 4),
    "projected": lambda: gw.LSTM(3, 4, proj_size=2),
    "deep": lambda: gw.LSTM(3, 4, num_layers=2, bidirectional=True),
    "gru": lambda: gw.GRU(3, 4),
    "gru_reset_before": lambda: gw.GRU(3, 4, reset_after=False),
    "rnn": lambda: gw.RNN(3, 4),
    "double": lambda: gw.GRU(3, 4, dtype=torch.float64),
    "varied": lambda: gw.LSTM(3, 4, peephole=True, coupled=True, zoneout=(0.1, 0.1)),
    "dropped": lambda: gw.RNN(3, 4, recurrent_dropout=0.3),
}
PREFERENCE = ["native", "aten", "naive"]
native_only = pytest.mark.skipif(not native.available(), reason="no native kernels")


@pytest.fixture(params=[False, pytest.param(True, marks=native_only)], ids=["without native", "with native"])
def has_native(request, monkeypatch):
    """With native kernels, and without."""
    if not request.param:
        monkeypatch.setattr(native, "available", lambda: False)
        monkeypatch.setattr(native, "why_missing", lambda: "there are none in this test")
    return request.param


def aten_refuses(name, shape, resets):
    return name in ("gru_reset_before", "varied", "dropped") or 0 in shape or resets is not None


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", [(5, 2, 3), (5, 3), (0, 2, 3), (5, 0, 3)])
@pytest.mark.parametrize("extra", ["none", "lengths", "resets"])
@pytest.mark.parametrize("forced", [None, *PREFERENCE])
def test_explain_backend_names_the_backend_that_runs(name, shape, extra, forced, has_native):
    layer = LAYERS[name]()
    x = torch.randn(shape, dtype=next(layer.parameters()).dtype)
    lengths = torch.full(shape[1:2], shape[0]) if extra == "lengths" and len(shape) == 3 else None
    resets = torch.zeros(shape[:-1], dtype=torch.bool) if extra == "resets" else None
    call = {"lengths": lengths, "resets": resets}
    refused = {"aten": aten_refuses(name, shape, resets), "native": not has_native, "naive": False}
    if forced is not None and refused[forced]:
        why = "PyTorch's" if forced == "aten" else "there are none in this test"
        with gw.backend(forced):
            with pytest.raises(UsageError, match=f"backend '{forced}' cannot run this call: {why}"):
                gw.explain_backend(layer, x, **call)
            with pytest.raises(UsageError, match=f"backend '{forced}' cannot run this call: {why}"):
                layer(x, **call)
        return
    if forced is None:
        choice = gw.explain_backend(layer, x, **call)
        assert choice.backend == what_runs(layer, x, **call)
        able = [b for b in PREFERENCE if not choice.reasons[b].startswith("cannot: ")]
        assert choice.backend == able[0]
        for backend in PREFERENCE:
            assert not refused[backend] or backend not in able
    else:
        with gw.backend(forced):
            choice = gw.explain_backend(layer, x, **call)
            assert choice.backend == what_runs(layer, x, **call) == forced
    assert list(choice.reasons) == PREFERENCE
    assert choice.reasons[choice.backend].startswith("runs: ")
    assert str(choice).startswith(f"{choice.backend} runs this call\n")


def test_an_unknown_backend_is_refused_with_the_list():
    with (
        pytest.raises(UsageError, match=r"there is no backend 'cudnn'; there are native, aten, naive"),
        gw.backend("cudnn"),
    ):
        pass


def without_native(monkeypatch):
    monkeypatch.setattr(native, "available", lambda: False)
    monkeypatch.setattr(native, "why_missing", lambda: "no compiler")


def test_reasons_say_why_not(monkeypatch):
    without_native(monkeypatch)
    x, resets = torch.randn(5, 2, 3), torch.zeros(5, 2, dtype=torch.bool)
    cannot = {
        "cannot: PyTorch's GRU applies the reset gate after the recurrent product only": (
            gw.GRU(3, 4, reset_after=False), {},
        ),
        "cannot: PyTorch's layers have no coupled": (gw.LSTM(3, 4, coupled=True, zoneout=(0.1, 0)), {}),
        "cannot: PyTorch's layers have no recurrent_dropout": (gw.GRU(3, 4, recurrent_dropout=0.1), {}),
        "cannot: PyTorch's layers have no resets inside a sequence": (gw.RNN(3, 4), {"resets": resets}),
    }  # fmt: skip
    for reason, (layer, call) in cannot.items():
        reasons = gw.explain_backend(layer, x, **call).reasons
        assert reasons["aten"] == reason
        assert reasons["native"] == "cannot: no compiler"
        assert reasons["naive"].startswith("runs: ")
    with gw.backend("naive"):
        assert "forced" in gw.explain_backend(gw.GRU(3, 4), x).reasons["aten"]


def test_dropout_in_eval_is_a_plain_layer(monkeypatch):
    without_native(monkeypatch)
    for on in ("h", "g", "weights"):
        layer, x = gw.LSTM(3, 4, recurrent_dropout=0.5, recurrent_dropout_on=on), torch.randn(5, 2, 3)
        in_training = "aten" if on == "weights" else "naive"  # dropped weights are weights
        assert gw.explain_backend(layer, x).backend == what_runs(layer, x) == in_training
        layer.eval()
        assert gw.explain_backend(layer, x).backend == what_runs(layer, x) == "aten"


def test_what_native_kernels_do_not_run_in():
    layer, x = gw.LSTM(3, 4, dtype=torch.float16), torch.randn(5, 2, 3, dtype=torch.float16)
    if native.available():
        assert gw.explain_backend(layer, x).reasons["native"] == (
            "cannot: the native kernels do not run in torch.float16"
        )
    assert gw.explain_backend(layer, x).backend == what_runs(layer, x) == "aten"


def test_a_compiled_layer_says_when_it_would_not_obey():
    layer, x = gw.LSTM(3, 4), torch.randn(5, 2, 3)
    with gw.backend("naive"):
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        expected = layer(x)[0]
        torch.testing.assert_close(compiled(x)[0], expected)
    torch.testing.assert_close(compiled(x)[0], expected)
    with (
        gw.backend("aten"),
        pytest.raises(
            UsageError, match="backend 'aten' is forced, and this layer was compiled to run 'naive'"
        ),
    ):
        compiled(x)


def test_blocks_nest_and_end_with_their_exceptions(monkeypatch):
    without_native(monkeypatch)
    layer, x = gw.LSTM(3, 4), torch.randn(5, 2, 3)
    with gw.backend("naive"):
        with gw.backend("aten"):
            assert what_runs(layer, x) == "aten"
        assert what_runs(layer, x) == "naive"
        with pytest.raises(KeyError), gw.backend("aten"):
            raise KeyError
        assert what_runs(layer, x) == "naive"
    assert what_runs(layer, x) == "aten"


def test_another_thread_is_not_forced():
    layer, x, seen = gw.LSTM(3, 4), torch.randn(5, 2, 3), []

    def look():
        seen.append(gw.explain_backend(layer, x).backend)

    with gw.backend("naive"):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [gw.explain_backend(layer, x).backend] and seen != ["naive"]


@pytest.mark.parametrize("name", LAYERS)
def test_all_backends_give_the_same(name):
    layer = LAYERS[name]().double().eval()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    default, _ = layer(x, lengths=[3, 5])
    with gw.backend("naive"):
        naive, _ = layer(x, lengths=[3, 5])
    torch.testing.assert_close(default, naive, rtol=1e-13, atol=1e-13)


def test_dtypes_that_differ_are_refused():
    with pytest.raises(UsageError, match=r"x is torch.float64; this layer's weights are torch.float32"):
        gw.GRU(3, 4)(torch.randn(5, 2, 3, dtype=torch.float64))
    with pytest.raises(UsageError, match=r"h0 is torch.float64; this layer's weights are torch.float32"):
        gw.GRU(3, 4)(torch.randn(5, 2, 3), torch.randn(1, 2, 4, dtype=torch.float64))
