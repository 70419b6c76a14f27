"""The model card of a translator: what it was made from, what it can do, and what its figures do not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.tasks.translate.config import TranslateConfig
from gatewise.training.card import code, escape, how_it_was_trained, section


def model_card(config: TranslateConfig, metrics: Mapping[str, Any]) -> str:
    """The card as Markdown, from the options and what `metrics.json` holds."""
    parts = [
        f"# {config.cell.upper()} translator with attention",
        "",
        _what(config),
        *section("Data", _data(metrics)),
        *section("Figures", _figures(metrics)),
        *section("Limits", _limits(config, metrics)),
        *section("How it was trained", how_it_was_trained(config, metrics)),
    ]
    return "\n".join(parts) + "\n"


def _what(config: TranslateConfig) -> str:
    reads = "in both directions" if config.bidirectional else "forward"
    return (
        f"Trained with Gatewise. It writes a target text for a source text. {config.cell.upper()} of "
        f"{config.hidden_size} units, the encoder {reads}, {config.attention.capitalize()} attention, "
        f"{'one vocabulary' if config.shared else 'two vocabularies'} of {config.tokenizer}."
    )


def _data(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, name in (("data", "Training"), ("validation_data", "Validation")):
        if key in metrics:
            part = metrics[key]
            lines.append(f"- {name}: {code(part['source'])}, {part['examples']:,} pairs")
            lines.append(f"  - SHA-256 of the source: {code(part['sha256'])}")
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
        f"- {name}, {figures['examples']:,} pairs: loss {figures['loss']:.4f} nats a token, perplexity "
        f"{figures['perplexity']:.2f}"
    )
    for metric in ("bleu", "chrf"):
        if metric in figures:
            line += f"; {metric.upper()} {figures[metric]:.2f} ({code(figures[f'{metric}_signature'])})"
    return line


def _limits(config: TranslateConfig, metrics: Mapping[str, Any]) -> list[str]:
    lines = [
        "- It has learned the words and topics of its training pairs; of others it may write what is fluent and wrong, "
        "and nothing in its answer will show it. Measure it on your own pairs first.",
        f"- It reads at most {config.max_length:,} tokens of a source; a longer one is cut.",
    ]
    if "validation" in metrics:
        lines.append(
            "- The validation figures chose the weights, so they flatter; a test set that took part in no choice "
            "does not."
        )
    if "test" not in metrics:
        lines.append("- It has not been measured on a test set.")
    return lines
