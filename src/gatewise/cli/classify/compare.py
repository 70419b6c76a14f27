"""`gatewise compare`: RNN, GRU and LSTM side by side, equally tuned, beside two models that know no order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gatewise.cli.classify.reading import columns_for, describe, read_labelled
from gatewise.cli.options import build_config, comma_list, config_flags
from gatewise.cli.output import JsonFlag, Output
from gatewise.errors import UsageError
from gatewise.tasks.classify.config import TASK, ClassifyConfig
from gatewise.training.recipe_config import CELLS

Number = TypeVar("Number", int, float)


@config_flags(ClassifyConfig, without=("data", "validation_data", "features", "time", "cell", "seed"))
def compare(
    data: Annotated[str, typer.Argument(metavar="DATA", help="Labelled texts to train on.")],
    test: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="Labelled texts to measure on; nothing is chosen by them."),
    ] = None,
    cells: Annotated[
        str, typer.Option(metavar="A,B,…", help="What to compare; also stacks such as gru+lstm.")
    ] = ",".join(CELLS),
    sizes: Annotated[
        str | None,
        typer.Option(metavar="N,N,…", help="How many training texts; each part holds the smaller ones."),
    ] = None,
    learning_rates: Annotated[
        str | None,
        typer.Option(
            metavar="X,X,…", help="The grid for every cell; else half, once and twice --learning-rate."
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(metavar="N,N,…", help="The first one tunes, the others repeat.")
    ] = "0",
    log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep finished trainings here, and go on after an interruption."),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Options from a TOML file; flags override it."),
    ] = None,
    as_json: JsonFlag = False,
    *,
    flags: dict[str, Any],
) -> None:
    """Train every cell with every learning rate of one grid, and set them beside two baselines.

    The baselines are the most frequent label, and a linear model on bags of words. Learning rates are chosen on the
    validation part.

    Example: [bold]gatewise compare train.csv --test test.csv --sizes 200,1000,5000 --epochs 4[/bold]
    """
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.compare import compare as compare_cells

    out = Output(as_json)
    config = build_config(ClassifyConfig, config_file, flags | {"data": data}, task=TASK)
    training = read_labelled(data, config)
    if not isinstance(training, Texts):
        raise UsageError("compare reads texts; the options name features of numeric sequences")
    out.notes.print(describe(training))
    held_back = read_labelled(test, columns_for(test, config, {})) if test else None
    assert held_back is None or isinstance(held_back, Texts)
    if held_back is not None:
        out.notes.print(f"test: {describe(held_back)}")
    found = compare_cells(
        training,
        held_back,
        config=config,
        cells=comma_list(cells),
        sizes=_numbers("sizes", sizes, int) if sizes else None,
        learning_rates=_numbers("learning-rates", learning_rates, float) if learning_rates else None,
        seeds=_numbers("seeds", seeds, int),
        log=log,
    )
    out.text.print(found.to_markdown())
    out.result(found.to_dict())


def _numbers(flag: str, value: str, kind: Callable[[str], Number]) -> list[Number]:
    """`1,2,3` as numbers."""
    try:
        return [kind(part) for part in comma_list(value)]
    except ValueError:
        raise UsageError(f"--{flag} is {value!r}; it must be numbers with commas between them") from None
