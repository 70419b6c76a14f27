"""Sentences from gates whose counts are known: every number in them is counted here by hand."""

import numpy as np
import pytest
from trace_cases import made

from gatewise.reports.layer_view import layer_view
from gatewise.reports.page import LayerView, Word
from gatewise.reports.sentences import gate_sentences, held_sentence

WORDS = [Word(text) for text in ("so", "many", "surprises", "so", "dull")]


def gates_of(cell: str, **of_units: list[list[float]]) -> LayerView:
    """A view whose gates are given as [H][T]; the others stand at 0.5."""
    T, H = len(next(iter(of_units.values()))[0]), len(next(iter(of_units.values())))
    names = "ifgo" if cell == "lstm" else "rzn"
    gates = {name: np.full((T, 1, H), 0.5) for name in names}
    gates |= {name: np.array(values).T[:, None] for name, values in of_units.items()}
    return layer_view(made(cell, gates))


def test_where_the_input_gate_opened_in_most_units():
    view = gates_of(
        "lstm", i=[[0.2, 0.95, 0.91, 0.1, 0.9], [0.2, 0.5, 0.99, 0.1, 0.9], [0.2, 0.5, 0.3, 0.95, 0.9]]
    )
    assert gate_sentences(view, WORDS)[0] == (
        "At 'surprises' the input gate opened above 0.9 in 2 of 3 units; at no other word in more."
    )
    assert gate_sentences(view, WORDS, "step")[0] == (
        "At step surprises the input gate opened above 0.9 in 2 of 3 units; at no other step in more."
    )


def test_where_no_gate_opened_the_highest_mean_is_told():
    view = gates_of("lstm", i=[[0.2, 0.85, 0.3, 0.1, 0.9], [0.2, 0.3, 0.6, 0.1, 0.9]])
    assert gate_sentences(view, WORDS)[0] == (
        "At 'dull' the input gate opened most, to 0.90 on average; no unit went above 0.9 at any word."
    )


def test_the_forget_gate_all_the_way_with_its_half_life():
    # Half-lives ln 0.5 / ln f: 0.95 -> 13.5, 0.98 -> 34.3; the third unit closed once.
    view = gates_of("lstm", f=[[0.95] * 5, [0.98] * 5, [0.99, 0.99, 0.05, 0.99, 0.99]])
    sentences = gate_sentences(view, WORDS)
    assert sentences[1] == (
        "The forget gate stood above 0.9 in 2 of 3 units all the way; "
        "half of what they hold would be gone after 14 words (median)."
    )
    assert sentences[2] == (
        "At 'surprises' the forget gate closed below 0.1 in 1 of 3 units; at no other word in more."
    )
    # Without a unit that stood open: 0.5 -> 1 word, 0.25 -> half a word; the lower median of the two.
    closed = gate_sentences(gates_of("lstm", f=[[0.5] * 5, [0.25] * 5]), WORDS)[1]
    assert closed == (
        "The forget gate stood above 0.9 in no unit all the way; half of what a unit holds is gone after 0.5 words "
        "(median)."
    )
    alone = gate_sentences(gates_of("lstm", f=[[1.0] * 5]), WORDS)[1]
    assert alone == "The forget gate stood above 0.9 in 1 of 1 unit all the way; what it holds does not fade."
    at_once = gate_sentences(gates_of("lstm", f=[[0.0] * 5]), WORDS)[1]
    assert at_once.endswith("half of what a unit holds is gone after less than 0.1 words.")


def test_the_same_word_twice_is_told_apart_by_its_number():
    view = gates_of("lstm", o=[[0.2, 0.3, 0.3, 0.95, 0.9]])
    assert gate_sentences(view, WORDS)[3] == (
        "At 'so' (word 4) the output gate opened above 0.9 in 1 of 1 unit, showing what was held there; "
        "at no other word in more."
    )


def test_a_gru_writes_where_its_update_gate_closes():
    view = gates_of("gru", z=[[0.95, 0.05, 0.99, 0.99, 0.99], [0.95] * 5], r=[[0.5, 0.5, 0.5, 0.5, 0.2]] * 2)
    assert gate_sentences(view, WORDS) == [
        "At 'many' the update gate closed below 0.1 in 1 of 2 units, letting new content in; at no other word in more.",
        "The update gate stood above 0.9 in 1 of 2 units all the way; "
        "half of what it holds would be gone after 14 words.",
        "At 'dull' the reset gate closed most, to 0.20 on average; no unit went below 0.1 at any word.",
    ]


def test_one_step_alone_is_not_compared():
    view = gates_of("lstm", i=[[0.95]], o=[[0.5]])
    first, _, _, last = gate_sentences(view, WORDS[:1])
    assert first == "At 'so' the input gate opened above 0.9 in 1 of 1 unit."
    assert last == "At 'so' the output gate opened most, to 0.50 on average; no unit went above 0.9."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb\n", "'a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}'"),
        ("x" * 25, f"'{'x' * 23}…'"),
    ],
)
def test_words_are_printable_and_short(text, shown):
    view = gates_of("lstm", i=[[0.95, 0.2]])
    assert gate_sentences(view, [Word(text), Word("b")])[0].startswith(f"At {shown} the input gate")


def test_what_was_read_only_in_part_stands_at_its_own_words():
    gates = {name: np.full((2, 1, 1), 0.5) for name in "ifgo"}
    gates["i"][1] = 0.95
    view = layer_view(made("lstm", gates), positions=np.array([0, 4]))
    assert gate_sentences(view, WORDS)[0].startswith("At 'dull' the input gate")


def test_what_wrote_half_of_what_is_read():
    words = [Word("one", held=0.288 / 0.548), Word("two", held=0.16 / 0.548), Word("two", held=0.1 / 0.548)]
    assert held_sentence(words) == "53% of what is read was written at 1 of 3 words: 'one'."
    even = [Word(str(n), held=0.1) for n in range(1, 11)]
    assert held_sentence(even, "step", "the memory at the end") == (
        "50% of the memory at the end was written at 5 of 10 steps: most at step 1."
    )
    apart = [
        Word("so", held=0.05),
        Word("so", held=0.4),
        Word("dull", held=0.25),
        Word("cut"),
        Word("not", held=0.3),
    ]
    assert held_sentence(apart) == "70% of what is read was written at 2 of 5 words: 'so' (word 2), 'not'."
    assert held_sentence([Word("a"), Word("b")]) is None
    assert held_sentence([Word("a", held=0.0), Word("b", held=0.0)]) is None
