"""Small labelled data that the tests of the classify recipe share."""

import random

import numpy as np

from gatewise.data.series import Series
from gatewise.data.texts import Texts

GOOD, BAD = ("great", "lovely", "superb"), ("awful", "dull", "boring")
FILL = ("the", "film", "was", "and", "it", "had", "music")
SMALL = {
    "embedding_size": 12,
    "hidden_size": 12,
    "epochs": 16,
    "batch_size": 16,
    "learning_rate": 0.02,
    "ema": 0.0,
    "dropout": 0.1,
    "embedding_dropout": 0.0,
    "word_dropout": 0.0,
}


def reviews(count=120, seed=0):
    """Short texts with one word that decides, and their labels."""
    draw = random.Random(seed)
    texts, labels = [], []
    for k in range(count):
        words = draw.choices(FILL, k=draw.randint(2, 6))
        words.insert(draw.randrange(len(words) + 1), draw.choice(GOOD if k % 2 else BAD))
        texts.append(" ".join(words))
        labels.append("pos" if k % 2 else "neg")
    return texts, labels


def as_texts(texts, labels, source="reviews.csv"):
    return Texts([f"r{k}" for k in range(len(texts))], list(texts), list(labels), source, "0" * 64)


def waves(count=60, seed=0, features=2):
    """Noise with a slope up or down, of several lengths, some values missing."""
    draw = np.random.default_rng(seed)
    values, labels = [], []
    for k in range(count):
        steps = int(draw.integers(5, 12))
        slope = np.linspace(0, 3, steps)[:, None] * (1 if k % 2 else -1)
        values.append(100 + 10 * (slope + draw.normal(0, 0.2, (steps, features))))
        if k % 7 == 0:
            values[-1][1, 0] = np.nan
        labels.append("up" if k % 2 else "down")
    return values, labels


def as_series(values, labels, source="beats.csv"):
    times = [np.arange(len(one), dtype=float) for one in values]
    names = ["a", "b", "c"][: values[0].shape[1]]
    return Series([f"s{k}" for k in range(len(values))], values, times, list(labels), names, source, "1" * 64)


def lstm_in_numpy(model, text):
    """The one-layer LSTM of a model over a text in float64, from its parameters; gates, c and h of every step."""
    ids = model.encoder.full([text])[0]
    x = model.network.embedding.words.weight.detach().double().numpy()[ids]
    p = {name: value.detach().double().numpy() for name, value in model.network.recurrent.named_parameters()}
    H = p["weight_hh_l0"].shape[1]
    h, c, steps = np.zeros(H), np.zeros(H), []
    for row in x:
        a = p["weight_ih_l0"] @ row + p["weight_hh_l0"] @ h + p["bias_ih_l0"] + p["bias_hh_l0"]
        i, f, o = (1 / (1 + np.exp(-a[k * H : (k + 1) * H])) for k in (0, 1, 3))
        g = np.tanh(a[2 * H : 3 * H])
        c = f * c + i * g
        h = o * np.tanh(c)
        steps.append({"i": i, "f": f, "o": o, "g": g, "c": c, "h": h})
    return steps
