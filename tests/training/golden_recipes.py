"""The small trainings behind the golden curves: 20 steps of each recipe, on data made by a rule or drawn.

Each has everything on that draws random numbers or keeps a state, so that a change of any of them shows.
"""

from pathlib import Path
from typing import Any

from gatewise.data.captions import read_captions
from gatewise.data.pairs import Pairs
from gatewise.data.texts import Texts
from gatewise.synthetic.clips import draw_clips, write_clips
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.caption.recipe import train_captions
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.recipe import train_texts
from gatewise.tasks.generate import recipe as language_models
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.corpus import Corpus, Part
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.tasks.translate.recipe import train_pairs

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
SHARED = {"epochs": 5, "learning_rate": 0.01, "warmup": 4, "ema": 0.5, "device": "cpu", "threads": 1}
CLASSIFY = SHARED | {
    "embedding_size": 16,
    "hidden_size": 16,
    "bigrams": 50,
    "bigram_dropout": 0.1,
    "word_dropout": 0.1,
    "embedding_dropout": 0.3,
    "dropout": 0.5,
    "batch_size": 32,
    "weight_decay": 0.01,
    "clip": 0.05,
}
GENERATE = SHARED | {
    "embedding_size": 16,
    "hidden_size": 24,
    "tie": True,
    "input_dropout": 0.1,
    "hidden_dropout": 0.2,
    "output_dropout": 0.3,
    "locked": True,
    "embedding_dropout": 0.1,
    "weight_drop": 0.2,
    "ar": 2.0,
    "tar": 1.0,
    "streams": 8,
    "steps": 32,
    "random_steps": True,
    "average": "ema",
    "weight_decay": 0.01,
    "clip": 0.3,
}
TRANSLATE = SHARED | {
    "vocab_size": 300,
    "embedding_size": 16,
    "hidden_size": 16,
    "dropout": 0.3,
    "word_dropout": 0.1,
    "own_tokens": 0.5,
    "batch_size": 16,
    "validation": 0.1,
    "weight_decay": 0.01,
    "clip": 0.5,
    "beams": 1,
}
CAPTION = SHARED | {
    "picture_size": 32,
    "channels": 32,
    "embedding_size": 16,
    "hidden_size": 16,
    "flip": True,
    "doubly_stochastic": 0.1,
    "batch_size": 7,
    "clip": 0.5,
    "beams": 1,
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


def backward(count: int) -> Pairs:
    """The same texts, each to be written from its end."""
    texts = sentences(count).texts
    targets = [" ".join(reversed(text.split())) for text in texts]
    return Pairs([str(k) for k in range(count)], texts, targets, "sentences", "0" * 64)


def book(lines: int, held_out: int) -> Corpus:
    """The same texts, one after the other; the last ones are held out."""
    texts = sentences(lines).texts
    parts = ["\n".join(texts[:-held_out]), "\n".join(texts[-held_out:])]
    return Corpus(*(Part("sentences", part.encode(), 1) for part in parts))


def classify(out: Path, *, save_every: int = 0, **job: Any):
    config = ClassifyConfig(**CLASSIFY, save_every=save_every)
    return train_texts(sentences(142), config, out=out, **QUIET | job)


def generate(out: Path, *, save_every: int = 0, **job: Any):
    config = GenerateConfig(**GENERATE, save_every=save_every)
    return language_models.train(config, book(40, 8), out=out, **QUIET | job)


def translate(out: Path, *, save_every: int = 0, **job: Any):
    config = TranslateConfig(**TRANSLATE, save_every=save_every)
    return train_pairs(backward(70), config, out=out, **QUIET | job)


def caption(out: Path, *, save_every: int = 0, **job: Any):
    """Clips of a shape that moves, of 3 frames; they are drawn beside the run."""
    config, drawn = CaptionConfig(**CAPTION, save_every=save_every), out.parent / "drawn"
    if not drawn.exists():
        write_clips(draw_clips(30, frames=3), drawn)
    return train_captions(
        read_captions(drawn / "clips", drawn / "captions.csv"), config, out=out, **QUIET | job
    )


QUIET: dict[str, Any] = {"progress": None}
RECIPES = {"classify": classify, "generate": generate, "translate": translate, "caption": caption}
