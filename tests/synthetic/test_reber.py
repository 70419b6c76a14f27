"""The embedded Reber grammar: every string is legal by another definition of it, and the walks have its chances."""

import re
from collections import Counter, defaultdict

import pytest
import torch

from gatewise.errors import UsageError
from gatewise.synthetic.reber import SYMBOLS, ReberStreams, predicted, strings, until_first_error

# The grammar as a regular expression, worked out by hand from the paper's graph: what follows its lower loop is
# N = (T*VPX)* T*V (V or PS), and a string is B (TS*X (S or X N), or P N) E.
LOWER = "(?:T*VPX)*T*V(?:V|PS)"
INNER = f"B(?:TS*X(?:S|X{LOWER})|P{LOWER})E"
EMBEDDED = re.compile(f"B(?:T{INNER}T|P{INNER}P)E")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def many():
    return strings(8000, generator=generator())


def test_the_expression_knows_the_strings_that_the_literature_prints():
    inner = re.compile(INNER)
    for string in ("BTSSXXTVVE", "BPVPXVPXVPXVVE", "BTSXXVPSE", "BPVVE", "BTXSE", "BTSXSE", "BPTVPSE"):
        assert inner.fullmatch(string)
    for string in ("BTSSPXSE", "BTTVVE", "BPXSE", "BTXXE"):
        assert not inner.fullmatch(string)


def test_every_string_is_of_the_grammar(many):
    assert len(many) == 8000
    assert all(EMBEDDED.fullmatch(string) for string in many)


def test_strings_are_as_long_and_as_frequent_as_the_graph_says(many):
    # Expected symbols from a node on, solved by hand: nodes 4 and 5 give 13/3 and 11/3, nodes 2 and 3 19/3 and 17/3; so
    # the inner string has 2 + (19/3 + 17/3) / 2 = 8 symbols, and 4 more are around it.
    lengths = torch.tensor([float(len(string)) for string in many])
    assert abs(lengths.mean() - 12) < 5 * lengths.std() / 8000**0.5
    assert lengths.min() == 9
    counts = Counter(many)
    # bits decided on the way: outer T or P, inner T or P, and the choices at nodes 2 to 5
    for string, chance in {
        "BTBTXSETE": 2**-4,
        "BPBPVVEPE": 2**-4,
        "BTBPTVVETE": 2**-5,
        "BPBTSXXVPSEPE": 2**-8,
    }.items():
        assert abs(counts[string] / 8000 - chance) < 5 * (chance / 8000) ** 0.5


def test_legal_is_what_is_ever_seen_after_a_prefix(many):
    seen = defaultdict(set)
    for string in many:
        for at in range(len(string)):
            seen[string[:at]].add(string[at])
    window = ReberStreams(1, generator=generator(5)).read(2000)
    prefix, checked = "", 0
    for t in range(2000):
        symbol = SYMBOLS[window.symbols[t, 0]]
        prefix = symbol if window.boundary[t, 0] else prefix + symbol
        legal = {SYMBOLS[k] for k in window.legal[t, 0].nonzero().flatten().tolist()}
        if EMBEDDED.fullmatch(prefix):
            assert legal == {"B"}
        elif len(prefix) < 8:  # 8,000 strings hold every prefix of this length often
            assert legal == seen[prefix]
            checked += 1
        assert SYMBOLS[window.following[t, 0]] in legal
    assert checked > 1000


def test_boundaries_and_recalls_are_where_they_are_said_to_be():
    window = ReberStreams(3, generator=generator(1)).read(400)
    for b in range(3):
        text = "".join(SYMBOLS[k] for k in window.symbols[:, b].tolist())
        starts = [0, *(m.start() + 1 for m in re.finditer("EB", text))]
        assert window.boundary[:, b].nonzero().flatten().tolist() == starts
        ends = [start - 1 for start in starts[1:]]
        recalls = [t for t in window.recalls[:, b].nonzero().flatten().tolist() if t < ends[-1]]
        assert recalls == [end - 2 for end in ends]  # the step before the repeated T or P
        for start, recall in zip(starts, recalls, strict=False):
            assert window.following[recall, b] == window.symbols[start + 1, b]
            assert window.legal[recall, b].sum() == 1


def test_windows_go_on_where_the_last_one_ended():
    whole = ReberStreams(4, generator=generator(2)).read(60)
    again = ReberStreams(4, generator=generator(2))
    parts = [again.read(steps) for steps in (1, 39, 20)]
    for name in ("symbols", "following", "legal", "boundary", "recalls"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    assert torch.equal(whole.symbols[1:], whole.following[:-1])
    other = ReberStreams(4, generator=generator(3)).read(60)
    assert not torch.equal(other.symbols, whole.symbols)


def test_a_prediction_is_right_when_the_legal_symbols_lead():
    legal = torch.zeros(4, 1, 7, dtype=torch.bool)
    legal[:, 0, 1] = legal[:3, 0, 2] = True
    logits = torch.tensor(
        [
            [0.0, 3, 2, 1, 0, 0, 0],  # both legal ones lead
            [0.0, 3, 2, 2.5, 0, 0, 0],  # the third is above the second legal one
            [0.0, 2, 2, 2, 0, 0, 0],  # a tie is no lead
            [0.0, 3, 2, 1, 0, 0, 0],  # one legal symbol, and it leads
        ]
    )[:, None]
    assert predicted(logits, legal).flatten().tolist() == [True, False, False, True]


def test_until_first_error():
    right = torch.tensor([[1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=torch.bool)
    assert until_first_error(right).tolist() == [3, 1, 0]


def test_no_stream_is_refused():
    with pytest.raises(UsageError, match="streams is 0"):
        ReberStreams(0, generator=generator())
