"""The caption recipe: what it computes, learns, saves, resumes, shows and refuses."""

import base64
import io
import itertools
import re

import numpy as np
import pytest
import torch
from PIL import Image

from gatewise.data.captions import read_captions
from gatewise.data.tokenizer import Tokenizer
from gatewise.decoding.targets import begin_of, end_of
from gatewise.errors import DataError, UsageError
from gatewise.synthetic.clips import draw_clips, write_clips
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.caption.encode import Looker, collate, encode_sentences, side_by_side
from gatewise.tasks.caption.explanation import log_probabilities, word_groups
from gatewise.tasks.caption.fitted import FittedCaptioner, caption_sums, load_fitted, make_network
from gatewise.tasks.caption.recipe import divide, train_captions
from gatewise.tasks.caption.sight import as_numbers, augmented

SMALL = {
    "picture_size": 32, "channels": 32, "embedding_size": 16, "hidden_size": 24, "dropout": 0.0, "batch_size": 8,
    "epochs": 30, "learning_rate": 0.01, "warmup": 5, "ema": 0.8, "augment": 0.0, "beams": 2, "device": "cpu",
    "vocab_size": 60, "weight_decay": 0.0,
}  # fmt: skip
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}
SIDES = ("left", "right")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """48 pictures of a coloured half, with two sentences each: which colour, and on which side."""
    folder = tmp_path_factory.mktemp("pictures")
    chance, rows = np.random.default_rng(0), ["image,caption"]
    for k, (colour, side) in enumerate(list(itertools.product(COLOURS, SIDES)) * 8):
        values = np.full((20, 40, 3), 235.0)
        values[:, :20] = COLOURS[colour] if side == "left" else 235
        values[:, 20:] = COLOURS[colour] if side == "right" else 235
        values += chance.normal(0, 6, values.shape)
        name = f"p{k:02d}.png"
        Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(folder / name)
        rows += [f"{name},{colour} on the {side}", f"{name},the {side} side is {colour} ."]
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    return read_captions(folder, folder / "captions.csv")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Eight clips of two, three or four frames."""
    folder = tmp_path_factory.mktemp("clips") / "drawn"
    place, table = write_clips(draw_clips(8, frames=4), folder)
    for k, clip in enumerate(sorted(place.iterdir())):
        for extra in sorted(clip.iterdir())[2 + k % 3 :]:
            extra.unlink()
    return read_captions(place, table)


@pytest.fixture(scope="module")
def fitted(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("caption") / "run"
    return train_captions(pictures, CaptionConfig(**SMALL), out=folder, progress=None), folder


def untrained(data, **options):
    """A model with its first weights, and what it sees of all of the data."""
    config = CaptionConfig(**SMALL | {"video": data.video} | options)
    vocabulary = Tokenizer.train([text for some in data.captions for text in some], "words", 60)
    torch.manual_seed(0)
    model = FittedCaptioner(config, make_network(config, vocabulary).eval(), vocabulary)
    return model, [model.looker(files) for files in data.files]


@pytest.mark.slow
def test_it_learns_what_pictures_show_and_answers_unseen_ones(fitted, pictures):
    model, _ = fitted
    _, held_out = divide(pictures, model.config)
    assert model.metrics["validation"]["examples"] == len(held_out) == 5
    figures = model.evaluate(held_out)
    assert figures["exact"] == 1
    assert (
        figures["loss"] < 0.25
    )  # nothing but which of the two sentences is asked for: ln 2 over about 6 tokens
    assert figures["bleu"] > 95
    assert figures["sentences"] == 10


@pytest.mark.slow
def test_a_saved_run_answers_as_the_model_does(fitted, pictures):
    model, folder = fitted
    again = load_fitted(folder, device="cpu")
    paths = [files[0] for files in pictures.files[:6]]
    assert [one[:3] for one in again.describe(paths)] == [one[:3] for one in model.describe(paths)]
    assert [one.text for one in again.describe(paths[:1])] == [again.describe(paths)[0].text]
    assert "| channels | `32` |" in (folder / "README.md").read_text()


@pytest.mark.slow
def test_an_explanation_adds_up_and_shows_the_picture_alone(fitted, tmp_path):
    model, _ = fitted
    path = tmp_path / "said <b>so.jpg"
    picture = Image.fromarray(np.full((60, 120, 3), COLOURS["blue"], np.uint8))
    picture.save(path, comment=b"a secret place", exif=b"Exif\0\0a secret camera")
    found = model.explain(path)
    assert np.prod([word.probability for word in found.words]) == pytest.approx(
        np.exp(found.page.log_probability), rel=1e-3
    )
    assert found.words[-1].text == "</s>"
    for word in found.words:
        assert word.attention.shape == (2, 2)
        assert float(word.attention.sum()) == pytest.approx(1, abs=1e-5)
        assert 1 <= word.spread <= 4.0001
        assert min(word.veils) == 0
    told = found.to_dict()
    assert told["text"] == found.text == model.describe([path])[0].text
    assert len(told["words"]) == len(found.words)
    page = found.html
    assert "said &lt;b&gt;so.jpg" in page
    assert "img-src data:; style-src" in page
    (source,) = re.findall(r'href="data:image/jpeg;base64,([^"]+)"', page)
    raw = base64.b64decode(source)
    assert b"secret" not in raw
    shown = Image.open(io.BytesIO(raw))
    assert shown.size == (120, 60)
    assert np.abs(np.asarray(shown).astype(int) - COLOURS["blue"]).max() < 8
    assert page.count("<rect") == 4 * len(found.words)


@pytest.mark.parametrize("options", [{}, {"attention": "bahdanau"}, {"blind": True}])
def test_the_loss_is_that_of_each_token_by_itself(pictures, options):
    some = pictures.subset(range(5))
    model, sights = untrained(some, **options)
    targets, _ = encode_sentences(model.vocabulary, some.captions, 40)
    total, count = 0.0, 0
    for sight, sentences in zip(sights, targets, strict=True):
        for sentence in sentences:
            state, before = model.begin([sight]), begin_of(model.vocabulary)
            for wanted in [*sentence.tolist(), end_of(model.vocabulary)]:
                logits, _, state = model.network.decoder.step(torch.tensor([[before]]), state)
                total -= float(logits[0, 0].detach().double().log_softmax(0)[wanted])
                before, count = wanted, count + 1
    loss, _, tokens = caption_sums(model.network, model.vocabulary, sights, targets)
    assert loss == pytest.approx(total, rel=1e-5)
    assert tokens == count


def test_clips_are_read_alike_alone_and_in_company(clips):
    model, sights = untrained(clips, bidirectional=True)
    values, lengths, summary = model.network.look(*side_by_side(sights))
    assert lengths.tolist() == [2, 3, 4, 2, 3, 4, 2, 3]
    for k, sight in enumerate(sights):
        alone, _, mean = model.network.look(*side_by_side([sight]))
        torch.testing.assert_close(values[: lengths[k], k], alone[:, 0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(summary[k], mean[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(mean[0], alone[:, 0].mean(0), atol=1e-6, rtol=1e-5)
    found = model.candidates_of(sights)
    assert [row[0].attention.shape[1] for row in found] == lengths.tolist()


def test_the_doubly_stochastic_penalty_is_as_written_out(pictures):
    some = pictures.subset(range(3))
    model, sights = untrained(some, doubly_stochastic=1.0)
    targets, _ = encode_sentences(model.vocabulary, some.captions, 40)
    batch = collate(sights, targets, model.vocabulary)
    _, _, penalty = model.network(batch)
    wanted = 0.0
    for sight, sentences in zip(sights, targets, strict=True):
        for ids in sentences:
            tokens = torch.tensor([begin_of(model.vocabulary), *ids.tolist()])[:, None]
            _, weights = model.network.decoder(tokens, model.begin([sight]))
            wanted += ((1 - weights[:, 0].sum(0)) ** 2).sum().item()
    assert penalty.item() == pytest.approx(wanted, rel=1e-5)


def test_a_batch_without_pictures_has_no_loss(pictures, clips):
    for data in (pictures, clips):
        model, _ = untrained(data, augment=0.1)
        model.network.train()
        logits, wanted, _ = model.network(collate([], [], model.vocabulary))
        assert (len(logits), len(wanted)) == (0, 0)


def test_bf16_is_for_training_alone(pictures):
    some = pictures.subset(range(4))
    model, sights = untrained(some, precision="bf16")
    plain, _ = untrained(some)
    targets, _ = encode_sentences(model.vocabulary, some.captions, 40)
    batch = collate(sights, targets, model.vocabulary)
    rounded, exact = (one.network.train()(batch)[0] for one in (model, plain))
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, atol=0.05, rtol=0.05)
    rounded.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.network.parameters())
    answered, wanted = (one.network.eval()(batch)[0] for one in (model, plain))
    assert torch.equal(answered, wanted)


def test_a_blind_model_sees_nothing_and_another_does(pictures):
    for blind in (True, False):
        model, sights = untrained(pictures, blind=blind)
        model.network.eval()
        values, _, _ = model.network.look(*side_by_side(sights[:2]))
        assert torch.equal(values[:, 0], values[:, 1]) == blind


def test_augmentation_moves_frames_of_a_clip_alike_and_can_be_off():
    torch.manual_seed(0)
    pictures = as_numbers(torch.randint(0, 255, (5, 3, 32, 32), dtype=torch.uint8))
    pictures[1] = pictures[0]
    counts = torch.tensor([2, 3])
    torch.testing.assert_close(augmented(pictures, counts, 0.0, False), pictures, atol=1e-4, rtol=1e-4)
    moved = augmented(pictures, counts, 0.2, False)
    assert torch.equal(moved[0], moved[1])
    assert not torch.allclose(moved[0], pictures[0], atol=0.1)
    mirrored = pictures[0].flip(2)
    drawn = [augmented(pictures, counts, 0.0, True)[0] for _ in range(20)]
    seen = {bool(torch.allclose(one, mirrored, atol=1e-4)) for one in drawn}
    assert seen == {True, False}


def test_numbers_of_pictures_are_around_zero():
    assert as_numbers(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-2.0, 2.0]


def test_words_are_put_together_from_their_pieces():
    tokens = [" a", " sky", "lark", " sings", ".", "</s>"]
    assert word_groups(tokens, whole=False) == [[0], [1, 2], [3, 4], [5]]
    assert word_groups(["a", "bird", "</s>"], whole=True) == [[0], [1], [2]]
    assert word_groups([], whole=False) == []


def test_an_explanation_of_byte_pairs_and_of_clips_holds_together(clips):
    config = CaptionConfig(**SMALL | {"video": True, "tokenizer": "bpe", "vocab_size": 300})
    vocabulary = Tokenizer.train([text for some in clips.captions for text in some], "bpe", 300)
    torch.manual_seed(0)
    model = FittedCaptioner(config, make_network(config, vocabulary).eval(), vocabulary)
    place = clips.files[2][0].parent
    found = model.explain(place, beams=1)
    (best,) = model.describe([place], beams=1)
    seen = log_probabilities(model, model.looker(clips.files[2]), best)
    assert float(seen.sum()) == pytest.approx(best.log_probability, rel=1e-4, abs=1e-4)
    assert len(found.page.sheet.regions) == 4
    assert all(word.attention.shape == (4,) and word.most_at.startswith("frame ") for word in found.words)


def test_wrong_inputs_are_refused(pictures, clips):
    model, _ = untrained(pictures)
    with pytest.raises(DataError, match="tells of clips \\(folders of frames\\); this run is about pictures"):
        model.evaluate(clips)
    with pytest.raises(DataError, match="is a folder; a picture is needed"):
        model.describe([clips.files[0][0].parent])
    model, _ = untrained(clips)
    with pytest.raises(DataError, match="this run is about clips, each a folder of frames"):
        model.describe([pictures.files[0][0]])
    with pytest.raises(DataError, match="sentences of 1 picture; give more, or set validation to 0"):
        train_captions(pictures.subset([0]), CaptionConfig(**SMALL), progress=None)


def test_a_broken_picture_stops_a_training_before_anything_is_left(pictures, tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    (tmp_path / "c.csv").write_text("image,caption\na.png,x\n")
    data = read_captions(tmp_path, tmp_path / "c.csv")
    with pytest.raises(DataError, match=r"a\.png: not a picture \(its first bytes are text\)"):
        train_captions(
            data, CaptionConfig(**SMALL | {"validation": 0.0}), out=tmp_path / "run", progress=None
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "c.csv"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"picture_size": 100}, "picture_size is 100; it must be a multiple of 16"),
        ({"channels": 40}, "channels is 40; it must be a multiple of 32"),
        ({"features": "resnet18"}, "features is 'resnet18'; it must be torchvision/NAME or timm/NAME"),
        ({"features": "timm/"}, "features is 'timm/'; it must be torchvision/NAME or timm/NAME"),
        (
            {"features": "timm/hf-hub:a/b"},
            "features is 'timm/hf-hub:a/b'; it must be torchvision/NAME or timm/NAME",
        ),
        ({"validation_pictures": "x"}, "validation_pictures is given without validation_captions"),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        CaptionConfig(**options)


def test_a_looker_thins_the_frames_of_a_clip(clips):
    looker = Looker(CaptionConfig(**SMALL | {"video": True, "frames": 2}), None, torch.device("cpu"))
    whole = Looker(CaptionConfig(**SMALL | {"video": True}), None, torch.device("cpu"))
    assert torch.equal(looker(clips.files[2]), whole(clips.files[2])[[0, 3]])
