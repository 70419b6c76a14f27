"""What the model cards of all recipes share: sections, how a run was trained, and texts that are no markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gatewise.training.config import in_order

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def section(title: str, lines: list[str]) -> list[str]:
    """A heading and its lines; nothing without lines."""
    return ["", f"## {title}", "", *lines] if lines else []


def how_it_was_trained(config: DataclassInstance, metrics: Mapping[str, Any]) -> list[str]:
    """The command, the steps, the versions and every option, from what `metrics.json` holds."""
    lines = []
    if metrics.get("command"):
        lines += ["```", metrics["command"], "```", ""]
    training = metrics.get("training")
    if training:
        lines.append(
            f"{training['steps']:,} steps, {training['epochs']} epochs, {training['seconds']:.0f} s on "
            f"{training['device']}; {training['parameters']:,} parameters; {_kept(training)}."
        )
    versions = ", ".join(f"{name} {number}" for name, number in metrics.get("versions", {}).items())
    if versions:
        lines.append(f"Versions: {versions}.")
    options = [f"| {item.name} | {code(getattr(config, item.name))} |" for item in in_order(config)]
    return [*lines, "", "| option | value |", "|---|---|", *options]


def _kept(training: Mapping[str, Any]) -> str:
    return (
        f"weights of epoch {training['best_epoch']}" if training["best_epoch"] else "weights of the last step"
    )


def code(value: Any) -> str:
    """A value as Markdown code in which nothing is markup, also within a table."""
    text = " ".join(str(value).split()).replace("`", "ˋ").replace("|", "\\|")
    return f"`{text}`" if text else ""


def escape(text: str) -> str:
    """Plain text on one line, with the characters of HTML and Markdown made harmless."""
    text = " ".join(text.split())
    for character in "\\`*_[]|":
        text = text.replace(character, "\\" + character)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
