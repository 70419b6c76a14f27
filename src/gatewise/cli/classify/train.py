"""`gatewise train classify`: a run from your data in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.classify.figures import print_figures
from gatewise.cli.classify.reading import describe, read_labelled
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
from gatewise.errors import UsageError
from gatewise.tasks.classify.config import TASK, ClassifyConfig

if TYPE_CHECKING:
    from gatewise.data.series import Series
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.fitted import FittedClassifier


@config_flags(ClassifyConfig, without=("data", "validation_data", "language_model"))
def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="CSV, TSV or JSON lines (also .gz), or a folder for each label."),
    ] = None,
    *,
    run: Out,
    valid: ValidationData = None,
    language_model: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="LM_RUN",
            help="Begin with vocabulary, embedding and layers of a language model of bpe (gatewise train generate).",
        ),
    ] = None,
    config_file: ConfigFile = None,
    overwrite: OverwriteRun = False,
    resume: Resume = False,
    tensorboard: TensorBoard = False,
    watch_gradients: Annotated[
        int,
        typer.Option(metavar="N", help="Measure every N steps how far back gradients reach; 0 = off.", min=0),
    ] = 0,
    as_json: JsonFlag = False,
    flags: dict[str, Any],
) -> None:
    """Train a classifier of texts, or of numeric sequences when --features is given.

    Texts: [bold]gatewise train classify reviews.csv --text review --label sentiment --out runs/reviews[/bold]

    Numbers: [bold]gatewise train classify beats.csv --id patient --time second --features ecg,spo2 --label rhythm
    --out runs/beats[/bold]

    After a crash: the same command with --resume goes on from the last checkpoint, bit for bit.

    From a language model of bpe (Dai & Le 2015): [bold]gatewise train classify reviews.csv --from runs/texts
    --out runs/reviews[/bold]

    Again, exactly: [bold]gatewise train classify --config runs/reviews/config.toml --out runs/again[/bold]
    """
    named = {"data": data, "validation_data": valid, "language_model": language_model}
    values = flags | {name: value for name, value in named.items() if value is not None}
    config = build_config(ClassifyConfig, config_file, values, task=TASK)
    if config.language_model:
        _refuse_followed(flags)
    if not config.data:
        raise UsageError(
            "there is no training data: name a file or folder (see gatewise train classify --help)"
        )
    job = job_of(context, run, overwrite=overwrite, resume=resume, tensorboard=tensorboard)
    job["watch_gradients"] = watch_gradients
    out = Output(as_json)
    with first_of(config.device, out) as (is_first, say):
        training = read_labelled(config.data, config)
        say(describe(training))
        validation = read_labelled(config.validation_data, config) if config.validation_data else None
        if validation is not None:
            say(f"validation: {describe(validation)}")
        fitted = _fit(training, validation, config, **job)
    if is_first:
        metrics = fitted.metrics | {"temperature": fitted.temperature}
        texts = [] if config.features else ['explain {} "a text of yours"', 'predict {} "a text of yours"']
        following = ["evaluate {} TEST_DATA", *texts, "predict {} IN.csv --out OUT.csv"]
        print_trained(metrics, run, out, print_figures, following)


def _refuse_followed(flags: dict[str, Any]) -> None:
    """Options that follow the language model cannot be chosen."""
    from gatewise.tasks.classify.pretrained import FOLLOWED

    for name in FOLLOWED:
        if name in flags:
            raise UsageError(
                f"--{name.replace('_', '-')} is that of the language model; leave it out with --from"
            )


def _fit(
    training: Texts | Series,
    validation: Texts | Series | None,
    config: ClassifyConfig,
    **job: Any,
) -> FittedClassifier:
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify import recipe

    fit = recipe.train_texts if isinstance(training, Texts) else recipe.train_series
    config = recipe.with_data_columns(config, training)
    return fit(training, config, validation=validation, **job)  # type: ignore[arg-type]
