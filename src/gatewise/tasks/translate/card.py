"""The model card of a translator: what it was made from, what it can do, and what its figures do not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.decoding.card import likelihood, scored
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.training.card import data_lines, figure_lines, how_it_was_trained, section, what_figures_hide


def model_card(config: TranslateConfig, metrics: Mapping[str, Any]) -> str:
    """The card as Markdown, from the options and what `metrics.json` holds."""
    parts = [
        f"# {config.cell.upper()} translator with attention",
        "",
        _what(config),
        *section("Data", data_lines(metrics, _pairs)),
        *section("Figures", figure_lines(metrics, _figures)),
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


def _pairs(figures: Mapping[str, Any]) -> str:
    return f"{figures['examples']:,} pairs"


def _figures(part: str, figures: Mapping[str, Any]) -> list[str]:
    return [f"- {part.capitalize()}, {_pairs(figures)}: {likelihood(figures)}{scored(figures)}"]


def _limits(config: TranslateConfig, metrics: Mapping[str, Any]) -> list[str]:
    return [
        "- It has learned the words and topics of its training pairs; of others it may write what is fluent and wrong, "
        "and nothing in its answer will show it. Measure it on your own pairs first.",
        f"- It reads at most {config.max_length:,} tokens of a source; a longer one is cut.",
        *what_figures_hide(metrics),
    ]
