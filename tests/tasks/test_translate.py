"""The translate recipe: what it computes, learns, saves, resumes and refuses."""

import numpy as np
import pytest
import torch

from gatewise.data.pairs import Pairs
from gatewise.data.tokenizer import UNK_ID
from gatewise.errors import DataError, UsageError
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.tasks.translate.encode import PairEncoder, collate
from gatewise.tasks.translate.fitted import FittedTranslator, load_fitted, make_network, token_figures
from gatewise.tasks.translate.recipe import divide, train_pairs

WORDS = ["red", "green", "blue", "black", "white", "one", "two", "three", "four", "five"]
SMALL = {
    "tokenizer": "words", "vocab_size": 40, "embedding_size": 24, "hidden_size": 32, "dropout": 0.0, "batch_size": 16,
    "epochs": 25, "learning_rate": 0.01, "warmup": 10, "ema": 0.9, "label_smoothing": 0.0, "beams": 2, "device": "cpu",
}  # fmt: skip


def reversals(count=400, seed=0):
    """Two to five words, to be written backward and in capitals: no word of one side is one of the other."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(WORDS, rng.integers(2, 6)).tolist() for _ in range(count)]
    sources = [" ".join(row) for row in rows]
    targets = [" ".join(f"{word}x" for word in row[::-1]) for row in rows]
    return Pairs([f"row {k}" for k in range(count)], sources, targets, "reversals", "00")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("translate") / "run"
    return train_pairs(reversals(), TranslateConfig(**SMALL), out=folder, progress=None), folder


@pytest.mark.slow
def test_it_learns_to_write_backward_what_it_has_not_seen(fitted):
    model, _ = fitted
    unseen = reversals(60, seed=9)
    found = model.translate(unseen.sources)
    right = [one.text == target for one, target in zip(found, unseen.targets, strict=True)]
    assert np.mean(right) >= 0.9
    figures = model.evaluate(unseen)
    assert figures["accuracy"] > 0.95
    assert figures["bleu"] > 85
    assert figures["bleu_signature"].startswith("nrefs:1|case:mixed")


@pytest.mark.slow
def test_its_attention_runs_backward_through_the_source(fitted):
    model, _ = fitted
    (found,) = model.translate(["red one two blue"])
    assert found.tokens == ["bluex", "twox", "onex", "redx", "</s>"]
    assert found.source_tokens == ["red", "one", "two", "blue"]
    np.testing.assert_allclose(found.attention.sum(1), 1, atol=1e-5)
    assert found.attention.shape == (5, 4)


@pytest.mark.slow
def test_a_saved_run_answers_as_the_model_does(fitted):
    model, folder = fitted
    again = load_fitted(folder, device="cpu")
    texts = [*reversals(7, seed=3).sources, ""]
    assert [one[:3] for one in again.translate(texts)] == [one[:3] for one in model.translate(texts)]
    assert again.translate([""])[0].text == ""
    assert "| hidden_size | `32` |" in (folder / "README.md").read_text()


@pytest.mark.slow
def test_texts_are_answered_alike_alone_and_in_company(fitted):
    model, _ = fitted
    texts = reversals(9, seed=4).sources
    together = model.candidates(texts, beams=3)
    for text, found in zip(texts, together, strict=True):
        (alone,) = model.candidates([text], beams=3)
        assert [one.text for one in alone] == [one.text for one in found]
        np.testing.assert_allclose([one.score for one in alone], [one.score for one in found], atol=1e-5)


def encoded(config, pairs):
    encoder = PairEncoder.train(pairs, config)
    torch.manual_seed(0)
    return encoder, make_network(config, encoder).eval()


@pytest.mark.parametrize("attention", ["luong", "bahdanau"])
@pytest.mark.parametrize("ends", [True, False])
def test_a_translation_does_not_depend_on_its_neighbours(attention, ends):
    config = TranslateConfig(**SMALL | {"attention": attention, "coverage_penalty": 0.2})
    encoder, network = encoded(config, reversals(6))
    if not ends:
        network.decoder.output_bias.data[encoder.end] = -1e9
    model = FittedTranslator(config, network.double(), encoder)
    texts = ["red", "one two blue red", "red " * 20, "four", "", "blue " * 9]
    for text, found in zip(texts, model.candidates(texts), strict=True):
        (alone,) = model.candidates([text])
        assert [one.tokens for one in alone] == [one.tokens for one in found]
        assert [one.score for one in alone] == pytest.approx([one.score for one in found], rel=1e-12)
        if not ends and text:
            assert [len(one.tokens) for one in found] == [2 * len(text.split()) + 50]


@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_of_a_long_text_the_beginning_is_cut_as_the_whole_is(kind):
    pairs = Pairs([], ["ab abc abcabc 1.5", "abc 2.5"] * 4, ["x", "y"] * 4, "here", "00")
    config = TranslateConfig(**SMALL | {"tokenizer": kind, "vocab_size": 290, "max_length": 3})
    encoder = PairEncoder.train(pairs, config)
    for text in (
        "abc " * 99,
        "abc" * 99,
        "zz" * 200 + " y",
        " " * 300 + "abc",
        "1.5" * 150,
        "<br />" * 50 + "ab",
        "",
    ):
        (ids,) = encoder.sources([text])
        whole = encoder.source.encode(text)
        assert encoder.as_read(text, ids) == whole.take(range(min(3, len(whole))))


def test_a_source_that_is_cut_says_how_much_was_not_read():
    config = TranslateConfig(**SMALL | {"max_length": 3})
    encoder, network = encoded(config, reversals(6))
    model = FittedTranslator(config, network, encoder)
    texts = ["red one two blue four", "red one two", ""]
    found = model.translate(texts)
    assert [one.unread for one in found] == [2, 0, 0]
    assert found[0].source_tokens == ["red", "one", "two"]
    assert found[0].score == pytest.approx(found[1].score)
    figures = model.evaluate(Pairs(["a", "b"], texts[:2], ["x", "y"], "here", "00"))
    assert figures["notes"][0] == "of 1 of 2 sources only the first 3 tokens were read (max_length)"


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("attention", ["luong", "bahdanau"])
def test_the_loss_is_that_of_each_token_by_itself(shared, attention):
    config = TranslateConfig(**SMALL | {"shared": shared, "attention": attention})
    pairs = reversals(6)
    encoder, network = encoded(config, pairs)
    sources, targets = encoder.sources(pairs.sources), encoder.targets(pairs.targets)
    loss, right, tokens = token_figures(network, encoder, sources, targets)
    total, leading = 0.0, 0
    for source, target in zip(sources, targets, strict=True):
        state = network.read(torch.tensor(source)[:, None].long(), torch.tensor([len(source)]))
        before = encoder.begin
        for wanted in [*target.tolist(), encoder.end]:
            logits, _, state = network.decoder.step(torch.tensor([[before]]), state)
            log_p = logits[0, 0].detach().double().log_softmax(0)
            total -= float(log_p[wanted])
            leading += int(log_p.argmax()) == wanted
            before = wanted
    assert loss == pytest.approx(total, rel=1e-5)
    assert (right, tokens) == (leading, sum(len(target) + 1 for target in targets))


def test_a_batch_begins_and_ends_each_target():
    config = TranslateConfig(**SMALL)
    pairs = reversals(3)
    encoder = PairEncoder.train(pairs, config)
    targets = encoder.targets(pairs.targets)
    batch = collate(encoder.sources(pairs.sources), targets, encoder)
    for b, target in enumerate(targets):
        n = int(batch.lengths[b])
        assert batch.inputs[:n, b].tolist() == [encoder.begin, *target]
        assert batch.wanted[:n, b].tolist() == [*target, encoder.end]
        assert int(batch.inside[:, b].sum()) == n == len(target) + 1


def test_its_own_guesses_replace_inputs_and_never_the_beginning():
    config = TranslateConfig(**SMALL)
    pairs = reversals(8)
    encoder, network = encoded(config, pairs)
    batch = collate(encoder.sources(pairs.sources), encoder.targets(pairs.targets), encoder)
    state = network.read(batch.sources, batch.source_lengths)
    mixed = network._mixed(batch.inputs, state, 1.0)
    guesses = network.decoder.logits(network.decoder(batch.inputs, state)[0]).argmax(-1)
    assert (mixed[0] == encoder.begin).all()
    assert torch.equal(mixed[1:], guesses[:-1])
    assert torch.equal(network._mixed(batch.inputs, state, 0.0), batch.inputs)


def test_word_dropout_reads_source_tokens_as_unknown_in_training_alone():
    config = TranslateConfig(**SMALL | {"word_dropout": 0.999999})
    _, network = encoded(config, reversals(20))
    ids, lengths = torch.tensor([[5], [6], [7]]), torch.tensor([3])
    network.train()
    unknown = network.read(torch.full_like(ids, UNK_ID), lengths).memory.values
    assert torch.equal(network.read(ids, lengths).memory.values, unknown)
    network.eval()
    assert not torch.equal(network.read(ids, lengths).memory.values, unknown)


def test_an_unknown_word_is_copied_from_where_the_decoder_looked():
    config = TranslateConfig(**SMALL)
    pairs = reversals(30)
    encoder, network = encoded(config, pairs)
    with torch.no_grad():
        network.decoder.output_bias[UNK_ID] = 50.0  # nothing but unknown words, until it must stop
    model = FittedTranslator(config, network, encoder)
    (found,) = model.translate(["Zanzibar red"], beams=1)
    assert not found.complete
    assert set(found.tokens) <= {"Zanzibar", "red"}
    looked = found.attention.argmax(1)
    assert found.tokens == [["Zanzibar", "red"][k] for k in looked]


def test_pairs_of_one_source_stay_on_one_side():
    pairs = reversals(60)
    doubled = Pairs(pairs.places * 2, pairs.sources * 2, pairs.targets * 2, "twice", "00")
    inside, outside = divide(doubled, TranslateConfig(**SMALL | {"validation": 0.3}))
    assert not set(inside.sources) & set(outside.sources)
    assert len(inside) + len(outside) == 120
    with pytest.raises(DataError, match="2 pairs of one source"):
        divide(Pairs(["a", "b"], ["x", "x"], ["y", "z"], "same", "00"), TranslateConfig(**SMALL))


def test_long_pairs_are_left_out_of_training_with_a_note():
    pairs = reversals(40)
    quick = SMALL | {"epochs": 1, "max_length": 3}
    model = train_pairs(pairs, TranslateConfig(**quick), progress=None)
    inside, _ = divide(pairs, TranslateConfig(**quick))
    long = sum(len(source.split()) > 3 for source in inside.sources)
    assert any(f"{long} training pairs of {len(inside)} left out" in note for note in model.metrics["notes"])
    with pytest.raises(
        DataError, match="all of 38 pairs have a source without tokens or a side with more than 1 "
    ):
        train_pairs(pairs, TranslateConfig(**SMALL | {"max_length": 1}), progress=None)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"attention": "dot"}, "attention is 'dot'; it must be one of luong, bahdanau"),
        ({"validation_target_data": "x"}, "validation_target_data is given without validation_data"),
        ({"beams": 0}, r"beams is 0; it must be in \[1, 1000\]"),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        TranslateConfig(**options)
