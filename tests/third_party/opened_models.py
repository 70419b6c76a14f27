"""What every model of another package is put through: run without and with recording, and its gates computed anew."""

import importlib
import importlib.util
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html.parser import HTMLParser
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from record_cases import expected_layers
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

import gatewise as gw
from gatewise.reports.report import Report

LAYERS = (nn.LSTM, nn.GRU, nn.RNN)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
GATES = 1e-5  # of float32 weights against the oracle's float64, states near 1
SUMS = 1e-6  # of sums taken in float64 over states in float32


def needed(name: str) -> ModuleType:
    """The package, or the test file is skipped with a sentence that says how to have it."""
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"{name} is not installed; make test-third-party installs it", allow_module_level=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def opened(name: str, model: nn.Module, run: Callable[[], Any], note: Callable[..., None]) -> gw.memory.Trace:
    """The trace of `run`, which gives the same bits with and without recording; every gate is the oracle's."""
    torch.manual_seed(7)
    plain = run()
    torch.manual_seed(7)
    with _inner_calls() as calls, gw.record(model) as trace:
        seen = run()
    assert_same(plain, seen)
    assert trace.layers()
    note(
        name,
        len(trace.layers()),
        sum(len(lt.h) for lt in trace.layers()),
        f"{_against_oracle(model, trace, calls):.0e}",
        f"{max(lt.residual for lt in trace.layers()):.0e}",
        f"{_against_identities(trace):.0e}",
    )
    return trace


def assert_same(a: Any, b: Any) -> None:
    """Equal to the bit, also inside tuples, mappings, arrays and tables."""
    if isinstance(a, Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, PackedSequence):
        assert torch.equal(a.data, b.data)
    elif isinstance(a, Mapping):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, Sequence) and not isinstance(a, str):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@contextmanager
def _inner_calls() -> Iterator[list[tuple[nn.Module, dict[str, Any], Any]]]:
    """What reached the forward of torch's layers, and what it gave; seen without the package under test."""
    calls: list[tuple[nn.Module, dict[str, Any], Any]] = []

    def seen(module, args, kwargs, result):
        given = dict(zip(("input", "hx"), args, strict=False)) | kwargs
        calls.append((module, given, result))

    own = {cls: cls.forward for cls in LAYERS}

    def patched(cls):
        def forward(self, *args, **kwargs):
            result = own[cls](self, *args, **kwargs)
            seen(self, args, kwargs, result)
            return result

        return forward

    patches = {cls: patched(cls) for cls in LAYERS}
    try:
        for cls, forward in patches.items():
            cls.forward = forward
        yield calls
    finally:
        for cls, forward in own.items():
            cls.forward = forward


def _against_oracle(model: nn.Module, trace: gw.memory.Trace, calls: list[Any]) -> float:
    """The largest difference of a gate or state from the float64 oracle's, over all calls."""
    worst = 0.0
    by_path = dict(model.named_modules())
    for path in trace.paths:
        of_module = [call for call in calls if call[0] is by_path[path]]
        assert len(of_module) == len(trace[path].calls)
        for recorded, (module, given, _) in zip(trace[path].calls, of_module, strict=True):
            expected = _expected(module, given)
            assert len(expected) == len(recorded)
            for (layer, reverse), values in expected.items():
                lt = recorded[(layer, "reverse") if reverse else layer]
                for name, array in values.items():
                    worst = max(worst, float(np.abs(getattr(lt, name).double().numpy() - array).max()))
    assert worst <= GATES
    return worst


def _expected(module: nn.Module, given: dict[str, Any]) -> dict[tuple[int, bool], dict[str, np.ndarray]]:
    x, hx = given["input"], given.get("hx")
    lengths = None
    if isinstance(x, PackedSequence):
        x, lengths = pad_packed_sequence(x)
    elif module.batch_first:
        x = x.transpose(0, 1)
    h0, c0 = hx if isinstance(hx, tuple) else (hx, None)
    h0, c0 = (None if s is None else s.detach() for s in (h0, c0))
    return expected_layers(module, x, h0, c0, lengths)


def _against_identities(trace: gw.memory.Trace) -> float:
    """The largest gap in h = o * tanh(c), c = f * c before + i * g, and the ledger's sum, over all layers."""
    worst = 0.0
    for lt in trace.layers():
        if not lt.gates:
            continue
        worst = max(worst, gw.memory.ledger(lt).residual)
        if lt.cell == "lstm" and lt.lengths is None and not lt.reverse:
            before = torch.cat([lt.c0[None], lt.c[:-1]])
            worst = max(worst, float((lt.f * before + lt.i * lt.g - lt.c).abs().max()))
            worst = max(worst, float((lt.o * lt.c.tanh() - lt.h).abs().max()))
    assert worst <= SUMS
    return worst


def trains_the_same(model: nn.Module, loss: Callable[[], Tensor]) -> None:
    """The gradients of a training step are the same to the bit with and without recording."""
    model.zero_grad()
    torch.manual_seed(7)
    loss().backward()
    plain = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    torch.manual_seed(7)
    with gw.record(model) as trace:
        loss().backward()
    assert_same(plain, {name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    recurrent = [g for name, g in plain.items() if any(name.startswith(path) for path in trace.paths)]
    assert recurrent and any(g.any() for g in recurrent)
    model.zero_grad()


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.ids |= {value for name, value in attrs if name == "id"}
        if tag in ("section", "main", "script", "style", "table", "figure"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


def writes_a_page(tmp_path, trace, **options) -> Report:
    """The report of what was recorded; its file is whole HTML that holds the belt and the gates."""
    made = gw.report(trace, path=tmp_path / "page.html", **options)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = _Page(text)
    assert text.lstrip().lower().startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert {"kept", "gates", "step"} <= page.ids and not page.open
    return made


def opens_in_a_browser(path) -> None:
    """The page draws every canvas that it shows, and neither complains nor asks for another file."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")
    with needed("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page()
        faults, asked = [], []
        tab.on("console", lambda message: faults.append(message.text))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri())
        tab.wait_for_function(
            "document.querySelector('canvas') && document.querySelector('canvas').width > 0"
        )
        assert "remembered of" in tab.locator("h1").inner_text()
        browser.close()
    assert not faults and asked == [path.as_uri()]
