"""`gatewise train translate`: a run from pairs of texts in one call."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.options import build_config, config_flags
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.translate.figures import print_figures
from gatewise.errors import UsageError
from gatewise.tasks.translate.config import TASK, TranslateConfig

if TYPE_CHECKING:
    from gatewise.data.pairs import Pairs
    from gatewise.tasks.translate.fitted import FittedTranslator

_PLACES = ("data", "target_data", "validation_data", "validation_target_data")


@config_flags(TranslateConfig, without=_PLACES)
def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", help="CSV, TSV or JSON lines with pairs (also .gz), or lines of sources."
        ),
    ] = None,
    targets: Annotated[
        str | None, typer.Argument(metavar="[TARGETS]", help="A file with the target of each line of DATA.")
    ] = None,
    *,
    run: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the trained run.")],
    valid: Annotated[
        str | None, typer.Option(metavar="DATA", help="A validation part of your own; else some is held out.")
    ] = None,
    valid_targets: Annotated[
        str | None, typer.Option(metavar="FILE", help="The target of each line of --valid.")
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Options from a TOML file; flags override it."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run at RUN.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with a training that was killed; begin where there is none."),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write event files, into RUN/tensorboard.")
    ] = False,
    as_json: JsonFlag = False,
    flags: dict[str, Any],
) -> None:
    """Train a model that writes a text for a text: translations, summaries, other spellings.

    Two files: [bold]gatewise train translate train.de train.en --out runs/de-en[/bold]

    A table: [bold]gatewise train translate pairs.tsv --source question --target answer --out runs/answers[/bold]
    """
    given = dict(zip(_PLACES, (data, targets, valid, valid_targets), strict=True))
    values = flags | {name: value for name, value in given.items() if value is not None}
    config = build_config(TranslateConfig, config_file, values, task=TASK)
    if not config.data:
        raise UsageError("there is no training data: name a file (see gatewise train translate --help)")
    job = {"out": run, "overwrite": overwrite, "resume": resume, "tensorboard": tensorboard}
    job["command"] = shlex.join(["gatewise", *context.obj])
    out = Output(as_json)
    from gatewise.tasks.translate.recipe import train_pairs, with_data_places
    from gatewise.training.device import pick_device
    from gatewise.training.distributed import Processes

    with Processes.current(pick_device(config.device)) as processes:
        say = out.text.print if processes.is_first else lambda text: None
        training = _read(config.data, config.target_data, config)
        say(describe(training))
        validation = None
        if config.validation_data:
            validation = _read(config.validation_data, config.validation_target_data, config)
            say(f"validation: {describe(validation)}")
        config = with_data_places(config, training)
        fitted = train_pairs(training, config, validation=validation, **job)
    if processes.is_first:
        _print_result(fitted, run, out)


def _read(data: str, targets: str, config: TranslateConfig) -> Pairs:
    from gatewise.data.pairs import read_pairs

    return read_pairs(data, targets or None, source=config.source or None, target=config.target or None)


def describe(pairs: Pairs) -> str:
    """One sentence on what was read."""
    columns = f", columns {pairs.columns[0]!r} and {pairs.columns[1]!r}" if pairs.columns else ""
    return f"read {len(pairs):,} pairs from {pairs.source}{columns}"


def _print_result(fitted: FittedTranslator, run: Path, out: Output) -> None:
    if "validation" in fitted.metrics:
        out.text.print("\nvalidation")
        print_figures(fitted.metrics["validation"], out.text)
    place = shlex.quote(str(run))
    out.text.print(f"\nsaved in {run}; next:")
    out.text.print(f"  gatewise evaluate {place} TEST_DATA")
    out.text.print(f'  gatewise predict {place} "a text of yours"')
    out.text.print(f"  gatewise predict {place} IN.txt --out OUT.txt")
    out.result({"run": str(run)} | fitted.metrics)
