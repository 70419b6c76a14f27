"""The registry: which backend runs, why, and how to force one."""

import threading

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import gatewise as gw
from gatewise.errors import UsageError


class Seen(TorchDispatchMode):
    """The operators that run inside the block."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def what_runs(layer, x, **call):
    """The backend that a call really uses: fused ones go through the operator, naive does not."""
    with torch.no_grad(), Seen() as seen:
        layer(x, **call)
    return "aten" if "gatewise::recurrence" in seen.names else "naive"


LAYERS = {
    "lstm": lambda: gw.LSTM(3, 4),
    "projected": lambda: gw.LSTM(3, 4, proj_size=2),
    "deep": lambda: gw.LSTM(3, 4, num_layers=2, bidirectional=True),
    "gru": lambda: gw.GRU(3, 4),
    "gru_reset_before": lambda: gw.GRU(3, 4, reset_after=False),
    "rnn": lambda: gw.RNN(3, 4),
    "double": lambda: gw.GRU(3, 4, dtype=torch.float64),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", [(5, 2, 3), (5, 3), (0, 2, 3), (5, 0, 3)])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("forced", [None, "naive", "aten"])
def test_explain_backend_names_the_backend_that_runs(name, shape, ragged, forced):
    layer = LAYERS[name]()
    x = torch.randn(shape, dtype=next(layer.parameters()).dtype)
    lengths = torch.full(shape[1:2], shape[0]) if ragged and len(shape) == 3 else None
    cannot = name == "gru_reset_before" or 0 in shape
    if forced == "aten" and cannot:
        with gw.backend("aten"):
            with pytest.raises(UsageError, match="backend 'aten' cannot run this call: PyTorch's"):
                gw.explain_backend(layer, x, lengths=lengths)
            with pytest.raises(UsageError, match="backend 'aten' cannot run this call: PyTorch's"):
                layer(x, lengths=lengths)
        return
    if forced is None:
        choice = gw.explain_backend(layer, x, lengths=lengths)
        assert choice.backend == what_runs(layer, x, lengths=lengths) == ("naive" if cannot else "aten")
    else:
        with gw.backend(forced):
            choice = gw.explain_backend(layer, x, lengths=lengths)
            assert choice.backend == what_runs(layer, x, lengths=lengths) == forced
    assert set(choice.reasons) == {"native", "naive", "aten"}
    assert str(choice).startswith(f"{choice.backend} runs this call\n")


def test_an_unknown_backend_is_refused_with_the_list():
    with (
        pytest.raises(UsageError, match=r"there is no backend 'cudnn'; there are native, aten, naive"),
        gw.backend("cudnn"),
    ):
        pass


def test_reasons_say_why_not():
    layer = gw.GRU(3, 4, reset_after=False)
    reasons = gw.explain_backend(layer, torch.randn(5, 2, 3)).reasons
    assert reasons["aten"] == "cannot: PyTorch's GRU applies the reset gate after the recurrent product only"
    assert reasons["naive"].startswith("runs: ")
    with gw.backend("naive"):
        assert "forced" in gw.explain_backend(gw.GRU(3, 4), torch.randn(5, 2, 3)).reasons["aten"]


def test_blocks_nest_and_end_with_their_exceptions():
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
    assert seen == ["aten"]


@pytest.mark.parametrize("name", LAYERS)
def test_both_backends_give_the_same(name):
    layer = LAYERS[name]().double()
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
