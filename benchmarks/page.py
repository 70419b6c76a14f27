"""How smoothly a page follows the pointer: durations of frames while it moves over the drawings of a long text.

    python -m benchmarks.page [--json] [--words N] [--units N]

A real nn.LSTM is recorded and reported (`gw.report`), the page opened in headless Chromium, and the mouse moved across
each drawing, a move a frame; the time between frames comes from requestAnimationFrame. Needs Chromium on the PATH.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import Page, sync_playwright
from torch import nn

import gatewise as gw
from benchmarks.measure import machine

LIMIT_MS = 33.0  # the 95th percentile
MOVES = 400
DRAWINGS = {
    "conveyor belt": "#belt .plot",
    "strip of a gate": "#gates .strip",
    "map of all units": "#gates .unit-map",
}
WATCH = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const tick = (now) => {
    window.frames_ms.push(now - last);
    last = now;
    window.watching = requestAnimationFrame(tick);
  };
  window.watching = requestAnimationFrame(tick);
}"""
STOP = "() => { cancelAnimationFrame(window.watching); return window.frames_ms.slice(2); }"


def long_page(words: int, units: int) -> str:
    """The page of one recorded layer of `units` units, read by its last state, for a text of `words` words."""
    torch.manual_seed(0)
    model = nn.LSTM(64, units)
    nn.init.constant_(model.bias_ih_l0.data[units : 2 * units], 3.0)  # forget gates that keep for many words
    with torch.no_grad(), gw.record(model) as trace:
        model(torch.randn(words, 1, 64))
    return gw.report(trace, labels=[f"word{k}" for k in range(words)], target=torch.randn(units)).html


def frames(tab: Page, selector: str) -> np.ndarray:
    """Milliseconds between frames while the mouse moves across a drawing, and back."""
    drawing = tab.locator(selector).first
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    assert box is not None
    across = np.linspace(box["x"] + 40, box["x"] + box["width"] - 160, MOVES // 2)
    tab.wait_for_timeout(300)
    tab.evaluate(WATCH)
    for x in [*across, *across[::-1]]:
        tab.mouse.move(x, box["y"] + box["height"] / 2)
    return np.asarray(tab.evaluate(STOP))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How smoothly a page follows the pointer.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--words", type=int, default=400)
    parser.add_argument("--units", type=int, default=256)
    options = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on the PATH; no figure")
    text = long_page(options.words, options.units)
    figures = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "page.html"
        file.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(file.as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
        for name, selector in DRAWINGS.items():
            median, high = np.percentile(frames(tab, selector), (50, 95))
            figures[name] = {"median_ms": float(median), "p95_ms": float(high)}
        browser.close()
    size = len(text.encode()) / 1e6
    if options.json:
        print(json.dumps({"machine": machine(), "limit_ms": LIMIT_MS, "page_mb": size, "figures": figures}))
    else:
        print("  ".join(f"{name}: {value}" for name, value in machine().items()))
        print(
            f"{options.words} words, {options.units} units, {size:.1f} MB; milliseconds a frame: median, 95 %"
        )
        for name, found in figures.items():
            print(f"{name:40} {found['median_ms']:6.1f} {found['p95_ms']:6.1f}")
    return 0 if all(found["p95_ms"] <= LIMIT_MS for found in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
