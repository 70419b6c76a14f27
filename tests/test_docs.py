"""What the pages say holds: their code runs, the values beside it are what it gives, their links lead somewhere.

The blocks of a page share one namespace and run in order. A block marked `python no-run` is not run. A line
`expression  # -> value` must give that value; a number holds up to half a unit of its last digit shown.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch import Tensor

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_A_PAGE = {"what_an_lstm_remembers.py"}  # run with its page, by test_tutorial.py
EXAMPLES = sorted(file for file in (ROOT / "examples").glob("*.py") if file.name not in OF_A_PAGE)

_TEXTS = 'texts, labels = ["a fine film", "a dull film"] * 20, ["good", "bad"] * 20'
_SEQUENCES = "import torch; x, lengths = torch.randn(7, 3, 64), [7, 0, 4]"
# What a page takes for granted, for the blocks that hold the text on the left and those after them.
GIVEN = {
    "README.md": {"fit(texts, labels)": _TEXTS, "lengths=lengths": _SEQUENCES},
    "classify.md": {"fit(texts, labels)": _TEXTS},
}

_BLOCK = re.compile(r"^```python[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CLAIM = re.compile(r"^(?P<code>\S.*?)\s*# -> (?P<value>.*\S)\s*$", re.MULTILINE)
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?")


def same(value: object, shown: str) -> None:
    """Raise an AssertionError unless `value` prints as `shown`, numbers up to the digits shown."""
    text = repr(value.tolist() if isinstance(value, Tensor) else value)
    if text == shown or str(value) == shown:
        return
    assert _NUMBER.sub("#", text) == _NUMBER.sub("#", shown), f"the page says {shown}; it is {text}"
    for got, said in zip(_NUMBER.findall(text), _NUMBER.findall(shown), strict=True):
        digits, _, exponent = said.partition("e")
        decimals = len(digits.partition(".")[2])
        room = 0.5 * 10.0 ** (int(exponent or 0) - decimals) if "." in said else 0.0
        assert abs(float(got) - float(said)) <= room, f"the page says {shown}; it is {text}"


def script(page: str, given: dict[str, str]) -> str:
    """The code of a page, every line at the number that it has in the page, so that a traceback points there."""
    lines = [""] * (page.count("\n") + 1)
    lines[0] = "from test_docs import same"
    for block in _BLOCK.finditer(page):
        start = page.count("\n", 0, block.start(1))
        lines[start - 1] = "; ".join(setup for text, setup in given.items() if text in block[1])
        code = _CLAIM.sub(lambda claim: f"same({claim['code']}, {claim['value']!r})", block[1])
        for offset, line in enumerate(code.splitlines()):
            lines[start + offset] = line
    return "\n".join(lines)


def run(file: Path, folder: Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if not _BLOCK.search(text):
        return
    file = tmp_path / f"page_{page.stem}.py"  # not the name of a module of Python
    file.write_text(script(text, GIVEN.get(page.name, {})), encoding="utf-8")
    done = run(file, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=_name)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    done = run(example, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def _anchors(page: Path) -> set[str]:
    """The headings of a page as its host links them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in _LINK.findall(prose):
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {target}, which does not exist"
        assert not anchor or anchor in _anchors(file), (
            f"{page.name}: {target or 'it'} has no heading #{anchor}"
        )


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.126, "0.13"), ([0.1, -2.0], "[0.10, -2.00]"), ("lstm", "lstm"), (3, "3"), (4e-8, "4e-8")],
)
def test_a_value_that_holds(value: object, shown: str) -> None:
    same(value, shown)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.126, "0.12"), ([0.1], "[0.1, 0.2]"), (3, "4"), ("lstm", "gru")]
)
def test_a_value_that_does_not_hold(value: object, shown: str) -> None:
    with pytest.raises(AssertionError, match="the page says"):
        same(value, shown)


def test_a_claim_stands_at_the_line_of_the_page_and_no_run_blocks_are_left_out() -> None:
    page = "# P\n\n```python no-run\nfail()\n```\n\n```python\nx = 1\nx + 1  # -> 2\n```\n"
    code = script(page, {"x + 1": "y = 0"}).splitlines()
    assert code[6:9] == ["y = 0", "x = 1", "same(x + 1, '2')"]
    assert "fail()" not in code
