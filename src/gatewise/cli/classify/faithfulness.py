"""`gatewise faithfulness`: do the words that a ranking puts first carry a run's answers?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli.classify.reading import columns_for, describe, read_labelled, read_unlabelled
from gatewise.cli.options import Device, IdColumn, LabelColumn, RunFolder, TextColumn, comma_list
from gatewise.cli.output import JsonFlag, Output
from gatewise.errors import GatewiseError
from gatewise.files import new_file

if TYPE_CHECKING:
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.fitted import FittedClassifier

LOG, TABLE, PICTURE, FIGURES = "texts.jsonl", "table.md", "curves.svg", "figures.json"
NAMES = (
    "push, beta, gamma, cd, lrp, ig, occlusion, leave one out, linear model, last words, first words, "
    "random words"
)
"""`gatewise.tasks.classify.faithfulness.RANKINGS`, said here so that help needs no torch."""


def faithfulness(
    run: RunFolder,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Texts that the run was not trained on.")],
    texts: Annotated[int, typer.Option(metavar="N", help="How many of them, drawn by the seed.")] = 500,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the texts and of the random words.")] = 0,
    rankings: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help=f"Of {NAMES}. All without; random words are always there."),
    ] = None,
    draws: Annotated[int, typer.Option(metavar="N", help="Random rankings a text.")] = 10,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Labelled texts for the linear model; else those of the run's training, where they are "
            "as they were.",
        ),
    ] = None,
    text: TextColumn = None,
    label: LabelColumn = None,
    id: IdColumn = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Keep texts, table, picture and figures here."),
    ] = None,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Take the words out of texts that each ranking puts first, let the run read again, and see what its answers lose.

    Rankings are the methods of attribution that the run allows, and what they must beat: random words, the first, the
    last, and those that a linear model on bags of words would choose. Finished texts are kept in FOLDER, and the same
    command again goes on after them.

    Example: [bold]gatewise faithfulness runs/reviews test.csv --texts 100 --out build/faithfulness[/bold]
    """
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.faithfulness import RANKINGS
    from gatewise.tasks.classify.faithfulness import faithfulness as study
    from gatewise.tasks.classify.faithfulness.picture import picture
    from gatewise.tasks.classify.faithfulness.rankings import LINEAR
    from gatewise.tasks.classify.faithfulness.study import text_encoder
    from gatewise.tasks.classify.fitted import load_fitted

    out = Output(as_json)
    fitted = load_fitted(run, device=device)
    columns = {"text": text, "label": label, "id": id}
    text_encoder(fitted)  # refuses a run of numeric sequences before anything is read
    read = read_unlabelled(data, columns_for(data, fitted.config, columns))
    assert isinstance(read, Texts)
    out.notes.print(describe(read))
    names = RANKINGS if rankings is None else comma_list(rankings)
    labelled = _training(fitted, train, columns, out) if LINEAR in names else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    found = study(
        fitted,
        read,
        texts=texts,
        seed=seed,
        rankings=names,
        draws=draws,
        train=labelled,
        log=folder / LOG if folder else None,
        told=lambda done, of: out.notes.print(f"{done:,} of {of:,} texts"),
    )
    values: dict[str, Any] = {"run": str(run)} | found.to_dict()
    if folder:
        figures = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        for name, written in (
            (TABLE, found.to_markdown()),
            (PICTURE, picture(found)),
            (FIGURES, figures),
        ):
            with new_file(folder / name, overwrite=True) as stream:
                stream.write(written)
    out.text.print(found.to_markdown())
    if folder:
        out.text.print(f"the curves as a picture: {folder / PICTURE}")
        values |= {Path(name).stem: str(folder / name) for name in (TABLE, PICTURE)}
    out.result(values)


def _training(
    fitted: FittedClassifier, given: Path | None, columns: dict[str, str | None], out: Output
) -> Texts | None:
    """The texts for the linear model: those of the call, else those that the run was trained on, else none."""
    from gatewise.data.texts import Texts
    from gatewise.tasks.classify.faithfulness.study import trained_on

    if given:
        read = read_labelled(given, columns_for(given, fitted.config, columns))
        assert isinstance(read, Texts)  # as is the data
        return read
    try:
        read = read_labelled(fitted.config.data, fitted.config)
    except GatewiseError as error:
        out.notes.print(f"the texts of the training cannot be read, so there is no linear model: {error}")
        return None
    if isinstance(read, Texts) and read.sha256 == trained_on(fitted):
        return read
    out.notes.print(f"{read.source} is not as it was at the training, so there is no linear model")
    return None
