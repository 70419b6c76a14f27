"""Good files to be broken, each made once, and the ways in which files are broken."""

import atexit
import gzip
import json
import shutil
import struct
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import gatewise as gw
from gatewise.data.scaler import Scaler
from gatewise.data.tokenizer import Tokenizer
from gatewise.decoding.targets import end_of
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.caption.fitted import FittedCaptioner
from gatewise.tasks.caption.fitted import make_network as make_captioner
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.encode import SeriesEncoder, TextEncoder
from gatewise.tasks.classify.fitted import FittedClassifier, text_embedding
from gatewise.tasks.classify.model import SequenceClassifier
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.recipe import train as train_language_model
from gatewise.training.carried import Carried
from gatewise.training.checkpoint import Checkpoint, latest_checkpoint, save_checkpoint
from gatewise.training.loop import Fit
from gatewise.training.options import LoopOptions
from gatewise.training.sums import Sum

TEXTS = ["a fine film", "a dull film", "the music was fine", "it was dull , dull"]
Make = Callable[[Path], Any]


@cache
def scratch() -> Path:
    """A folder for the good files of this process, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="gatewise-attacks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def text_model() -> FittedClassifier:
    """A classifier of texts with random weights: nothing here depends on what it has learned."""
    config = ClassifyConfig(embedding_size=6, hidden_size=5, bigrams=3, max_length=50, device="cpu")
    tokenizer = Tokenizer.train(TEXTS, "words", 100, 1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pairs = torch.tensor([2 * tokenizer.vocab_size + 3])
        embedding = text_embedding(config, tokenizer.vocab_size, pairs)
        network = SequenceClassifier(config, 2, embedding=embedding).eval()
    history = [{"epoch": 1.0, "loss": 0.7, "validation_loss": 0.6}]
    encoder = TextEncoder(tokenizer, config.max_length, config.truncate)
    return FittedClassifier(config, network, encoder, ["neg", "pos"], 1.3, {"notes": []}, history)


@cache
def text_run() -> Path:
    text_model().save(scratch() / "text-run")
    return scratch() / "text-run"


@cache
def series_run() -> Path:
    config = ClassifyConfig(id="id", time="t", label="y", features=("a", "b"), hidden_size=4, device="cpu")
    encoder = SeriesEncoder(Scaler(np.zeros(2), np.ones(2)), config.max_length, config.truncate, ["a", "b"])
    network = SequenceClassifier(config, 2, features=2).eval()
    FittedClassifier(config, network, encoder, ["up", "down"]).save(scratch() / "series-run")
    return scratch() / "series-run"


@cache
def language_run() -> Path:
    """A language model that has read a line nine times."""
    (scratch() / "corpus.txt").write_text("a fine film\n" * 9)
    config = GenerateConfig(
        data=(str(scratch() / "corpus.txt"),), embedding_size=6, hidden_size=5, num_layers=1, epochs=1, streams=2,
        steps=9, device="cpu",
    )  # fmt: skip
    train_language_model(config, out=scratch() / "language-run", progress=None)
    return scratch() / "language-run"


@cache
def caption_run() -> Path:
    """A captioner that ends each sentence as soon as it can."""
    config = CaptionConfig(picture_size=32, channels=32, embedding_size=6, hidden_size=5, device="cpu")
    vocabulary = Tokenizer.train(TEXTS, "words", 100, 1)
    network = make_captioner(config, vocabulary).eval()
    with torch.no_grad():
        network.decoder.output_bias[end_of(vocabulary)] = 50
    FittedCaptioner(config, network, vocabulary).save(scratch() / "caption-run")
    return scratch() / "caption-run"


@cache
def picture() -> Path:
    Image.new("RGB", (40, 30), "red").save(scratch() / "a.png")
    return scratch() / "a.png"


@cache
def trace_file() -> Path:
    """A trace of one LSTM layer over 5 steps of 2 rows."""
    layer, path = gw.LSTM(3, 4), scratch() / "trace.safetensors"
    with torch.no_grad(), gw.record(layer) as trace:
        layer(torch.randn(5, 2, 3))
    trace.save(path)
    return path


@cache
def checkpoint() -> Path:
    held = Checkpoint(
        {"model": {"w": torch.randn(3, 2), "n": torch.arange(4)}}, {"step": 7, "loss": 0.25}, "a = 1\n"
    )
    return save_checkpoint(scratch() / "checkpoints", 7, held)


def training() -> Fit:
    """A training of three numbers with everything that a checkpoint can hold."""

    def loss(model: torch.nn.Module, batch: torch.Tensor, state: Any) -> tuple[Sum, Any]:
        total = model(batch).square().sum() + (0 if state is None else state.sum())
        return Sum(total, len(batch)), total.detach()[None]

    torch.manual_seed(1)
    return Fit(
        torch.nn.Linear(2, 1),
        lambda epoch: [torch.ones(3, 2)] * 3,
        Carried(loss),
        LoopOptions(epochs=2, learning_rate=0.1, ema=0.5, save_every=1),
        evaluate=lambda model: {"accuracy": 0.5, "loss": 0.25},
    )


@cache
def begun() -> Path:
    """The newest checkpoint of a training that ended in its second epoch."""
    folder = scratch() / "training"
    folder.mkdir()
    run = training()
    run.keep_in(folder, resume=False, about={}, config="")
    run.callbacks = [lambda *_: run.state.step == 5]
    run.train()
    run.close()
    path = latest_checkpoint(folder / "checkpoints")
    assert path
    return path


# Ways to break them


def copy_of(good: Callable[[], Path], change: Callable[[Path], object]) -> Make:
    """A copy of a good file or folder, changed."""

    def make(folder: Path) -> Path:
        whole, target = good(), folder / good().name
        shutil.copytree(whole, target) if whole.is_dir() else shutil.copy(whole, target)
        change(target)
        return target

    return make


def in_json(name: str, **values: Any) -> Callable[[Path], object]:
    """Entries of a JSON file in a folder, replaced."""

    def change(folder: Path) -> None:
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(found | values))

    return change


def in_text(name: str, old: str, new: str) -> Callable[[Path], object]:
    """A piece of a text file in a folder, replaced."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return change


def as_file(name: str, content: bytes | str) -> Callable[[Path], Path]:
    """A file in a folder, written anew."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def sparse(name: str, size: int, head: bytes = b"") -> Callable[[Path], Path]:
    """A file of `size` bytes that takes no room on the disk: `head`, and zeros."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.unlink(missing_ok=True)
        with path.open("wb") as stream:
            stream.write(head)
            stream.truncate(size)
        return path

    return write


def linked(name: str, target: str) -> Callable[[Path], Path]:
    """A link in place of a file."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        return path

    return write


def in_tensors(name: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], object]:
    """The tensors of a safetensors file in a folder, changed."""

    def write(folder: Path) -> None:
        tensors = {key: value.clone() for key, value in load_file(folder / name).items()}
        change(tensors)
        save_file(tensors, folder / name)

    return write


def tensor_bytes(header: bytes | dict[str, Any], data: bytes = b"", claimed: int | None = None) -> bytes:
    """A safetensors file by hand: the header, its length as it is or as it is claimed to be, and the numbers."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if claimed is None else claimed) + text + data


def entry(dtype: str, shape: list[Any], start: int, end: int) -> dict[str, Any]:
    """What a safetensors header says of one tensor."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def gzip_bomb(piece: bytes, times: int) -> bytes:
    """Some MB that unpack to very much: one compressed piece, many times over."""
    return gzip.compress(piece, 9) * times
