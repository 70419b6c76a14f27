"""The model card of a caption run: what it was made from, what it can do, and what its figures do not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.decoding.card import likelihood, scored
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.training.card import (
    code,
    data_lines,
    figure_lines,
    how_it_was_trained,
    section,
    what_figures_hide,
)


def model_card(config: CaptionConfig, metrics: Mapping[str, Any]) -> str:
    """The card as Markdown, from the options and what `metrics.json` holds."""
    what = "clips" if config.video else "pictures"

    def described(part: Mapping[str, Any]) -> str:
        return f"{part['examples']:,} {what} with {part['sentences']:,} sentences"

    parts = [
        f"# {config.cell.upper()} that tells what {'a clip' if config.video else 'a picture'} shows",
        "",
        _what(config),
        *section("Data", data_lines(metrics, described, hashed=f"sentences and {what}")),
        *section("Figures", figure_lines(metrics, _figures)),
        *section("Limits", _limits(metrics)),
        *section("How it was trained", how_it_was_trained(config, metrics)),
    ]
    return "\n".join(parts) + "\n"


def _what(config: CaptionConfig) -> str:
    if config.blind:
        seen = "It sees nothing: it is there to be compared with one that does."
    elif config.features:
        seen = f"It sees the frozen features of {code(config.features)}."
    else:
        seen = (
            f"It sees pictures of {config.picture_size} × {config.picture_size} pixels through a small convolutional "
            f"network trained along, as {config.grid} × {config.grid} cells."
        )
    read = f" A {config.cell.upper()} reads up to {config.frames} frames of a clip." if config.video else ""
    return (
        f"Trained with Gatewise. It writes a sentence with {config.cell.upper()} layers of {config.hidden_size} units "
        f"and {config.attention.capitalize()} attention. {seen}{read}"
    )


def _figures(part: str, figures: Mapping[str, Any]) -> list[str]:
    return [
        f"- {part.capitalize()}, {figures['examples']:,} with {figures['sentences']:,} sentences: "
        f"{likelihood(figures)}; {figures['exact']:.2%} written exactly as one of theirs{scored(figures)}"
    ]


def _limits(metrics: Mapping[str, Any]) -> list[str]:
    return [
        "- It writes what sentences of its training pictures say. Of others it may write what is fluent and wrong, and "
        "nothing in its answer will show it; it also learned whatever those sentences presume about people.",
        "- Set its loss beside that of a run with `--blind`: only what is below that comes from seeing.",
        *what_figures_hide(metrics),
    ]
