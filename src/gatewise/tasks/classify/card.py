"""The model card: what a run was made from, what it can do, and what its figures do not say."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.training.card import (
    code,
    data_lines,
    figure_lines,
    how_it_was_trained,
    section,
    what_figures_hide,
)


def model_card(config: ClassifyConfig, labels: Sequence[Any], metrics: Mapping[str, Any]) -> str:
    """The card as Markdown, from the options and what `metrics.json` holds."""

    def figures(part: str, found: Mapping[str, Any]) -> list[str]:
        simpler = _baselines(metrics.get("baselines", {})) if part == "validation" else []
        return _table(part.capitalize(), found) + simpler

    parts = [
        f"# {config.cell.upper()} classifier of {len(labels)} labels",
        "",
        _what(config, labels),
        *section("Data", data_lines(metrics, _labels)),
        *section("Figures", figure_lines(metrics, figures)),
        *section("Limits", _limits(config, metrics)),
        *section("Memory", _memory(metrics)),
        *section("How it was trained", how_it_was_trained(config, metrics)),
    ]
    return "\n".join(parts) + "\n"


def _what(config: ClassifyConfig, labels: Sequence[Any]) -> str:
    direction = "two directions" if config.bidirectional else "one direction"
    names = ", ".join(code(label) for label in labels)
    return (
        f"Trained with Gatewise. It gives each input one of the labels {names}. {config.cell.upper()}, "
        f"{config.num_layers * len(config.cells)} layer(s) of {config.hidden_size} units, {direction}, "
        f"{config.pooling} pooling."
    )


def _labels(part: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{code(label)} {count:,}" for label, count in part["labels"].items())
    return f"{part['examples']:,} examples used: {counts}"


def _table(name: str, figures: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{name}, {figures['examples']:,} examples: accuracy {figures['accuracy']:.4f}, "
        f"macro F1 {figures['macro_f1']:.4f}, loss {figures['loss']:.4f} nats, "
        f"calibration error {figures['calibration_error']:.4f} "
        f"({figures['uncalibrated']['calibration_error']:.4f} before the temperature).",
        "",
        "| label | precision | recall | F1 | examples |",
        "|---|---:|---:|---:|---:|",
    ]
    for label, row in figures["classes"].items():
        cells = " | ".join(f"{row[key]:.4f}" for key in ("precision", "recall", "f1"))
        lines.append(f"| {code(label)} | {cells} | {row['support']:,} |")
    return [*lines, ""]


def _baselines(accuracies: Mapping[str, float | None]) -> list[str]:
    """One sentence on simpler models on the validation part; none where they were not measured."""
    shown = [f"{name} {value:.4f}" for name, value in accuracies.items() if value is not None]
    left_out = [
        f"the {name} was left out, for the training text is long (`gatewise compare` measures it)"
        for name, value in accuracies.items()
        if value is None
    ]
    sentence = f"Accuracy of simpler models on the same part: {'; '.join([*shown, *left_out])}."
    return [sentence, ""] if shown else []


def _limits(config: ClassifyConfig, metrics: Mapping[str, Any]) -> list[str]:
    return [
        "- It has learned the words, topics and label habits of its training data; on other data its accuracy "
        "can be far lower, and nothing in its answer will show it. Measure it on your own data first.",
        "- It answers every input with one of its labels, also an input that has none of them.",
        *what_figures_hide(metrics, "the epoch and the temperature"),
        f"- It reads at most {config.max_length:,} tokens or steps of an input; {_STAYS[config.truncate]}.",
    ]


_STAYS = {
    "head": "of a longer one the beginning",
    "tail": "of a longer one the end",
    "middle": "of a longer one a third of that from its beginning and the rest from its end",
}


def _memory(metrics: Mapping[str, Any]) -> list[str]:
    """A row a layer: how long it keeps and how often its gates are open, before training and after."""
    found = metrics.get("half_lives", {})
    if not found.get("after"):
        return []
    driven = metrics.get("saturation", {})
    lines = [
        f"Over {found['examples']} examples of the {found['part']} part, before training → after. The half-life is the "
        "steps until half of a unit's memory is gone, the time constant until 1/e of it is left; a gate is open above "
        "0.9 and shut below 0.1.",
        "",
        "| layer | median half-life | median time constant | gates: share of steps shut, open |",
        "|---|---:|---:|---|",
    ]
    for name, after in found["after"].items():
        lives = found["before"][name], after
        halves = " → ".join(f"{median_life(of):.1f}" for of in lives)
        constants = " → ".join(f"{median_life(of) / math.log(2):.1f}" for of in lives)
        lines.append(f"| {name} | {halves} | {constants} | {_driven(driven, name)} |")
    return lines


def _driven(found: Mapping[str, Any], layer: str) -> str:
    """The saturation of each gate of a layer; empty where a run of an earlier version did not note it."""
    before, after = (found.get(when, {}).get(layer, {}) for when in ("before", "after"))
    pairs = {gate: zip(before[gate], shares, strict=True) for gate, shares in after.items()}
    return "; ".join(
        f"{gate} " + ", ".join(f"{a:.0%} → {b:.0%}" for a, b in of) for gate, of in pairs.items()
    )


def median_life(lives: Sequence[float | None]) -> float:
    """Of half-lives, where None is without end."""
    return statistics.median(math.inf if life is None else life for life in lives)
