"""Fuzzing of every reader: broken variants of good files, and files of anything.

`python tests/attacks/fuzz.py --cases 20000 --out benchmarks/results/fuzz.json` runs it by itself and notes the figures.
"""

import argparse
import gc
import gzip
import hashlib
import io
import json
import platform
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import torch
from attack_files import (
    begun,
    caption_run,
    checkpoint,
    language_run,
    picture,
    scratch,
    series_run,
    text_run,
    trace_file,
    training,
)
from attacks_on_translators import run as translator_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from gatewise.cli.safe_tensors import CONVERT_INPUTS, read_safetensors
from gatewise.data.captions import read_captions
from gatewise.data.catalogue import Dataset
from gatewise.data.download import download
from gatewise.data.fetch import RECORD, fetch_dataset
from gatewise.data.pairs import read_pairs, read_sources
from gatewise.data.pictures import picture_files, read_picture, squared
from gatewise.data.series import read_series
from gatewise.data.texts import read_texts
from gatewise.data.tokenizer import Tokenizer
from gatewise.data.unpack import unpack
from gatewise.data.vectors import read_vectors
from gatewise.errors import GatewiseError
from gatewise.memory import Trace, ledger
from gatewise.memory.summary import text as summary
from gatewise.tasks.caption.features import Features, Frozen
from gatewise.tasks.caption.fitted import load_fitted as load_captioner
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.faithfulness import FaithfulnessLog
from gatewise.tasks.classify.fitted import load_fitted
from gatewise.tasks.classify.trial_log import TrialLog
from gatewise.tasks.generate.corpus import read_corpus
from gatewise.tasks.generate.fitted import FittedLanguageModel
from gatewise.tasks.generate.fitted import load_fitted as load_language_model
from gatewise.tasks.generate.vocabulary import load_vocabulary
from gatewise.tasks.translate.fitted import FittedTranslator
from gatewise.tasks.translate.fitted import load_fitted as load_translator
from gatewise.training.checkpoint import load_checkpoint
from gatewise.training.config import load_config
from gatewise.training.resume import Keeper

SLOW = 1.0
"""Seconds of processor time that no case may take."""
MEMORY = Path("/dev/shm")
"""Files are written there where it exists: a disk takes longer than the readers."""
Use = Callable[[Path, bytes], object]


@dataclass(frozen=True)
class Reader:
    """A reader, the good files that its inputs are made from, and what its format is written with.

    Args:
        seeds: called once.
        use: writes a content into a scratch folder, and reads it.
        tokens: pieces of the format, to be put anywhere.
    """

    seeds: Callable[[], list[bytes]]
    use: Use
    tokens: tuple[bytes, ...]


@dataclass
class Figures:
    """What became of the cases of a reader. slowest: processor seconds of one case."""

    cases: int = 0
    read: int = 0
    refused: int = 0
    escaped: int = 0
    slowest: float = 0.0


# What files are broken with

NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"2",
    b"1e999",
    b"-0.0",
    b"NaN",
    b"9" * 30,
    b"9" * 5000,
    b"18446744073709551615",
    b"0.5",
)
BYTES = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u2028".encode(),
    "\u202e".encode(),
    "é".encode(),
    b"\x1b[2J",
    b" ",
)
JSON = (
    *NUMBERS,
    *BYTES,
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b"null",
    b"true",
    b'"x"',
    b"\\ud800",
    b"\\u0000",
    b"[" * 2000,
    b"{}",
    b"[]",
    b'"a": 1,',
    b'{"a": {"b": [1]}}',
    b"\n",
)
TABLE = (
    *NUMBERS,
    *BYTES,
    b",",
    b"\t",
    b'"',
    b'""',
    b"\n",
    b"\r",
    b"\r\n",
    b"text",
    b"label",
    b"id",
    b"a,b\n",
    b"2024-01-01",
    b"9999-12-31T23:59:59+14:00",
    b"nan",
    b"1_0",
    b"=1+1",
    b"," * 100,
)
TOML = (
    *NUMBERS,
    *BYTES,
    b"=",
    b'"',
    b"'",
    b'"""',
    b"[",
    b"]",
    b"[[a]]",
    b"{a = 1}",
    b"a.b.c",
    b"#",
    b"\n",
    b"true",
    b"[" * 2000,
    b"1979-05-27",
    b'"lstm"',
    b"inf",
    b"0x1",
    b"hidden_size",
)
TENSORS = (
    *JSON,
    b"F32",
    b"F64",
    b"BF16",
    b"F8_E4M3",
    b"F4",
    b"U64",
    b"BOOL",
    b"C64",
    b"data_offsets",
    b"shape",
    b"dtype",
    b"__metadata__",
    b"\x7f\xf0\0\0",
    b"\0" * 8,
    b"\xff" * 8,
)
BINARY = (
    *BYTES,
    *NUMBERS,
    b"\0" * 512,
    b"\xff" * 512,
    b"ustar",
    b"../",
    b"/",
    b"0000777\0",
    b"77777777777\0",
    b"\x1f\x8b\x08",
)
IMAGES = (
    *BINARY,
    b"IHDR",
    b"IDAT",
    b"PLTE",
    b"tRNS",
    b"eXIf",
    b"iCCP",
    b"acTL",
    b"\xff\xd8",
    b"\xff\xc0",
    b"\xff\xc4",
    b"\xff\xda",
    b"\xff\xe1",
    b"Exif\0\0",
    b"II*\0",
    b"VP8 ",
    b"VP8L",
    b"ALPH",
    b"ANMF",
    b"GIF89a",
    b"!\xff\x0bNETSCAPE2.0",
    b"!\xf9\x04",
    b",",
    b";",
    b"\xff\xff\xff\x7f",
)
HTTP = (
    *NUMBERS,
    *BYTES,
    b"\r\n",
    b"\r\n\r\n",
    b"HTTP/1.1",
    b"200",
    b"301",
    b"Location: ",
    b"http://127.0.0.1:1/",
    b"file:///x",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked",
    b"ffffffff\r\n",
    b": ",
)


def contents(seeds: list[bytes], tokens: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """A good file with up to six wounds; now and then pieces of the format alone, or bytes of any kind.

    Everything hangs on one number: each number that hypothesis draws takes as long as most readers.
    """
    return st.integers(0, 2**62 - 1).map(partial(_broken, seeds, tokens))


def _broken(seeds: list[bytes], tokens: tuple[bytes, ...], number: int) -> bytes:
    chance = random.Random(number)
    kind = chance.randrange(10)
    if kind == 0:
        return chance.randbytes(chance.randrange(300))
    if kind == 1:
        return b"".join(chance.choices(tokens, k=chance.randrange(30)))
    content = chance.choice(seeds)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):  # most files are broken at one place only
        content = _wounded(content, chance, tokens)
    return content


def _wounded(content: bytes, chance: random.Random, tokens: tuple[bytes, ...]) -> bytes:
    """One wound: a flipped bit, other bytes, a cut, a piece left out, doubled or moved, a token put in or swapped."""
    kind = chance.randrange(7)
    start = chance.randrange(len(content) + 1)
    end = min(len(content), start + chance.choice((1, 2, 4, 8, 64, 512)))
    if kind == 0 and start < len(content):
        return content[:start] + bytes([content[start] ^ 1 << chance.randrange(8)]) + content[start + 1 :]
    if kind == 1:
        return content[:start] + chance.randbytes(end - start) + content[end:]
    if kind == 2:
        return content[:start]
    if kind == 3:
        return content[:start] + content[end:]
    if kind == 4:
        to = chance.randrange(len(content) + 1)
        return content[:to] + content[start:end] + content[to:]
    token = chance.choice(tokens)
    if kind == 5:
        return content[:start] + token + content[start:]
    old = chance.choice(tokens)  # all of one kind for another
    return (
        content.replace(old, token, 1 + chance.randrange(3))
        if old in content
        else content[:start] + token + content[end:]
    )


# The readers


def _file(name: str, read: Callable[[Path], object]) -> Use:
    def use(folder: Path, content: bytes) -> object:
        (folder / name).write_bytes(content)
        return read(folder / name)

    return use


def _inside(good: Callable[[], Path], name: str, read: Callable[[Path], object], seal: bool = False) -> Use:
    """A file of a good folder, broken; seal: the checkpoint's manifest is made to agree."""

    def use(folder: Path, content: bytes) -> object:
        whole = folder / good().parent.name / good().name
        if not whole.exists():
            shutil.copytree(good(), whole)
        (whole / name).write_bytes(content)
        if seal:
            manifest = json.loads((whole / "manifest.json").read_bytes())
            manifest["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            (whole / "manifest.json").write_text(json.dumps(manifest))
        return read(whole)

    return use


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


def _seen(path: Path) -> None:
    assert squared(read_picture(path, near=8), 8).shape == (3, 8, 8)


def _clip(folder: Path, content: bytes) -> None:
    """The broken frame between two whole ones."""
    clip = folder / "clip"
    clip.mkdir(exist_ok=True)
    (clip / "1.png").write_bytes(picture().read_bytes())
    (clip / "2.png").write_bytes(content)
    (clip / "10.png").write_bytes(picture().read_bytes())
    for path in picture_files(clip):
        _seen(path)


def _kept_features(folder: Path, content: bytes) -> None:
    """Kept features that cannot be read are asked of the model, which there is not."""
    kept = folder / "cache" / kept_features().relative_to(kept_features().parents[1])
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(content)
    cells = Features(MODEL, folder / "cache", torch.device("cpu"))(picture())
    assert cells.dim() == 3 and bool(cells.isfinite().all())


@cache
def kept_features() -> Path:
    """The file in which the features of the picture are kept."""
    features = Features(MODEL, scratch() / "cache", torch.device("cpu"))
    vars(features)["model"] = Frozen(lambda pictures: torch.ones(1, 2, 2, 4), 8, (0.0,) * 3, (1.0,) * 3)
    features(picture())
    return next((scratch() / "cache").rglob("*.safetensors"))


def _writes(folder: Path) -> None:
    assert len("".join(load_language_model(folder, device="cpu").write("a f", 3))) <= 3


def _translates(folder: Path) -> None:
    load_translator(folder, device="cpu").translate(["a dull film"])[0].text.encode()


def _describes(folder: Path) -> None:
    load_captioner(folder, device="cpu").describe([picture()])[0].text.encode()


def _prompt(folder: Path, content: bytes) -> None:
    """As a terminal gives it."""
    list(_language_model().write(_argument(content), 3))


def _source(folder: Path, content: bytes) -> None:
    _translator().translate([_argument(content)])[0].text.encode()


@cache
def _language_model() -> FittedLanguageModel:
    return load_language_model(language_run(), device="cpu")


@cache
def _translator() -> FittedTranslator:
    return load_translator(translator_run(), device="cpu")


def _argument(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _series(path: Path) -> object:
    return read_series(path, id="id", time="time", features=["a", "b"], label="label")


def _answers(folder: Path) -> None:
    load_fitted(folder, device="cpu").probabilities(["a fine film"])


def _answers_series(folder: Path) -> None:
    load_fitted(folder, device="cpu").probabilities([torch.zeros(3, 2).double().numpy()])


def _trace(path: Path) -> None:
    layers = Trace.load(path).layers()
    summary(layers)
    for layer in layers:
        if layer.gates and layer.h.numel():
            ledger(layer, at=-1)


def _resumed(whole: Path) -> None:
    """Go on from a checkpoint with right hashes, whatever is in it, to the training's end."""
    run = training()
    assert Keeper(run, whole.parent.parent, {}, "").restore()
    run.train()


def _tokenizer(path: Path) -> None:
    Tokenizer.load(path).encode("a fine, fine film.")


def _archive(folder: Path, content: bytes) -> None:
    """The tar file inside of the gzip file is what is broken."""
    _packed(folder, gzip.compress(content, 1))


def _packed(folder: Path, content: bytes) -> None:
    target = folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    (folder / "a.tar.gz").write_bytes(content)
    unpack(folder / "a.tar.gz", target, max_bytes=10_000, max_files=10)


def _record(folder: Path, content: bytes) -> object:
    (folder / "x").mkdir(exist_ok=True)
    (folder / "x" / RECORD).write_bytes(content)
    return fetch_dataset(DATASET, folder)


class _Raw(BaseHTTPRequestHandler):
    """Answers with whatever is to be answered."""

    answer = b""

    def handle(self) -> None:
        try:
            self.connection.settimeout(5)
            while b"\r\n\r\n" not in self.connection.recv(65_536):
                pass
            self.connection.sendall(self.answer)
        except OSError:
            pass


@cache
def _address() -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Raw)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def _http(folder: Path, content: bytes) -> None:
    _Raw.answer = content
    path = folder / "file"
    path.unlink(missing_ok=True)
    download(_address(), path, size=5, checksum=f"md5:{hashlib.md5(b'hello').hexdigest()}")


MODEL = "timm/none"
DATASET = Dataset("x", "X", "none", "http://127.0.0.1:1", ())
TRIAL = {
    "model": "lstm",
    "size": 9,
    "seed": 0,
    "tuned": 0.1,
    "validation_accuracy": 0.5,
    "validation_loss": 0.7,
    "test_accuracy": None,
    "test_macro_f1": 0.5,
    "parameters": 7,
    "seconds": 1.5,
    "setup": "s",
}
MEASURED = (
    '{"setup": {"seed": 0}}\n'
    '{"place": 7, "words": 3, "label": "a", "probability": 0.5, "drops": {"push": '
    + json.dumps({name: 5 * [0.5] for name in ("removed", "alone", "removed_score", "alone_score")})
    + "}}\n"
)


def _of(*contents: str) -> Callable[[], list[bytes]]:
    return lambda: [content.encode() for content in contents]


def _bytes_of(good: Callable[[], Path], name: str = "") -> Callable[[], list[bytes]]:
    return lambda: [(good() / name if name else good()).read_bytes()]


def _tar() -> list[bytes]:
    from attacks_on_archives import member, tar

    return [tar([member("a/b.txt", b"hello"), member("c" * 150, b"x" * 600)])]


def _bpe() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        Tokenizer.train(["a fine film", "a fine day"] * 3, "bpe", 262, 1).save(f"{folder}/t.json")
        return [Path(folder, "t.json").read_bytes()]


def _pictures(kind: str) -> list[bytes]:
    """Small pictures of a format: of every kind of pixel, turned, and as an animation."""
    plain = Image.linear_gradient("L").resize((40, 30))
    clear = Image.merge("RGBA", (plain, plain, plain, plain))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    several: dict[str, object] = {"save_all": True, "append_images": [plain.convert("RGB")]}
    images: dict[str, list[tuple[Image.Image, dict[str, object]]]] = {
        "PNG": [
            (clear, {}),
            (plain.convert("P"), {"transparency": 0}),
            (plain.convert("I;16"), {"exif": exif}),
        ],
        "JPEG": [
            (plain, {}),
            (clear.convert("RGB"), {"exif": exif}),
            (clear.convert("CMYK"), {"progressive": True}),
        ],
        "WEBP": [(clear, {"exif": exif}), (clear.convert("RGB"), several), (clear, {"lossless": True})],
        "GIF": [(plain, {}), (clear.convert("RGB"), several), (plain.convert("P"), {"transparency": 0})],
        "BMP": [(clear.convert("RGB"), {}), (plain.convert("P"), {}), (plain.convert("1"), {})],
    }
    found = []
    for image, options in images[kind]:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        found.append(stream.getvalue())
    return found


def _of_run(
    task: str, good: Callable[[], Path], vocabulary: str, read: Callable[[Path], object]
) -> dict[str, Reader]:
    """Each file of a run, broken."""
    tokens = {"config.toml": TOML, "model.safetensors": TENSORS}
    names = ("config.toml", vocabulary, "metrics.json", "model.safetensors")
    return {
        f"run of {task}: {name}": Reader(
            _bytes_of(good, name), _inside(good, name, read), tokens.get(name, JSON)
        )
        for name in names
    }


ROWS = 'text,label,id\na fine film,good,1\n"a ""dull""\nfilm",bad,2\n'
STEPS = "id,time,a,b,label\ns,1,0.5,NA,x\ns,2,1.5,2,x\nt,1,-3,,y\nt,4,1e3,0,y\n"
DATES = "id,time,a,b,label\ns,2024-01-01T10:00:00+02:00,0,1,x\nt,2024-01-02T00:00:00+02:00,1,1,y\n"
OBJECTS = (
    '{"text": "a fine film", "label": "good", "id": 1}\n{"text": "d\\u00fcll", "label": 2.5, "id": "b"}\n'
)
VECTORS = "3 2\na 0.5 -1e3\nfilm 1 2\nnew york 3 4\n"
OPTIONS = 'format = 1\ntask = "classify"\ncell = "gru"\nhidden_size = 7\nfeatures = ["a", "b"]\nema = 0.5\n'
ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

PAIRS = 'source\ttarget\nein Film\ta film\n"der ""Film"""\t the film\n'
PAIR_OBJECTS = '{"source": "ein Film", "target": "a film"}\n{"source": "d\\u00fcll", "target": "dull"}\n'
CAPTIONS = 'image,caption\na.png,A dog runs .\n"b c.png","A cat, asleep"\na.png, A brown dog \n'
VOCABULARY = '{"kind": "characters", "tokens": [" ", "a", "f", "i", "l", "m"]}'
READERS: dict[str, Reader] = {
    "texts.csv": Reader(_of(ROWS), _file("a.csv", _texts), TABLE),
    "texts.tsv": Reader(
        _of(ROWS.replace(",", "\t")), _file("a.tsv", partial(_texts, need_labels=False)), TABLE
    ),
    "texts.jsonl": Reader(_of(OBJECTS), _file("a.jsonl", _texts), JSON),
    "texts.csv.gz": Reader(lambda: [gzip.compress(ROWS.encode()) * 2], _file("a.csv.gz", _texts), BINARY),
    "folder of texts": Reader(_of("a fine film\nof two lines\n"), _text_folder, BYTES),
    "corpus.txt": Reader(
        _of("a fine film\nof two lines\n"),
        _file("c.txt", lambda path: read_corpus([str(path)], test=0.1)),
        BYTES,
    ),
    "corpus.txt.gz": Reader(
        lambda: [gzip.compress(b"a fine film\n" * 9)],
        _file("c.txt.gz", lambda path: read_corpus([str(path)], validation=0)),
        BINARY,
    ),
    "folder of a corpus": Reader(_of("a fine film\nof two lines\n" * 3), _corpus_folder, BYTES),
    "corpus of a table": Reader(
        _of(ROWS), _file("c.csv", lambda path: read_corpus([str(path)], column="text")), TABLE
    ),
    "pairs.tsv": Reader(_of(PAIRS), _file("p.tsv", _pairs), (*TABLE, b"source", b"target")),
    "pairs.jsonl": Reader(_of(PAIR_OBJECTS), _file("p.jsonl", _pairs), (*JSON, b'"source"', b'"target"')),
    "pairs of two files": Reader(_of("a film\nthe film\n"), _two_files, (*BYTES, b"\n", b"\r\n", b"\r")),
    "captions.csv": Reader(
        _of(CAPTIONS, "video,text\nclip,a red ball\n"),
        _captions("c.csv"),
        (*TABLE, b"../", b"a.png", b"clip", b"/"),
    ),
    "captions of lines": Reader(
        _of("a.png#0\ta dog .\na.png#1\ta brown dog .\nb c.png#0\ta cat\n"),
        _captions("c.token"),
        (*TABLE, b"#0\t", b"../", b"a.png"),
    ),
    **{
        f"picture: {kind}": Reader(partial(_pictures, kind), _file("a.png", _seen), IMAGES)
        for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")
    },
    "frames of a clip": Reader(lambda: _pictures("PNG") + _pictures("JPEG"), _clip, IMAGES),
    "features of a picture": Reader(_bytes_of(kept_features), _kept_features, TENSORS),
    **_of_run("generate", language_run, "vocabulary.json", _writes),
    **_of_run("translate", translator_run, "tokenizer.json", _translates),
    **_of_run("caption", caption_run, "tokenizer.json", _describes),
    "prompt": Reader(_of("a fine film\n"), _prompt, BYTES),
    "source of a translator": Reader(_of("a dull film", "das größte 1.5"), _source, BYTES),
    "vocabulary.json": Reader(
        _of(VOCABULARY, '{"kind": "words", "tokens": ["<unk>", "<eos>", "a"]}', '{"kind": "bytes"}'),
        _file("vocabulary.json", lambda path: load_vocabulary(path.parent).encode(b"a film")),
        JSON,
    ),
    "series.csv": Reader(_of(STEPS, DATES), _file("s.csv", _series), TABLE),
    "vectors.txt": Reader(
        _of(VECTORS, VECTORS[4:]),
        _file("v.txt", lambda path: read_vectors(path, ["a", "film", "new york"])),
        TABLE,
    ),
    "tokenizer of words": Reader(_bytes_of(text_run, "tokenizer.json"), _file("t.json", _tokenizer), JSON),
    "tokenizer of byte pairs": Reader(_bpe, _file("t.json", _tokenizer), JSON),
    "options.toml": Reader(
        _of(OPTIONS), _file("o.toml", lambda path: load_config(ClassifyConfig, path)), TOML
    ),
    "run: config.toml": Reader(
        _bytes_of(text_run, "config.toml"), _inside(text_run, "config.toml", _answers), TOML
    ),
    "run: labels.json": Reader(
        _bytes_of(text_run, "labels.json"), _inside(text_run, "labels.json", _answers), JSON
    ),
    "run: metrics.json": Reader(
        _bytes_of(text_run, "metrics.json"), _inside(text_run, "metrics.json", _answers), JSON
    ),
    "run: metrics.jsonl": Reader(
        _bytes_of(text_run, "metrics.jsonl"), _inside(text_run, "metrics.jsonl", _answers), JSON
    ),
    "run: weights": Reader(
        _bytes_of(text_run, "model.safetensors"), _inside(text_run, "model.safetensors", _answers), TENSORS
    ),
    "run of series: labels.json": Reader(
        _bytes_of(series_run, "labels.json"), _inside(series_run, "labels.json", _answers_series), JSON
    ),
    "trace": Reader(_bytes_of(trace_file), _file("t.safetensors", _trace), TENSORS),
    "inputs of inspect": Reader(
        _bytes_of(series_run, "model.safetensors"),
        _file("i.safetensors", lambda path: read_safetensors(path, CONVERT_INPUTS)),
        TENSORS,
    ),
    "checkpoint: manifest": Reader(
        _bytes_of(checkpoint, "manifest.json"), _inside(checkpoint, "manifest.json", load_checkpoint), JSON
    ),
    "checkpoint: state": Reader(
        _bytes_of(checkpoint, "state.json"), _inside(checkpoint, "state.json", load_checkpoint, True), JSON
    ),
    "checkpoint: tensors": Reader(
        _bytes_of(checkpoint, "model.safetensors"),
        _inside(checkpoint, "model.safetensors", load_checkpoint, True),
        TENSORS,
    ),
    "resumed: state": Reader(
        _bytes_of(begun, "state.json"), _inside(begun, "state.json", _resumed, True), JSON
    ),
    "resumed: optimizer": Reader(
        _bytes_of(begun, "optimizer.safetensors"),
        _inside(begun, "optimizer.safetensors", _resumed, True),
        TENSORS,
    ),
    "resumed: carried": Reader(
        _bytes_of(begun, "carried.safetensors"),
        _inside(begun, "carried.safetensors", _resumed, True),
        TENSORS,
    ),
    "resumed: random numbers": Reader(
        _bytes_of(begun, "random.safetensors"), _inside(begun, "random.safetensors", _resumed, True), TENSORS
    ),
    "trials.jsonl": Reader(
        _of(json.dumps(TRIAL) + "\n"), _file("l.jsonl", lambda path: TrialLog(path, "s")), JSON
    ),
    "texts of a study of faithfulness": Reader(
        _of(MEASURED), _file("t.jsonl", lambda path: FaithfulnessLog(path, {"seed": 0})), JSON
    ),
    "record of a fetch": Reader(_of(json.dumps(DATASET.record())), _record, JSON),
    "archive: tar": Reader(_tar, _archive, BINARY),
    "archive: gzip": Reader(lambda: [gzip.compress(_tar()[0])], _packed, BINARY),
    "answer of a server": Reader(_of(ANSWER, CHUNKED), _http, HTTP),
}


def _used(reader: Reader, folder: Path, content: bytes) -> tuple[str | None, float]:
    """The sentence with which a content was refused, or None, and the processor seconds that it took."""
    sentence = None
    began = time.process_time()
    try:
        reader.use(folder, content)
    except GatewiseError as error:
        sentence = str(error)
        assert sentence and "\n" not in sentence
    return sentence, time.process_time() - began


def fuzz(name: str, cases: int) -> Figures:
    """Read `cases` broken files; the same ones every time.

    Raises:
        whatever escaped that is no GatewiseError, or AssertionError for a sentence on several lines, a case that took
        longer than a second, and an empty sentence; hypothesis prints the content.
    """
    reader, figures = READERS[name], Figures()
    seeds = reader.seeds()

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(content=contents(seeds, reader.tokens))
    def one(content: bytes) -> None:
        figures.cases += 1
        figures.escaped += 1  # taken back when it ends well
        sentence, taken = _used(reader, folder, content)
        if taken > SLOW:  # a collection of garbage may have fallen into it
            taken = min(taken, _used(reader, folder, content)[1])
        assert taken <= SLOW
        figures.read += sentence is None
        figures.refused += sentence is not None
        figures.slowest = max(figures.slowest, taken)
        figures.escaped -= 1

    folder = Path(tempfile.mkdtemp(prefix="gatewise-fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        one()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def _note(path: Path, cases: int, name: str, figures: dict[str, float]) -> None:
    """Put the figures of a reader beside those of the others, as far as they are of the same versions."""
    names = ("gatewise", "torch", "safetensors", "tokenizers", "hypothesis")
    versions = {"python": platform.python_version()} | {one: version(one) for one in names}
    head = {"cases_a_reader": cases, "versions": versions}
    before = json.loads(path.read_text()) if path.exists() else {}
    others = before["readers"] if {key: before.get(key) for key in head} == head else {}
    found = {one: (others | {name: figures})[one] for one in READERS if one in others or one == name}
    path.write_text(json.dumps(head | {"readers": found}, indent=2) + "\n")


def main(words: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Fuzz every reader, and note the figures.")
    parser.add_argument("--cases", type=int, default=20_000, help="of each reader")
    parser.add_argument("--readers", nargs="*", default=list(READERS), choices=list(READERS))
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    given_ = parser.parse_args(None if words is None else list(words))
    torch.set_num_threads(1)
    gc.freeze()  # what is imported stays, and need not be looked through again and again
    for name in given_.readers:
        began = time.process_time()
        figures = fuzz(name, given_.cases)
        told = {
            "cases": figures.cases,
            "read": figures.read,
            "refused": figures.refused,
            "escaped": figures.escaped,
            "slowest_case_s": round(figures.slowest, 4),
            "cpu_s": round(time.process_time() - began, 1),
        }
        print(f"{name}: {json.dumps(told)}", flush=True)
        if given_.out:
            _note(given_.out, given_.cases, name, told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
