"""Fuzzed: tables, texts, corpora, pairs, sentences on pictures, series and vectors of words."""

import gzip
from functools import partial
from pathlib import Path

from fuzz_contents import BINARY, BYTES, JSON, TABLE
from fuzz_reader import Reader, Use, as_file, of

from gatewise.data.captions import read_captions
from gatewise.data.pairs import read_pairs, read_sources
from gatewise.data.series import read_series
from gatewise.data.texts import read_texts
from gatewise.data.vectors import read_vectors
from gatewise.tasks.generate.corpus import read_corpus

ROWS = 'text,label,id\na fine film,good,1\n"a ""dull""\nfilm",bad,2\n'
OBJECTS = (
    '{"text": "a fine film", "label": "good", "id": 1}\n{"text": "d\\u00fcll", "label": 2.5, "id": "b"}\n'
)
PAIRS = 'source\ttarget\nein Film\ta film\n"der ""Film"""\t the film\n'
PAIR_OBJECTS = '{"source": "ein Film", "target": "a film"}\n{"source": "d\\u00fcll", "target": "dull"}\n'
CAPTIONS = 'image,caption\na.png,A dog runs .\n"b c.png","A cat, asleep"\na.png, A brown dog \n'
STEPS = "id,time,a,b,label\ns,1,0.5,NA,x\ns,2,1.5,2,x\nt,1,-3,,y\nt,4,1e3,0,y\n"
DATES = "id,time,a,b,label\ns,2024-01-01T10:00:00+02:00,0,1,x\nt,2024-01-02T00:00:00+02:00,1,1,y\n"
VECTORS = "3 2\na 0.5 -1e3\nfilm 1 2\nnew york 3 4\n"


def _texts(path: Path, need_labels: bool = True) -> None:
    found = read_texts(path, need_labels=need_labels)
    for text in (*found.texts, *found.ids, *(found.labels or [])):
        text.encode()


def _text_folder(folder: Path, content: bytes) -> None:
    """The first byte says in which file it stands."""
    for name in (b"good", b"bad"):
        (folder / "in" / name.decode()).mkdir(parents=True, exist_ok=True)
        (folder / "in" / name.decode() / "1.txt").write_bytes(
            content[len(content) // 2 :] if name == b"bad" else content
        )
    _texts(folder / "in")


def _corpus_folder(folder: Path, content: bytes) -> object:
    """A packed text, and this one in a folder below."""
    (folder / "in" / "below").mkdir(parents=True, exist_ok=True)
    (folder / "in" / "1.txt.gz").write_bytes(gzip.compress(b"a fine film\n"))
    (folder / "in" / "below" / "2.txt").write_bytes(content)
    return read_corpus([str(folder / "in")], test=0.1)


def _pairs(path: Path) -> None:
    found = read_pairs(path)
    assert len(found.sources) == len(found.targets) == len(found.places) > 0
    for text in (*found.sources, *found.targets):
        assert text.strip() and text.encode()


def _two_files(folder: Path, content: bytes) -> None:
    (folder / "source.txt").write_bytes(content)
    (folder / "target.txt").write_bytes(b"un film\nle film\n")
    read_sources(folder / "source.txt")
    read_pairs(folder / "source.txt", folder / "target.txt")


def _captions(name: str) -> Use:
    """A table beside a folder with two pictures and a clip."""

    def use(folder: Path, content: bytes) -> None:
        clip = folder / "pictures" / "clip"
        clip.mkdir(parents=True, exist_ok=True)
        for path in (clip / "1.png", clip.parent / "a.png", clip.parent / "b c.png"):
            path.touch()
        (folder / name).write_bytes(content)
        found = read_captions(clip.parent, folder / name)
        assert all(path.is_relative_to(clip.parent) for files in found.files for path in files)
        assert all(text.encode() for texts in found.captions for text in texts)

    return use


def _series(path: Path) -> object:
    return read_series(path, id="id", time="time", features=["a", "b"], label="label")


DATA: dict[str, Reader] = {
    "texts.csv": Reader(of(ROWS), as_file("a.csv", _texts), TABLE),
    "texts.tsv": Reader(
        of(ROWS.replace(",", "\t")), as_file("a.tsv", partial(_texts, need_labels=False)), TABLE
    ),
    "texts.jsonl": Reader(of(OBJECTS), as_file("a.jsonl", _texts), JSON),
    "texts.csv.gz": Reader(lambda: [gzip.compress(ROWS.encode()) * 2], as_file("a.csv.gz", _texts), BINARY),
    "folder of texts": Reader(of("a fine film\nof two lines\n"), _text_folder, BYTES),
    "corpus.txt": Reader(
        of("a fine film\nof two lines\n"),
        as_file("c.txt", lambda path: read_corpus([str(path)], test=0.1)),
        BYTES,
    ),
    "corpus.txt.gz": Reader(
        lambda: [gzip.compress(b"a fine film\n" * 9)],
        as_file("c.txt.gz", lambda path: read_corpus([str(path)], validation=0)),
        BINARY,
    ),
    "folder of a corpus": Reader(of("a fine film\nof two lines\n" * 3), _corpus_folder, BYTES),
    "corpus of a table": Reader(
        of(ROWS), as_file("c.csv", lambda path: read_corpus([str(path)], column="text")), TABLE
    ),
    "pairs.tsv": Reader(of(PAIRS), as_file("p.tsv", _pairs), (*TABLE, b"source", b"target")),
    "pairs.jsonl": Reader(of(PAIR_OBJECTS), as_file("p.jsonl", _pairs), (*JSON, b'"source"', b'"target"')),
    "pairs of two files": Reader(of("a film\nthe film\n"), _two_files, (*BYTES, b"\n", b"\r\n", b"\r")),
    "captions.csv": Reader(
        of(CAPTIONS, "video,text\nclip,a red ball\n"),
        _captions("c.csv"),
        (*TABLE, b"../", b"a.png", b"clip", b"/"),
    ),
    "captions of lines": Reader(
        of("a.png#0\ta dog .\na.png#1\ta brown dog .\nb c.png#0\ta cat\n"),
        _captions("c.token"),
        (*TABLE, b"#0\t", b"../", b"a.png"),
    ),
    "series.csv": Reader(of(STEPS, DATES), as_file("s.csv", _series), TABLE),
    "vectors.txt": Reader(
        of(VECTORS, VECTORS[4:]),
        as_file("v.txt", lambda path: read_vectors(path, ["a", "film", "new york"])),
        TABLE,
    ),
}
