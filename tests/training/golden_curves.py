"""The loss curves that are committed in `golden/`, and how they are made.

`python tests/training/golden_curves.py` writes them anew: after a change that is meant to change results, never to make
a test pass. A recipe's curve is that of 20 steps with everything on that draws random numbers or keeps a state.
"""

import json
import platform
import sys
import tempfile
from pathlib import Path

import torch

from gatewise.data.texts import Texts
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.recipe import train_texts

FOLDER = Path(__file__).parent / "golden"
STEPS = 20
WORDS = [
    "film",
    "story",
    "music",
    "scene",
    "actor",
    "plot",
    "was",
    "is",
    "the",
    "a",
    "very",
    "quite",
    "never",
    "often",
    "and",
]
GOOD, BAD = ["great", "lovely", "superb"], ["awful", "dull", "boring"]
CLASSIFY = {
    "embedding_size": 16,
    "hidden_size": 16,
    "bigrams": 50,
    "bigram_dropout": 0.1,
    "word_dropout": 0.1,
    "embedding_dropout": 0.3,
    "dropout": 0.5,
    "epochs": 5,
    "batch_size": 32,
    "learning_rate": 0.01,
    "warmup": 4,
    "weight_decay": 0.01,
    "ema": 0.5,
    "clip": 0.05,
    "device": "cpu",
    "threads": 1,
}


def sentences(count: int) -> Texts:
    """Texts of 3 to 9 words by a rule, without a random generator; one word decides the label."""
    texts, labels = [], []
    for k in range(count):
        words = [WORDS[(k * k + 7 * j * (k + 3)) % len(WORDS)] for j in range(2 + k % 7)]
        words.insert(k % (len(words) + 1), (GOOD if k % 2 else BAD)[k // 2 % 3])
        texts.append(" ".join(words))
        labels.append("good" if k % 2 else "bad")
    return Texts([str(k) for k in range(count)], texts, labels, "sentences", "0" * 64)


def classify() -> dict[str, list[float]]:
    """Every number of the curve by its name: the loss of each step, and the figures of each epoch."""
    with tempfile.TemporaryDirectory() as folder:
        fitted = train_texts(
            sentences(142), ClassifyConfig(**CLASSIFY), out=Path(folder) / "run", progress=None
        )
        lines = (Path(folder) / "run" / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    curve = {"loss of each step": [json.loads(line)["loss"] for line in lines]}
    for name in ("loss", "validation_loss", "validation_accuracy"):
        curve[f"{name} of each epoch"] = [row[name] for row in fitted.history]
    return curve


CURVES = {"classify": classify}


def main() -> int:
    for name, make in CURVES.items():
        record = {
            "how": "python tests/training/golden_curves.py, one thread; numbers as float.hex gives them",
            "torch": torch.__version__,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "python": platform.python_version(),
            "curve": {what: [value.hex() for value in values] for what, values in make().items()},
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
