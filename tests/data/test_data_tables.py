"""Tables: what is read from good files, and the place that an error names in hostile ones."""

import csv
import gzip
import io
import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.data.lines import MAX_BYTES, read_lines
from gatewise.data.tables import open_table
from gatewise.errors import DataError


def written(folder, name, content):
    path = folder / name
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def rows(path):
    return [(row.line, dict(row.values)) for row in open_table(path).rows]


def refusal(path):
    with pytest.raises(DataError) as caught:
        rows(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.csv.gz"])
def test_a_csv_table_with_quotes_line_breaks_and_a_byte_order_mark(tmp_path, name):
    content = '\ufefftext, label\r\n"He said ""no"", twice",neg\r\n\r\n"two\nlines",pos\r\nplain,"x"\r\n'
    path = written(tmp_path, name, content)
    assert open_table(path).columns == ["text", "label"]
    assert rows(path) == [
        (2, {"text": 'He said "no", twice', "label": "neg"}),
        (4, {"text": "two\nlines", "label": "pos"}),
        (6, {"text": "plain", "label": "x"}),
    ]


def test_a_tsv_table_keeps_its_commas(tmp_path):
    assert rows(written(tmp_path, "a.tsv", "a\tb\n1,2\tx\n")) == [(2, {"a": "1,2", "b": "x"})]


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson.gz"])
def test_json_lines_keep_their_types(tmp_path, name):
    path = written(tmp_path, name, '{"a": "x", "b": 1}\n\n{"b": true, "a": null}\n')
    assert open_table(path).columns == ["a", "b"]
    assert rows(path) == [(1, {"a": "x", "b": 1}), (3, {"b": True, "a": None})]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)] * 2),
        min_size=1,
    )
)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, fields):
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("one", "two"), *fields])
    path = written(tmp_path_factory.mktemp("csv"), "round.csv", buffer.getvalue())
    assert [tuple(values.values()) for _, values in rows(path)] == fields


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "", ": the file is empty"),
        ("a.csv.gz", "", ": the file is empty"),
        ("a.jsonl", "", ": the file is empty"),
        ("a.csv", "\n\n", ": there are only blank lines"),
        ("a.jsonl", "\n \n", ": there are only blank lines"),
        ("a.csv", "text,label\n", ": there is a header and no row"),
        ("a.csv", "text,label", ": there is a header and no row"),
        ("a.csv", "a,b,a\n1,2,3\n", ", line 1: the column 'a' is there twice"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", ", line 3: 3 fields, where the header has 2 columns"),
        ("a.csv", 'a,b\n"x\ny",2\n1\n', ", line 4: 1 fields, where the header has 2 columns"),
        ("a.csv", 'a,b\n1,2\n"open,2\n3,4\n', ", line 3: a quote is opened and never closed"),
        ("a.csv", 'a,b\n"x"y,2\n', """, line 2: broken quoting (',' expected after '"')"""),
        ("a.csv", "a,b\r1,2\r", ", line 1: a carriage return stands where no line ends"),
        ("a.csv", b"a,b\nok,1\nab\xff,2\n", ", line 3, byte 3: not UTF-8 (byte 0xff: invalid start byte)"),
        ("a.csv", b"a,b\nab\xe2\x82", ", line 2, byte 3: not UTF-8 (byte 0xe2: unexpected end of data)"),
        ("a.csv", "a,b\n1,2".encode("utf-16"), ", line 1, byte 1: not UTF-8 (byte 0xff: invalid start byte)"),
        ("a.csv", b"a,b\n1,\x002\n", ", line 2, character 3: a NUL character"),
        ("a.jsonl", '{"a": 1}\n[1, 2]\n', ", line 2: not a JSON object but [1, 2]"),
        ("a.jsonl", '{"a": 1}\n"text"\n', ", line 2: not a JSON object but 'text'"),
        ("a.jsonl", '{"a": 1}\n{"a": }\n', ", line 2, column 7: not JSON (Expecting value)"),
        ("a.jsonl", '{"a": 1, "b": 2, "a": 3}\n', ", line 1: the name 'a' is there twice"),
        ("a.jsonl", "[" * 100_000, ", line 1: JSON nested too deeply"),
        ("a.txt", "x", ": a table ends in .csv, .tsv, .jsonl, .ndjson, or one of these and .gz"),
        ("a.json", "{}", ": a table ends in .csv, .tsv, .jsonl, .ndjson, or one of these and .gz"),
        ("a.gz", "x", ": a table ends in .csv, .tsv, .jsonl, .ndjson, or one of these and .gz"),
    ],
)
def test_a_broken_table_is_refused_with_its_place(tmp_path, name, content, sentence):
    assert refusal(written(tmp_path, name, content)) == sentence


def test_a_number_of_five_thousand_digits_is_refused(tmp_path):
    path = written(tmp_path, "a.jsonl", '{"a": ' + "9" * 5000 + "}")
    assert refusal(path).startswith(", line 1: JSON that cannot be read (Exceeds the limit (4300 digits)")


def test_a_file_that_is_missing_and_one_that_is_none(tmp_path):
    assert refusal(tmp_path / "no.csv") == ": there is no such file"
    (tmp_path / "folder.csv").mkdir()
    assert refusal(tmp_path / "folder.csv") == ": not a regular file"


def test_a_broken_gzip_file_names_the_last_whole_line(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(b"a,b\n1,2\n")
    assert (
        refusal(path)
        == ": not a whole gzip file, broken after line 0 (Error -3 while decompressing data: incorrect header check)"
    )
    path.write_bytes(gzip.compress(b"a,b\n1,2\n")[:-4])
    assert refusal(path).startswith(": not a whole gzip file, broken after line ")


def test_what_gzip_unpacks_is_read_whole_in_one_or_several_members(tmp_path):
    drawn = random.Random(2)
    members = [bytes(drawn.choices(b"abc ,\n", k=size)) for size in (0, 1, 100, 400_000, 7)]
    path = tmp_path / "a.txt.gz"
    path.write_bytes(b"".join(map(gzip.compress, members)) + b"\0" * 5000)  # tapes are padded
    assert "".join(text for _, text in read_lines(path)).encode() == gzip.decompress(path.read_bytes())


@pytest.mark.parametrize("cut", [1, 9, 30, 500])
def test_half_a_gzip_file_is_refused(tmp_path, cut):
    whole = gzip.compress(b"a,b\n" + bytes(random.Random(3).choices(b"0123456789,\n", k=3000)))
    path = tmp_path / "a.csv.gz"
    path.write_bytes(whole[:-cut])
    with pytest.raises(DataError, match="not a whole gzip file"):
        list(read_lines(path))


def test_a_table_of_constants_is_no_bomb_and_one_of_nothing_is(tmp_path):
    rows_ = [f"{n},0,0.000,0.000,{n % 3}\n" for n in range(200_000)]
    path = written(tmp_path, "a.csv.gz", "n,a,b,c,d\n" + "".join(rows_))
    assert sum(1 for _ in open_table(path).rows) == 200_000
    path = written(tmp_path, "b.csv.gz", "n,a\n" + "0,0\n" * 1_000_000)
    with pytest.raises(DataError, match="unpacks to more than 200 times its size"):
        list(open_table(path).rows)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl"])
def test_a_line_of_ten_megabytes_is_refused_without_holding_more_than_that(tmp_path, name):
    fill = b" " * 80_000_000
    if name == "a.csv.gz":  # what packs well is refused as a bomb before that
        fill = random.Random(1).randbytes(8_000_000).hex().encode()
    path = written(tmp_path, name, b"a,b\n" + fill + b",1\n" if "csv" in name else fill)
    line = 2 if "csv" in name else 1
    tracemalloc.start()
    message = refusal(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert message == f", line {line}: the line has 10,000,000 bytes or more, which is too long"
    assert peak < 35_000_000


def test_the_longest_line_is_one_byte_less_than_ten_megabytes(tmp_path):
    path = written(tmp_path, "a.csv", b"a\n" + b"x" * (MAX_BYTES - 2) + b"\n")
    assert [len(text) for _, text in read_lines(path)] == [2, MAX_BYTES - 1]
    assert [len(values["a"]) for _, values in rows(path)] == [MAX_BYTES - 2]


def test_a_quote_that_swallows_the_file_is_refused_at_the_line_that_opens_it(tmp_path):
    path = written(tmp_path, "a.csv", 'a,b\n1,2\n"open,3\n' + "4,5\n" * 2_600_000)
    assert refusal(path) == ", line 3: a record of more than 50,000 lines; a quote may not be closed"
    path = written(tmp_path, "a.csv", 'a,b\n1,2\n"open,3\n' + ("x" * 999 + "\n") * 10_500)
    assert (
        refusal(path) == ", line 3: a field is longer than 10,000,000 characters; a quote may not be closed"
    )


def test_a_long_value_is_cut_where_the_columns_are_listed(tmp_path):
    path = written(tmp_path, "a.csv", f"title,n\n{'x' * 100},1\n")
    assert open_table(path).described() == f"'title' ('{'x' * 28}…), 'n' ('1')"
