"""What inspecting costs: push in forward passes, gradient flow in training steps, and the memory of a long recording.

    python -m benchmarks.memory_cost [--json] [--pairs N] [--write]

Correctness first: no figure is printed unless push sums to the answer and gradient flow gives what autograd gives of a
loop of cells. Then two runs take turns in one process with one thread (`benchmarks.measure`):

    push            `gw.memory.push` over all steps of a recording, against a plain forward pass of the same layer
    record + push   the recorded forward pass and push together, against the same plain pass
    gradient flow   `gw.memory.gradient_flow`, its own forward pass included, against a training step: forward,
                    backward, AdamW

Peak memory is that of a fresh process which records a layer of 512 units over 5,000 steps, takes its ledger and push,
and makes its report; what Python and PyTorch hold by themselves stands beside it.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import gatewise as gw
from benchmarks.measure import Ratio, machine, paired

PUSH_LIMIT, FLOW_LIMIT, MEMORY_LIMIT = 1.2, 2.5, 2e9  # forward passes, training steps, bytes
ERROR = 1e-4  # of a sum in float32, relative to its largest part
RESULTS = Path(__file__).parent / "results" / "memory-cost.json"
LAYERS: dict[str, Callable[..., nn.Module]] = {
    "torch.nn.LSTM": nn.LSTM, "torch.nn.GRU": nn.GRU, "gatewise.LSTM": gw.LSTM, "gatewise.GRU": gw.GRU,
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """`barred`: whether the limits are held against it."""

    name: str
    steps: int
    batch: int
    inputs: int
    hidden: int
    barred: bool = True


BATCH = Shape("a batch", 100, 32, 128, 256)
TEXT = Shape("one text", 400, 1, 128, 128, barred=False)


@dataclass(frozen=True)
class Figure:
    """One comparison; `limit` None: measured without a bar."""

    what: str
    layer: str
    shape: Shape
    ratio: Ratio
    limit: float | None


class Reader(nn.Module):
    """A recurrent layer and an answer that reads its last step."""

    def __init__(self, layer: str, shape: Shape) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.recurrent = LAYERS[layer](shape.inputs, shape.hidden)
        self.out = nn.Linear(shape.hidden, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.recurrent(x)[0][-1])


def check_push(book: gw.memory.PushLedger) -> None:
    """No figure unless the pushes sum to the answer."""
    error = float((book.push.sum(0) + book.initial + book.bias - book.readout).abs().max())
    if not error <= ERROR * float(book.push.abs().max()):
        raise SystemExit(f"push differs from the answer by {error:.1e}; no figure")


def check_flow(layer: str) -> None:
    """No figure unless dL/dh_t is autograd's on a loop of the layer, one step a call."""
    model = Reader(layer, Shape("", 6, 3, 4, 5)).double()
    x = torch.randn(6, 3, 4, dtype=torch.float64)
    found = gw.memory.gradient_flow(model, x, lambda y: y.square().sum())["recurrent"][0].dh
    state, seen = None, []
    for step in x:
        _, state = model.recurrent(step[None], state)
        seen.append(state[0] if isinstance(state, tuple) else state)
    grads = torch.autograd.grad(model.out(seen[-1][0]).square().sum(), seen)
    error = float((found - torch.cat(grads)).abs().max())
    if not error <= 1e-10:
        raise SystemExit(f"{layer}: dL/dh differs from autograd's by {error:.1e}; no figure")


def push_costs(layer: str, shape: Shape, pairs: int) -> list[Figure]:
    """Push over all steps, alone and with its recording, in forward passes; without a graph."""
    model = Reader(layer, shape).recurrent
    x, direction = torch.randn(shape.steps, shape.batch, shape.inputs), torch.randn(shape.hidden)
    weights = torch.rand(shape.steps, shape.batch).softmax(0)  # as attention reads

    def plain() -> None:
        model(x)

    def recorded() -> gw.memory.LayerTrace:
        with gw.record(model) as trace:
            model(x)
        return trace[""][0]

    with torch.no_grad():
        lt, limit = recorded(), PUSH_LIMIT if shape.barred else None
        runs: list[tuple[str, Callable[[], object], float | None]] = [
            ("push, last state read", lambda: gw.memory.push(lt, None, direction), limit),
            ("push, all states read", lambda: gw.memory.push(lt, weights, direction), limit),
            ("record + push", lambda: gw.memory.push(recorded(), None, direction), None),
        ]
        for reading in (None, weights):
            check_push(gw.memory.push_ledger(lt, reading, direction))
        return [Figure(what, layer, shape, paired(plain, run, pairs=pairs), bar) for what, run, bar in runs]


def flow_cost(layer: str, shape: Shape, pairs: int) -> Figure:
    """Gradient flow in training steps."""
    check_flow(layer)
    model = Reader(layer, shape)
    x, y = torch.randn(shape.steps, shape.batch, shape.inputs), torch.randint(2, (shape.batch,))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def loss(logits: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, y)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(x)).backward()
        optimizer.step()

    ratio = paired(step, lambda: gw.memory.gradient_flow(model, x, loss), pairs=pairs)
    return Figure("gradient flow", layer, shape, ratio, FLOW_LIMIT if shape.barred else None)


def peak() -> float:
    """The most bytes of memory that this process has held; where the system tells, without what its parent held."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return float(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)


def inspect_long(steps: int, hidden: int) -> dict[str, float]:
    """In this process: record, ledger, push and report; peak resident bytes before, and after each."""

    torch.manual_seed(0)
    found = {"Python and PyTorch": peak()}
    model, x, direction = nn.LSTM(64, hidden), torch.randn(steps, 1, 64), torch.randn(hidden)
    with torch.no_grad(), gw.record(model) as trace:
        model(x)
    found["record"] = peak()
    if not gw.memory.ledger(trace[""][0]).residual <= ERROR:
        raise SystemExit("the ledger does not add up; no figure")
    found["ledger"] = peak()
    check_push(gw.memory.push_ledger(trace[""][0], None, direction))
    found["push"] = peak()
    page = gw.report(trace, labels=[f"word{k}" for k in range(steps)], target=direction)
    return found | {"report": peak(), "size of the page": float(len(page.html.encode()))}


def fresh_process(steps: int, hidden: int) -> dict[str, float]:
    """`inspect_long` in a process of its own, whose peak nothing else has raised."""
    command = [sys.executable, "-m", "benchmarks.memory_cost", "--inspect", str(steps), str(hidden)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=1800)
    return json.loads(done.stdout)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_cost")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--pairs", type=int, default=40, help="pairs of runs a comparison (default: 40)")
    parser.add_argument("--write", action="store_true", help=f"also write {RESULTS.name} among the results")
    parser.add_argument("--inspect", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.inspect:
        print(json.dumps(inspect_long(*options.inspect)))
        return 0
    figures: list[Figure] = []
    for shape in (BATCH, TEXT):
        for layer in LAYERS:
            figures += [*push_costs(layer, shape, options.pairs), flow_cost(layer, shape, options.pairs)]
    memory = fresh_process(5000, 512)
    found = {
        "machine": machine(),
        "memory_limit": MEMORY_LIMIT,
        "memory": memory,
        "figures": [asdict(figure) for figure in figures],
    }
    if options.write:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found) if options.json else text(figures, memory))
    kept = all(figure.limit is None or figure.ratio.ratio <= figure.limit for figure in figures)
    return 0 if kept and memory["report"] <= MEMORY_LIMIT else 1


def text(figures: list[Figure], memory: dict[str, float]) -> str:
    """The figures for a person: medians, their ratio with its 95 % interval, and the bar."""
    lines = ["  ".join(f"{name}: {value}" for name, value in machine().items())]
    for figure in figures:
        shape = figure.shape
        size = f"T {shape.steps}, B {shape.batch}, I {shape.inputs}, H {shape.hidden}"
        bar = "" if figure.limit is None else f"  (at most {figure.limit})"
        lines.append(f"{figure.what:22} {figure.layer:14} {size:30} {figure.ratio}{bar}")
    lines.append(
        "peak memory, T 5,000, H 512: " + ", ".join(f"{k} {v / 1e9:.2f} GB" for k, v in memory.items())
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
