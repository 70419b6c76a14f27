"""A classifier that starts from a language model: the same states, whole runs, and what is refused."""

import pytest
import torch

from gatewise.errors import UsageError
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.fitted import load_fitted
from gatewise.tasks.classify.pretrained import LanguageModelStart
from gatewise.tasks.classify.recipe import train_series, train_texts
from gatewise.tasks.generate import fitted as language_models
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.recipe import train
from tests.tasks.classify_cases import SMALL, as_series, as_texts, reviews, waves

SIZES = {"tokens": "bpe", "vocab_size": 300, "embedding_size": 12, "hidden_size": 10, "num_layers": 2}
QUICK = {name: value for name, value in SMALL.items() if name not in ("embedding_size", "hidden_size")}


def language_model(folder, **options):
    """A run of a few steps on the reviews' words."""
    text = folder / "text.txt"
    text.write_text("\n".join(reviews(60)[0]) + "\n")
    config = GenerateConfig(data=(str(text),), epochs=1, streams=4, steps=16, **SIZES | options)
    train(config, out=folder / "lm", progress=None)
    return folder / "lm"


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_its_states_are_those_of_the_language_model(tmp_path, cell):
    run = language_model(tmp_path, cell=cell)
    config = ClassifyConfig(**QUICK | {"epochs": 1, "learning_rate": 1e-30}, language_model=str(run))
    found = train_texts(as_texts(*reviews(20)), config, progress=None)
    model = language_models.load_fitted(run)
    ids = torch.from_numpy(found.encoder.full(["the film was great"])[0]).long()[:, None]
    with torch.no_grad():
        there, _, _ = model.network.hidden(ids)
        here = found.network.hidden(ids, torch.tensor([len(ids)]))
    torch.testing.assert_close(here, there)
    assert (found.config.cell, found.config.hidden_size, found.config.num_layers) == (cell, 10, 2)
    assert found.config.vocab_size == model.vocabulary.size and found.config.tokenizer == "bpe"


def test_a_run_is_whole_without_the_language_model(tmp_path):
    run = language_model(tmp_path)
    config = ClassifyConfig(**QUICK, language_model=str(run))
    made = train_texts(as_texts(*reviews()), config, out=tmp_path / "run", progress=None)
    assert made.metrics["validation"]["accuracy"] > 0.9
    assert made.metrics["language_model"]["source"] == str(run)
    assert any("begin as those of the language model" in note for note in made.notes)
    run.rename(tmp_path / "gone")
    loaded = load_fitted(tmp_path / "run")
    texts = reviews(8, seed=5)[0]
    assert (loaded.probabilities(texts) == made.probabilities(texts)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": "characters"}, "a language model of characters; a classifier can start from one of bpe"),
        ({"tie": True}, "layers of 10 and 12 units"),
    ],
)
def test_a_language_model_that_does_not_fit_is_refused(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        LanguageModelStart.read(str(language_model(tmp_path, **options)))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bidirectional": True}, "one direction"), ({"vectors": "glove.txt"}, "both given")],
)
def test_options_that_exclude_it_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        ClassifyConfig(language_model="runs/lm", **options)


def test_numeric_sequences_have_no_language_model():
    with pytest.raises(UsageError, match="no start for numeric sequences"):
        train_series(as_series(*waves()), ClassifyConfig(language_model="runs/lm"), progress=None)
