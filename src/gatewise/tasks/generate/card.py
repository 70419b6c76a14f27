"""The model card of a language model: what it was made from, what it can do, and what its figures do not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gatewise.tasks.classify.card import code, escape
from gatewise.tasks.generate.config import GenerateConfig


def model_card(config: GenerateConfig, metrics: Mapping[str, Any]) -> str:
    """The card as Markdown, from the options and what `metrics.json` holds."""
    tokens = metrics["tokens"]
    parts = [
        f"# {config.cell.upper()} language model of {tokens['kind']}",
        "",
        f"Trained with Gatewise. It predicts the next of {tokens['vocabulary']:,} tokens ({tokens['kind']}) from all "
        f"before it. {config.cell.upper()}, layers of {' and '.join(str(size) for size in config.sizes)} units, "
        f"embeddings of {config.embedding_size}{', tied to the output' if config.tie else ''}.",
        *_section("Data", _data(metrics)),
        *_section("Figures", _figures(metrics)),
        *_section("Limits", _limits(metrics)),
        *_section("How it was trained", _training(config, metrics)),
    ]
    return "\n".join(parts) + "\n"


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _data(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, part in metrics["data"].items():
        files = f"{part['files']:,} files" if part["files"] > 1 else "1 file"
        lines.append(f"- {name.capitalize()}: {code(part['source'])}, {files}, {part['bytes']:,} bytes")
        lines.append(f"  - SHA-256 of the text: {code(part['sha256'])}")
    if metrics["split"]:
        lines.append(f"- Split: {escape(metrics['split'])}")
    return lines + [f"- {escape(note)}" for note in metrics.get("notes", [])]


def _figures(metrics: Mapping[str, Any]) -> list[str]:
    lines = [
        f"- {name.capitalize()}: {sentence(metrics[name])}."
        for name in ("validation", "test")
        if name in metrics
    ]
    return lines or ["None: nothing was held out, and nothing has been evaluated."]


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
        parts.append(f"with a cache of {cache['size']:,} (theta {cache['theta']:g}, share {cache['share']:g})")
    return ", ".join(parts)


def _limits(metrics: Mapping[str, Any]) -> list[str]:
    lines = [
        "- What it writes is likely text, not true text; it repeats what its training text says, and how it says it.",
        "- Perplexities can be compared only between models with the same tokens on the same text.",
    ]
    if "validation" in metrics:
        lines.append(
            "- The validation figure chose the weights that were kept, so it flatters; a test part that took part in "
            "no choice does not."
        )
    if "test" not in metrics:
        lines.append("- It has not been measured on a test part.")
    return lines


def _training(config: GenerateConfig, metrics: Mapping[str, Any]) -> list[str]:
    lines = ["```", metrics["command"], "```", ""] if metrics.get("command") else []
    training = metrics["training"]
    kept = f"epoch {training['best_epoch']}" if training["best_epoch"] else "the last step"
    lines.append(
        f"{training['steps']:,} steps, {training['epochs']} epochs, {training['seconds']:.0f} s on "
        f"{training['device']}; {training['parameters']:,} parameters; weights of {kept}."
    )
    lines.append(
        f"Versions: {', '.join(f'{name} {number}' for name, number in metrics['versions'].items())}."
    )
    options = [f"| {item.name} | {code(getattr(config, item.name))} |" for item in fields(config)]
    return [*lines, "", "| option | value |", "|---|---|", *options]
