"""Bad input of the tasks that write: one sentence with the place and the numbers, and nothing half-written."""

import gzip
import io
import shutil
import struct
import zlib

import pytest
from PIL import Image

TINY = ("--embedding-size", "4", "--hidden-size", "4", "--epochs", "1", "--device", "cpu")
FLAGS = {
    "generate": (*TINY, "--num-layers", "1", "--streams", "2", "--steps", "5"),
    "translate": (*TINY, "--tokenizer", "words", "--batch-size", "8", "--beams", "2", "--max-length", "5"),
    "caption": (*TINY, "--picture-size", "32", "--channels", "32", "--beams", "1", "--max-length", "5"),
}


def png(width=9, height=9):
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(stream, "PNG")
    return stream.getvalue()


def promised(width, height):
    """A PNG whose header alone is right."""
    chunks = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"\0")
    framed = (struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


# A byte order mark, line ends of two kinds, an empty line, lines of one word.
PAIRS = {
    "s.txt": b"\xef\xbb\xbfrot\r\nblau\r\n\r\nrot blau\nrot\n" + b"rot rot\nblau\n" * 9,
    "t.txt": b"red\r\nblue\r\nlost\r\nred blue\nred\n" + b"red red\nblue\n" * 9,
}
PICTURES = {"p/a.png": png(), "p/b.png": png(8, 4), "c.csv": b"image,caption\na.png,a dog\nb.png,a dog\n"}
GOOD = {
    "generate": {"s.txt": b"\xef\xbb\xbfa fine film\r\n" * 30},
    "translate": PAIRS,
    "caption": PICTURES,
}
GIVEN = {"generate": ["s.txt"], "translate": ["s.txt", "t.txt"], "caption": ["p", "c.csv"]}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture(scope="module")
def runs(gatewise, tmp_path_factory):
    """A run of each task, and the folder in which its data lies."""
    found = {}
    for task, files in GOOD.items():
        folder = tmp_path_factory.mktemp(task)
        write(folder, files)
        given = [folder / name for name in GIVEN[task]]
        called = gatewise("train", task, *given, "--out", folder / "run", *FLAGS[task])
        assert called.code == 0, called.err
        found[task] = folder / "run"
        if task == "translate":
            assert f"1 pair with an empty side left out (the first is {folder}/s.txt, line 3)" in called.err
            assert "\\ufeff" not in (folder / "run" / "tokenizer.json").read_text("utf-8")
    return found


BAD = [
    ("generate", {"s.txt": b""}, (), "s.txt: the file is empty"),
    ("generate", {"s.txt": b"\xef\xbb\xbf"}, (), "s.txt: the file is empty"),
    ("generate", {"s.txt": b"a film\xe9"}, (), "s.txt, byte 7: not UTF-8 (byte 0xe9"),
    ("generate", {"s.txt": b"a fi\0lm"}, (), "s.txt, character 5: a NUL character"),
    ("generate", {"s.txt": b"a"}, (), "no text is left for the training part (0.1 for validation of the whole)"),
    ("generate", {"s.txt": b"a" * 50}, (), "45 tokens (characters), all of them 'a'; two are needed"),
    ("generate", {"s.txt": b"word " * 50}, ("--tokens", "words"), "all of them 'word '; two are needed"),
    ("generate", {"s.txt.gz": gzip.compress(b"a film" * 99)[:-9]}, (), "s.txt.gz: not a whole gzip file"),
    ("translate", {"s.txt": b"a\nb\n", "t.txt": b"c\n"}, (), "s.txt has 2 lines and {0}/t.txt has 1 line; line for"),
    ("translate", {"s.txt": b"\n \n", "t.txt": b"c\nd\n"}, (), "of 2 pairs none has text on both sides"),
    ("translate", {"s.txt": b"", "t.txt": b"c\n"}, (), "s.txt: the file is empty"),
    ("translate", {"s.txt": b"a b\n", "t.txt": b"c\n"}, (), "1 pair of one source; give more, or set validation to 0"),
    ("translate", {"s.txt": b"a\n" * 9, "t.txt": b"b\n" * 9}, (), "9 pairs of one source; give more"),
    (
        "translate", {"s.txt": b"a\nb\n", "t.txt": b"c\nd\n"}, ("--validation", "0", "--no-shared"),
        "in 2 training pairs no word occurs twice, so the vocabulary is empty; give more, or use the tokenizer bpe",
    ),
    ("translate", {"s.txt": b"a\n\xff\n", "t.txt": b"c\nd\n"}, (), "s.txt, line 2, byte 1: not UTF-8 (byte 0xff"),
    ("translate", {"s.txt": b"a\n", "t.txt": b"c\0\n"}, (), "t.txt, line 1, character 2: a NUL character"),
    ("caption", PICTURES | {"p/b.png": b"a text"}, (), "p/b.png: not a picture (its first bytes are text)"),
    ("caption", PICTURES | {"p/b.png": png()[:50]}, (), "p/b.png: a broken picture ("),
    ("caption", PICTURES | {"p/b.png": promised(9000, 7000)}, (), "9,000 × 7,000 pixels, which is more than 40,000"),
    ("caption", PICTURES | {"p/b.png": promised(5000, 4000)}, (), " bytes, which is more than 200 times its size"),
    ("caption", PICTURES | {"c.csv": b"image,caption\nx.png,a\ny.png,b\n"}, (), "'x.png' in {0}/p, and 1 other that"),
    ("caption", PICTURES | {"c.csv": b"image,caption\na.png,\n"}, (), "c.csv: there is no sentence in it"),
    ("caption", PICTURES | {"c.csv": b"image,caption\na.png,a dog\n"}, (), "sentences of 1 picture; give more, or set"),
    ("caption", PICTURES | {"p/d/1.png": png(), "c.csv": b"image,caption\na.png,x\nd,y\n"}, (), "'d' is a folder"),
    ("caption", PICTURES | {"c.csv": b"image,caption\na.png,\xff\n"}, (), "c.csv, line 2, byte 7: not UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("task", "files", "options", "sentence"), BAD, ids=[f"{b[0]}: {b[3][:40]}" for b in BAD]
)
def test_what_cannot_be_learnt_from_is_refused(gatewise, tmp_path, task, files, options, sentence):
    write(tmp_path, files)
    before = sorted(tmp_path.rglob("*"))
    given = [tmp_path / name for name in (GIVEN[task] if task != "generate" else files)]
    called = gatewise("train", task, *given, "--out", tmp_path / "run", *FLAGS[task], *options)
    assert called.code == 1, called.err
    assert sentence.format(tmp_path) in called.error
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("task", GOOD)
def test_where_a_run_cannot_be_written_nothing_is(gatewise, tmp_path, task):
    write(tmp_path, GOOD[task] | {"full/mine": b"mine", "file": b"mine"})
    before = sorted(tmp_path.rglob("*"))
    given = [tmp_path / name for name in GIVEN[task]]
    for place, sentence in (
        ("full", "exists and is not empty"),
        ("file/run", "cannot be made"),
        ("file", "is a file"),
    ):
        called = gatewise("train", task, *given, "--out", tmp_path / place, *FLAGS[task])
        assert called.code == 1 and sentence in called.error, called.error
    assert sorted(tmp_path.rglob("*")) == before


LONG = "rot " * 80 + "blau"

CALLS = [
    (("generate", "generate", "RUN", "--prompt", "fééx", "--length", "3"), "the prompt holds 'é', 'x', of which"),
    (("generate", "generate", "RUN", "--prompt", "a\udcff"), "the prompt is not UTF-8 (character 2 of 2 stands for"),
    (("generate", "predict", "RUN", ""), "the text is empty"),
    (("generate", "predict", "RUN", "é" * 300), "the text holds 'é', of which the model has learnt nothing"),
    (("generate", "explain", "RUN", ""), "the text has 0 characters; an explanation takes 1 to 1,000"),
    (("generate", "evaluate", "RUN", "IN/one"), "one: has 1 tokens (characters); 2 at least are needed"),
    (("generate", "evaluate", "RUN", "IN/raw"), "raw, byte 1: not UTF-8 (byte 0xff"),
    (("translate", "predict", "RUN", "<br> "), "the text is empty"),
    (("translate", "predict", "RUN", "rot \udcff"), "the source is not UTF-8 (character 5 of 5 stands"),
    (("translate", "predict", "RUN", "IN/raw", "--out", "IN/new"), "raw, line 1, byte 1: not UTF-8 (byte 0xff"),
    (("translate", "explain", "RUN", "rot", "--target", "\udcff"), "the target is not UTF-8 (character 1 of 1"),
    (("translate", "explain", "RUN", " "), "the text is empty"),
    (("translate", "evaluate", "RUN", "IN/one", "IN/two"), "one has 1 line and IN/two has 2 lines; line for line"),
    (("caption", "predict", "RUN", "IN/one"), "one: not a picture (its first bytes are text)"),
    (("caption", "predict", "RUN", "IN/p", "--out", "IN/new"), "p/2.png: a broken picture ("),
    (("caption", "explain", "RUN", "IN/p/2.png", "--html", "IN/new"), "p/2.png: a broken picture ("),
    (("caption", "evaluate", "RUN", "IN/p", "IN/table.csv"), "table.csv, line 2: there is no picture '9.png' in IN/p"),
    (("caption", "predict", "RUN", "IN/none.png"), "none.png: there is no such file"),
    (("generate", "generate", "RUN", "--out", "IN/two"), "IN/two: exists; name another file, or add --overwrite"),
    (("translate", "predict", "RUN", "IN/one", "--out", "IN/none/new"), "IN/none/new: there is no folder IN/none"),
    (("translate", "explain", "RUN", "rot", "--html", "IN/one/new"), "IN/one/new: there is no folder IN/one"),
    (("caption", "predict", "RUN", "IN/p/1.png", "--out", "IN/p"), "IN/p: is a folder; a file is to be written"),
    (("caption", "explain", "RUN", "IN/p/1.png", "--html", "IN/two"), "IN/two: exists; name another file"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "sentence"), CALLS, ids=[f"{c[0][1]} {c[1][:40]}" for c in CALLS])
def test_what_cannot_be_answered_is_refused(gatewise, runs, tmp_path, words, sentence):
    write(tmp_path, {
        "one": b"a", "two": b"a\nb\n", "raw": b"\xff\xfe", "p/1.png": png(), "p/2.png": png()[:50],
        "table.csv": b"image,caption\n9.png,x\n",
    })  # fmt: skip
    before = sorted(tmp_path.rglob("*"))
    task, *rest = words
    called = gatewise(*(word.replace("RUN", str(runs[task])).replace("IN", str(tmp_path)) for word in rest))
    assert called.code in (1, 2) and called.out == ""
    assert sentence.replace("IN", str(tmp_path)) in called.error
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_prompt_is_a_beginning_like_any_other(gatewise, runs):
    called = gatewise("generate", runs["generate"], "--prompt", "", "--length", "7")
    assert called.code == 0 and called.err == "" and len(called.out) == 8


def test_predict_says_which_sources_were_cut(gatewise, runs, tmp_path):
    run, note = runs["translate"], "of 81 tokens of the source the first 5 were read (max_length)"
    one = gatewise("predict", run, LONG, "--json")
    assert one.err == f"note: {note}\n" + one.err.splitlines()[-1] + "\n"
    assert one.json["unread"] == 76
    lines = gatewise("predict", run, "-", stdin=f"rot\n{LONG}\n".encode())
    assert lines.err == f"note: line 2: {note}\n"
    write(tmp_path, {"in.txt": f"rot\n\n{LONG}\n{LONG}\n".encode()})
    file = gatewise("predict", run, tmp_path / "in.txt", "--json")
    assert "note: of 2 of 4 sources only the first 5 tokens were read (max_length)\n" in file.err
    assert [row["unread"] for row in file.json["predictions"]] == [0, 0, 76, 76]


def test_a_run_without_its_vocabulary_or_weights_is_refused(gatewise, runs, tmp_path):
    given = {"generate": "a film", "translate": "rot", "caption": runs["caption"].parent / "p" / "a.png"}
    for task, folder in runs.items():
        for name in ("model.safetensors", "vocabulary.json" if task == "generate" else "tokenizer.json"):
            broken = tmp_path / f"{task}-{name}"
            shutil.copytree(folder, broken)
            (broken / name).write_bytes(b"nonsense")
            called = gatewise("predict", broken, given[task])
            assert called.code == 1 and called.error.startswith(f"{broken / name}: "), called.error
            (broken / name).unlink()
            assert name in gatewise("predict", broken, given[task]).error
