"""`gatewise evaluate` for a language model: perplexity, and nats and bits a character."""

from __future__ import annotations

from typing import Annotated

import typer

from gatewise.cli.options import Device, RunFolder
from gatewise.cli.output import JsonFlag, Output

Window = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, help="Windows of N tokens from a zero state; 0: the state is carried throughout."
    ),
]


def evaluate(
    run: RunFolder,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A text file (also .gz), or a folder of them.")],
    window: Window = 0,
    streams: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Read so many pieces of the text side by side: faster, and a little off. 1 is exact.",
        ),
    ] = 1,
    cache: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="Also look back at N states: tokens that followed similar ones are likelier (Grave 2017); 0: off.",
        ),
    ] = 0,
    theta: Annotated[
        float,
        typer.Option("--cache-theta", metavar="X", help="How much more the most similar of them count."),
    ] = 0.3,
    share: Annotated[
        float,
        typer.Option("--cache-share", metavar="X", help="Share of the probability that the cache gives."),
    ] = 0.1,
    save: Annotated[
        bool,
        typer.Option("--save", help="Note the figures in the run's metrics and model card, as its test."),
    ] = False,
    device: Device = "auto",
    as_json: JsonFlag = False,
) -> None:
    """Perplexity of a language model on a text, in nats and in bits, over every token once.

    Example: [bold]gatewise evaluate runs/book test.txt[/bold]

    With a cache, whose two numbers are chosen on a validation text: [bold]gatewise evaluate runs/words test.txt
    --cache 500 --cache-theta 0.3 --cache-share 0.1[/bold]
    """
    from gatewise.tasks.generate.cache import Cache
    from gatewise.tasks.generate.card import sentence
    from gatewise.tasks.generate.corpus import read_part
    from gatewise.tasks.generate.fitted import load_fitted

    out = Output(as_json)
    fitted = load_fitted(run, device=device)
    looked_back = Cache(cache, theta, share) if cache else None
    part = read_part(data, raw=fitted.raw, column=fitted.config.text)
    figures = fitted.evaluate(part, window=window, streams=streams, cache=looked_back)
    out.text.print(sentence(figures))
    if save:
        fitted.note_test(run, figures)
        out.text.print(f"noted in {run}")
    out.result({"run": str(run)} | figures)
