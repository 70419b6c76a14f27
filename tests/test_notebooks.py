"""The notebooks run from top to bottom, show the pages that they promise, and are kept without outputs.

A notebook runs as `jupyter execute` runs it (nbclient), in a process of its own: what Jupyter's client and its sockets
warn of in there is not ours, and pytest, which makes an error of every warning, would count it as ours. What a cell
warns of comes out on the cell's stderr, and that must be empty.
"""

import html
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PAGES = {  # the cells that show a page, and what stands in its title
    "1_your_own_csv.ipynb": {"page-code": "Gatewise: why"},
    "2_open_your_own_lstm.ipynb": {"readout-code": "Which capital came last?"},
    "3_what_is_said_about_lstms.ipynb": {"recall-page": "Was the first symbol"},
}

_COMMAND = re.compile(r"^\$ gatewise (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)[^)]*\)")
_OF_ONE_MACHINE = re.compile(r"(?<![\w.])(?:/(?:home|Users|root|tmp|opt|mnt|work)/|[A-Z]:\\|~/)")


def _name(path: Path) -> str:
    return path.stem


each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=_name)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def run(arguments: list[str], folder: Path, timeout: float) -> None:
    """A Python process in `folder`, which sees no settings and no kernels of the user's."""
    of_jupyter = dict.fromkeys(
        ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    )
    own = {name: str(folder / "jupyter" / name) for name in of_jupyter}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=os.environ | own | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def executed(notebook: Path, folder: Path) -> NotebookNode:
    """The notebook with its outputs; a cell that raises fails the test with its traceback."""
    copy = Path(shutil.copy(notebook, folder))
    run(["-c", "from nbclient.cli import main; main()", "--inplace", copy.name], folder, timeout=200)
    return read(copy)


def outputs(notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def commands(notebook: NotebookNode) -> list[list[str]]:
    """The arguments of every `$ gatewise …` in its text."""
    said = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [shlex.split(line) for line in _COMMAND.findall(said)]


def page_title(shown: list[NotebookNode]) -> str:
    """The title of the page in a cell's outputs, which stands in a frame of its own."""
    pages = [output.data["text/html"] for output in shown if "text/html" in output.get("data", {})]
    assert len(pages) == 1, f"{len(pages)} outputs with html"
    frame = re.search(r'<iframe srcdoc="([^"]*)"', pages[0])
    assert frame, pages[0][:200]
    title = re.search(r"<title>(.*?)</title>", html.unescape(frame[1]))
    assert title, "the page has no title"
    return html.unescape(title[1])


@pytest.mark.slow
@pytest.mark.timeout(560)  # the sum of the limits below, which say what hung
@each_notebook
def test_a_notebook_and_the_commands_in_its_text_run(notebook: Path, tmp_path: Path) -> None:
    done = executed(notebook, tmp_path)
    shown = outputs(done)
    for cell, made in shown.items():
        warned = [output.text for output in made if output.get("name") == "stderr"]
        assert not warned, f"cell {cell}: {warned}"
    for cell, title in PAGES[notebook.name].items():
        assert title in page_title(shown[cell])
    for command in commands(done):  # on the files that the notebook left
        run(["-m", "gatewise", *command], tmp_path, timeout=120)


def test_where_commands_are_shown() -> None:
    shown = {notebook.name: [command[0] for command in commands(read(notebook))] for notebook in NOTEBOOKS}
    assert shown == {
        "1_your_own_csv.ipynb": ["train", "evaluate", "explain"],
        "2_open_your_own_lstm.ipynb": ["inspect"],
        "3_what_is_said_about_lstms.ipynb": [],
    }


@each_notebook
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    kept = read(notebook)
    nbformat.validate(kept)
    assert kept.metadata.kernelspec.name == "python3"
    for cell in kept.cells:
        assert not cell.metadata, f"cell {cell.id}: {cell.metadata}"
        assert not _OF_ONE_MACHINE.search(cell.source), f"cell {cell.id} names a path of one machine"
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), f"cell {cell.id} has outputs"


@each_notebook
def test_the_links_of_a_notebook_lead_somewhere(notebook: Path) -> None:
    for cell in read(notebook).cells:
        if cell.cell_type == "markdown":
            for target in _LINK.findall(cell.source):
                assert (FOLDER / target).exists(), f"cell {cell.id} links to {target}, which does not exist"


def test_the_readme_links_to_every_notebook_in_order() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert _LINK.findall(readme) == [notebook.name for notebook in NOTEBOOKS]
