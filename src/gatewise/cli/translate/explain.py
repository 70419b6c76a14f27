"""`gatewise explain` of a translator: where it looked, and what was in memory when it wrote each word."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gatewise.cli.html_page import Html, HtmlPage
from gatewise.cli.options import Device, Overwrite, RunFolder
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.searching import Beams, CoveragePenalty, LengthPenalty, searching
from gatewise.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatewise.reports.page import Word
    from gatewise.tasks.translate.explanation import TranslationExplanation

NAMED = 2
"""Words that are named for each token."""


def explain(
    context: typer.Context,
    run: RunFolder,
    given: Annotated[str, typer.Argument(metavar="INPUT", help="The source, a text.")],
    target: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Explain this target; else the one that the search finds."),
    ] = None,
    html: Html = None,
    beams: Beams = None,
    length_penalty: LengthPenalty = None,
    coverage_penalty: CoveragePenalty = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Show for each written word where the run looked, what was in its memory, and what both pushed.

    A push is toward the word and away from its strongest rival. Pushes and biases add up to the
    difference of the two logits.

    Example: [bold]gatewise explain runs/de-en "Ein Hund läuft durch den Schnee." --html why.html[/bold]
    """
    from gatewise.tasks.translate.fitted import load_fitted

    out = Output(as_json)
    page = HtmlPage(html, overwrite, out)
    how = searching(beams, length_penalty, coverage_penalty)
    if target is not None and how:
        raise UsageError("with --target nothing is searched: leave out --beams and the penalties")
    fitted = load_fitted(run, device=device)
    told = fitted.explain(given, target, command=shlex.join(["gatewise", *context.obj]), **how)
    page.write(told.to_html)
    _print(told, out.text)
    out.result(told.to_dict() | page.result)


def _print(told: TranslationExplanation, console: Console) -> None:
    console.print(
        f"{'given' if told.given else 'written'}: {told.target}   (log P {told.log_probability:.3f})"
    )
    for other in told.candidates[1:]:
        console.print(f"     or: {other.text}   (log P {other.log_probability:.3f})")
    for note in told.notes:
        console.print(f"note: {note}")
    console.print()
    console.print(_table(told))
    worst = max(abs(step.residual) for step in told.steps)
    console.print(f"\nEach row's pushes and biases sum to its margin; residual {worst:.1e} at most.")


def _table(told: TranslationExplanation) -> Table:
    """A row a token: what was read most, and what pushed most either way."""
    from gatewise.tasks.translate.page import earlier_of, names, source_of, source_words, sums

    table = Table(box=None, pad_edge=False, header_style="")
    for title in ("token", "", "rival", ""):
        table.add_column(title, no_wrap=True, justify="right" if not title else "left")
    table.add_column("margin", justify="right")
    for title in ("looked at", "source pushed", *(["written before pushed"] if told.has_ledger else [])):
        table.add_column(title)
    read = [text for text, _ in source_words(told)]
    for t, step in enumerate(told.steps):
        token, rival = names(step)
        looked = sorted(zip(sums(step.attention, told.source_words), read, strict=True), reverse=True)[:NAMED]
        earlier = [_strongest(earlier_of(told, t))] if told.has_ledger else []
        table.add_row(
            Text(token), f"{step.probability:.1%}", Text(rival), f"{step.rival_probability:.1%}", f"{step.margin:+.2f}",
            Text(", ".join(f"{word} {weight:.0%}" for weight, word in looked)),
            _strongest(source_of(told, t)), *earlier,
        )  # fmt: skip
    return table


def _strongest(words: Sequence[Word]) -> Text:
    found = sorted(words, key=lambda word: -abs(word.push))[:NAMED]
    return Text(", ".join(f"{word.text} {word.push:+.2f}" for word in found))
