"""Files of anything: a reader accepts them or refuses with one sentence of our own; nothing else escapes."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewise.data.series import read_series
from gatewise.data.texts import read_texts
from gatewise.data.tokenizer import Tokenizer
from gatewise.data.unpack import unpack
from gatewise.data.vectors import read_vectors
from gatewise.errors import GatewiseError

PIECES = [
    *[
        b"text",
        b"label",
        b"id",
        b"a",
        b"1",
        b"2024-01-01",
        b"nan",
        b"-1e400",
        b"{",
        b"}",
        b"[",
        b'"',
        b":",
        b",",
        b"\t",
    ],
    *[
        b"\n",
        b"\r",
        b" ",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xe2\x82\xac",
        b"\\ud800",
        b"null",
        b'{"text": "a", "label": 1}',
    ],
    *[b"text,label\n", b"id,time,a,label\n", b"\x1f\x8b\x08", b'{"model": {"type": "BPE", "vocab": {}}}'],
]
CONTENTS = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))

READERS = {
    "texts.csv": read_texts,
    "texts.tsv": lambda path: read_texts(path, need_labels=False),
    "texts.jsonl": read_texts,
    "series.csv": lambda path: read_series(path, id="id", time="time", features=["a"], label="label"),
    "vectors.txt": lambda path: read_vectors(path, ["text", "a", "1"]),
    "tokenizer.json": Tokenizer.load,
    "archive.tar.gz": lambda path: unpack(path, path.parent, max_bytes=10_000, max_files=10),
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=150, deadline=None)
@given(content=CONTENTS, compressed=st.booleans())
def test_only_our_own_errors_escape(tmp_path_factory, name, content, compressed):
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / (f"{name}.gz" if compressed and not name.endswith((".gz", ".json")) else name)
    path.write_bytes(gzip.compress(content) if compressed else content)
    try:
        READERS[name](path)
    except GatewiseError as error:
        assert str(error)
        assert "\n" not in str(error)
