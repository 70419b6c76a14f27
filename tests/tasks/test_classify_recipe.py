"""The recipe end to end on tiny data: learning, reproduction, notes, refusals, interruption."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from classify_cases import SMALL, as_series, as_texts, lstm_in_numpy, reviews, waves

from gatewise.errors import DataError, GatewiseError, RunError, UsageError
from gatewise.tasks.classify import measuring, recipe
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.fitted import load_fitted
from gatewise.tasks.classify.recipe import divide, train_series, train_texts
from gatewise.training import recipe as trainings
from gatewise.training.config import load_config
from gatewise.training.progress import Silent

CONFIG = ClassifyConfig(**SMALL)


def run(data=None, config=CONFIG, **options):
    return train_texts(data or as_texts(*reviews()), config, **{"progress": None} | options)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "gru+lstm"])
def test_a_separable_task_is_learned_to_the_last_example(cell):
    fitted = run(config=replace(CONFIG, cell=cell, pooling="max"))  # one word decides, wherever it stands
    assert fitted.metrics["accuracy"] == 1.0
    new = reviews(60, seed=9)
    assert fitted.evaluate(as_texts(*new))["accuracy"] == 1.0


@pytest.mark.parametrize(
    "change", [{"tokenizer": "bpe"}, {"bigrams": 100}, {"class_weights": "balanced"}, {"ema": 0.9}]
)
def test_the_options_train_too(change):
    fitted = run(config=replace(CONFIG, **change, bidirectional=True))
    assert fitted.evaluate(as_texts(*reviews()))["accuracy"] == 1.0


def test_bf16_is_for_training_alone():
    fitted = run(config=replace(CONFIG, precision="bf16"))
    assert fitted.metrics["accuracy"] == 1.0
    texts = reviews(20, seed=5)[0]
    plain = fitted.logits(texts)
    fitted.network.bf16 = False
    assert (fitted.logits(texts) == plain).all()


def test_series_are_learned_and_scaled_by_the_training_part():
    data = as_series(*waves(80))
    fitted = train_series(data, replace(CONFIG, pooling="last"), progress=None)
    assert fitted.metrics["accuracy"] == 1.0
    part, held_out = divide(data, None, CONFIG)
    steps = np.concatenate(part.values)
    np.testing.assert_allclose(fitted.encoder.scaler.mean, np.nanmean(steps, 0), rtol=1e-12)
    assert not set(part.ids) & set(held_out.ids)
    assert fitted.evaluate(as_series(*waves(30, seed=4)))["accuracy"] == 1.0
    with pytest.raises(UsageError, match="trained on the features a, b, and was given a, b, c"):
        fitted.evaluate(as_series(*waves(4, features=3)))
    with pytest.raises(UsageError, match="reads numeric sequences, and was given texts"):
        fitted.evaluate(as_texts(["x"], ["up"]))


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state_alone():
    torch.manual_seed(11)
    first = run(config=replace(CONFIG, epochs=2, dropout=0.5, threads=2))
    here = torch.rand(3)
    torch.manual_seed(11)
    assert torch.equal(torch.rand(3), here)
    torch.manual_seed(12)  # the caller's seed does not matter
    second = run(config=replace(CONFIG, epochs=2, dropout=0.5, threads=2))
    other = run(config=replace(CONFIG, epochs=2, dropout=0.5, threads=2, seed=1))
    assert torch.get_num_threads() == 1
    weights = [fitted.network.state_dict() for fitted in (first, second, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not torch.equal(weights[0]["output.weight"], weights[2]["output.weight"])


def test_the_vocabulary_is_that_of_the_training_part():
    texts, labels = reviews()
    part, held_out = divide(as_texts(texts, labels), None, CONFIG)
    marked = as_texts(texts, labels)
    for i, name in enumerate(marked.ids):
        if name in held_out.ids:
            marked.texts[i] += " validationword"
    fitted = run(marked)
    assert fitted.encoder.tokenizer.token_to_id("validationword") is None
    assert fitted.encoder.tokenizer.token_to_id("film") is not None
    assert len(part) + len(held_out) == 120


def test_a_run_folder_reproduces_answers_and_training(tmp_path):
    data = as_texts(*reviews())
    fitted = run(
        data, replace(CONFIG, epochs=3, bigrams=20), out=tmp_path / "run", command="gatewise train x"
    )
    again = load_fitted(tmp_path / "run")
    texts = reviews(20, seed=3)[0]
    assert (again.logits(texts) == fitted.logits(texts)).all()
    assert (again.probabilities(texts) == fitted.probabilities(texts)).all()
    assert again.labels == ["neg", "pos"]
    assert again.history == fitted.history
    config = load_config(ClassifyConfig, tmp_path / "run" / "config.toml", task="classify")
    assert (run(data, config).logits(texts) == fitted.logits(texts)).all()
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows == fitted.history and len(rows) == 3
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["data"] == {
        "source": "reviews.csv",
        "sha256": "0" * 64,
        "examples": 108,
        "labels": {"neg": 54, "pos": 54},
    }
    assert metrics["split"] == {"training": 108, "validation": 12, "how": "0.1 held out by label, seed 0"}
    assert metrics["temperature"] == fitted.temperature
    assert metrics["command"] == "gatewise train x"


def test_series_come_back_from_their_folder(tmp_path):
    fitted = train_series(as_series(*waves()), replace(CONFIG, epochs=2), progress=None, out=tmp_path / "run")
    values = waves(5, seed=2)[0]
    assert (load_fitted(tmp_path / "run").logits(values) == fitted.logits(values)).all()


def test_probabilities_use_the_temperature_and_sum_to_one():
    fitted = run(config=replace(CONFIG, epochs=2))
    fitted.temperature = 2.0
    texts = reviews(6)[0]
    z = fitted.logits(texts) / 2
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(fitted.probabilities(texts), p, rtol=1e-12)


def test_what_was_cut_is_said_with_the_end():
    for where, end in (("head", "the end"), ("tail", "the beginning"), ("middle", "the middle")):
        texts, labels = reviews(40)
        texts[0] = "film " * 12
        fitted = run(
            as_texts(texts, labels), replace(CONFIG, epochs=1, max_length=10, truncate=where, validation=0.0)
        )
        longer = sum(len(text.split()) > 10 for text in texts)
        note = f"{longer} of 40 texts of the training part are longer than 10 tokens; {end} was cut"
        assert note in fitted.notes
        assert len(fitted.encoder.cut(fitted.encoder.full(["a " * 30]))[0]) == 10


def test_a_validation_part_of_ones_own():
    fitted = run(validation=as_texts(*reviews(20, seed=8), "mine.csv"))
    assert fitted.metrics["split"] == {"training": 120, "validation": 20, "how": "given"}
    assert fitted.metrics["validation_data"]["source"] == "mine.csv"
    own = replace(as_texts(*reviews(20, seed=8), "mine.csv"), notes=["2 empty texts left out"])
    assert "validation: 2 empty texts left out" in run(config=replace(CONFIG, epochs=1), validation=own).notes
    with pytest.raises(DataError, match=r"mine.csv, id r1: the label 'meh' is not among .* \(neg, pos\)"):
        run(validation=as_texts(["a film", "a film"], ["pos", "meh"], "mine.csv"))


def test_simpler_models_are_measured_on_the_validation_part(monkeypatch):
    texts, labels = reviews()
    fitted = run(as_texts(texts[:100] + texts[1::2], labels[:100] + labels[1::2]))  # 50 neg, 110 pos
    counted = fitted.metrics["validation"]["classes"]
    share = counted["pos"]["support"] / fitted.metrics["validation"]["examples"]
    assert fitted.metrics["baselines"] == {"majority label": pytest.approx(share), "bag of words": 1.0}
    assert share > 0.6
    monkeypatch.setattr(measuring, "MOST_CHARACTERS", 1000)
    assert run(config=replace(CONFIG, epochs=1)).metrics["baselines"] == {
        "majority label": 0.5,
        "bag of words": None,
    }
    series = train_series(as_series(*waves()), replace(CONFIG, epochs=1), progress=None)
    assert series.metrics["baselines"] == {"majority label": 0.5}
    assert "baselines" not in run(config=replace(CONFIG, epochs=1), baselines=False).metrics
    assert "baselines" not in run(config=replace(CONFIG, epochs=1, validation=0.0)).metrics


def test_half_lives_before_and_after_training_are_those_of_the_definition():
    data = as_texts(*reviews())
    still = run(data, replace(CONFIG, epochs=1, learning_rate=1e-12)).metrics["half_lives"]
    fitted = run(data, replace(CONFIG, epochs=4))
    found = fitted.metrics["half_lives"]
    assert (found["part"], found["examples"]) == ("validation", 12)
    assert list(found["before"]) == list(found["after"]) == ["layer 0"]
    np.testing.assert_allclose(found["before"]["layer 0"], still["after"]["layer 0"], rtol=1e-4)
    held_out = divide(data, None, CONFIG)[1]
    forget = np.array([step["f"] for text in held_out.texts for step in lstm_in_numpy(fitted, text)])
    np.testing.assert_allclose(found["after"]["layer 0"], np.log(0.5) / np.log(forget).mean(0), rtol=1e-4)
    assert max(abs(np.array(found["after"]["layer 0"]) - found["before"]["layer 0"])) > 0.1


def test_half_lives_have_every_layer_that_keeps_and_none_for_a_unit_that_never_forgets():
    found = run(config=replace(CONFIG, cell="rnn+gru+lstm", bidirectional=True, epochs=1, validation=0.0))
    lives = found.metrics["half_lives"]
    assert (lives["part"], lives["examples"]) == ("training", 64)
    assert list(lives["after"]) == ["layer 1", "layer 1, reverse", "layer 2", "layer 2, reverse"]
    assert {len(units) for units in lives["after"].values()} == {12}
    always = run(config=replace(CONFIG, forget_bias=20.0, epochs=1)).metrics["half_lives"]
    assert None in always["before"]["layer 0"]
    json.dumps(always, allow_nan=False)


def test_without_validation_the_last_weights_are_kept_and_said_so():
    fitted = run(config=replace(CONFIG, validation=0.0, epochs=2))
    assert "validation" not in fitted.metrics
    assert fitted.temperature == 1.0
    assert fitted.metrics["training"]["best_epoch"] == 0
    assert any("no validation part" in note for note in fitted.notes)


def test_labels_that_were_not_in_training():
    fitted = run(config=replace(CONFIG, epochs=1))
    with pytest.raises(DataError) as error:
        fitted.evaluate(as_texts(["film", "film"], ["pos", "mixed"], "test.csv"))
    assert str(error.value) == (
        "test.csv, id r1: the label 'mixed' is not among those of the training data (neg, pos)"
    )
    with pytest.raises(DataError, match="there are no labels"):
        fitted.evaluate(replace(as_texts(["film"], ["pos"]), labels=None))
    with pytest.raises(DataError, match="every label is 'pos'; two labels are needed"):
        run(as_texts(["film"] * 4, ["pos"] * 4))


def test_odd_texts_get_an_answer():
    fitted = run(config=replace(CONFIG, epochs=2))
    odd = ["", "   ", "qwertz uiop", "<script>alert(1)</script>", "film " * 2000, "\u202e\U0001f600"]
    p = fitted.probabilities(odd)
    assert p.shape == (6, 2)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
    bias = fitted.network.output.bias.detach().double().numpy()
    np.testing.assert_allclose(
        fitted.logits(["", " "]), [bias, bias], rtol=1e-7
    )  # nothing read: the bias alone
    assert fitted.probabilities([]).shape == (0, 2)


def test_a_taken_folder_is_refused_before_training(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("")
    monkeypatch.setattr(trainings, "fit", lambda *a, **k: pytest.fail("trained"))
    with pytest.raises(RunError, match="exists and is not empty"):
        run(out=tmp_path)


def test_a_failing_training_leaves_no_folder(tmp_path, monkeypatch):
    def explode(*arguments, **options):
        raise GatewiseError("the loss is nan")

    monkeypatch.setattr(recipe, "cross_entropy", explode)
    with pytest.raises(GatewiseError, match="the loss is nan"):
        run(out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


class Stopper(Silent):
    def step(self, tick):
        if tick.epoch == 3:
            raise KeyboardInterrupt


def test_an_interrupted_run_is_saved_and_can_be_loaded(tmp_path):
    fitted = run(out=tmp_path / "run", progress=Stopper())
    assert len(fitted.history) == 2
    again = load_fitted(tmp_path / "run")
    assert again.metrics["training"]["interrupted"] is True
    assert again.metrics["training"]["stopped"] == "interrupted"
    assert any(note.startswith("interrupted after") for note in again.notes)
    assert (again.logits(["a great film"]) == fitted.logits(["a great film"])).all()


def test_class_weights_are_balanced():
    targets = np.array([0, 0, 0, 1])
    weights = recipe._class_weights(targets, replace(CONFIG, class_weights="balanced"))
    assert weights.tolist() == pytest.approx([4 / (2 * 3), 4 / (2 * 1)])
    assert (weights[targets].sum() / 4).item() == pytest.approx(1)


def test_vectors_of_a_file_start_the_embedding(tmp_path):
    (tmp_path / "v.txt").write_text("film 1 2 3\nnowhere 4 5 6\n")
    config = replace(CONFIG, vectors=str(tmp_path / "v.txt"), embedding_size=3, epochs=1, learning_rate=1e-12)
    fitted = run(config=config)
    row = fitted.encoder.tokenizer.token_to_id("film")
    assert fitted.network.embedding.words.weight[row].tolist() == pytest.approx([1, 2, 3])
    assert any("words found" in note for note in fitted.notes)
    with pytest.raises(UsageError, match="vectors of width 3, and embedding_size is 12"):
        run(config=replace(config, embedding_size=12))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there():
    with pytest.raises(UsageError, match="device is 'cuda', and PyTorch sees no CUDA device"):
        run(config=replace(CONFIG, device="cuda"))
