"""Recall: what the sequences hold, and that the race tells the cells apart."""

import pytest
import torch

import gatewise as gw
from gatewise.errors import UsageError
from gatewise.synthetic.reader import Reader
from gatewise.synthetic.recall import Budget, draw, race

QUICK = Budget(updates=100, learning_rate=1e-2)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_first_step_shows_the_answer_and_the_rest_is_noise():
    x, labels = draw(50, 7, generator=generator(), symbols=3)
    assert x.shape == (8, 50, 6) and x.dtype == torch.float32
    assert torch.equal(x.sum(-1), torch.ones(8, 50)) and set(x.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(x[0].argmax(-1), labels)
    assert not x[1:, :, :3].any()


def test_every_symbol_is_as_likely_as_another():
    x, labels = draw(4000, 5, generator=generator())
    for drawn, low, count in ((labels, 0, 4000), (x[1:].argmax(-1), 4, 20000)):
        shares = torch.bincount(drawn.flatten(), minlength=8)[low : low + 4] / count
        spread = (0.25 * 0.75 / count) ** 0.5
        assert (shares - 0.25).abs().max() < 5 * spread


def test_noise_does_not_tell_the_answer():
    x, labels = draw(4000, 1, generator=generator())
    noise = x[1].argmax(-1) - 4
    together = torch.bincount(4 * labels + noise, minlength=16) / 4000
    assert (together - 1 / 16).abs().max() < 5 * (15 / 256 / 4000) ** 0.5


def test_draws_are_those_of_the_generator():
    first, again, other = (draw(9, 5, generator=generator(seed))[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw(2, 0, generator=generator()), "lag is 0"),
        (lambda: draw(2, 5, generator=generator(), symbols=1), "symbols 1"),
        (lambda: Budget(updates=70), "updates is 70; it must be a multiple of 50"),
        (lambda: race(5, ["elman"]), "cell is 'elman'; it must be one of rnn, irnn, gru, lstm"),
    ],
)
def test_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_a_short_lag_is_learnt_by_every_cell_and_the_same_seed_gives_the_same_curve():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    cells = ("rnn", "irnn", "gru", "lstm")
    learned = race(2, cells, seed=1, budget=QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    assert {cell: run.accuracy for cell, run in learned.items()} == dict.fromkeys(cells, 1.0)
    again = race(2, ["gru"], seed=1, budget=QUICK)["gru"]
    assert again.curve == learned["gru"].curve
    assert [updates for updates, _ in again.curve] == [50, 100]


@pytest.mark.slow
def test_at_lag_100_the_plain_rnn_guesses_and_the_gated_cells_recall():
    learned = race(100, seed=0)
    assert learned["rnn"].accuracy < 0.35
    assert learned["gru"].accuracy >= 0.95 and learned["lstm"].accuracy >= 0.95


def test_the_accuracy_is_the_model_s_on_sequences_it_can_be_asked_again():
    run = race(2, ["lstm"], seed=2, budget=QUICK)["lstm"]
    x, labels = draw(500, 2, generator=generator(99))
    with torch.no_grad():
        logits, (h_n, _) = run.model(x)
    assert (logits[-1].argmax(-1) == labels).float().mean() == run.accuracy == 1.0
    assert torch.allclose(run.model.output(h_n[0]), logits[-1], atol=1e-6)


def test_a_reader_starts_as_it_says():
    torch.manual_seed(0)
    identity = Reader("irnn", 6, 5, 3).recurrent
    assert isinstance(identity, gw.RNN) and identity.nonlinearity == "relu"
    assert torch.equal(identity.weight_hh_l0, torch.eye(5))
    assert not identity.bias_ih_l0.any() and not identity.bias_hh_l0.any()
    assert 0 < identity.weight_ih_l0.abs().max() < 0.006
    for cell, rows in (("lstm", slice(5, 10)), ("gru", slice(5, 10))):
        kept = Reader(cell, 6, 5, 3, horizon=40).recurrent.bias_ih_l0[rows]
        assert (kept >= 0).all() and (kept.exp() <= 39.001).all() and kept.max() > 1
        assert Reader(cell, 6, 5, 3).recurrent.bias_ih_l0.abs().max() <= 5**-0.5
