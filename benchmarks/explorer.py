"""How smoothly the explorer follows its reader: durations of frames with two recordings of 2,000 steps and 512 units.

    python -m benchmarks.explorer [--json] [--steps N] [--units N] [--corpus TEXTS]

Two recordings of a real nn.LSTM stand side by side (`gw.explore`) in headless Chromium; the mouse hovers over a map,
both maps are scrolled together, a range is dragged (with its search among the nearest states), and the maps are
switched. The time between frames comes from requestAnimationFrame. Needs Chromium on the PATH.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import Page, sync_playwright
from torch import nn

import gatewise as gw
from benchmarks.measure import machine
from benchmarks.page import LIMIT_MS, STOP, WATCH

MOVES = 300
SWITCHES = 12
TEXT_STEPS = 250
"""Of a text of the corpus."""


def long_page(steps: int, units: int, texts: int) -> str:
    """Two recordings of one LSTM, and a corpus of `texts` texts that it read."""
    torch.manual_seed(0)
    model = nn.LSTM(64, units)
    nn.init.uniform_(
        model.bias_ih_l0.data[units : 2 * units], 0.0, 6.0
    )  # forget gates that keep for long and short

    def recorded(length: int, batch: int = 1) -> gw.Trace:
        with torch.no_grad(), gw.record(model) as trace:
            model(3 * torch.randn(length, batch, 64))
        return trace

    names = [f"word{k}" for k in range(steps)]
    corpus = [(recorded(TEXT_STEPS), [names[:TEXT_STEPS]]) for _ in range(texts)]
    first, second = recorded(steps), recorded(steps)
    titles = ["first", "second"]
    return gw.explore(first, second, labels=names, names=titles, same_model=True, corpus=corpus or None).html


def hover(tab: Page, box: dict[str, float]) -> None:
    across = np.linspace(box["x"] + 5, box["x"] + box["width"] - 5, MOVES // 2)
    down = np.linspace(box["y"] + 5, box["y"] + box["height"] - 5, MOVES // 2)
    for x, y in [*zip(across, down, strict=True), *zip(across[::-1], down, strict=True)]:
        tab.mouse.move(x, y)


def scroll(tab: Page, box: dict[str, float]) -> None:
    tab.mouse.move(box["x"] + 50, box["y"] + 50)
    for turn in range(MOVES):
        tab.mouse.wheel(60 if turn < MOVES // 2 else -60, 0)


def brush(tab: Page, box: dict[str, float]) -> None:
    y = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + 20, y)
    tab.mouse.down()
    for x in np.linspace(box["x"] + 20, box["x"] + box["width"] - 20, MOVES):
        tab.mouse.move(x, y)
    tab.mouse.up()


def switch(tab: Page, box: dict[str, float]) -> None:
    for turn in range(SWITCHES):
        tab.locator(f"[data-map='{'ifgoch'[turn % 6]}']").click()
        tab.wait_for_timeout(100)


def frames(tab: Page, act: Callable[[Page, dict[str, float]], None]) -> np.ndarray:
    """Milliseconds between frames while `act` is done to the first map."""
    box = tab.locator(".scroller").first.bounding_box()
    assert box is not None
    tab.wait_for_timeout(500)
    tab.evaluate(WATCH)
    act(tab, dict(box))
    return np.asarray(tab.evaluate(STOP))


def measured(tab: Page) -> dict[str, dict[str, float]]:
    figures = {}
    for name, act, zooms in (
        ("hovering, the whole text", hover, 0),
        ("brushing, the whole text", brush, 0),
        ("switching maps", switch, 0),
        ("scrolling, zoomed in", scroll, 6),
        ("hovering, zoomed in", hover, 0),
        ("brushing, zoomed in", brush, 0),
    ):
        for _ in range(zooms):
            tab.locator("[data-zoom=in]").click()
        found = frames(tab, act)
        median, high = np.percentile(found, (50, 95))
        figures[name] = {"median_ms": float(median), "p95_ms": float(high), "frames": len(found)}
    return figures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="How smoothly the explorer follows its reader.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument(
        "--corpus", type=int, default=200, metavar="TEXTS", help=f"texts of {TEXT_STEPS} steps"
    )
    options = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on the PATH; no figure")
    text = long_page(options.steps, options.units, options.corpus)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "page.html"
        file.write_text(text, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(file.as_uri())
        tab.wait_for_selector("html[data-ready]", state="attached")
        figures = measured(tab)
        browser.close()
    size = len(text.encode()) / 1e6
    if options.json:
        print(json.dumps({"machine": machine(), "limit_ms": LIMIT_MS, "page_mb": size, "figures": figures}))
    else:
        print("  ".join(f"{name}: {value}" for name, value in machine().items()))
        print(
            f"two sides of {options.steps:,} steps, {options.units} units, a corpus of {options.corpus} texts, "
            f"{size:.1f} MB; milliseconds a frame: median, 95 %, frames"
        )
        for name, found in figures.items():
            print(f"{name:30} {found['median_ms']:6.1f} {found['p95_ms']:6.1f} {found['frames']:6.0f}")
    return 0 if all(found["p95_ms"] <= LIMIT_MS for found in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
