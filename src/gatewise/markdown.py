"""Tables in Markdown that read well as plain text too."""

from collections.abc import Sequence


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A table in which every column is as wide as its widest cell.

    Args:
        left: how many columns stand at the left; the others, which hold numbers, at the right.

    Returns:
        One line a row, the last one ended too.
    """
    widths = [max(2, *(len(row[k]) for row in (head, *rows))) for k in range(len(head))]  # room for `-:`
    rule = tuple("-" * width if k < left else "-" * (width - 1) + ":" for k, width in enumerate(widths))
    lines = [
        " | ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, rule, *rows)
    ]
    return "\n".join(f"| {line} |" for line in lines) + "\n"
