"""Pairs of texts from tables and from two files of lines."""

import gzip

import pytest

from gatewise.data.pairs import read_pairs, read_sources
from gatewise.errors import DataError


def written(folder, name, text):
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def test_two_files_belong_together_line_for_line(tmp_path):
    pairs = read_pairs(
        written(tmp_path, "a.de", "Ein Hund.\n  Zwei Hunde. \nDrei\n"),
        written(tmp_path, "a.en.gz", "A dog.\nTwo dogs.\nThree"),
    )
    assert pairs.sources == ["Ein Hund.", "Zwei Hunde.", "Drei"]
    assert pairs.targets == ["A dog.", "Two dogs.", "Three"]
    assert pairs.places[1] == f"{tmp_path / 'a.de'}, line 2"
    assert pairs.columns is None


def test_files_of_different_lengths_are_refused_with_both_numbers(tmp_path):
    source, target = written(tmp_path, "a.de", "x\ny\nz\n"), written(tmp_path, "a.en", "x\ny\n")
    with pytest.raises(DataError, match=r"a.de has 3 lines and .*a.en has 2 lines; line for line"):
        read_pairs(source, target)


def test_pairs_with_an_empty_side_are_left_out_and_counted(tmp_path):
    source, target = written(tmp_path, "a.de", "x\n\nz\nu\n"), written(tmp_path, "a.en", "1\n2\n \n4\n")
    pairs = read_pairs(source, target)
    assert pairs.sources == ["x", "u"]
    assert pairs.targets == ["1", "4"]
    assert pairs.notes == [f"2 pairs with an empty side left out (the first is {source}, line 2)"]


def test_pairs_that_are_all_empty_are_refused(tmp_path):
    source, target = written(tmp_path, "a.de", "x\n\n"), written(tmp_path, "a.en", "\ny\n")
    with pytest.raises(DataError, match="of 2 pairs none has text on both sides"):
        read_pairs(source, target)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.tsv", "id\tsrc\tTarget\n1\tein Hund\ta dog\n2\tzwei\ttwo\n"),
        ("p.csv", "source,target\nein Hund,a dog\nzwei,two\n"),
        ("p.jsonl", '{"input": "ein Hund", "output": "a dog"}\n{"input": "zwei", "output": "two"}\n'),
    ],
)
def test_tables_with_the_usual_names(tmp_path, name, text):
    pairs = read_pairs(written(tmp_path, name, text))
    assert pairs.sources == ["ein Hund", "zwei"]
    assert pairs.targets == ["a dog", "two"]
    assert read_sources(tmp_path / name)[0] == ["ein Hund", "zwei"]


def test_columns_can_be_named_and_must_be_there(tmp_path):
    path = written(tmp_path, "p.csv", "question,answer\nwhy,because\n")
    assert read_pairs(path, source="question", target="answer").columns == ("question", "answer")
    with pytest.raises(
        DataError, match="no column is called source, src or input, so name the source column"
    ):
        read_pairs(path)
    with pytest.raises(DataError, match="there is no column 'anwser'"):
        read_pairs(path, source="question", target="anwser")


def test_what_is_no_text_is_refused_with_its_line(tmp_path):
    path = written(tmp_path, "p.jsonl", '{"source": "a", "target": "b"}\n{"source": 3, "target": "b"}\n')
    with pytest.raises(DataError, match=r"p.jsonl, line 2: the text in 'source' is not text but 3"):
        read_pairs(path)


def test_sources_alone_keep_their_empty_lines(tmp_path):
    path = written(tmp_path, "a.de", "x\n\nz\n")
    assert read_sources(path) == (["x", "", "z"], "")
