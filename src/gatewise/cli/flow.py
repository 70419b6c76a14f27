"""`gatewise flow`: which long lags RNN, GRU and LSTM learn, beside what the papers report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewise.cli.options import Device, comma_list
from gatewise.cli.output import JsonFlag, Output
from gatewise.errors import UsageError
from gatewise.files import new_file

if TYPE_CHECKING:
    from gatewise.tasks.long_lag import Trial

NAMES = (
    "reber, continual-reber, regular-100, irregular-100, lag-1000, adding-100, adding-500, adding-1000, order-2, "
    "order-3, copy-100"
)
"""The keys of `gatewise.tasks.long_lag.EXPERIMENTS`, said here so that help needs no torch."""

TRIALS, TABLE, PICTURE = "trials.jsonl", "table.md", "picture.svg"


def flow(
    experiments: Annotated[
        list[str] | None, typer.Argument(metavar="EXPERIMENT", help=f"Of {NAMES}. All without a name.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two short experiments with one seed, in under three minutes.")
    ] = False,
    cells: Annotated[str, typer.Option(metavar="A,B,…", help="Of rnn, irnn, gru, lstm.")] = "rnn,gru,lstm",
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N,N,…", help="Default 0,1,2,3,4; with --quick 0.", show_default=False),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where trials, table and picture go.")
    ] = Path("build/flow"),
    train: Annotated[
        bool, typer.Option("--train/--no-train", help="Without: only what was trained before.")
    ] = True,
    device: Device = "cpu",
    as_json: JsonFlag = False,
) -> None:
    """Train each cell on tasks whose answer lies far behind, among them those of Hochreiter & Schmidhuber 1997.

    Each finished trial is kept in FOLDER/trials.jsonl, and the same command again goes on after it.

    All experiments with five seeds take days on one core: name a few.

    Example: [bold]gatewise flow adding-100 order-2 --seeds 0,1,2[/bold]
    """
    from gatewise.tasks.long_lag import QUICK, chosen, study
    from gatewise.tasks.long_lag.picture import picture
    from gatewise.training.device import pick_device
    from gatewise.training.progress import reporter

    if quick and experiments:
        raise UsageError(f"--quick runs {', '.join(QUICK)}; it takes no names")
    out = Output(as_json)
    folder.mkdir(parents=True, exist_ok=True)
    found = study(
        list(QUICK.values()) if quick else chosen(experiments or []),
        cells=comma_list(cells),
        seeds=_seeds(seeds or ("0" if quick else "0,1,2,3,4")),
        log=folder / TRIALS,
        device=str(pick_device(device)),
        report=lambda: reporter("auto", out.notes),
        told=lambda trial: out.notes.print(_told(trial)),
        train=train,
    )
    if not found.trials:
        raise UsageError(f"{folder / TRIALS}: holds none of these trials; run again without --no-train")
    for name, text in ((TABLE, found.to_markdown()), (PICTURE, picture(found.trials))):
        with new_file(folder / name, overwrite=True) as stream:
            stream.write(text)
    out.text.print(found.to_markdown())
    out.text.print(f"how they learnt, as a picture: {folder / PICTURE}")
    out.result(found.to_dict() | {name.partition(".")[0]: str(folder / name) for name in (TABLE, PICTURE)})


def _told(trial: Trial) -> str:
    end = "learnt it" if trial.success else f"did not learn it ({trial.stopped})"
    return (
        f"{trial.experiment}, {trial.cell}, seed {trial.seed}: {end} in {trial.sequences:,} sequences, "
        f"{trial.wrong:,} of {trial.tested:,} wrong in the test, {trial.seconds:.0f} s"
    )


def _seeds(value: str) -> list[int]:
    try:
        return [int(part) for part in comma_list(value)]
    except ValueError:
        raise UsageError(f"--seeds is {value!r}; it must be whole numbers with commas between them") from None
