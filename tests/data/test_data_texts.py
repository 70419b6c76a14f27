"""Texts: columns, labels, ids, notes and hashes of written-out files, and every way in which they are refused."""

import gzip
import hashlib
import json
import os

import pytest

from gatewise.data.texts import read_texts
from gatewise.errors import DataError, UsageError


def written(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path, **options):
    with pytest.raises(DataError) as caught:
        read_texts(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_a_table_with_known_column_names_in_any_case(tmp_path):
    path = written(
        tmp_path, "r.csv", "Sentiment,extra,Review\npos,1,Good <script>fun</script>\n neg ,2,  bad \n"
    )
    read = read_texts(path)
    assert read.texts == ["Good <script>fun</script>", "  bad "]
    assert read.labels == ["pos", "neg"]
    assert read.ids == ["1", "2"]
    assert (read.text_column, read.label_column) == ("Review", "Sentiment")
    assert (read.source, read.notes) == (str(path), [])
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_named_columns_win_over_known_names(tmp_path):
    path = written(tmp_path, "r.tsv", "text\tlabel\tbody\tstars\tkey\na\tb\tgood\t5\tk1\nc\td\tbad\t1\tk2\n")
    read = read_texts(path, text="body", label="stars", id="key")
    assert (read.texts, read.labels, read.ids) == (["good", "bad"], ["5", "1"], ["k1", "k2"])


def test_json_lines_with_numbers_and_truth_values_as_labels_and_an_id(tmp_path):
    lines = [
        {"id": 7, "text": "a", "label": 0},
        {"id": "x", "text": "b", "label": 1.5, "more": [1]},
        {"id": 9, "label": True, "text": "ü"},
    ]
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(json.dumps(line) for line in lines).encode()))
    read = read_texts(path)
    assert (read.ids, read.texts, read.labels) == (["7", "x", "9"], ["a", "b", "ü"], ["0", "1.5", "True"])
    assert read.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_empty_texts_are_left_out_for_training_and_kept_for_predicting(tmp_path):
    path = written(tmp_path, "r.csv", 'text,label\ngood,pos\n"",neg\n"  ",neg\nbad,neg\n')
    read = read_texts(path)
    assert (read.ids, read.texts, read.labels) == (["1", "4"], ["good", "bad"], ["pos", "neg"])
    assert read.notes == ["2 empty texts left out"]
    read = read_texts(path, need_labels=False)
    assert (read.ids, read.texts, read.labels) == (["1", "2", "3", "4"], ["good", "", "  ", "bad"], None)
    assert (read.label_column, read.notes) == (None, [])
    assert read_texts(path, label="label", need_labels=False).labels == ["pos", "neg", "neg", "neg"]


def test_labels_are_not_needed_for_predicting(tmp_path):
    assert read_texts(written(tmp_path, "r.csv", "content\nhello\n"), need_labels=False).texts == ["hello"]


def test_a_subset_keeps_source_and_hash(tmp_path):
    read = read_texts(written(tmp_path, "r.csv", "id,text,label\na,x,1\nb,y,2\nc,z,3\n"))
    part = read.subset([2, 0])
    assert (part.ids, part.texts, part.labels) == (["c", "a"], ["z", "x"], ["3", "1"])
    assert (part.source, part.sha256, len(part)) == (read.source, read.sha256, 2)


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        (
            "title,label\nGreat fun,pos\n",
            {},
            ": no column is called text, review, sentence or content, so name the text column; "
            "the columns are 'title' ('Great fun'), 'label' ('pos')",
        ),
        (
            "text,stars\nGreat fun,5\n",
            {},
            ": no column is called label, sentiment, class or target, so name the label column; "
            "the columns are 'text' ('Great fun'), 'stars' ('5')",
        ),
        (
            "text,Review,label\na,b,c\n",
            {},
            ": 'text' and 'Review' could each be the text column, so name it; "
            "the columns are 'text' ('a'), 'Review' ('b'), 'label' ('c')",
        ),
        (
            "text,label,target\na,b,c\n",
            {},
            ": 'label' and 'target' could each be the label column, so name it; "
            "the columns are 'text' ('a'), 'label' ('b'), 'target' ('c')",
        ),
        (
            "text,label\na,b\n",
            {"text": "Text"},
            ": there is no column 'Text'; the columns are 'text' ('a'), 'label' ('b')",
        ),
        (
            "text,label\na,b\n",
            {"id": "key"},
            ": there is no column 'key'; the columns are 'text' ('a'), 'label' ('b')",
        ),
        ("text,label\na,p\nb,\n", {}, ", line 3: the label in 'label' is empty"),
        ("text,label\na,p\nb,  \n", {}, ", line 3: the label in 'label' is empty"),
        ("text,label\na,p\nb,p\n", {}, ": the label of 2 texts is always 'p'; two labels are needed"),
        ('text,label\n"",p\n" ",q\n', {}, ": all 2 texts are empty"),
        ('text,label\na,p\n"",q\n', {}, ": the label of 1 text is always 'p'; two labels are needed"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, content, options, sentence):
    assert refusal(written(tmp_path, "r.csv", content), **options) == sentence


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"text": "b"}', ", line 2: there is no 'label' in this object"),
        ('{"label": "p"}', ", line 2: there is no 'text' in this object"),
        ('{"text": 5, "label": "p"}', ", line 2: the text in 'text' is not text but 5"),
        ('{"text": null, "label": "p"}', ", line 2: the text in 'text' is not text but None"),
        ('{"text": "b", "label": null}', ", line 2: the label in 'label' is None, neither text nor a number"),
        (
            '{"text": "b", "label": ["p"]}',
            ", line 2: the label in 'label' is ['p'], neither text nor a number",
        ),
        ('{"text": "b", "label": ""}', ", line 2: the label in 'label' is empty"),
        (
            r'{"text": "b\ud800", "label": "p"}',
            ", line 2: character 2 in 'text' is U+D800, which no text can hold",
        ),
        (
            r'{"text": "\u0000", "label": "p"}',
            ", line 2: character 1 in 'text' is U+0000, which no text can hold",
        ),
        (
            r'{"text": "b", "label": "\udfff"}',
            ", line 2: character 1 in 'label' is U+DFFF, which no text can hold",
        ),
    ],
)
def test_a_json_line_that_cannot_be_used_is_refused(tmp_path, line, sentence):
    assert refusal(written(tmp_path, "r.jsonl", '{"text": "a", "label": "q"}\n' + line)) == sentence


def test_an_id_that_is_none_is_refused(tmp_path):
    path = written(tmp_path, "r.jsonl", '{"text": "a", "id": 1}\n{"text": "b", "id": {}}\n')
    assert refusal(path, need_labels=False) == ", line 2: the id in 'id' is {}, neither text nor a number"


@pytest.fixture
def reviews(tmp_path):
    folder = tmp_path / "train"
    written(folder, "pos/1_9.txt", "good\r\nfun")
    written(folder, "pos/0_8.txt", "\ufefffine")
    written(folder, "neg/0_1.txt", "bad")
    written(folder, "neg/1_1.txt", " ")
    written(folder, "neg/notes.md", "no review")
    written(folder, "unsup/0_0.txt", "unlabelled")
    written(folder, "urls_pos.txt", "http://example.org")
    return folder


def test_a_folder_with_one_sub_folder_a_label(reviews):
    read = read_texts(reviews)
    assert read.ids == ["neg/0_1.txt", "pos/0_8.txt", "pos/1_9.txt"]
    assert read.texts == ["bad", "fine", "good\r\nfun"]
    assert read.labels == ["neg", "pos", "pos"]
    assert (read.text_column, read.label_column, read.source) == (None, None, str(reviews))
    assert read.notes == [
        "the folder unsup, which has no label, left out",
        "2 other entries of the folder left out",
        "1 empty text left out",
    ]


def test_a_folder_is_hashed_over_names_and_contents(reviews):
    expected = hashlib.sha256()
    contents = {
        "neg/0_1.txt": "bad",
        "neg/1_1.txt": " ",
        "pos/0_8.txt": "\ufefffine",
        "pos/1_9.txt": "good\r\nfun",
    }
    for name, content in contents.items():
        expected.update(name.encode() + b"\0" + hashlib.sha256(content.encode()).digest())
    assert read_texts(reviews).sha256 == expected.hexdigest()


def test_a_folder_has_no_columns(reviews):
    with pytest.raises(UsageError, match="is a folder: it has no columns that text, label or id could name"):
        read_texts(reviews, text="text")


def test_the_parent_of_the_label_folders_is_refused(reviews):
    path = reviews.parent
    written(path, ".git/config", "x")
    assert (
        refusal(path)
        == f"{os.sep}train: holds folders (neg, pos, unsup), so it is not the folder of one label"
    )


def test_folders_without_labels_or_texts_are_refused(tmp_path):
    assert refusal(tmp_path) == ": a folder of texts has one sub-folder a label, and here there is none"
    (tmp_path / "unsup").mkdir()
    assert refusal(tmp_path) == ": a folder of texts has one sub-folder a label, and here there is none"
    (tmp_path / "pos").mkdir()
    assert refusal(tmp_path) == f"{os.sep}pos: there is no .txt file in it"
    written(tmp_path, "pos/1.txt", "good")
    assert refusal(tmp_path) == ": the label of 1 text is always 'pos'; two labels are needed"


def test_a_file_of_a_folder_that_is_no_text_is_named(tmp_path):
    written(tmp_path, "neg/1.txt", b"one\ntwo \xe9t\xe9\n")
    assert refusal(tmp_path) == (
        f"{os.sep}neg{os.sep}1.txt, line 2, byte 5: not UTF-8 (byte 0xe9: invalid continuation byte)"
    )
    written(tmp_path, "neg/1.txt", b"x" * 10_000_000)
    assert (
        refusal(tmp_path)
        == f"{os.sep}neg{os.sep}1.txt: the text has 10,000,000 bytes or more, which is too long"
    )
