"""`gatewise inspect`: what the recurrent layers of somebody's own torch.nn model wrote, kept and forgot."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from gatewise.cli.html_page import HtmlPage
from gatewise.cli.options import Overwrite, comma_list
from gatewise.cli.output import JsonFlag, Output
from gatewise.data.lines import read_lines
from gatewise.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gatewise.memory import CallTrace, Readout, Trace
    from gatewise.reports.page import Page

    Inputs = tuple[Tensor, ...] | dict[str, Tensor]

STRONGEST = 10
"""Steps in the terminal's table."""
MOST_VARIABLES = 64
"""Inputs of a layer that are taken for variables without having been named."""


def inspect(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE.MODULE:FUNCTION",
            help="Returns the model when called without arguments. Importing its module runs that code.",
        ),
    ],
    inputs: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Safetensors, a tensor for each argument of forward; x is the first."
        ),
    ],
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Safetensors with the model's state_dict.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="INDEX|MODULE:FUNCTION",
            help="The answer to be taken apart: an output, or a function from what the model returns to one number a "
            "row.",
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="PATH", help="The recurrent module, where the model has several.")
    ] = None,
    row: Annotated[int, typer.Option(metavar="N", help="Of the batch, counted from 0.")] = 0,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The words of the row, one a line.")
    ] = None,
    times: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The times of the row's steps, one a line.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Names of the layer's input variables.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write one self-contained HTML page.")
    ] = None,
    overwrite: Overwrite = False,
    as_json: JsonFlag = False,
) -> None:
    """Open your own PyTorch model as it is: its LSTM, GRU or RNN layers, and what they did with one sequence.

    With --target all pushes, the initial state and a constant add up to the model's answer.

    It runs your code: the module that is named is imported, from the current folder too, and the model is called once.

    Example: [bold]gatewise inspect mymodel:build_model --weights model.safetensors --inputs batch.safetensors
    --target 1 --out report.html[/bold]
    """
    from gatewise.cli.own_model import build_model, current_folder, fill_model, read_inputs
    from gatewise.cli.safe_tensors import PickledError
    from gatewise.reports.report import report

    out = Output(as_json)
    if features is not None and target is None:
        raise UsageError(
            "--features divides the pushes, which take an answer to push: name one with --target"
        )
    page = HtmlPage(html, overwrite, out)
    names = _lines(labels), _lines(times)
    with current_folder():
        try:
            built = build_model(model)
            if weights is not None:
                fill_model(built, weights)
            given = read_inputs(built, inputs)
        except PickledError as error:
            out.notes.print(error.lines)
            raise
        if weights is None:
            out.notes.print("note: no --weights were given, so the model is as its function returned it")
        seen, readout = _run(built, given, target, at)
    variables = comma_list(features) if features else _own_variables(readout, given)
    made = report(readout or seen, *names, features=variables, row=row, at=at)
    command = ("command", shlex.join(["gatewise", *context.obj]))
    made = replace(made, page=replace(made.page, facts=[*made.page.facts, command]))
    page.write(lambda: made.html)
    _print(made.page, seen, out)
    out.result(_result(made.page) | page.result)


def _lines(path: Path | None) -> list[str] | None:
    return None if path is None else [line.rstrip("\r\n") for _, line in read_lines(path)]


def _run(
    model: nn.Module, inputs: Inputs, target: str | None, at: str | None
) -> tuple[Trace | CallTrace, Readout | None]:
    """The model's one call: what was seen of it, and, with a target, how its answer reads the layer."""
    import torch

    from gatewise.cli.own_model import foreign_code
    from gatewise.memory import readout, record

    chosen = None if target is None else _target(target)
    with foreign_code(f"{type(model).__name__} failed on these inputs"):
        if chosen is not None:
            found = readout(model, inputs, chosen, at)
            return found.traces, found
        with torch.no_grad(), record(model) as trace:
            model(**inputs) if isinstance(inputs, dict) else model(*inputs)
        return trace, None


def _target(text: str) -> int | Callable[[Any], Any]:
    """The index, or the function whose own faults are told apart from the model's."""
    from gatewise.cli.own_model import find_named, foreign_code

    if text.lstrip("+-").isdecimal():
        return int(text)
    function = find_named(text)
    if not callable(function):
        raise UsageError(
            f"{text} is a {type(function).__name__}; a function of what the model returns is needed"
        )

    def answer(output: Any) -> Any:
        with foreign_code(f"{text} failed on what the model returned"):
            return function(output)

    return answer


def _own_variables(readout: Readout | None, inputs: Inputs) -> list[str] | None:
    """Names for the variables of a layer that reads one of the model's inputs as it is; else None."""
    if readout is None or 0 not in readout.weights or readout.x.shape[2] > MOST_VARIABLES:
        return None
    x = readout.x
    for given in inputs.values() if isinstance(inputs, dict) else inputs:
        batched = given[:, None] if given.dim() == 2 else given
        forms = (batched, batched.transpose(0, 1)) if batched.dim() == 3 else ()  # time first, batch first
        if any(form.shape == x.shape and bool((form == x).all()) for form in forms):
            return [f"variable {k + 1}" for k in range(x.shape[2])]
    return None


def _print(page: Page, seen: Trace | CallTrace, out: Output) -> None:
    """The layers in a table, what the first one's gates did, the strongest steps, and the sum."""
    from gatewise.memory import Trace
    from gatewise.memory.summary import text
    from gatewise.reports.sentences import gate_sentences, held_sentence, sum_text

    say = out.text.print
    say(text(seen.layers() if isinstance(seen, Trace) else list(seen.values())))
    for caution in page.cautions:
        say(f"caution: {caution}")
    first = page.layers[0]
    say(f"\n{first.name}, row {dict(page.facts)['row']}")
    for sentence in gate_sentences(first, page.words, page.unit):
        say(f"  {sentence}")
    held = held_sentence(page.words, page.unit, "what is read" if page.terms else "the memory at the end")
    if held:
        say(f"  {held}\n")
        say(_strongest(page))
    if page.terms:
        say("\n" + sum_text(page.terms, page.residual))


def _strongest(page: Page) -> Table:
    """The steps of the largest push, or of the most held where there is no push, in their order."""
    has_push = bool(page.terms)
    sizes = [abs(word.push) if has_push else word.held for word in page.words]
    chosen = sorted(sorted(range(len(sizes)), key=lambda t: -sizes[t])[:STRONGEST])
    what = (
        f"the {len(chosen)} of {len(sizes)} {page.unit}s " + ("that pushed" if has_push else "held") + " most"
    )
    table = Table(box=None, pad_edge=False, header_style="", title=what, title_justify="left", title_style="")
    for name in ("#", "held", *(["push"] if has_push else [])):
        table.add_column(name, justify="right")
    table.add_column(page.unit, no_wrap=True, max_width=28, overflow="ellipsis")
    for t in chosen:
        word = page.words[t]
        numbers = [str(t + 1), f"{word.held:.1%}", *([f"{word.push:+.4f}"] if has_push else [])]
        table.add_row(*numbers, Text(word.text))
    return table


def _result(page: Page) -> dict[str, Any]:
    return {**page.download, "cautions": list(page.cautions), "limits": list(page.limits)}
