"""Units that follow the text: one that was built to count is found, and what a page shows of it."""

import numpy as np
import pytest
import torch

from gatewise.errors import DataError, UsageError
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.corpus import Part
from gatewise.tasks.generate.fitted import FittedLanguageModel
from gatewise.tasks.generate.model import LanguageModel
from gatewise.tasks.generate.units import find_text_units
from gatewise.tasks.generate.vocabulary import train_vocabulary

COUNTER, H = 3, 4


def counting_model(content: bytes) -> FittedLanguageModel:
    """Unit 3 of layer 0 adds tanh(1/2) at each character and forgets all at a line end; the others are random."""
    vocabulary = train_vocabulary(content, "characters", 0)
    config = GenerateConfig(embedding_size=vocabulary.size, hidden_size=H, num_layers=2)
    model = LanguageModel(config, vocabulary.size).double().eval()
    layer = model.recurrent.layers[0]
    end = int(vocabulary.encode(b"\n")[0])
    with torch.no_grad():
        model.embedding.copy_(torch.eye(vocabulary.size))
        for name, value in (("i", 30.0), ("f", 30.0), ("g", 0.5), ("o", 0.0)):
            row = "ifgo".index(name) * H + COUNTER
            layer.weight_ih_l0[row] = 0
            layer.weight_hh_l0[row] = 0
            layer.bias_ih_l0[row], layer.bias_hh_l0[row] = value, 0
        layer.weight_ih_l0[H + COUNTER, end] = -60  # forget
        layer.weight_ih_l0[COUNTER, end] = -60  # and write nothing
    return FittedLanguageModel(config, model, vocabulary)


def lines(seed: int = 0, count: int = 160) -> bytes:
    random = np.random.default_rng(seed)
    return "".join(
        "".join(random.choice(list("ab "), n)) + "\n" for n in random.integers(1, 40, count)
    ).encode()


def test_a_unit_that_counts_is_found():
    content = lines()
    found = find_text_units(counting_model(content), Part("text", content, 1), most=2500, permutations=99)
    best = found.units[0]
    assert (best.signal, best.layer, best.unit) == ("position in line", 0, COUNTER)
    assert best.correlation == pytest.approx(1, abs=1e-9) and best.p == 0.01
    assert found.tokens == 9 * 256 and found.all_units == 2 * H
    assert {one.signal for one in found.units} == {"position in line", "indentation", "position in word"}
    assert found.notes[0] == f"the first 2,304 of {len(content):,} tokens were read"
    assert "nothing of the text is inside quotes" in found.notes
    if best.one_unit is not None:
        assert (
            best.one_unit == pytest.approx(1, abs=1e-3) and best.shuffled is not None and best.shuffled < 0.3
        )
    text = found.texts[0]
    step = np.tanh(0.5)
    levels = [mark.level for mark in text.marks]
    at, expected = None, []
    for mark in text.marks:  # from the first line end on, where the count is known
        at = 0 if mark.ends_line else None if at is None else at + 1
        expected.append(at)
    for level, count in zip(levels, expected, strict=True):
        if count is not None:
            share = (count * step - text.low) / (text.high - text.low)
            assert level == round(10 * min(max(share, 0), 1))
    assert text.marks[0].text in "ab␣⏎" and len(text.marks) == 256


def test_the_page_has_no_style_in_an_element_and_every_sign():
    content = lines() + b"<i>'&" * 60
    found = find_text_units(counting_model(content), Part("text", content, 1), permutations=9)
    html = found.to_html("Units <b>")
    assert "style=" not in html and "Units &lt;b&gt;" in html and "<i>" not in html
    assert html.count('class="level-') + html.count("<span class=") >= 256 * len(found.units)


def test_what_cannot_be_followed():
    content = lines()
    fitted = counting_model(content)
    with pytest.raises(DataError, match=r"text: has 13 tokens \(characters\); 2,048 at least are needed"):
        find_text_units(fitted, Part("text", b"ab a b ab\nbb\n", 1))
    with pytest.raises(UsageError, match="most is 2047; at least 2,048 tokens are needed"):
        find_text_units(fitted, Part("text", content, 1), most=2047)
    with pytest.raises(DataError, match="text: no signal moves in the first 2,048 tokens"):
        find_text_units(fitted, Part("text", b"\n" * 2048, 1))
    with pytest.raises(UsageError, match="state is 'z'; it can be 'c' or 'h'"):
        find_text_units(fitted, Part("text", content, 1), state="z")
