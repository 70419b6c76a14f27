"""Word vectors from text files: values, headers, words with spaces, and broken lines."""

import gzip

import numpy as np
import pytest

from gatewise.data.vectors import read_vectors
from gatewise.errors import DataError

GLOVE = "the 0.5 -1 2e-1\nfilm 1 2 3\n. . . 7 8 9\nthe 9 9 9\n"


def written(folder, content, name="v.txt"):
    path = folder / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


def refusal(path, words=("the", "film")):
    with pytest.raises(DataError) as caught:
        read_vectors(path, words)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize("name", ["v.txt", "v.vec.gz"])
@pytest.mark.parametrize("header", ["", "4 3\n"])
def test_rows_of_the_vocabulary_with_and_without_a_header(tmp_path, name, header):
    vectors = read_vectors(written(tmp_path, header + GLOVE, name), ["<pad>", "film", "the", "zzz", ". . ."])
    np.testing.assert_array_equal(
        vectors.matrix, np.float32([[0, 0, 0], [1, 2, 3], [0.5, -1, 0.2], [0, 0, 0], [7, 8, 9]])
    )
    assert vectors.matrix.dtype == np.float32
    assert vectors.found.tolist() == [False, True, True, False, True]
    assert vectors.report == "3 of 5 words found"


def test_spaces_at_line_ends_and_other_kinds_of_space_inside_a_word(tmp_path):
    vectors = read_vectors(
        written(tmp_path, "2 2\na\u00a0b 1 2 \r\nc\u0085d 3 4 \r\n"), ["a\u00a0b", "c\u0085d"]
    )
    assert vectors.matrix.tolist() == [[1, 2], [3, 4]]


def test_many_words_are_counted_with_commas(tmp_path):
    content = "".join(f"w{n} {n}\n" for n in range(1234))
    vectors = read_vectors(written(tmp_path, "1234 1\n" + content), [f"w{n}" for n in range(2000)])
    assert vectors.report == "1,234 of 2,000 words found"
    assert vectors.matrix[1233, 0] == 1233


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("the 1 2 3\nfilm 1 2\n", ", line 2: 2 numbers, where the first line has 3"),
        ("the 1 2 3\nfilm 1 2 3 4\n", ", line 2: 4 numbers, where the first line has 3"),
        ("2 3\nthe 1 2 3\nunwanted 1 2\n", ", line 3: 2 numbers, where the first line has 3"),
        ("the 1 2 3\n\n", ", line 2: 0 numbers, where the first line has 3"),
        ("the 1 2\nfilm 1 x\n", ", line 2: 'x' is not a number that float32 can hold"),
        ("the 1 2\nfilm nan 1\n", ", line 2: 'nan' is not a number that float32 can hold"),
        ("the 1 2\nfilm 1e39 1\n", ", line 2: '1e39' is not a number that float32 can hold"),
        ("3 2\nthe 1 2\nfilm 1 2\n", ": line 1 promises 3 words, but 2 follow"),
        ("a 1 2\nb 1 2\n", ": none of the 2 words of the vocabulary is in it"),
        ("word\n", ", line 1: vectors of width 0; from 1 to 10,000 can be read"),
        ("5 0\n", ", line 1: vectors of width 0; from 1 to 10,000 can be read"),
        ("5 10001\n", ", line 1: vectors of width 10,001; from 1 to 10,000 can be read"),
        ("", ": the file is empty"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path, content, sentence):
    assert refusal(written(tmp_path, content)) == sentence
