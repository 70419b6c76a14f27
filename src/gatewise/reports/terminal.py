"""An explanation in the terminal: what it kept, shaded words, gates as rows of blocks, a table, and the sum."""

from __future__ import annotations

import math

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gatewise.reports.view import (
    GATE_NAMES,
    Explained,
    WordRow,
    answer,
    cautions,
    check_sentence,
    is_answer,
    kept_sentence,
    model_notes,
    other_answers,
    shown_gates,
    step_name,
    sum_terms,
    word_rows,
)

BLOCKS = "▁▂▃▄▅▆▇█"
TABLE_ROWS = 60
WORD_WIDTH = 28
_PAPER, _GREY = (255, 255, 255), (160, 172, 188)
_FOR, _AGAINST, _NEITHER = "#0a3d91", "#8a3600", "#333333"


def print_explanation(explanation: Explained, console: Console) -> None:
    """Write an explanation to a console.

    With colour the text comes first: a word's ground is the darker the more of it is held, blue words speak for
    the answer and orange ones against it. Without colour (no terminal, or NO_COLOR) the table says the same.
    """
    rows = word_rows(explanation)
    what = "answer" if is_answer(explanation) else "explained"
    _line(console, f"{what}: {answer(explanation)}   ({other_answers(explanation)})")
    for sentence in (kept_sentence(explanation), check_sentence(explanation)):
        if sentence is not None:
            _line(console, sentence)
    for caution in cautions(explanation):
        _line(console, f"caution: {caution}")
    for note in model_notes(explanation):
        _line(console, f"note: {note}")
    if console.color_system and not console.no_color and explanation.push:
        console.print(Padding(_shaded(rows), (1, 0)), soft_wrap=False)
        _line(
            console,
            "darker: held longer   blue +: towards the label   orange -: away from it   struck: not read",
        )
    _print_gates(explanation, rows, console)
    _print_table(explanation, rows, console)
    _print_sum(explanation, console)


def sparkline(values: list[float]) -> str:
    """Numbers from 0 to 1 as blocks of eight heights; what is not a number stays blank."""
    return "".join(" " if math.isnan(v) else BLOCKS[min(int(max(v, 0.0) * 8), 7)] for v in values)


def _line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _shaded(rows: list[WordRow]) -> Text:
    text = Text()
    for row in rows:
        shade = row.shade if math.isfinite(row.shade) else 0.0
        ground = ",".join(str(round(p + shade * (g - p))) for p, g in zip(_PAPER, _GREY, strict=True))
        colour = _NEITHER if row.strength < 0.1 else _FOR if row.push > 0 else _AGAINST
        style = (
            f"{colour} on rgb({ground})" + (" strike" if row.cut else "") + (" italic" if row.unknown else "")
        )
        sign = "" if row.strength < 0.1 else "⁺" if row.push > 0 else "⁻"
        text.append(row.space)
        text.append(f"{row.word}{sign}", style=style)
    return text


def _print_gates(explanation: Explained, rows: list[WordRow], console: Console) -> None:
    """One row of blocks a gate, a block a word, cut into pieces that fit the width."""
    names = shown_gates(explanation)
    if not names:
        return
    width = max(console.width - 14, 20)
    _line(console, f"\ngates, a block for each {step_name(explanation)}, from 0 (▁) to 1 (█)")
    for start in range(0, len(rows), width):
        piece = rows[start : start + width]
        for name in names:
            blocks = sparkline([row.gates.get(name, math.nan) for row in piece])
            _line(console, f"{GATE_NAMES[name]:>8} {name}  {blocks}")
        if start + width < len(rows):
            _line(console, "")


def _print_table(explanation: Explained, rows: list[WordRow], console: Console) -> None:
    _line(console, "")
    shown, unit = rows, step_name(explanation)
    if len(rows) > TABLE_ROWS:
        strongest = sorted(rows, key=_weight)[:TABLE_ROWS]
        shown = sorted(strongest, key=lambda row: row.number)
        _line(console, f"the {TABLE_ROWS} of {len(rows)} {unit}s that moved the answer most")
    numbers = [name for name in ("held", "push", "occlusion") if getattr(explanation, name)]
    names = shown_gates(explanation)
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("#", justify="right")
    table.add_column(unit, no_wrap=True, max_width=WORD_WIDTH, overflow="ellipsis")
    for title in (*numbers, *names):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in shown:
        told = [_number(name, getattr(row, name)) for name in numbers]
        gates = [f"{row.gates[name]:.2f}" if name in row.gates else "" for name in names]
        remarks = {"kept": row.kept, "not read": row.cut, "unknown": row.unknown and not row.cut}
        remark = ", ".join(name for name, holds in remarks.items() if holds)
        table.add_row(str(row.number), Text(row.word), *told, *gates, remark)
    console.print(table)


def _weight(row: WordRow) -> float:
    """How far a word moved the answer, negative: by push, else by occlusion, else not known."""
    known = [abs(value) for value in (row.push, row.occlusion) if math.isfinite(value)]
    return -known[0] if known else 0.0


def _number(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.1%}" if name == "held" else f"{value:+.3f}"


def _print_sum(explanation: Explained, console: Console) -> None:
    if explanation.residual is None:
        return
    *terms, (name, score) = sum_terms(explanation)
    parts = " ".join(f"{'-' if value < 0 else '+'} {abs(value):.4f} ({what})" for what, value in terms)
    _line(console, f"\n{parts.removeprefix('+ ')} = {score:.4f} ({name})")
    _line(console, f"residual {explanation.residual:.1e}")
