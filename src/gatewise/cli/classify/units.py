"""`gatewise units`: the units of a run that track the label, and the words that move them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from gatewise.cli.classify.answers import check_known
from gatewise.cli.classify.reading import columns_for, describe, read_labelled
from gatewise.cli.options import Device, IdColumn, LabelColumn, RunFolder, TextColumn
from gatewise.cli.output import JsonFlag, Output
from gatewise.errors import UsageError

if TYPE_CHECKING:
    from gatewise.memory import Neighbour, Probe
    from gatewise.tasks.classify.units import Moved, TrackingUnit, Units


def units(
    run: RunFolder,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Labelled data that the run was not trained on.")
    ],
    count: Annotated[int, typer.Option(metavar="N", help="Units to be shown.")] = 5,
    words: Annotated[int, typer.Option(metavar="N", help="Words to be shown for each unit, each way.")] = 6,
    state: Annotated[
        str | None,
        typer.Option(metavar="c|h", help="What is looked at; else c of an LSTM, h of the others."),
    ] = None,
    near: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Also show where in DATA the memory was nearest to that after this text."
        ),
    ] = None,
    permutations: Annotated[int, typer.Option(metavar="N", help="Deals of the labels behind p.")] = 1000,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the deals and of the probe's split.")] = 0,
    text: TextColumn = None,
    label: LabelColumn = None,
    id: IdColumn = None,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Find the units of a run's top layer that track the label, and the words at which their state rises and falls.

    Each input stands for a unit's state after its last step. p is corrected for the number of units. A linear probe of
    all units and one of the best unit alone say how much of the label can be read there (needs scikit-learn).

    Example: [bold]gatewise units runs/reviews test.csv[/bold]
    """
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.fitted import load_fitted
    from gatewise.tasks.classify.near import nearest_states
    from gatewise.tasks.classify.units import find_units

    out = Output(as_json)
    fitted = load_fitted(run, device=device)
    columns = {"text": text, "label": label, "id": id}
    labelled = read_labelled(data, columns_for(data, fitted.config, columns))
    out.text.print(describe(labelled))
    found = find_units(
        fitted, labelled, count=count, words=words, state=state, permutations=permutations, seed=seed
    )
    for note in found.notes:
        out.text.print(f"note: {note}")
    _print(found, out)
    result = {"run": str(run)} | found.to_dict()
    if near is not None:
        if not isinstance(labelled, Texts):
            raise UsageError("--near takes a text, and this run reads numeric sequences")
        check_known(fitted, near)
        neighbours = nearest_states(fitted, labelled, near, state=state)
        _print_near(neighbours, near, labelled.ids, out)
        result["near"] = [one._asdict() | {"id": labelled.ids[one.sequence]} for one in neighbours]
    out.result(result)


def _print(found: Units, out: Output) -> None:
    tracking, say = found.tracking, out.text.print
    say(
        f"\nof {len(tracking.p):,} units of the top layer ({found.state} after the last step, "
        f"{tracking.sequences:,} examples) these track the label most:"
    )
    for unit in found.units:
        say(f"\n{_name(unit)}  {_facts(unit, tracking.measure)}")
        for verb, moved in (("rises", unit.raised_by), ("falls", unit.lowered_by)):
            if moved:
                say(f"  {verb} at {_words(moved)}")
    say("\n" + _probe_sentence(found.probe))


def _name(unit: TrackingUnit) -> str:
    return f"unit {unit.unit}" + (", reverse" if unit.direction == "reverse" else "")


def _facts(unit: TrackingUnit, measure: str) -> str:
    facts = [f"{measure} {unit.correlation:+.3f}, p {unit.p:.4f}, larger for {unit.label}"]
    if unit.half_life is not None:
        facts.append(f"half-life {unit.half_life:.1f} steps")
    return ", ".join(facts)


def _words(moved: list[Moved]) -> str:
    return ", ".join(f"{one.word} {one.change:+.2f} ({one.times:,})" for one in moved)


def _probe_sentence(probe: Probe | None) -> str:
    if probe is None:
        return "no probe: scikit-learn is not installed (pip install 'gatewise[probes]')"
    return (
        f"{probe.measure} of a linear probe on {probe.held_out:,} of {probe.held_out + probe.training:,} examples: all "
        f"units {probe.score:.4f}, one unit alone {probe.one_unit:.4f}, most frequent label {probe.majority:.4f}, "
        f"labels shuffled {probe.shuffled:.4f}"
    )


def _print_near(found: list[Neighbour], text: str, ids: list[str], out: Output) -> None:
    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("distance", "step"):
        table.add_column(name, justify="right")
    for name in ("label", "id", "around"):
        table.add_column(name, no_wrap=name != "around")
    for one in found:
        cells = (str(one.label), ids[one.sequence], one.context)
        table.add_row(f"{one.distance:.4f}", str(one.step + 1), *map(Text, cells))
    out.text.print("\nnearest to the memory after", repr(text))
    out.text.print(table)
