"""What the model cards of all recipes share: sections, data, how a run was trained, and texts that are no markup."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def data_lines(
    metrics: Mapping[str, Any], describe: Callable[[Mapping[str, Any]], str], *, hashed: str = "the source"
) -> list[str]:
    """The data and their hashes, how they were split, and every note.

    Args:
        describe: what stands after the source of a part.
        hashed: what the hash is of.
    """
    lines = []
    for key, name in (("data", "Training"), ("validation_data", "Validation")):
        if key in metrics:
            part = metrics[key]
            lines.append(f"- {name}: {code(part['source'])}, {describe(part)}")
            lines.append(f"  - SHA-256 of {hashed}: {code(part['sha256'])}")
    split = metrics.get("split")
    if split:
        lines.append(
            f"- Split: {split['training']:,} training, {split['validation']:,} validation ({split['how']})"
        )
    return [*lines, *notes_of(metrics)]


def notes_of(metrics: Mapping[str, Any]) -> list[str]:
    """What a reader of the figures should know."""
    return [f"- {escape(note)}" for note in metrics.get("notes", [])]


def figure_lines(
    metrics: Mapping[str, Any], describe: Callable[[str, Mapping[str, Any]], list[str]]
) -> list[str]:
    """The validation and the test figures; or that there are none.

    Args:
        describe: the lines of figures, with `validation` or `test` before them.
    """
    found = [line for key in ("validation", "test") if key in metrics for line in describe(key, metrics[key])]
    return found or ["None: nothing was held out, and nothing has been evaluated."]


def what_figures_hide(metrics: Mapping[str, Any], chosen: str = "the weights") -> list[str]:
    """That validation figures flatter, having chosen something, and that nothing else was measured."""
    lines = []
    if "validation" in metrics:
        lines.append(
            f"- The validation figures chose {chosen}, so they flatter; a test set that took part in no choice does "
            "not."
        )
    if "test" not in metrics:
        lines.append("- It has not been measured on a test set.")
    return lines
