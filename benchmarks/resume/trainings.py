"""The trainings that are killed: the `gatewise` command as a user calls it, and a language model on a carried state."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

import gatewise as gw
from gatewise.cli import run
from gatewise.data.reviews import load_reviews
from gatewise.training.carried import Carried, TokenStreams, Window
from gatewise.training.folder import training_run
from gatewise.training.loop import fit
from gatewise.training.options import LoopOptions
from gatewise.training.run import WEIGHTS, save_weights
from gatewise.training.sums import Sum

SMALL = (
    "--embedding-size", "16", "--hidden-size", "16", "--batch-size", "16", "--learning-rate", "0.005", "--warmup", "20",
    "--validation", "0.2", "--device", "cpu", "--threads", "1", "--max-length", "30", "--vocab-size", "2000",
)  # fmt: skip
COMMANDS = {
    "ema": ("--save-every", "5", "--ema", "0.95", "--clip", "1", "--epochs", "6"),
    "swa, accumulated, 2 workers": (
        "--save-every", "3", "--average", "swa", "--average-from", "0.3", "--accumulate", "2", "--workers", "2",
        "--schedule", "cosine", "--epochs", "9",
    ),
    "asgd, validated by steps": (
        "--save-every", "4", "--average", "asgd", "--average-from", "0.4", "--validate-every", "7", "--cell", "gru",
        "--bidirectional", "--keep-checkpoints", "3", "--epochs", "5",
    ),
    "patience": (
        "--save-every", "6", "--patience", "2", "--learning-rate", "0.05", "--ema", "0", "--bigrams", "200",
        "--bigram-dropout", "0.3", "--epochs", "40",
    ),
}  # fmt: skip
REVIEWS = 500


@dataclass(frozen=True)
class Training:
    """One way to train.

    Args:
        run: trains to completion into a folder; told whether to resume. Returns an exit code.
    """

    name: str
    run: Callable[[Path, bool], int]


def trainings(folder: Path) -> list[Training]:
    """All of them; `folder` takes their data."""
    return [*(_command(name, flags, folder) for name, flags in COMMANDS.items()), _letters()]


def warm_up(folder: Path) -> None:
    """Import in this process what every child will need."""
    with (folder / "warm-up.txt").open("w") as said, redirect_stdout(said), redirect_stderr(said):
        _command("warm-up", ("--epochs", "1"), folder).run(folder / "warm-up", False)


def _command(name: str, flags: tuple[str, ...], folder: Path) -> Training:
    data = folder / "reviews.jsonl"
    if not data.exists():
        texts = load_reviews("train").subset(range(REVIEWS))
        rows = zip(texts.texts, texts.labels or [], strict=True)
        data.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))

    def train(out: Path, resume: bool) -> int:
        words = ["train", "classify", str(data), "--out", str(out), *SMALL, *flags]
        return run([*words, *(["--resume"] if resume else [])])

    return Training(name, train)


class Letters(nn.Module):
    """A language model over the bytes of a text."""

    def __init__(self, size: int = 24):
        super().__init__()
        self.embedding = nn.Embedding(128, size)
        self.recurrent = gw.LSTM(size, size, recurrent_dropout=0.1)
        self.output = nn.Linear(size, 128)

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        h, state = self.recurrent(self.embedding(ids), state)
        return self.output(dropout(h, 0.3, self.training)), state


def _letters() -> Training:
    text = " ".join(load_reviews("train").texts)[:12_000]
    tokens = torch.tensor([min(ord(letter), 127) for letter in text])
    held_out = TokenStreams(tokens[-1500:], streams=4, steps=100)
    options = LoopOptions(
        epochs=4,
        learning_rate=0.01,
        ema=0.9,
        clip=1.0,
        validate_every=13,
        save_every=4,
        metric="negative_loss",
    )

    def loss(model: nn.Module, window: Window, state: Any) -> tuple[Sum, Any]:
        logits, state = model(window.inputs, state)
        total = cross_entropy(logits.flatten(0, 1), window.targets.flatten(), reduction="sum")
        return Sum(total, window.targets.numel()), state

    def evaluate(model: nn.Module) -> dict[str, float]:
        carried = Carried(loss)
        sums = [carried(model, window) for window in held_out]
        mean = sum(found.total.item() for found in sums) / sum(found.count for found in sums)
        return {"loss": mean, "negative_loss": -mean}

    def train(out: Path, resume: bool) -> int:
        torch.manual_seed(0)
        model = Letters()
        streams = TokenStreams(tokens[:-1500], streams=8, steps=25)
        with training_run(out, resume=resume) as place:
            fit(
                model,
                lambda epoch: streams,
                Carried(loss),
                options,
                evaluate=evaluate,
                folder=place,
                resume=resume,
            )
            save_weights(model, place / WEIGHTS)
        return 0

    return Training("language model, carried state", train)
