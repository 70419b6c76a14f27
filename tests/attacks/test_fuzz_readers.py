"""Broken files for every reader: accepted, or refused with one sentence of our own; nothing else escapes."""

import pytest
from fuzz import READERS, fuzz


@pytest.mark.parametrize("name", READERS)
def test_only_our_own_errors_escape(name):
    figures = fuzz(name, 150)
    assert figures.cases >= 150 and figures.escaped == 0
    assert figures.refused > 0


@pytest.mark.thorough
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", READERS)
def test_only_our_own_errors_escape_in_twenty_thousand_cases(name):
    figures = fuzz(name, 20_000)
    assert figures.cases >= 20_000 and figures.escaped == 0
    assert figures.refused > 0 and figures.read > 0
