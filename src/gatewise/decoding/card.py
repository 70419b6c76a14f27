"""What the model cards of models that write have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatewise.training.card import code


def likelihood(figures: Mapping[str, Any]) -> str:
    """How probable the wanted tokens are."""
    return f"loss {figures['loss']:.4f} nats a token, perplexity {figures['perplexity']:.2f}"


def scored(figures: Mapping[str, Any]) -> str:
    """BLEU and chrF with their signatures, each after a semicolon; nothing where they were not measured."""
    return "".join(
        f"; {metric.upper()} {figures[metric]:.2f} ({code(figures[f'{metric}_signature'])})"
        for metric in ("bleu", "chrf")
        if metric in figures
    )
