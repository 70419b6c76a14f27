"""Every identity of the mathematics, measured on random and on trained models; and the page that lists them."""

import re
from pathlib import Path

import pytest
import torch
from identities import IDENTITIES
from identity_cases import GUESS, KINDS, error_of, world
from identity_list import gap
from identity_table import BEGIN, END, PAGE, words

DTYPES = (torch.float64, torch.float32)
TESTS = Path(__file__).parent.parent
LISTED = PAGE.read_text(encoding="utf-8")


# All of a kind in one test: workers that share the tests then train each kind once.
@pytest.mark.parametrize("trained", [False, True], ids=["random", "trained"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_identity_holds(kind, trained):
    if trained:
        assert error_of(world(kind, True).model) < GUESS / 2
    too_far = {
        (name, dtype): residual
        for name, identity in IDENTITIES.items()
        for dtype in DTYPES
        if kind in identity.kinds
        and not (residual := identity.residual(kind, trained, dtype)) <= identity.bound(dtype)
    }
    assert not too_far


def test_every_kind_has_its_identities():
    for kind in KINDS:
        assert sum(kind in identity.kinds for identity in IDENTITIES.values()) >= 5
    assert {kind for identity in IDENTITIES.values() for kind in identity.kinds} == set(KINDS)


def test_what_is_wrong_is_seen():
    """The measure itself: a wrong share, a NaN, another shape."""
    assert gap([1.0, 2.0], [1.0, 2.5]) == pytest.approx(0.2)
    assert gap([1.0], [1.5], size=10.0) == pytest.approx(0.05)
    assert gap([0.0, float("nan")], [0.0, 0.0]) == float("inf")
    with pytest.raises(AssertionError):
        gap([1.0], [[1.0]])


def test_the_page_names_every_identity_with_a_figure_inside_its_bound():
    measured = LISTED.split(BEGIN)[1].split(END)[0]
    rows = {line for line in measured.splitlines() if line.startswith("| ") and "in symbols" not in line}
    assert len(rows) == len(IDENTITIES)
    for identity in IDENTITIES.values():
        (row,) = [row for row in rows if row.startswith(words(identity))]
        figures = re.findall(r"(\d\.\de[-+]\d\d) / (\d\.\de[-+]\d\d)", row.removeprefix(words(identity)))
        assert len(figures) == 2
        for dtype, pair in zip(DTYPES, figures, strict=True):
            assert all(float(figure) <= identity.bound(dtype) for figure in pair)


def test_the_tests_that_the_page_names_exist():
    named = re.findall(r"\(\.\./tests/([\w/]+\.py)\)(?: `(\w+)`)?", LISTED)
    assert len(named) > 20
    for file, test in named:
        source = (TESTS / file).read_text(encoding="utf-8")
        assert f"def {test}(" in source if test else "def test_" in source, (file, test)
