"""How good a trained classifier is and what it was made from, for the page of an explanation.

All of it stands in the run's `metrics.json` and `metrics.jsonl`. Older runs lack some of it; then the page does too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gatewise.reports.captions import count
from gatewise.reports.page import Curve, Quality
from gatewise.tasks.classify.card import median_life
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.training.config import rule

CURVES = {
    "loss": "training loss",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy",
}


def quality_of(fitted: FittedClassifier) -> Quality | None:
    """Figures on the validation part beside simpler models, curves and training data; None for an unknown past."""
    metrics = fitted.metrics
    measured = metrics.get("validation", {})
    quality = Quality(
        part=f"validation part, {measured['examples']:,} examples" if measured else "nothing was held out",
        figures=_figures(measured, metrics.get("test")),
        curves=_curves(fitted),
        baselines=[
            (name, value) for name, value in metrics.get("baselines", {}).items() if value is not None
        ],
        labels=measured.get("labels", []),
        confusion=measured.get("confusion", []),
        calibration=[(mean, right, int(n)) for mean, right, n in measured.get("calibration", [])],
        training=_training(metrics),
    )
    return quality if measured or quality.curves or quality.training else None


def _figures(measured: Mapping[str, Any], test: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if not measured:
        return []
    figures = [
        ("accuracy", f"{measured['accuracy']:.4f}"),
        ("macro F1", f"{measured['macro_f1']:.4f}"),
        ("loss", f"{measured['loss']:.4f} nats"),
        ("calibration error", f"{measured['calibration_error']:.4f}"),
        ("calibration error before the temperature", f"{measured['uncalibrated']['calibration_error']:.4f}"),
    ]
    if test:
        figures.append((f"accuracy on a test set of {test['examples']:,}", f"{test['accuracy']:.4f}"))
    return figures


def _curves(fitted: FittedClassifier) -> list[Curve]:
    values = {name: [float(row[key]) for row in fitted.history if key in row] for key, name in CURVES.items()}
    return [Curve(name, found) for name, found in values.items() if found]


def _training(metrics: Mapping[str, Any]) -> list[str]:
    """Sentences on data, time and split, and on what the figures are worth."""
    sentences = []
    if data := metrics.get("data"):
        counts = ", ".join(f"{label} {count:,}" for label, count in data["labels"].items())
        sentences.append(f"It learned from {data['examples']:,} examples of {data['source']}: {counts}.")
    if split := metrics.get("split"):
        sentences.append(f"Validation: {split['validation']:,} examples, {split['how']}.")
    if training := metrics.get("training"):
        best = f", of which {training['best_epoch']} was the best" if training["best_epoch"] else ""
        sentences.append(
            f"{training['epochs']} epochs{best}, {training['steps']:,} steps, "
            f"{training['seconds'] / 60:.1f} minutes on {training['device']}."
        )
    if "validation" in metrics:
        sentences.append("The validation figures chose epoch and temperature, so they flatter.")
    return sentences


def model_facts(fitted: FittedClassifier) -> list[tuple[str, str]]:
    """The model and every option."""
    config = fitted.config
    layers = count(config.num_layers * len(config.cells), "layer")
    direction = "both directions" if config.bidirectional else "one direction"
    parameters = sum(p.numel() for p in fitted.network.parameters())
    return [
        (
            "model",
            f"{config.cell}, {layers} of {config.hidden_size} units, {direction}, {config.pooling} pooling, "
            f"{parameters:,} parameters",
        ),
        ("seed", str(config.seed)),
        ("temperature", f"{fitted.temperature:.4f}"),
        *_options(config),
    ]


def training_facts(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Data, versions, the command that trained it, and how long its units keep, from `metrics.json`."""
    facts: list[tuple[str, str]] = []
    if data := metrics.get("data"):
        facts += [("training data", str(data["source"])), ("SHA-256 of the data", str(data["sha256"]))]
    if versions := metrics.get("versions"):
        facts.append(
            ("versions at training", ", ".join(f"{name} {number}" for name, number in versions.items()))
        )
    if metrics.get("command"):
        facts.append(("trained by", str(metrics["command"])))
    return facts + _half_lives(metrics.get("half_lives", {}))


def _options(config: ClassifyConfig) -> list[tuple[str, str]]:
    """A fact for each group of options."""
    groups: dict[str, list[str]] = {}
    for item in fields(config):
        groups.setdefault(rule(item).group, []).append(f"{item.name} = {getattr(config, item.name)!r}")
    return [(f"options: {group}", ", ".join(options)) for group, options in groups.items()]


def _half_lives(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A fact a layer: the median over its units before and after training, on the same examples."""
    facts = []
    for name, after in found.get("after", {}).items():
        before, now = (median_life(lives) for lives in (found["before"][name], after))
        where = f"{found['examples']} examples of the {found['part']} part"
        facts.append(
            (
                f"median half-life, {name}",
                f"{before:.1f} steps before training, {now:.1f} after, over {where}",
            )
        )
    return facts
