"""The recipes' first 20 steps are those that were committed."""

import json

import pytest
from golden_curves import FOLDER, STEPS, curve
from golden_recipes import RECIPES

TOLERANCE = 1e-6
"""Relative. Float32 sums differ with the instructions that a kernel is written for: made with AVX-512, AVX2, SSE4.2 and
ATen's default, the four curves differed by 2e-7 at most; another draw of one dropout mask changed that of
classify by 1e-2."""


@pytest.mark.parametrize("name", RECIPES)
def test_a_loss_curve_is_the_golden_one(name):
    golden = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["curve"]
    found = curve(name)
    assert found.keys() == golden.keys()
    assert len(found["loss of each step"]) == STEPS
    for what, values in golden.items():
        assert found[what] == pytest.approx([float.fromhex(value) for value in values], rel=TOLERANCE), what


def test_every_golden_curve_has_its_recipe():
    assert {file.stem for file in FOLDER.iterdir()} == set(RECIPES)
