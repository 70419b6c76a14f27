"""The attentional decoder: its fused sequence against its single steps, its beams, its search."""

import numpy as np
import pytest
import torch
from torch import nn

from gatewise.decoding.beam_search import Search, beam_search
from gatewise.decoding.decoder import AttentionalDecoder
from gatewise.errors import UsageError

V, E, H, M = 11, 6, 6, 5
LENGTHS = torch.tensor([7, 3, 5])
FORMS = [
    {"attention": attention, "cells": cells, "num_layers": layers, "tied": tied}
    for attention in ("luong", "bahdanau")
    for cells, layers in ((("lstm",), 2), (("gru",), 1), (("gru", "lstm"), 1), (("gru", "rnn"), 1))
    for tied in (True, False)
]


def made(**form):
    torch.manual_seed(3)
    decoder = AttentionalDecoder(nn.Embedding(V, E), H, M, M, **form).double()
    values = torch.randn(7, 3, M).double()
    return decoder, values, values.mean(0)


@pytest.mark.parametrize("form", FORMS)
def test_the_sequence_in_one_call_is_the_steps_one_by_one(form):
    decoder, values, summary = made(**form)
    tokens = torch.randint(0, V, (4, 3))
    state = decoder.begin(values, LENGTHS, summary)
    read, weights = decoder(tokens, state)
    logits = decoder.logits(read)
    assert logits.shape == (4, 3, V)
    for t in range(4):
        one, seen, state = decoder.step(tokens[t : t + 1], state)
        np.testing.assert_allclose(one[0].detach(), logits[t].detach(), atol=1e-12)
        np.testing.assert_allclose(seen[0].detach(), weights[t].detach(), atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_beams_go_on_from_the_beam_that_was_selected(form):
    decoder, values, summary = made(**form)
    state = decoder.begin(values, LENGTHS, summary).select(torch.zeros(2, 3, dtype=torch.int64))
    first = torch.tensor([[1, 2, 3], [4, 5, 6]])
    _, _, state = decoder.step(first, state)
    state = state.select(torch.tensor([[1, 0, 1], [0, 0, 0]]))
    logits, _, _ = decoder.step(torch.tensor([[7, 7, 7], [8, 8, 8]]), state)
    for k, rows in enumerate(([4, 2, 6], [1, 2, 3])):
        written = torch.tensor([rows, [7 + k] * 3])
        alone = decoder.logits(decoder(written, decoder.begin(values, LENGTHS, summary))[0])[-1]
        np.testing.assert_allclose(logits[k].detach(), alone.detach(), atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["luong", "bahdanau"])
def test_the_search_scores_a_sequence_as_one_call_does(attention):
    decoder, values, summary = made(attention=attention, num_layers=2)

    def step(tokens, state):
        logits, weights, state = decoder.step(tokens, state)
        return logits.log_softmax(-1), weights, state

    start = decoder.begin(values, LENGTHS, summary)
    found = beam_search(step, start, start.memory.inside, Search(4, 6), begin=2, end=3)
    for b, hypotheses in enumerate(found):
        for hypothesis in hypotheses:
            written = [2, *hypothesis.tokens]
            wanted = [*hypothesis.tokens, 3] if hypothesis.complete else hypothesis.tokens
            tokens = torch.tensor(written[: len(wanted)])[:, None].expand(-1, 3)
            read, weights = decoder(tokens, start)
            log_p = decoder.logits(read).log_softmax(-1)[torch.arange(len(wanted)), b, torch.tensor(wanted)]
            assert hypothesis.log_probability == pytest.approx(float(log_p.sum()), abs=1e-5)
            np.testing.assert_allclose(hypothesis.attention, weights[:, b], atol=1e-6)


def test_tied_weights_are_one_parameter():
    tied, untied = made(tied=True)[0], made(tied=False)[0]
    assert "output.weight" not in dict(tied.named_parameters())
    assert "output.weight" in dict(untied.named_parameters())
    row = tied.logits(torch.eye(E).double()[:1]) - tied.output_bias
    np.testing.assert_allclose(row[0].detach(), tied.embedding.weight[:, 0].detach(), atol=0)


@pytest.mark.parametrize("form", FORMS[::4])
def test_every_parameter_learns(form):
    decoder, values, summary = made(**form)
    read, _ = decoder(torch.randint(0, V, (4, 3)), decoder.begin(values, LENGTHS, summary))
    nn.functional.cross_entropy(decoder.logits(read).flatten(0, 1), torch.randint(0, V, (12,))).backward()
    assert not [name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()]


def test_dropout_is_for_training_alone():
    decoder, values, summary = made(dropout=0.5)
    tokens = torch.randint(0, V, (4, 3))

    def read():
        return decoder(tokens, decoder.begin(values, LENGTHS, summary))[0]

    assert not torch.equal(read(), read())
    decoder.eval()
    assert torch.equal(read(), read())


def test_an_unknown_attention_is_refused():
    with pytest.raises(UsageError, match="attention is 'dot'; it must be one of luong, bahdanau"):
        made(attention="dot")
