"""Why a translator wrote what it wrote: every number against arithmetic written out, sums, words, the page."""

import json

import numpy as np
import pytest
import torch

from gatewise.data.pairs import Pairs
from gatewise.errors import DataError, UsageError
from gatewise.reports.written import attention_picture
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.tasks.translate.encode import PairEncoder
from gatewise.tasks.translate.explanation import MOST_TOKENS
from gatewise.tasks.translate.fitted import FittedTranslator, make_network
from gatewise.tasks.translate.page import before, earlier_of, names, source_of, terms
from gatewise.tasks.translate.words import whole_words, written_spans

SOURCES = ["der Hund läuft", "ein Hund im Schnee", "der Schnee", "läuft ein Mann", "im Schnee läuft er"] * 2
TARGETS = ["the dog runs", "a dog in snow", "the snow", "a man is running", "he runs in snow"] * 2
OPTIONS = {
    "tokenizer": "words", "vocab_size": 300, "embedding_size": 6, "hidden_size": 5, "dropout": 0.0, "device": "cpu",
    "beams": 3,
}  # fmt: skip
MODELS = {
    "lstm": {},
    "gru, Bahdanau": {"cell": "gru", "attention": "bahdanau", "bidirectional": False, "tied": False},
    "two layers": {"encoder_layers": 2, "decoder_layers": 2, "shared": False},
    "stack of byte pairs": {"cell": "lstm+gru", "tokenizer": "bpe"},
    "rnn": {"cell": "rnn"},
}
SUMMED = [name for name in MODELS if name != "rnn"]


def translator(**options):
    config = TranslateConfig(**OPTIONS | options)
    encoder = PairEncoder.train(Pairs([], SOURCES, TARGETS, "here", "00"), config)
    torch.manual_seed(3)
    network = make_network(config, encoder).eval().double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return FittedTranslator(config, network, encoder)


@pytest.fixture(scope="module")
def models():
    return {name: translator(**options) for name, options in MODELS.items()}


@pytest.mark.parametrize("name", MODELS)
def test_the_parts_sum_to_the_difference_of_the_logits(models, name):
    told = models[name].explain("der Hund läuft im Schnee")
    for t, step in enumerate(told.steps):
        ratio = np.log(step.probability) - np.log(step.rival_probability)
        assert step.margin == pytest.approx(ratio, abs=1e-9)
        *parts, (_, margin) = terms(step)
        assert sum(value for _, value in parts) == pytest.approx(margin, abs=1e-10)
        assert abs(step.residual) < 1e-10
        assert sum(step.attention) == pytest.approx(1)
        if name != "rnn":
            assert len(step.earlier_push) == len(step.earlier_held) == t + 1
            assert sum(step.place_push) == pytest.approx(sum(step.source_push), abs=1e-10)
            assert sum(step.source_held) == pytest.approx(1)
            assert sum(step.earlier_held) + step.start_held == pytest.approx(1)
    assert told.has_ledger == (name != "rnn")


@pytest.mark.parametrize("name", MODELS)
def test_it_explains_what_the_search_found(models, name):
    (found, *others) = models[name].candidates(["der Hund läuft im Schnee"])[0]
    told = models[name].explain("der Hund läuft im Schnee")
    assert (told.target, told.complete) == (found.text, found.complete)
    assert told.log_probability == pytest.approx(found.log_probability, abs=1e-4)
    np.testing.assert_allclose([step.attention for step in told.steps], found.attention, atol=1e-9)
    assert [one.text for one in told.candidates] == [found.text, *(one.text for one in others)]
    assert told.source_tokens == found.source_tokens
    assert len(told.steps) == len(told.tokens) == len(told.spans) == len(found.tokens)


class Layer:
    """A recurrence written out, one direction of an LSTM: every gate and state, in the order of reading."""

    def __init__(self, x, layer, suffix, h, c):
        w_ih, w_hh, b_ih, b_hh = (
            getattr(layer, f"{kind}_l0{suffix}").detach().numpy()
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        self.c0, self.f, self.wrote, self.c, self.o, self.h = c, [], [], [], [], []
        for row in x:
            i, f, g, o = np.split(w_ih @ row + b_ih + w_hh @ h + b_hh, 4)
            i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c)
            for name, value in {"f": f, "wrote": i * np.tanh(g), "c": c, "o": o, "h": h}.items():
                getattr(self, name).append(value)

    def kept(self, s, t):
        """What is left at step t of what was there after step s; s = -1: before the first step."""
        return np.prod(self.f[s + 1 : t + 1], axis=0) if t > s else np.ones_like(self.c0)

    def push(self, s, t, v):
        """How far what step s wrote pushes v·h_t."""
        return float(v @ (self.o[t] * np.tanh(self.c[t]) / self.c[t] * self.kept(s, t) * self.wrote[s]))


def test_held_and_push_are_those_of_the_recurrences_written_out(models):
    model = models["lstm"]
    told = model.explain("der Hund läuft im Schnee", "a dog in snow")
    encoder, network = model.encoder, model.network
    decoder, E = network.decoder, network.decoder.embedding.weight.detach().numpy()
    source, target = encoder.sources(["der Hund läuft im Schnee"])[0], encoder.targets(["a dog in snow"])[0]
    zero, S, H = np.zeros(5), len(source), 5
    forward = Layer(E[source], network.encoder, "", zero, zero)
    reverse = Layer(E[source][::-1], network.encoder, "_reverse", zero, zero)
    read = np.concatenate((forward.h, reverse.h[::-1]), 1)  # [S, 2H]
    weight, bias = (p.detach().numpy() for p in (decoder.start.weight, decoder.start.bias))
    first = weight @ read.mean(0) + bias
    own = Layer(E[[encoder.begin, *target]], decoder.recurrent, "", np.tanh(first[:H]), np.tanh(first[H:]))
    W, b = decoder.read.weight.detach().numpy(), decoder.read.bias.detach().numpy()
    out, key = decoder.output_bias.detach().numpy(), decoder.attention.key.weight.detach().numpy()
    for t, wanted in enumerate([*target, encoder.end]):
        scores = (read @ key.T) @ own.h[t]
        a = np.exp(scores) / np.exp(scores).sum()
        z = W @ np.concatenate((own.h[t], a @ read)) + b
        logits = E @ np.tanh(z) + out
        logits[[0, encoder.begin]] = -np.inf
        rival = int(np.argmax(np.where(np.arange(len(logits)) == wanted, -np.inf, logits)))
        q = (E[wanted] - E[rival]) * np.tanh(z) / z
        of_state, of_context = np.split(q @ W, [H])
        step = told.steps[t]
        assert step.margin == pytest.approx(logits[wanted] - logits[rival])

        def read_of(
            s, shares, v
        ):  # what word s wrote, in both directions, to the states read with these shares
            ahead = sum(shares[k] * forward.push(s, k, v[:H]) for k in range(s, S))
            back = sum(shares[k] * reverse.push(S - 1 - s, S - 1 - k, v[H:]) for k in range(s + 1))
            return ahead + back

        def mass(layer, s, k):
            return layer.kept(s, k) * layer.wrote[s]

        np.testing.assert_allclose(step.attention, a)
        np.testing.assert_allclose(
            step.source_push, [read_of(s, a, of_context) for s in range(S)], atol=1e-12
        )
        worth = of_state * own.o[t] * np.tanh(own.c[t]) / own.c[t] * own.kept(-1, t)
        of_mean = (worth * np.tanh(first[H:]) / first[H:]) @ weight[H:]
        even = np.full(S, 1 / S)
        np.testing.assert_allclose(step.start_push, [read_of(s, even, of_mean) for s in range(S)], atol=1e-12)
        np.testing.assert_allclose(
            step.earlier_push, [own.push(k, t, of_state) for k in range(t + 1)], atol=1e-12
        )
        masses = [np.abs(mass(own, k, t)).sum() for k in range(t + 1)]
        initial = np.abs(own.kept(-1, t) * own.c0).sum()
        np.testing.assert_allclose(step.earlier_held, masses / (sum(masses) + initial))
        ahead = [np.abs(sum(a[k] * mass(forward, s, k) for k in range(s, S))).sum() for s in range(S)]
        back = [
            np.abs(sum(a[k] * mass(reverse, S - 1 - s, S - 1 - k) for k in range(s + 1))).sum()
            for s in range(S)
        ]
        shares = [np.array(part) / sum(part) for part in (ahead, back)]
        np.testing.assert_allclose(step.source_held, np.mean(shares, 0))


def test_rows_taken_apart_or_together_are_the_same(models, monkeypatch):
    whole = models["lstm"].explain("der Hund läuft im Schnee").to_dict()
    monkeypatch.setattr("gatewise.decoding.ledger.AT_ONCE", 60)
    parts = models["lstm"].explain("der Hund läuft im Schnee").to_dict()
    for one, other in zip(whole["steps"], parts["steps"], strict=True):
        np.testing.assert_allclose(one["source_push"], other["source_push"], atol=1e-12)
        np.testing.assert_allclose(one["earlier_held"], other["earlier_held"], atol=1e-12)


def test_pieces_are_joined_to_words():
    text = "Ein Schneeball, 3,5kg"
    spans = [(0, 3), (4, 9), (9, 14), (14, 15), (16, 17), (17, 18), (18, 19), (19, 21)]
    assert whole_words(text, spans) == [[0], [1, 2], [3], [4], [5], [6, 7]]
    assert whole_words("a  b", [(0, 1), (1, 2), (2, 3), (3, 4)]) == [[0], [1, 2, 3]]
    assert whole_words("é", [(0, 1), (0, 1)]) == [[0, 1]]  # two bytes of one character
    assert whole_words("", []) == []


def test_words_of_pieces_have_their_sums(models):
    model = models["stack of byte pairs"]
    told = model.explain("läuft Zzyx", "snow queue dog")
    assert told.source_words[0] != [0] or len(told.source_tokens) > 2
    for t, step in enumerate(told.steps):
        source, earlier = source_of(told, t), earlier_of(told, t)
        assert [word.text for word in source] == ["läuft", "Zzyx"]
        assert sum(word.push for word in source) == pytest.approx(
            sum(step.source_push) + sum(step.start_push)
        )
        assert sum(word.push for word in earlier) == pytest.approx(sum(step.earlier_push))
        shown = "".join(word.space + word.text for word in earlier[1:]).removesuffix("␣")
        assert shown.strip() == "snow queue dog"[: told.spans[t][0]].rstrip()
    assert sum(len(word) for word in told.words) == len(told.tokens)
    assert before(told, 0) == []


def test_written_byte_pairs_stand_where_they_are_in_the_text():
    tokenizer = translator(tokenizer="bpe").encoder.target
    ids = tokenizer.encode_ids(["a dog 雪 runs"])[0].tolist()
    text, spans = written_spans(tokenizer, ids)
    assert text == "a dog 雪 runs"
    assert "".join(text[start:end] for start, end in spans).replace(" ", "") == "adog雪runs"
    assert [text[start:end] for start, end in spans if end - start == 4] == ["runs"]
    broken, spans = written_spans(tokenizer, ids[:5])  # ends inside a character
    assert "�" in broken and all(0 <= start <= end <= len(broken) for start, end in spans)


def test_a_given_target_may_hold_unknown_words(models):
    told = models["lstm"].explain("der Hund", "the zebra")
    assert (told.target, told.given, told.candidates) == ("the zebra", True, [])
    assert told.tokens == ["the", "zebra", "</s>"]
    assert told.log_probability == pytest.approx(sum(np.log(step.probability) for step in told.steps))
    assert models["lstm"].explain("der Hund", "").tokens == ["</s>"]


def test_what_cannot_be_explained_is_refused(models):
    with pytest.raises(DataError, match="the text is empty"):
        models["lstm"].explain(" ")
    with pytest.raises(
        UsageError, match=f"the target has 600 tokens; at most {MOST_TOKENS} can be explained"
    ):
        models["lstm"].explain("der Hund", "dog " * 600)
    with pytest.raises(UsageError, match="beams is 0; it must be 1 or more"):
        models["lstm"].explain("der Hund", beams=0)


def test_a_cut_source_and_what_the_ledger_leaves_out_are_noted():
    model = translator(max_length=2, cell="gru", encoder_layers=2, attention="bahdanau")
    cut, layers, feeds = model.explain("der Hund läuft im Schnee").notes
    assert cut == "of 5 tokens of the source the first 2 were read (max_length)"
    assert "uppermost layer" in layers and "feeds the decoder" in feeds
    (note,) = translator(cell="rnn").explain("der Hund").notes
    assert note.startswith("a plain RNN keeps no sum")


def test_everything_is_plain_values(models):
    told = models["stack of byte pairs"].explain("der Hund läuft")
    again = json.loads(told.to_json())
    assert again["target"] == told.target
    assert len(again["steps"]) == len(told.tokens)
    assert {"source_held", "source_push", "earlier_held", "earlier_push", "margin"} <= again["steps"][
        0
    ].keys()


@pytest.mark.parametrize("name", MODELS)
def test_the_page_shows_every_word_and_no_markup_of_the_texts(models, name):
    hostile = '<script>alert(1)</script> der \u202e Hund " onload="x'
    html = models[name].explain(hostile, "the <b>dog</b> &amp; \x1b[2J runs").to_html()
    for word in ("<script>alert", "<b>dog", '" onload="x', "\x1b", "\u202e"):
        assert word not in html
    assert "&lt;script&gt;" in html or "&lt;" in html
    assert ("Written before" in html) == (name != "rnn")
    assert "nan" not in html.split("</style>")[1].split("<script>")[0].lower().replace("finance", "")


def test_the_picture_has_a_square_for_each_pair_and_room_for_its_labels():
    picture = attention_picture(["der", "H" * 40], ["a", "dog", "(end)"], [[0.25, 0.75], [1, 0], [0, 1]])
    assert [square.weight for square in picture.squares] == [0.25, 0.75, 1, 0, 0, 1]
    assert picture.squares[1].label == f"a looked at {'H' * 40}: 75%"
    assert len({(square.x, square.y) for square in picture.squares}) == 6
    assert all(
        picture.left <= s.x < picture.width and picture.top <= s.y < picture.height for s in picture.squares
    )
    assert picture.columns[1][0] == "H" * 17 + "…"


def test_the_page_joins_attention_over_pieces(models):
    told = models["stack of byte pairs"].explain("läuft Zzyx", "snow queue dog")
    page = told.page()
    assert page.columns == ["läuft", "Zzyx"]
    assert page.rows == ["snow", "queue", "dog", "(end)"]
    np.testing.assert_allclose(np.sum(page.attention, 1), 1)
    weights = np.array([step.attention for step in told.steps])
    queue, zzyx = told.words[1], told.source_words[1]
    assert page.attention[1][1] == pytest.approx(weights[queue][:, zzyx].sum(1).mean())


def test_two_pieces_that_differ_in_a_space_have_two_names(models):
    step = models["lstm"].explain("der Hund", "dog").steps[0]
    twins = type(step)(**{**vars(step), "token": "dog", "rival": " dog"})
    assert names(twins) == ("dog", "…dog")
