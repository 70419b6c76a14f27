"""`Variant`: what it says of itself, what goes through the operator as text, and what it refuses."""

import pickle
from itertools import product

import pytest

from gatewise.cells import PLAIN, Variant
from gatewise.errors import UsageError

EVERY = [
    Variant(norm, peephole, coupled, zoneout, p, on)
    for norm, peephole, coupled in product([False, True], repeat=3)
    if not (norm and peephole)
    for zoneout in [(0.0, 0.0), (0.1, 0.0), (0.0, 1e-7), (1 / 3, 0.2)]
    for p, on in [(0.0, "h"), (0.1, "h"), (2 / 3, "g"), (0.5, "weights")]
]


@pytest.mark.parametrize("variant", EVERY, ids=str)
def test_its_text_says_everything(variant):
    assert Variant.parse(str(variant)) == variant
    assert pickle.loads(pickle.dumps(variant)) == variant
    assert (str(variant) == "") == variant.plain == (variant == PLAIN)
    assert variant.random == (any(variant.zoneout) or variant.recurrent_dropout > 0)


def test_written_out():
    variant = Variant(peephole=True, coupled=True, zoneout=(0.25, 0), recurrent_dropout=0.5)
    assert str(variant) == "peephole coupled zoneout=0.25:0.0 dropout=0.5@h"
    assert variant.names == ["peephole", "coupled", "zoneout", "recurrent_dropout"]
    assert PLAIN.names == [] and PLAIN.plain


def test_a_list_and_whole_numbers_are_probabilities_too():
    assert Variant(zoneout=[0, 0.5]) == Variant(zoneout=(0.0, 0.5))
    assert Variant(recurrent_dropout=0).plain
    assert hash(Variant(zoneout=[0, 0.5])) == hash(Variant(zoneout=(0.0, 0.5)))


def test_what_the_steps_see():
    dropped = Variant(coupled=True, zoneout=(0.1, 0.2), recurrent_dropout=0.5, recurrent_dropout_on="g")
    assert dropped.in_steps(training=True) == dropped
    assert dropped.in_steps(training=False) == Variant(coupled=True, zoneout=(0.1, 0.2))
    weights = Variant(recurrent_dropout=0.5, recurrent_dropout_on="weights")
    assert weights.in_steps(training=True) == weights.in_steps(training=False) == PLAIN


REFUSED = [
    ({"zoneout": (1.0, 0)}, r"zoneout is 1.0; it is a probability of at least 0 and below 1"),
    ({"zoneout": (0, -0.1)}, r"zoneout is -0.1; it is a probability"),
    ({"zoneout": 0.1}, r"zoneout is 0.1; it is a pair of probabilities, \(of c, of h\)"),
    ({"zoneout": (0.1,)}, r"zoneout is \(0.1,\); it is a pair"),
    ({"zoneout": (True, 0.1)}, r"zoneout is True; it is a probability"),
    ({"zoneout": (float("nan"), 0.1)}, r"zoneout is nan; it is a probability"),
    ({"recurrent_dropout": 1}, r"recurrent_dropout is 1; it is a probability of at least 0 and below 1"),
    ({"recurrent_dropout": "0.5"}, r"recurrent_dropout is '0.5'; it is a probability"),
    ({"recurrent_dropout_on": "c"}, r"recurrent_dropout_on is 'c'; it can be 'h', 'g', 'weights'"),
    ({"layer_norm": True, "peephole": True}, r"layer_norm and peephole do not go together"),
    ({"coupled": 1}, r"coupled is 1; it must be True or False"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_refused_with_the_numbers(options, message):
    with pytest.raises(UsageError, match=message):
        Variant(**options)


@pytest.mark.parametrize("cell", ["gru", "gru_reset_before", "rnn_tanh", "rnn_relu"])
@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (Variant(layer_norm=True), "layer_norm is a variant of the LSTM; a {} cell has none"),
        (
            Variant(coupled=True, recurrent_dropout=0.1),
            "coupled is a variant of the LSTM; a {} cell has none",
        ),
        (Variant(zoneout=(0, 0.1)), "zoneout is a variant of the LSTM; a {} cell has none"),
        (
            Variant(recurrent_dropout=0.1, recurrent_dropout_on="g"),
            "recurrent_dropout_on='g' is a variant of the LSTM; a {} cell has 'h' and 'weights'",
        ),
    ],
)
def test_other_cells_refuse_the_lstms_by_name(cell, variant, message):
    with pytest.raises(UsageError, match=message.format(cell)):
        variant.check(cell, projected=False)
    variant.check("lstm", projected=False)


def test_a_projected_h_is_not_kept():
    with pytest.raises(
        UsageError, match=r"zoneout=\(0.1, 0.2\) keeps units of h, and this layer's h is a projection"
    ):
        Variant(zoneout=(0.1, 0.2)).check("lstm", projected=True)
    Variant(zoneout=(0.1, 0)).check("lstm", projected=True)
    Variant(recurrent_dropout=0.3).check("gru", projected=False)
