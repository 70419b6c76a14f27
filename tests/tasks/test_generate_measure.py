"""Likelihoods of a text against arithmetic written out in NumPy, one token at a time."""

import math

import pytest
import torch
from language_cases import WrittenOut, language_model, random_tokens

from gatewise.errors import DataError
from gatewise.tasks.generate import measure
from gatewise.tasks.generate.fitted import figures_of
from gatewise.tasks.generate.measure import NLL, measure_carried, measure_windows, token_losses
from gatewise.tasks.generate.vocabulary import Bytes, Characters, Words
from gatewise.training.distributed import Processes

TOKENS = random_tokens(53)


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def model(request):
    return language_model(tie=request.param)


@pytest.mark.parametrize("at_once", [1, 7, 2048])
def test_one_stream_is_the_likelihood_of_the_text(model, monkeypatch, at_once):
    monkeypatch.setattr(measure, "TOKENS_AT_ONCE", at_once)
    found = measure_carried(model, TOKENS)
    wanted = WrittenOut(model).nll(TOKENS)
    assert found.count == len(wanted) == 52
    assert found.total == pytest.approx(math.fsum(wanted), rel=1e-12)
    assert found.perplexity == pytest.approx(math.exp(math.fsum(wanted) / 52), rel=1e-12)


@pytest.mark.parametrize(("streams", "warm_up"), [(2, 0), (4, 5), (5, 9), (3, 1000), (52, 3), (90, 0)])
def test_several_streams_read_what_comes_before_their_piece(model, monkeypatch, streams, warm_up):
    monkeypatch.setattr(measure, "TOKENS_AT_ONCE", 12)
    written, length = WrittenOut(model), math.ceil(52 / min(streams, 52))
    wanted = []
    for start in range(0, 52, length):
        before = min(warm_up, length) if start else 0
        wanted += written.nll(TOKENS[start - before : start + length + 1])[before:]
    found = measure_carried(model, TOKENS, streams=streams, warm_up=warm_up)
    assert found.count == len(wanted) == 52
    assert found.total == pytest.approx(math.fsum(wanted), rel=1e-12)


@pytest.mark.parametrize("window", [1, 4, 13, 51, 52, 400])
def test_windows_begin_with_a_zero_state(model, monkeypatch, window):
    monkeypatch.setattr(measure, "WINDOWS_AT_ONCE", 3)
    written = WrittenOut(model)
    wanted = [x for start in range(0, 52, window) for x in written.nll(TOKENS[start : start + window + 1])]
    found = measure_windows(model, TOKENS, window)
    assert found.count == len(wanted) == 52
    assert found.total == pytest.approx(math.fsum(wanted), rel=1e-12)


@pytest.mark.parametrize("window", [0, 4, 51, 400])
def test_losses_of_single_tokens(model, monkeypatch, window):
    monkeypatch.setattr(measure, "WINDOWS_AT_ONCE", 3)
    monkeypatch.setattr(measure, "TOKENS_AT_ONCE", 7)
    written, step = WrittenOut(model), window or 52
    wanted = [x for start in range(0, 52, step) for x in written.nll(TOKENS[start : start + step + 1])]
    assert token_losses(model, TOKENS, window).tolist() == pytest.approx(wanted, rel=1e-6)


def test_one_window_of_the_whole_text_is_the_carried_figure(model):
    assert measure_windows(model, TOKENS, 1000).total == pytest.approx(
        measure_carried(model, TOKENS).total, rel=1e-12
    )


class Apart(Processes):
    """One of several processes that tell each other nothing: its own sums."""

    def sum(self, value):
        return value


@pytest.mark.parametrize(
    "figure",
    [
        lambda *a, **k: measure_carried(*a, streams=5, warm_up=4, **k),
        lambda *a, **k: measure_windows(*a, 6, **k),
    ],
)
def test_processes_share_the_text(model, figure):
    parts = [figure(model, TOKENS, processes=Apart(rank=rank, world=3)) for rank in range(3)]
    whole = figure(model, TOKENS)
    assert sum(part.count for part in parts) == whole.count == 52
    assert math.fsum(part.total for part in parts) == pytest.approx(whole.total, rel=1e-12)


def test_a_text_of_one_token_has_nothing_to_predict(model):
    for figure in (measure_carried, lambda m, t: measure_windows(m, t, 4)):
        with pytest.raises(DataError, match="the text has 1 tokens; 2 at least are needed"):
            figure(model, TOKENS[:1])


def test_figures_of_a_written_out_measurement():
    # Four bytes after the first character, 2 bits each; "né" has 3 bytes and 2 characters.
    content = "anné".encode()
    found = figures_of(NLL(4 * 2 * math.log(2), 4), content, Bytes().encode(content), Bytes())
    assert found["bits_per_byte"] == pytest.approx(2) and found["bytes"] == 4 and found["tokens"] == 4
    assert found["perplexity"] == pytest.approx(4) and "bits_per_character" not in found
    characters = Characters("an")
    found = figures_of(NLL(3.0, 3), content, characters.encode(content), characters)
    assert found["nats_per_character"] == pytest.approx(1) and found["unknown"] == 1
    words = Words(["<unk>", "<eos>", "a"])
    found = figures_of(NLL(3.0, 3), b"a b a\n", words.encode(b"a b a\n"), words)
    assert found["unknown"] == 1 and "nats_per_character" not in found and found["loss"] == 1


def test_a_perplexity_beyond_float64_is_infinite():
    assert NLL(1e6, 1000).perplexity == math.inf


def test_carried_windows_of_a_training_are_one_long_pass():
    model = language_model()
    ids = TOKENS[:-1].view(-1, 4).contiguous()
    whole, (state, *_) = model(ids)
    first, carried = model(ids[:5])
    second, (last, *_) = model(ids[5:], carried)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(last, state, rtol=1e-12, atol=1e-13)
