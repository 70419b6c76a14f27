"""Files and folders as a corpus: what is read, in which order, what is held out, and what is refused."""

import gzip

import pytest

from gatewise.errors import DataError
from gatewise.tasks.generate import corpus as corpora
from gatewise.tasks.generate.corpus import read_corpus, read_part


def test_the_end_of_a_single_text_is_held_out(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("äbcdefghij" * 10, encoding="utf-8")
    found = read_corpus([str(path)], validation=0.2, test=0.1)
    assert found.training.text == ("äbcdefghij" * 10)[:70]
    assert found.validation.text == ("äbcdefghij" * 10)[70:90] and found.test.text == "äbcdefghij"
    assert found.how == "the end of the text held out (0.2 for validation and 0.1 for test)"


def test_the_split_of_tinyshakespeare_is_the_usual_one(tmp_path):
    """Its 1,115,394 characters are cut at 90 %, after character 1,003,854."""
    path = tmp_path / "text.txt"
    path.write_text("x" * 1_115_394)
    assert len(read_corpus([str(path)]).training.text) == 1_003_854


def test_a_folder_is_read_in_the_order_of_names_and_joined_by_lines(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.txt").write_text("second\n")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"third"))
    (tmp_path / "notes.pdf").write_text("no text")
    (tmp_path / ".hidden.txt").write_text("no")
    part = read_part(tmp_path)
    assert part.text == "first\nsecond\nthird\n" and part.files == 3
    several = read_corpus([str(tmp_path / "b"), str(tmp_path / "a.txt")], validation=0)
    assert several.training.text == "second\nfirst\n" and several.validation is None


def test_of_many_files_whole_ones_are_held_out_by_their_names(tmp_path):
    for number in range(40):
        (tmp_path / f"{number:02d}.txt").write_text(f"{number:02d}" * 50 + "\n")
    found = read_corpus([str(tmp_path)], validation=0.2, test=0.1)
    parts = [part.text.split() for part in (found.training, found.validation, found.test)]
    assert [len(part) for part in parts] == [28, 8, 4]
    assert sorted(word for part in parts for word in part) == [f"{number:02d}" * 50 for number in range(40)]
    assert all(part == sorted(part) for part in parts)
    assert parts[1] != [f"{number:02d}" * 50 for number in range(28, 36)]
    moved = tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert read_corpus([str(moved)], validation=0.2, test=0.1).validation.text == found.validation.text
    assert "by a hash of their names" in found.how


def test_parts_of_your_own_leave_the_text_whole(tmp_path):
    (tmp_path / "train").write_text("train text")
    (tmp_path / "valid").write_text("valid")
    found = read_corpus([str(tmp_path / "train")], validation_data=str(tmp_path / "valid"))
    assert found.training.text == "train text" and found.validation.text == "valid" and found.test is None
    assert found.how == "validation given"


def test_the_standard_library_is_the_same_every_time():
    first, again = read_corpus(), read_corpus()
    assert first.training.sha256 == again.training.sha256
    documents, notes = corpora.standard_library()
    names = [document.name for document in documents]
    assert names == sorted(names, key=lambda name: tuple(name.split("/"))) and "json/decoder.py" in names
    assert not [name for name in names if "site-packages" in name or "/test" in name]
    assert sum(part.files for part in (first.training, first.validation)) == len(documents)
    assert f"{len(documents):,} files" in notes[0]
    share = len(first.validation.content) / (len(first.validation.content) + len(first.training.content))
    assert 0.1 <= share < 0.13


def test_bytes_are_taken_as_they_are(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(bytes(range(256)) * 2)
    assert read_part(path, raw=True).content == bytes(range(256)) * 2
    found = read_corpus([str(path)], validation=0.25, raw=True)
    assert found.training.content + found.validation.content == bytes(range(256)) * 2


def write(path, content):
    path.write_bytes(content)
    return [str(path)]


def test_what_is_no_text_is_refused_in_a_sentence(tmp_path, monkeypatch):
    def refused(data, message, **options):
        with pytest.raises(DataError, match=message):
            read_corpus(data, **options)

    refused([str(tmp_path / "none.txt")], "none.txt: there is no such file")
    refused(write(tmp_path / "empty.txt", b""), "empty.txt: the file is empty")
    refused(write(tmp_path / "mark.txt", b"\xef\xbb\xbf"), "mark.txt: the file is empty")
    refused(write(tmp_path / "bin.txt", b"\x89PNG\r\n"), "bin.txt, byte 1: not UTF-8 .byte 0x89")
    refused(write(tmp_path / "nul.txt", b"ab\0c"), "nul.txt, character 3: a NUL character")
    refused(write(tmp_path / "cut.txt.gz", gzip.compress(b"abc" * 99)[:-9]), "not a whole gzip file")
    refused(write(tmp_path / "no.txt.gz", b"plain text"), "not a whole gzip file")
    (tmp_path / "folder").mkdir()
    refused([str(tmp_path / "folder")], "folder: holds no .txt or .txt.gz file; name other files one by one")
    refused(write(tmp_path / "a.txt", b"a"), "no text is left for the training part .0.1 for validation")
    monkeypatch.setattr(corpora, "MOST_BYTES", 10)
    refused(write(tmp_path / "long.txt", b"x" * 11), "the text has more than 10 bytes")


def test_a_column_of_a_table_is_a_text_a_row(tmp_path):
    table = tmp_path / "reviews.jsonl"
    table.write_text(
        '{"review": "one\\ntwo", "stars": 3}\n{"review": "", "stars": 1}\n{"review": "three", "stars": 2}\n'
    )
    part = read_part(table, column="review")
    assert part.text == "one\ntwo\nthree\n" and part.files == 2
    assert read_part(table).text.startswith('{"review"'), "without a column the file is read as it stands"
    (tmp_path / "plain.txt").write_text("plain")
    assert read_part(tmp_path / "plain.txt", column="review").text == "plain"
    with pytest.raises(DataError, match="stars"):
        read_part(table, column="text")


def test_of_a_table_whole_texts_are_held_out(tmp_path):
    table = tmp_path / "reviews.csv"
    table.write_text("id,text\n" + "".join(f"{number},w{number:02d}\n" for number in range(40)))
    found = read_corpus([str(table)], validation=0.25, column="text")
    words = [part.text.split() for part in (found.training, found.validation)]
    assert [len(part) for part in words] == [30, 10]
    assert sorted(words[0] + words[1]) == [f"w{number:02d}" for number in range(40)]


def test_a_column_without_any_text_is_refused(tmp_path):
    table = tmp_path / "reviews.csv"
    table.write_text("id,text\n1,\n2,\n")
    with pytest.raises(DataError, match="no text in the column 'text'"):
        read_part(table, column="text")
