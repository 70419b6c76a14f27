"""Tables: CSV, TSV, JSON lines, plain and gzip, of texts and of numbers."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from attack import Attack
from attack_files import as_file, gzip_bomb, linked, sparse

from gatewise.data.series import read_series
from gatewise.data.texts import Texts, read_texts
from gatewise.errors import DataError

HEAD = "text,label\nfine,good\n"
DEEP = "[" * 100_000


def series(path: Path) -> object:
    return read_series(path, id="id", time="t", features=["a"], label="y")


def _table(name: str, file: str, content: str | bytes, says: str, what: str, naive: str) -> Attack:
    return Attack(name, what, naive, as_file(file, content), read_texts, DataError, says)


def _lines(name: str, content: str, says: str, what: str, naive: str) -> Attack:
    return _table(name, "in.jsonl", content, says, what, naive)


def _numbers(name: str, rows: str, says: str, what: str, naive: str) -> Attack:
    return Attack(name, what, naive, as_file("in.csv", "id,t,a,y\n" + rows), series, DataError, says)


def _harmless(name: str, file: str, content: str | bytes, wanted: list[str], what: str, naive: str) -> Attack:
    """A table that is read, and whose texts are then just those."""

    def use(path: Path) -> None:
        read = read_texts(path)
        assert isinstance(read, Texts) and read.texts == wanted

    return Attack(name, what, naive, as_file(file, content), use, None)


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "in.csv")
    return folder / "in.csv"


def _named(name: str | bytes) -> Callable[[Path], Path]:
    return lambda folder: Path(
        os.fsdecode(os.fsencode(folder) + b"/" + (name if isinstance(name, bytes) else name.encode()))
    )


ON_TABLES = [
    # Size
    _table(
        "gzip bomb of one line",
        "in.csv.gz",
        gzip_bomb(b"x" * 10_000_000, 100),
        "times its size",
        "A megabyte that unpacks to a gigabyte without a line end.",
        "Reads the line.",
    ),
    _table(
        "gzip bomb of short lines",
        "in.csv.gz",
        gzip_bomb(b"text,label\n" * 1_000_000, 100),
        "times its size",
        "A megabyte of a hundred million rows.",
        "Keeps every row: some 100 GB.",
    ),
    _table(
        "gzip bomb of blank lines",
        "in.jsonl.gz",
        gzip_bomb(b"\n" * 10_000_000, 100),
        "times its size",
        "A megabyte of a billion lines with nothing in them.",
        "Skips them, for hours.",
    ),
    Attack(
        "line of 10 GB",
        "A sparse file: a row, then zeros without a line end.",
        "Reads the line.",
        sparse("in.csv", 10 << 30, HEAD.encode()),
        read_texts,
        DataError,
        "which is too long",
    ),
    Attack(
        "table on an endless device",
        "A link to /dev/zero.",
        "Reads for ever.",
        linked("in.csv", "/dev/zero"),
        read_texts,
        DataError,
        "not a regular file",
    ),
    Attack(
        "table on a pipe",
        "A FIFO that nobody writes to.",
        "Waits for ever.",
        _pipe,
        read_texts,
        DataError,
        "not a regular file",
    ),
    Attack(
        "table behind a loop of links",
        "A link to itself.",
        "OSError.",
        linked("in.csv", "in.csv"),
        read_texts,
        DataError,
        "in.csv",
    ),
    Attack(
        "table with a name of 5,000 characters",
        "Longer than any name can be.",
        "OSError.",
        _named("x" * 5000 + ".csv"),
        read_texts,
        DataError,
        "cannot be read",
    ),
    Attack(
        "table whose missing name moves the cursor",
        "A file name with escape sequences and a line end.",
        "Clears the screen, and shows a line of its own as the program's.",
        _named("a\x1b[2J\nerror: none\u202e.csv"),
        read_texts,
        DataError,
        "\\x1b[2J error: none\\u202e",
    ),
    Attack(
        "table whose missing name is not UTF-8",
        "Bytes that no encoding has.",
        "UnicodeEncodeError.",
        _named(b"\xff\xfe.csv"),
        read_texts,
        DataError,
        "\\udcff",
    ),
    _table(
        "a million columns",
        "in.csv",
        ",".join(f"c{k}" for k in range(1_000_000)) + "\n",
        "1,000,000 columns",
        "A header of 7 MB.",
        "Lists them all in its error.",
    ),
    _lines(
        "a million names",
        "{" + ",".join(f'"c{k}":0' for k in range(800_000)) + "}",
        "more than 200,000 names",
        "The same as one JSON object.",
        "Lists them all in its error.",
    ),
    _table(
        "column name of nine million characters",
        "in.csv",
        "x" * 9_000_000 + ",y\n1,2\n",
        "no column is called",
        "One name.",
        "Prints nine million characters.",
    ),
    _table(
        "label of a million characters",
        "in.csv",
        f"text,label\na,{'x' * 1_000_000}\nb,{'x' * 1_000_000}\n",
        "two labels are needed",
        "One label.",
        "Prints a million characters.",
    ),
    # Bytes
    _table(
        "NUL in a table",
        "in.csv",
        HEAD + "du\0ll,bad\n",
        "NUL character",
        "A character that ends texts in C.",
        "Two programs see two different texts.",
    ),
    _table(
        "bytes that are not UTF-8",
        "in.csv",
        HEAD.encode() + b"caf\xe9,bad\n",
        "not UTF-8",
        "Latin-1.",
        "UnicodeDecodeError, or another letter.",
    ),
    _table(
        "UTF-8 of surrogates",
        "in.csv",
        HEAD.encode() + b"\xed\xa0\x80,bad\n",
        "not UTF-8",
        "CESU-8.",
        "Half of a pair that cannot be written again.",
    ),
    _table(
        "UTF-8 that is too long",
        "in.csv",
        HEAD.encode() + b"\xc0\xaf,bad\n",
        "not UTF-8",
        "A slash in two bytes.",
        "A check for slashes does not see it.",
    ),
    _table(
        "UTF-16",
        "in.csv",
        HEAD.encode("utf-16"),
        "not UTF-8",
        "Another encoding, with its mark.",
        "UnicodeDecodeError.",
    ),
    _table(
        "UTF-32 behind the mark of UTF-8",
        "in.csv",
        b"\xef\xbb\xbf" + HEAD.encode("utf-32-le"),
        "NUL character",
        "Two encodings at once.",
        "Every letter is a column.",
    ),
    _harmless(
        "two byte order marks",
        "in.csv",
        "\ufefftext,label\n\ufeffa,x\nb,y\n".encode(),
        ["\ufeffa", "b"],
        "A mark at the beginning, and one inside.",
        "The column is called “(mark)text”.",
    ),
    # CSV
    _table(
        "quote that is never closed",
        "in.csv",
        HEAD + '"x,bad\n' + "line\n" * 3_000_000,
        "quote",
        "Everything after it is one field.",
        "Holds the rest of the file.",
    ),
    _table(
        "quote that is closed and goes on",
        "in.csv",
        HEAD + '"x"y,bad\n',
        "broken quoting",
        "Text after a quoted field.",
        "Takes it for one more field, or for none.",
    ),
    _table(
        "carriage returns alone",
        "in.csv",
        "text,label\rfine,good\rdull,bad\r",
        "carriage return",
        "The line ends of old Macs.",
        "One line of everything.",
    ),
    _table(
        "fields that nobody named",
        "in.csv",
        HEAD + "a,b,c,d\n",
        "4 fields, where the header has 2",
        "A row that is too long.",
        "Moves the label.",
    ),
    _table(
        "header with one name twice",
        "in.csv",
        "text,label,label\na,b,c\n",
        "is there twice",
        "Two columns of one name.",
        "Takes the last one.",
    ),
    _harmless(
        "cells that are formulas",
        "in.csv",
        'text,label\n"=HYPERLINK(""http://x"",""a"")",x\n@SUM(1),y\n+1-1,x\n',
        ['=HYPERLINK("http://x","a")', "@SUM(1)", "+1-1"],
        "What a spreadsheet program would run.",
        "Evaluates it.",
    ),
    _harmless(
        "line ends of all kinds",
        "in.csv",
        "text,label\r\na,x\nb,y\r\n\r\n\nc,x",
        ["a", "b", "c"],
        "Windows' and Unix', blank lines, and none at the end.",
        "Texts that end in a carriage return.",
    ),
    _harmless(
        "line separators inside a text",
        "in.jsonl",
        '{"text": "a\u2028b\x85c", "label": "x"}\n{"text": "d", "label": "y"}\n',
        ["a\u2028b\x85c", "d"],
        "U+2028 and U+0085.",
        "splitlines() cuts the object in two.",
    ),
    # JSON
    _lines(
        "JSON nested deeply", DEEP, "nested too deeply", "A hundred thousand brackets.", "RecursionError."
    ),
    _lines(
        "JSON nested as deeply as the parser bears",
        '{"text": ' + "[" * 900 + "]" * 900 + ', "label": 1}\n',
        "in.jsonl, line 1",
        "A value that can be read and not shown.",
        "RecursionError of repr, in the error's own sentence.",
    ),
    _lines(
        "JSON with one name twice",
        '{"text": "a", "label": 1, "label": 2}',
        "is there twice",
        "Two labels.",
        "Takes the last one; a check took the first.",
    ),
    _lines(
        "JSON with half of a surrogate pair",
        '{"text": "a\\ud800", "label": 1}\n',
        "U+D800",
        "JSON can spell what no file can hold.",
        "UnicodeEncodeError when it is written.",
    ),
    _lines(
        "JSON with an escaped NUL",
        '{"text": "a\\u0000", "label": 1}\n',
        "U+0000",
        "A NUL that the file does not show.",
        "Two programs see two different texts.",
    ),
    _lines(
        "JSON with a number of 5,000 digits",
        f'{{"text": "a", "label": {"9" * 5000}}}\n',
        "cannot be read",
        "More digits than Python converts.",
        "ValueError.",
    ),
    _lines("JSON that is a list", "[1, 2]\n", "not a JSON object", "No object.", "TypeError."),
    _lines(
        "JSON with an object as label",
        '{"text": "a", "label": {"x": [1]}}\n',
        "neither text nor a number",
        "A value that is no name.",
        "TypeError: unhashable.",
    ),
    _lines("JSON that is JavaScript", "{text: 'a', label: function() {}}\n", "not JSON", "Code.", "eval()."),
    # Numbers
    _numbers("infinite number", "s,1,1e999,x\n", "beyond what float32", "inf.", "Every mean is NaN."),
    _numbers(
        "number that is a word",
        "s,1,infinity,x\n",
        "beyond what float32",
        "Python reads it as a number.",
        "NaN.",
    ),
    _numbers(
        "number with an underscore",
        "s,1,1_0,x\n",
        "not a number",
        "Python reads it as 10.",
        "10, or 1 and 0.",
    ),
    _numbers(
        "time that is not a number", "s,nan,1,x\n", "neither a finite number", "NaN.", "Sorts in no order."
    ),
    _numbers(
        "time in the year ten thousand",
        "s,10000-01-01,1,x\n",
        "neither a finite number",
        "No date of datetime.",
        "OverflowError.",
    ),
    _numbers(
        "time before all zones",
        "s,0001-01-01T00:00:00+14:00,1,x\ns,0001-01-02T00:00:00+14:00,2,y\n",
        "the label",
        "In UTC it lies before the first year.",
        "OverflowError.",
    ),
    _numbers(
        "number of ten thousand digits",
        f"s,1,{'9' * 10_000},x\n",
        "beyond what float32",
        "inf.",
        "OverflowError.",
    ),
    Attack(
        "table of one row of deep JSON and many names",
        "Names with quotes, line ends and escapes in an error.",
        "A sentence over many lines.",
        as_file("in.jsonl", json.dumps({"\x1b[31m\n" + "x" * k: [[]] for k in range(300)}) + "\n"),
        read_texts,
        DataError,
        "no column is called",
    ),
]
