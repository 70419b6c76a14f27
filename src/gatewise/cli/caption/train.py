"""`gatewise train caption`: a run from pictures with sentences in one call."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.caption.figures import print_figures
from gatewise.cli.options import build_config, config_flags
from gatewise.cli.output import JsonFlag, Output
from gatewise.errors import UsageError
from gatewise.tasks.caption.config import TASK, CaptionConfig

if TYPE_CHECKING:
    from gatewise.data.captions import Captions
    from gatewise.tasks.caption.fitted import FittedCaptioner

_PLACES = ("pictures", "captions", "validation_captions", "validation_pictures")


@config_flags(CaptionConfig, without=(*_PLACES, "video", "feature_size"))
def train(
    context: typer.Context,
    pictures: Annotated[
        str | None,
        typer.Argument(
            metavar="PICTURES", help="Folder of pictures, or of a folder of frames for each clip."
        ),
    ] = None,
    captions: Annotated[
        str | None,
        typer.Argument(
            metavar="CAPTIONS", help="Table with a row a sentence, or lines NAME#K, a tab, a sentence."
        ),
    ] = None,
    *,
    run: Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder for the trained run.")],
    valid: Annotated[
        str | None, typer.Option(metavar="DATA", help="A validation part of your own; else some is held out.")
    ] = None,
    valid_pictures: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="The pictures of --valid; else they are in PICTURES.")
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
    """Train a model that writes a sentence for a picture, or for a clip of frames.

    Pictures: [bold]gatewise train caption images captions.csv --out runs/seen[/bold]

    Clips, a folder of frames each: [bold]gatewise train caption clips captions.csv --out runs/moving[/bold]
    """
    given = dict(zip(_PLACES, (pictures, captions, valid, valid_pictures), strict=True))
    values = flags | {name: value for name, value in given.items() if value is not None}
    config = build_config(CaptionConfig, config_file, values, task=TASK)
    for name, what in (("pictures", "a folder of pictures"), ("captions", "a table with their sentences")):
        if not getattr(config, name):
            raise UsageError(f"{what} is missing (see gatewise train caption --help)")
    job = {"out": run, "overwrite": overwrite, "resume": resume, "tensorboard": tensorboard}
    job["command"] = shlex.join(["gatewise", *context.obj])
    out = Output(as_json)
    from gatewise.tasks.caption.recipe import train_captions, with_data_places
    from gatewise.training.device import pick_device
    from gatewise.training.distributed import Processes

    with Processes.current(pick_device(config.device)) as processes:
        say = out.text.print if processes.is_first else lambda text: None
        training = _read(config.pictures, config.captions, config)
        say(describe(training))
        validation = None
        if config.validation_captions:
            place = config.validation_pictures or config.pictures
            validation = _read(place, config.validation_captions, config)
            say(f"validation: {describe(validation)}")
        config = with_data_places(config, training)
        fitted = train_captions(training, config, validation=validation, **job)
    if processes.is_first:
        _print_result(fitted, run, out)


def _read(pictures: str, captions: str, config: CaptionConfig) -> Captions:
    from gatewise.data.captions import read_captions

    return read_captions(pictures, captions, image=config.image or None, caption=config.caption or None)


def describe(data: Captions) -> str:
    """One sentence on what was read."""
    what = "clips" if data.video else "pictures"
    return f"read {data.sentences:,} sentences on {len(data):,} {what} of {data.folder} from {data.source}"


def _print_result(fitted: FittedCaptioner, run: Path, out: Output) -> None:
    if "validation" in fitted.metrics:
        out.text.print("\nvalidation")
        print_figures(fitted.metrics["validation"], out.text)
    place, one = shlex.quote(str(run)), "CLIP_FOLDER" if fitted.config.video else "PICTURE"
    out.text.print(f"\nsaved in {run}; next:")
    out.text.print(f"  gatewise evaluate {place} PICTURES TEST_CAPTIONS")
    out.text.print(f"  gatewise predict {place} {one}")
    out.text.print(f"  gatewise explain {place} {one} --html seen.html")
    out.result({"run": str(run)} | fitted.metrics)
