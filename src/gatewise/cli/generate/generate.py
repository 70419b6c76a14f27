"""`gatewise generate`: text from a language model, as it is written."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TextIO

import typer

from gatewise.cli.options import Device, Overwrite, RunFolder
from gatewise.cli.output import JsonFlag, Output
from gatewise.files import check_target, new_file
from gatewise.shown import printable


def generate(
    run: RunFolder,
    prompt: Annotated[
        str, typer.Option(metavar="TEXT", help="What is continued; else the text begins with a new line.")
    ] = "",
    length: Annotated[int, typer.Option(metavar="N", min=0, help="Tokens to write.")] = 500,
    temperature: Annotated[
        float,
        typer.Option(metavar="X", help="Below 1 keeps to what is likely, above 1 strays; 0 never draws."),
    ] = 1.0,
    top_k: Annotated[
        int, typer.Option("--top-k", metavar="N", help="Draw from the N likeliest tokens; 0 = all.")
    ] = 0,
    top_p: Annotated[
        float,
        typer.Option(
            "--top-p", metavar="P", help="Draw from the fewest likeliest tokens that have P together."
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the draws: the same one, the same text.")] = 0,
    stream: Annotated[bool, typer.Option("--stream", help="Print each character as it is written.")] = False,
    target: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Also write prompt and text to a file.")
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Continue a text with a language model, token by token.

    What would move the cursor of a terminal is shown as U+FFFD; --out and --json have it as it is.

    Example: [bold]gatewise generate runs/book --prompt "It was a dark" --temperature 0.8 --stream[/bold]
    """
    from gatewise.tasks.generate.fitted import load_fitted
    from gatewise.tasks.generate.writing import read_prompt

    out = Output(as_json)
    if target is not None:
        check_target(target, overwrite)
    fitted = load_fitted(run, device=device)
    for note in read_prompt(fitted.vocabulary, prompt).notes:
        out.notes.print(f"note: {note}")
    started = time.perf_counter()
    pieces = fitted.write(prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    console = sys.stderr if as_json else sys.stdout
    text = "".join(_shown(prompt, pieces, console) if stream else pieces)
    seconds = time.perf_counter() - started
    if not stream:
        print(_safe(prompt + text), file=console)
    if target is not None:
        with new_file(target, overwrite=overwrite) as file:
            file.write(prompt + text)
        out.notes.print(f"wrote {target}")
    out.result(
        {"run": str(run), "prompt": prompt, "text": text, "tokens": length, "seed": seed, "seconds": seconds}
    )


def _shown(prompt: str, pieces: Iterator[str], console: TextIO) -> Iterator[str]:
    """The pieces, each printed on its way."""
    print(_safe(prompt), end="", flush=True, file=console)
    for piece in pieces:
        print(_safe(piece), end="", flush=True, file=console)
        yield piece
    print(file=console)


def _safe(text: str) -> str:
    """`text` with its lines and tabs, and nothing else that a terminal would obey."""
    return "".join(one if one in "\n\t" else printable(one) for one in text)
