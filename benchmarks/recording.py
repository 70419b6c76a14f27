"""What recording costs: a recorded forward pass of nn.LSTM against a plain one.

    python -m benchmarks.recording [--json] [--pairs N]

Correctness first: no figure is printed unless every gate agrees with a loop of nn.LSTMCell and every residual is
within 1e-5. Then plain and recorded calls take turns in one process with one thread (`benchmarks.measure`).
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from benchmarks.measure import Ratio, machine, paired
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
    """A case, how many times as long a recorded call takes as a plain one, and the largest residual."""

    case: Case
    ratio: Ratio
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


def measure(case: Case, pairs: int) -> Figure:
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
        return Figure(case, paired(plain, recorded, pairs=pairs), residual)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What recording costs, in times of a plain forward pass.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pairs", type=int, default=40, help="pairs of calls a case (default: 40)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    figures = [measure(case, options.pairs) for case in CASES]
    if options.json:
        print(
            json.dumps(
                {"machine": machine(), "limit": LIMIT, "figures": [asdict(figure) for figure in figures]}
            )
        )
    else:
        print("  ".join(f"{name}: {value}" for name, value in machine().items()))
        print(
            "T 100, B 32, I 128, H 256, float32; every gate, c and h recorded: plain, recorded, ratio, residual"
        )
        for figure in figures:
            print(f"{figure.case.name:40}", figure.ratio, f"  {figure.residual:.1e}")
    return 0 if all(figure.ratio.ratio <= LIMIT for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
