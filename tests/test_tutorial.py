"""The tutorial says what its script measures: the script runs, and the page's figures and pictures are its own."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_docs import ROOT, run

SCRIPT, PAGE = ROOT / "examples" / "what_an_lstm_remembers.py", ROOT / "docs" / "what-an-lstm-remembers.md"
SAID = dict(re.findall(r"<!--=(\w+)-->(.*?)<!--/-->", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL))
PICTURES = re.findall(r"\(images/tutorial/(\w+)\.svg\)", PAGE.read_text(encoding="utf-8"))
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tutorial")


@pytest.fixture(scope="module")
def measured(folder: Path) -> dict[str, str]:
    done = run(SCRIPT, folder, seconds=280)
    assert done.returncode == 0, done.stderr
    return dict(line.split(" = ", 1) for line in done.stdout.splitlines())


@pytest.mark.slow
def test_the_figures_of_the_page_are_those_of_the_script(measured: dict[str, str]) -> None:
    assert set(SAID) == set(measured)
    for name, said in SAID.items():
        assert NUMBER.sub("#", said) == NUMBER.sub("#", measured[name]), name
        for shown, now in zip(NUMBER.findall(said), NUMBER.findall(measured[name]), strict=True):
            # Another processor rounds otherwise, and a training spreads that: two digits are left.
            room = 0.05 + 0.1 * max(abs(float(shown)), abs(float(now)))
            assert abs(float(shown) - float(now)) <= room, (name, said, measured[name])


@pytest.mark.slow
def test_what_the_page_concludes_holds(measured: dict[str, str]) -> None:
    figures = {
        name: float(NUMBER.findall(value)[0]) for name, value in measured.items() if NUMBER.search(value)
    }
    assert max(figures["accuracy_rnn"], figures["accuracy_lstm"]) < 0.5 < 0.9 < figures["accuracy_long"]
    assert max(figures["gradient_rnn"], figures["gradient_lstm"]) < 1e-6 < 0.05 < figures["gradient_long"]
    assert figures["residual"] < 1e-6
    assert figures["held_after"] < figures["even"] and figures["push_first"] < figures["push_rest"] / 10
    assert 0.5 < figures["shut_once"] < 1 and figures["plain_far"] > 0.9
    assert figures["still_far"] > 0.5 and abs(figures["still_near"] - figures["still_far"]) < 0.15
    assert figures["longest_after"] > 2 * figures["longest_before"]
    assert figures["pushes"] + figures["review_bias"] == pytest.approx(figures["score"], abs=0.011)


@pytest.mark.slow
def test_the_pictures_are_whole_and_the_page_shows_them_all(measured: dict[str, str], folder: Path) -> None:
    drawn = folder / "what_an_lstm_remembers"
    assert sorted(PICTURES) == sorted(file.stem for file in drawn.iterdir())
    for name in PICTURES:
        new, shown = (
            ElementTree.parse(where / f"{name}.svg").getroot()
            for where in (drawn, PAGE.parent / "images" / "tutorial")
        )
        assert [e.tag for e in new] == [e.tag for e in shown]
        words = [e.text for e in shown.iter() if e.tag.endswith("text") and not NUMBER.search(e.text or "")]
        assert words and words == [e.text for e in new.iter() if e.tag.endswith("text") and e.text in words]
