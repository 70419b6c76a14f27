"""How long the page's script takes for a text, and how far its numbers are from Python's.

    python -m benchmarks.live_page RUN [--json] [--words 25,100,400] [--texts 100]

RUN is a run of the classify task, such as the demo's. The page's own script runs in headless Chromium: a text is cut,
read, explained (held and push) and its belt computed, nothing is drawn. The texts are the test reviews that ship with
the package, joined up to the asked-for number of words; for the differences they stand as they are, each also with the
forget (update) gate held open and with its third word erased. Needs Chromium on the PATH.
"""

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

import gatewise
from benchmarks.measure import machine
from gatewise.data.reviews import load_reviews
from gatewise.memory import Erase, Hold, intervene
from gatewise.reports.html import LIVE_MODEL_SCRIPTS
from gatewise.reports.live import live_values
from gatewise.reports.payload import to_json
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.fitted import FittedClassifier, load_fitted

LIMIT_MS = 100.0
LIMIT = 1e-5
REPEATS = 15
TEMPLATES = Path(gatewise.__file__).parent / "reports" / "templates" / "page"
HARNESS = """
window.open_model = (values) => { window.model = new Model(JSON.parse(values)); };
window.work = (text, changes, withBelt) => {
  const byPart = [changes ? new Changes(changes.holds, changes.erased) : undefined];
  const read = model.read(text);
  const run = model.run(read, byPart);
  const { held, push } = explainRun(model, read, run, 0, byPart);
  const belts = withBelt && model.parts.map((part, k) => {
    const ledger = writes(part, run.parts[k], byPart[k]);
    return ledger && beltOf(part, run.parts[k], ledger);
  });
  return { words: read.tokens.length, belts, probabilities: run.probabilities, push, memory: run.parts[0].memory };
};
window.timed = (text, repeats) => Array.from({ length: repeats }, () => {
  const begun = performance.now();
  work(text, null, true);
  return performance.now() - begun;
});
window.numbers = (text, changes) => {
  const { probabilities, push, memory } = work(text, changes, false);
  return JSON.stringify({ probabilities, push: push && Array.from(push), memory: Array.from(memory) });
};
"""


def opened(browser, fitted: FittedClassifier) -> Page:
    """An empty tab with the script and the model."""
    live = explain(fitted, "film", evidence=False).page(live=True).live
    assert live is not None
    tab = browser.new_page()
    script = "\n".join(
        (TEMPLATES / f"{name}.js").read_text("utf-8") for name in ("bytes", *LIVE_MODEL_SCRIPTS)
    )
    tab.add_script_tag(content=f'"use strict";\n{script}\n{HARNESS}')
    tab.evaluate("values => open_model(values)", str(to_json(live_values(live))))
    return tab


def times(tab: Page, texts: list[str], lengths: list[int]) -> dict[str, dict[str, float]]:
    """Milliseconds for a text, by its number of words: median and 95th percentile; the first runs are not counted."""
    words = " ".join(texts).split()
    found = {}
    for length in lengths:
        text = " ".join(words[:length])
        tab.evaluate("text => timed(text, 5)", text)
        taken = tab.evaluate("([text, repeats]) => timed(text, repeats)", [text, REPEATS])
        found[str(length)] = {
            "median_ms": statistics.median(taken),
            "p95_ms": float(np.percentile(taken, 95)),
        }
    return found


def differences(tab: Page, fitted: FittedClassifier, texts: list[str]) -> dict[str, float]:
    """The largest difference from Python over all texts, plain and changed, of each kind of number; of the memory as a
    share of its largest value, where that is above 1."""
    most: dict[str, float] = {}
    gate = {"lstm": "f", "gru": "z"}.get(fitted.config.cells[0])
    cases: list[tuple[dict[str, Any] | None, list[Any]]] = [(None, [])]
    if gate and not fitted.config.bidirectional and len(fitted.config.cells) * fitted.config.num_layers == 1:
        hold = {"gate": gate, "value": 1.0, "unit": None, "from": 0}
        cases += [
            ({"holds": [hold], "erased": []}, [Hold(gate, 1.0)]),
            ({"holds": [], "erased": [2]}, [Erase(steps=2)]),
        ]
    for text in texts:
        for changes, interventions in cases:
            found = json.loads(tab.evaluate("([text, changes]) => numbers(text, changes)", [text, changes]))
            with intervene(fitted.network.recurrent, *interventions):
                told = explain(fitted, text, str(fitted.labels[0]), evidence=False)
            assert told.inside is not None
            python = {
                "probabilities": [told.probabilities[str(label)] for label in fitted.labels],
                "push": _without_erased(told.push, changes),
                "memory": _memory(told.inside.opened),
            }
            for name, values in python.items():
                ours, theirs = np.asarray(found[name] or []).ravel(), np.asarray(values).ravel()
                # A held gate can make c as large as the text is long, and float32 has 7 digits of it.
                size = max(1.0, np.abs(theirs).max(initial=0)) if name == "memory" else 1.0
                most[name] = max(most.get(name, 0.0), float(np.abs(ours - theirs).max(initial=0) / size))
    return most


def _without_erased(push: list[float], changes: dict[str, Any] | None) -> list[float]:
    """The page gives a word whose write is erased no push; Python's ledger leaves it as its residual."""
    erased = changes["erased"] if changes else []
    return [0.0 if at in erased else value for at, value in enumerate(push)]


def _memory(found: Any) -> np.ndarray:
    first = next(iter(found.layers.values()))
    return (first.h if first.c is None else first.c).numpy()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="How long the page's script takes for a text, and how exact it is."
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--words", default="25,100,400")
    parser.add_argument("--texts", type=int, default=100)
    options = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on the PATH; no figure")
    fitted, texts = load_fitted(options.run, device="cpu"), load_reviews("test").texts
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = opened(browser, fitted)
        apart = differences(tab, fitted, texts[: options.texts])
        taken = times(tab, texts, [int(length) for length in options.words.split(",")])
        browser.close()
    if options.json:
        print(json.dumps({"machine": machine(), "differences": apart, "times": taken}))
    else:
        print("  ".join(f"{name}: {value}" for name, value in machine().items()))
        print(f"largest differences from Python over {options.texts} texts, plain and changed")
        for name, far in apart.items():
            print(f"{name:20} {far:.1e}")
        print("milliseconds for a text: words, median, 95 %")
        for length, one in taken.items():
            print(f"{length:>20} {one['median_ms']:6.1f} {one['p95_ms']:6.1f}")
    fast = all(one["median_ms"] <= LIMIT_MS for one in taken.values())
    return 0 if fast and max(apart.values()) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
