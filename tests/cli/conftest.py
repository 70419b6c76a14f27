"""Calls of the command line in this process, and two tiny runs that are trained once."""

import csv
import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from gatewise.cli import run
from gatewise.data.reviews import load_reviews

TINY = (
    "--embedding-size", "8", "--hidden-size", "8", "--pooling", "last", "--epochs", "2", "--batch-size", "16",
    "--learning-rate", "0.01", "--validation", "0.2", "--device", "cpu",
)  # fmt: skip


@dataclass(frozen=True)
class Called:
    """What one call did; `error` is its one line on standard error that begins with "error: "."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def error(self) -> str:
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in self.err + self.out
        return line.removeprefix("error: ")


Call = Callable[..., Called]


def call(*arguments: str | Path, stdin: bytes | None = None) -> Called:
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    if stdin is not None:
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run([str(argument) for argument in arguments])
    finally:
        sys.stdin = before
    return Called(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def gatewise() -> Call:
    return call


def write_table(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([columns, *rows])
    return path


@pytest.fixture(scope="session")
def reviews(tmp_path_factory) -> Path:
    """120 of the embedded reviews as a table with the columns key, review, sentiment, stars."""
    texts = load_reviews("train").subset(range(120))
    assert texts.labels
    rows = [
        [key, text, label, "4,5"]
        for key, text, label in zip(texts.ids, texts.texts, texts.labels, strict=True)
    ]
    path = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    return write_table(path, ["key", "review", "sentiment", "stars"], rows)


@pytest.fixture(scope="session")
def trained(reviews, tmp_path_factory) -> Path:
    """A run of a tiny LSTM on the reviews. Not to be changed: copy it first."""
    folder = tmp_path_factory.mktemp("runs") / "reviews"
    called = call("train", "classify", reviews, "--out", folder, *TINY)
    assert called.code == 0, called.err
    return folder


@pytest.fixture(scope="session")
def beats(tmp_path_factory) -> Path:
    """40 numeric sequences in a long table: class up rises, class down falls."""
    rows = [
        [
            f"s{n:02d}",
            str(t),
            f"{(t if n % 2 else -t) / 4 + n / 100:.3f}",
            f"{n % 3}",
            "up" if n % 2 else "down",
        ]
        for n in range(40)
        for t in range(5 + n % 4)
    ]
    path = tmp_path_factory.mktemp("beats") / "beats.csv"
    return write_table(path, ["patient", "second", "ecg", "spo2", "rhythm"], rows)


SERIES = ("--id", "patient", "--time", "second", "--features", "ecg,spo2", "--label", "rhythm")


@pytest.fixture(scope="session")
def trained_beats(beats, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "beats"
    called = call("train", "classify", beats, "--out", folder, *SERIES, *TINY, "--epochs", "40", "--ema", "0")
    assert called.code == 0, called.err
    return folder
