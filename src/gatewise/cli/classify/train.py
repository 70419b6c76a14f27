"""`gatewise train classify`: a run from your data in one call."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.classify.figures import print_figures
from gatewise.cli.classify.reading import describe, read_labelled
from gatewise.cli.options import build_config, config_flags
from gatewise.cli.output import JsonFlag, Output
from gatewise.errors import UsageError
from gatewise.tasks.classify.config import TASK, ClassifyConfig

if TYPE_CHECKING:
    from gatewise.data.series import Series
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.fitted import FittedClassifier
    from gatewise.training.distributed import Processes


@config_flags(ClassifyConfig, without=("data", "validation_data", "language_model"))
def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="CSV, TSV or JSON lines (also .gz), or a folder for each label."),
    ] = None,
    *,
    run: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the trained run.")],
    valid: Annotated[
        str | None, typer.Option(metavar="DATA", help="A validation part of your own; else some is held out.")
    ] = None,
    language_model: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="LM_RUN",
            help="Begin with vocabulary, embedding and layers of a language model of bpe (gatewise train generate).",
        ),
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
    job = {"out": run, "overwrite": overwrite, "resume": resume, "tensorboard": tensorboard}
    job |= {"watch_gradients": watch_gradients, "command": shlex.join(["gatewise", *context.obj])}
    out = Output(as_json)
    with _processes(config) as processes:
        say = out.text.print if processes.is_first else lambda text: None
        training = read_labelled(config.data, config)
        say(describe(training))
        validation = read_labelled(config.validation_data, config) if config.validation_data else None
        if validation is not None:
            say(f"validation: {describe(validation)}")
        fitted = _fit(training, validation, config, **job)
    if processes.is_first:
        _print_result(fitted, config, run, out)


def _refuse_followed(flags: dict[str, Any]) -> None:
    """Options that follow the language model cannot be chosen."""
    from gatewise.tasks.classify.pretrained import FOLLOWED

    for name in FOLLOWED:
        if name in flags:
            raise UsageError(
                f"--{name.replace('_', '-')} is that of the language model; leave it out with --from"
            )


def _processes(config: ClassifyConfig) -> AbstractContextManager[Processes]:
    """This process alone, or those that torchrun has started."""
    from gatewise.training.device import pick_device
    from gatewise.training.distributed import Processes

    return Processes.current(pick_device(config.device))


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


def _print_result(fitted: FittedClassifier, config: ClassifyConfig, run: Path, out: Output) -> None:
    if "validation" in fitted.metrics:
        out.text.print("\nvalidation")
        print_figures(fitted.metrics["validation"], out.text)
    place = shlex.quote(str(run))
    out.text.print(f"\nsaved in {run}; next:")
    out.text.print(f"  gatewise evaluate {place} TEST_DATA")
    if not config.features:
        out.text.print(f'  gatewise explain {place} "a text of yours"')
        out.text.print(f'  gatewise predict {place} "a text of yours"')
    out.text.print(f"  gatewise predict {place} IN.csv --out OUT.csv")
    out.result({"run": str(run)} | fitted.metrics | {"temperature": fitted.temperature})
