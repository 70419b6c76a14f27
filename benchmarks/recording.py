"""What recording costs: a recorded forward pass of nn.LSTM against a plain one.

    python -m benchmarks.recording [--json] [--rounds N]

Correctness first: no figure is printed unless every gate agrees with a loop of nn.LSTMCell and every residual is
within 1e-5. Then plain and recorded calls take turns in one process with one thread, so that what else the
machine does falls on both; the figure is the median of the ratios of neighbouring calls, with a 95 % interval by
bootstrap over the pairs.
"""

import argparse
import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from gatewise.memory import LayerTrace, record

LIMIT = 2.8  # times a plain call
RESIDUAL = 1e-5


@dataclass(frozen=True)
class Case:
    """A shape; `grad` keeps the graph for a backward pass, as training does."""

    name: str
    steps: int
    batch: int
    inputs: int
    hidden: int
    layers: int = 1
    bidirectional: bool = False
    grad: bool = False


@dataclass(frozen=True)
class Figure:
    """Milliseconds are medians; ratio is the median of the paired ratios, low and high its 95 % interval."""

    case: Case
    plain_ms: float
    recorded_ms: float
    ratio: float
    low: float
    high: float
    residual: float


CASES = (
    Case("one layer", 100, 32, 128, 256),
    Case("one layer, with graph", 100, 32, 128, 256, grad=True),
    Case("two layers, bidirectional", 100, 32, 128, 256, layers=2, bidirectional=True),
    Case("two layers, bidirectional, with graph", 100, 32, 128, 256, 2, True, True),
)


def check_gates(lt: LayerTrace, model: nn.LSTM, x: Tensor) -> float:
    """The largest difference of any gate or state from a loop of nn.LSTMCell (layer 0, either direction)."""
    end = "_l0" + ("_reverse" if lt.reverse else "")
    weight_ih, weight_hh, bias = (
        getattr(model, "weight_ih" + end),
        getattr(model, "weight_hh" + end),
        getattr(model, "bias_ih" + end) + getattr(model, "bias_hh" + end),
    )
    cell = nn.LSTMCell(model.input_size, model.hidden_size)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, name).data.copy_(getattr(model, name + end))
    h = c = x.new_zeros(x.shape[1], model.hidden_size)
    worst = 0.0
    for t in range(len(x) - 1, -1, -1) if lt.reverse else range(len(x)):
        i, f, g, o = (x[t] @ weight_ih.T + h @ weight_hh.T + bias).chunk(4, dim=-1)
        h, c = cell(x[t], (h, c))
        now = {"i": i.sigmoid(), "f": f.sigmoid(), "g": g.tanh(), "o": o.sigmoid(), "h": h, "c": c}
        worst = max(worst, *(float((getattr(lt, k)[t] - v).abs().max()) for k, v in now.items()))
    return worst


def median_ratio(plain: list[float], recorded: list[float]) -> tuple[float, float, float]:
    """Median of the paired ratios, and its 95 % interval over 2,000 bootstrap samples."""
    ratios = [r / p for p, r in zip(plain, recorded, strict=True)]
    generator = random.Random(0)
    medians = sorted(statistics.median(generator.choices(ratios, k=len(ratios))) for _ in range(2000))
    return statistics.median(ratios), medians[49], medians[1949]


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(case: Case, rounds: int) -> Figure:
    """Check the gates of one case, then time it."""
    torch.manual_seed(0)
    model = nn.LSTM(case.inputs, case.hidden, case.layers, bidirectional=case.bidirectional)
    x = torch.randn(case.steps, case.batch, case.inputs)

    def plain() -> None:
        model(x)

    def recorded() -> None:
        with record(model):
            model(x)

    with torch.no_grad():
        with record(model) as trace:
            model(x)
        worst = max(check_gates(lt, model, x) for lt in trace.layers() if lt.layer == 0)
    residual = max(lt.residual for lt in trace.layers())
    if max(worst, residual) > RESIDUAL:
        raise SystemExit(f"{case.name}: gates differ by {worst:.1e}, residual {residual:.1e}; no figure")
    with torch.set_grad_enabled(case.grad):
        for _ in range(5):
            plain()
            recorded()
        pairs = [(seconds(plain), seconds(recorded)) for _ in range(rounds)]
    times = [list(column) for column in zip(*pairs, strict=True)]
    ratio, low, high = median_ratio(times[0], times[1])
    plain_ms, recorded_ms = (statistics.median(column) * 1e3 for column in times)
    return Figure(case, plain_ms, recorded_ms, ratio, low, high, residual)


def machine() -> dict[str, str | int]:
    cpu = Path("/proc/cpuinfo")
    names = (
        [line for line in cpu.read_text().splitlines() if line.startswith("model name")]
        if cpu.exists()
        else []
    )
    return {
        "processor": names[0].split(":")[1].strip() if names else platform.processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What recording costs, in times of a plain forward pass.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=40, help="pairs of calls a case (default: 40)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    about = machine()
    figures = [measure(case, options.rounds) for case in CASES]
    if options.json:
        print(json.dumps({**about, "limit": LIMIT, "figures": [asdict(figure) for figure in figures]}))
    else:
        print(", ".join(f"{name} {value}" for name, value in about.items()))
        print("T 100, B 32, I 128, H 256, float32; every gate, c and h recorded")
        print(f"{'case':40}{'plain ms':>10}{'recorded':>10}{'ratio':>8}  95 % interval  residual")
        for f in figures:
            interval = f"{f.low:.2f} to {f.high:.2f}"
            print(
                f"{f.case.name:40}{f.plain_ms:10.1f}{f.recorded_ms:10.1f}{f.ratio:8.2f}  {interval:13}"
                f"  {f.residual:.1e}"
            )
    return 0 if all(figure.ratio <= LIMIT for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
