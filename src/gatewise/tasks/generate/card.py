"""The model card of a language model: what it was made from, what it can do, and what its figures do not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.tasks.generate.config import GenerateConfig
from gatewise.training.card import (
    code,
    escape,
    figure_lines,
    how_it_was_trained,
    notes_of,
    section,
    what_figures_hide,
)


def model_card(config: GenerateConfig, metrics: Mapping[str, Any]) -> str:
    """The card as Markdown, from the options and what `metrics.json` holds."""
    tokens = metrics["tokens"]
    parts = [
        f"# {config.cell.upper()} language model of {tokens['kind']}",
        "",
        f"Trained with Gatewise. It predicts the next of {tokens['vocabulary']:,} tokens ({tokens['kind']}) from all "
        f"before it. {config.cell.upper()}, layers of {' and '.join(str(size) for size in config.sizes)} units, "
        f"embeddings of {config.embedding_size}{', tied to the output' if config.tie else ''}.",
        *section("Data", _data(metrics)),
        *section("Figures", figure_lines(metrics, _figures)),
        *section("Limits", _limits(metrics)),
        *section("How it was trained", how_it_was_trained(config, metrics)),
    ]
    return "\n".join(parts) + "\n"


def _data(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, part in metrics["data"].items():
        files = f"{part['files']:,} files" if part["files"] > 1 else "1 file"
        lines.append(f"- {name.capitalize()}: {code(part['source'])}, {files}, {part['bytes']:,} bytes")
        lines.append(f"  - SHA-256 of the text: {code(part['sha256'])}")
    if metrics["split"]:
        lines.append(f"- Split: {escape(metrics['split'])}")
    return [*lines, *notes_of(metrics)]


def _figures(part: str, figures: Mapping[str, Any]) -> list[str]:
    return [f"- {part.capitalize()}: {sentence(figures)}."]


def sentence(figures: Mapping[str, Any]) -> str:
    """A measurement in one line."""
    parts = [f"perplexity {figures['perplexity']:.4g}", f"{figures['loss']:.4f} nats a token"]
    parts += [
        f"{figures[f'bits_per_{unit}']:.4f} bits a {unit}"
        for unit in ("character", "byte")
        if f"bits_per_{unit}" in figures
    ]
    parts.append(f"{figures['tokens']:,} tokens predicted")
    if figures["unknown"]:
        parts.append(f"{figures['unknown']:,} of them unknown")
    if figures.get("window"):
        parts.append(f"windows of {figures['window']:,} tokens from a zero state")
    if cache := figures.get("cache"):
        parts.append(
            f"with a cache of {cache['size']:,} (theta {cache['theta']:g}, share {cache['share']:g})"
        )
    return ", ".join(parts)


def _limits(metrics: Mapping[str, Any]) -> list[str]:
    return [
        "- What it writes is likely text, not true text; it repeats what its training text says, and how it says it.",
        "- Perplexities can be compared only between models with the same tokens on the same text.",
        *what_figures_hide(metrics),
    ]
