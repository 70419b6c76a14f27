"""`python tests/memory/identity_table.py` measures every identity and writes its table into docs/identities.md.

In a minute or so; the figures are those of this machine, and rounding differs a little from one to the next.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # for the oracle, as a script

import torch
from identities import IDENTITIES, PARTS, Identity

PAGE = Path(__file__).parent.parent.parent / "docs" / "identities.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
HEAD = (
    "| identity | in symbols | computed by | models | also tested in | float64, random / trained "
    "| float32, random / trained |"
)


def words(identity: Identity) -> str:
    """The cells of an identity's row before its figures."""
    cells = (
        identity.name,
        f"`{identity.formula}`",
        f"`{identity.computed}`",
        str(len(identity.kinds)),
        ", ".join(f"[{Path(test).stem}](../tests/{test})" for test in identity.also),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def figures(identity: Identity) -> str:
    cells = [
        " / ".join(
            f"{max(identity.residual(kind, trained, dtype) for kind in identity.kinds):.1e}"
            for trained in (False, True)
        )
        for dtype in (torch.float64, torch.float32)
    ]
    return " " + " | ".join(cells) + " |"


def tables() -> str:
    lines: list[str] = []
    for part in PARTS:
        lines += ["", f"### {part}", "", HEAD, "|---|---|---|---:|---|---|---|"]
        lines += [words(i) + figures(i) for i in IDENTITIES.values() if i.part == part]
    return "\n".join([*lines, ""])


def main() -> None:
    torch.set_num_threads(1)
    measured = tables()
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + measured + "\n" + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
