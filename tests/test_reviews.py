"""The embedded reviews keep the promises of their data card."""

import json
import re
from collections import Counter, defaultdict
from importlib import resources
from itertools import pairwise

import pytest

from gatewise.data.reviews import load_reviews
from gatewise.errors import UsageError
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.recipe import divide

QUOTED = (
    "Amazing movie! Movie was full of new surprises, audience had to hold back till the last minute to watch it. "
    "There was hardly any boring moment."
)
ROWS = [
    json.loads(line)
    for line in (resources.files("gatewise.data.reviews") / "reviews.jsonl").read_text("utf-8").splitlines()
]


def trigrams(text: str) -> set[tuple[str, str, str]]:
    words = re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))


def jaccard(a: set, b: set) -> float:
    return len(a & b) / len(a | b)


def pairs() -> dict[str, list[dict]]:
    found = defaultdict(list)
    for row in ROWS:
        if "pair" in row:
            found[row["pair"]].append(row)
    return found


def test_counts_and_balance():
    assert len(ROWS) >= 800
    assert Counter((row["split"], row["label"]) for row in ROWS) == {
        ("train", "positive"): 1616,
        ("train", "negative"): 1616,
        ("test", "positive"): 404,
        ("test", "negative"): 404,
    }


def test_ids_count_up_and_texts_are_unique():
    assert [row["id"] for row in ROWS] == [f"r{n:04d}" for n in range(1, len(ROWS) + 1)]
    assert len({row["text"].lower() for row in ROWS}) == len(ROWS)


def test_every_text_is_plain_and_of_5_to_60_words():
    for row in ROWS:
        assert set(row) - {"pair"} == {"id", "text", "label", "split"}
        assert 5 <= len(row["text"].split()) <= 60, row
        assert row["text"].isascii() and row["text"].isprintable(), row
        assert row["text"] == " ".join(row["text"].split()), row
        assert not re.search(r"[<>{}\\]|https?:|@", row["text"]), row


def test_no_two_reviews_are_near_copies():
    sets = [trigrams(row["text"]) for row in ROWS]
    holders = defaultdict(list)  # only reviews that share a trigram can have a Jaccard index above 0
    for number, found in enumerate(sets):
        for trigram in found:
            holders[trigram].append(number)
    candidates = {(a, b) for numbers in holders.values() for a in numbers for b in numbers if a < b}
    assert len(candidates) > 1000
    assert [(ROWS[a], ROWS[b]) for a, b in candidates if jaccard(sets[a], sets[b]) > 0.6] == []


def test_no_review_is_like_the_one_that_the_demo_explains():
    quoted = trigrams(QUOTED)
    assert max(jaccard(quoted, trigrams(row["text"])) for row in ROWS) <= 0.3


def test_no_sentence_template_runs_through_the_reviews():
    starts = Counter(tuple(row["text"].lower().split()[:4]) for row in ROWS)
    assert starts.most_common(1)[0][1] <= 6
    fives = Counter(
        five
        for row in ROWS
        for five in zip(*(row["text"].lower().split()[k:] for k in range(5)), strict=False)
    )
    assert fives.most_common(1)[0][1] <= 12


def test_contrast_pairs_have_opposite_labels_on_one_side_of_the_split():
    found = pairs()
    assert len(found) >= 100
    for members in found.values():
        assert sorted(row["label"] for row in members) == ["negative", "positive"], members
        assert len({row["split"] for row in members}) == 1, members


def test_contrast_pairs_are_minimal():
    """The members of most pairs share more than half of their words, far more than two reviews by chance."""

    def shared(a: dict, b: dict) -> float:
        return jaccard(set(a["text"].lower().split()), set(b["text"].lower().split()))

    within = sorted(shared(*members) for members in pairs().values())
    chance = sorted(shared(a, b) for a, b in pairwise(ROWS))
    assert within[len(within) // 2] > 0.5
    assert chance[len(chance) // 2] < 0.1


def test_load_reviews_returns_the_split_in_the_order_of_the_file():
    for split in ("train", "test"):
        rows = [row for row in ROWS if row["split"] == split]
        read = load_reviews(split)
        assert read.ids == [row["id"] for row in rows]
        assert read.texts == [row["text"] for row in rows]
        assert read.labels == [row["label"] for row in rows]
        assert read.groups == [row.get("pair", row["id"]) for row in rows]
    assert load_reviews().ids == [row["id"] for row in ROWS]


def test_a_held_out_part_has_whole_contrast_pairs():
    inside, outside = divide(load_reviews("train"), None, ClassifyConfig(validation=0.2))
    assert outside is not None and 646 <= len(outside) <= 648
    assert set(inside.groups or []).isdisjoint(outside.groups or [])
    assert sum(name.startswith("p") for name in outside.groups or []) >= 2


def test_load_reviews_refuses_another_split():
    with pytest.raises(UsageError, match="split is 'dev'; it must be 'train', 'test' or None"):
        load_reviews("dev")  # type: ignore[arg-type]
