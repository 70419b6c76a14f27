"""`gatewise train caption`: a run from pictures with sentences in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.caption.figures import print_figures
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
from gatewise.tasks.caption.config import TASK, CaptionConfig

if TYPE_CHECKING:
    from gatewise.data.captions import Captions

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
    run: Out,
    valid: ValidationData = None,
    valid_pictures: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="The pictures of --valid; else they are in PICTURES.")
    ] = None,
    config_file: ConfigFile = None,
    overwrite: OverwriteRun = False,
    resume: Resume = False,
    tensorboard: TensorBoard = False,
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
    job = job_of(context, run, overwrite=overwrite, resume=resume, tensorboard=tensorboard)
    out = Output(as_json)
    from gatewise.tasks.caption.recipe import train_captions, with_data_places

    with first_of(config.device, out) as (is_first, say):
        training = _read(config.pictures, config.captions, config)
        say(describe(training))
        validation = None
        if config.validation_captions:
            place = config.validation_pictures or config.pictures
            validation = _read(place, config.validation_captions, config)
            say(f"validation: {describe(validation)}")
        config = with_data_places(config, training)
        fitted = train_captions(training, config, validation=validation, **job)
    if is_first:
        one = "CLIP_FOLDER" if config.video else "PICTURE"
        following = [
            "evaluate {} PICTURES TEST_CAPTIONS",
            f"predict {{}} {one}",
            f"explain {{}} {one} --html seen.html",
        ]
        print_trained(fitted.metrics, run, out, print_figures, following)


def _read(pictures: str, captions: str, config: CaptionConfig) -> Captions:
    from gatewise.data.captions import read_captions

    return read_captions(pictures, captions, image=config.image or None, caption=config.caption or None)


def describe(data: Captions) -> str:
    """One sentence on what was read."""
    what = "clips" if data.video else "pictures"
    return f"read {data.sentences:,} sentences on {len(data):,} {what} of {data.folder} from {data.source}"
