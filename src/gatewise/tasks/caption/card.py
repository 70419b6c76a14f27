"""The model card of a caption run: what it was made from, what it can do, and what its figures do not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.tasks.caption.config import CaptionConfig
from gatewise.training.card import code, escape, how_it_was_trained, section


def model_card(config: CaptionConfig, metrics: Mapping[str, Any]) -> str:
    """The card as Markdown, from the options and what `metrics.json` holds."""
    parts = [
        f"# {config.cell.upper()} that tells what {'a clip' if config.video else 'a picture'} shows",
        "",
        _what(config),
        *section("Data", _data(config, metrics)),
        *section("Figures", _figures(metrics)),
        *section("Limits", _limits(config, metrics)),
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


def _data(config: CaptionConfig, metrics: Mapping[str, Any]) -> list[str]:
    what = "clips" if config.video else "pictures"
    lines = []
    for key, name in (("data", "Training"), ("validation_data", "Validation")):
        if key in metrics:
            part = metrics[key]
            lines.append(
                f"- {name}: {code(part['source'])}, {part['examples']:,} {what} with {part['sentences']:,} sentences"
            )
            lines.append(f"  - SHA-256 over sentences and {what}: {code(part['sha256'])}")
    split = metrics.get("split")
    if split:
        lines.append(
            f"- Split: {split['training']:,} training, {split['validation']:,} validation ({split['how']})"
        )
    return lines + [f"- {escape(note)}" for note in metrics.get("notes", [])]


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    lines = [_line(key.capitalize(), metrics[key]) for key in ("validation", "test") if key in metrics]
    return lines or ["None: nothing was held out, and nothing has been evaluated."]


def _line(name: str, figures: Mapping[str, Any]) -> str:
    line = (
        f"- {name}, {figures['examples']:,} with {figures['sentences']:,} sentences: loss {figures['loss']:.4f} nats a "
        f"token, perplexity {figures['perplexity']:.2f}; {figures['exact']:.2%} written exactly as one of theirs"
    )
    for metric in ("bleu", "chrf"):
        if metric in figures:
            line += f"; {metric.upper()} {figures[metric]:.2f} ({code(figures[f'{metric}_signature'])})"
    return line


def _limits(config: CaptionConfig, metrics: Mapping[str, Any]) -> list[str]:
    lines = [
        "- It writes what sentences of its training pictures say. Of others it may write what is fluent and wrong, and "
        "nothing in its answer will show it; it also learned whatever those sentences presume about people.",
        "- Set its loss beside that of a run with `--blind`: only what is below that comes from seeing.",
    ]
    if "validation" in metrics:
        lines.append(
            "- The validation figures chose the weights, so they flatter; a test set that took part in no choice "
            "does not."
        )
    if "test" not in metrics:
        lines.append("- It has not been measured on a test set.")
    return lines
