"""`gatewise train translate`: a run from pairs of texts in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.options import build_config, config_flags
from gatewise.cli.output import JsonFlag, Output
from gatewise.cli.training import (
    ConfigFile,
    Out,
    OverwriteRun,
    Resume,
    TensorBoard,
    ValidationData,
    first_of,
    job_of,
    print_trained,
)
from gatewise.cli.translate.figures import print_figures
from gatewise.errors import UsageError
from gatewise.tasks.translate.config import TASK, TranslateConfig

if TYPE_CHECKING:
    from gatewise.data.pairs import Pairs

_PLACES = ("data", "target_data", "validation_data", "validation_target_data")
_NEXT = [
    "evaluate {} TEST_DATA",
    'predict {} "a text of yours"',
    "predict {} IN.txt --out OUT.txt",
]


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
    run: Out,
    valid: ValidationData = None,
    valid_targets: Annotated[
        str | None, typer.Option(metavar="FILE", help="The target of each line of --valid.")
    ] = None,
    config_file: ConfigFile = None,
    overwrite: OverwriteRun = False,
    resume: Resume = False,
    tensorboard: TensorBoard = False,
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
    job = job_of(context, run, overwrite=overwrite, resume=resume, tensorboard=tensorboard)
    out = Output(as_json)
    from gatewise.tasks.translate.recipe import train_pairs, with_data_places

    with first_of(config.device, out) as (is_first, say):
        training = _read(config.data, config.target_data, config)
        say(describe(training))
        validation = None
        if config.validation_data:
            validation = _read(config.validation_data, config.validation_target_data, config)
            say(f"validation: {describe(validation)}")
        config = with_data_places(config, training)
        fitted = train_pairs(training, config, validation=validation, **job)
    if is_first:
        print_trained(fitted.metrics, run, out, print_figures, _NEXT)


def _read(data: str, targets: str, config: TranslateConfig) -> Pairs:
    from gatewise.data.pairs import read_pairs

    return read_pairs(data, targets or None, source=config.source or None, target=config.target or None)


def describe(pairs: Pairs) -> str:
    """One sentence on what was read."""
    columns = f", columns {pairs.columns[0]!r} and {pairs.columns[1]!r}" if pairs.columns else ""
    return f"read {len(pairs):,} pairs from {pairs.source}{columns}"
