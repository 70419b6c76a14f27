"""Each regulariser of the generate recipe alone, against its definition written out."""

import math

import pytest
import torch
from language_cases import language_model, random_tokens

from gatewise.tasks.generate.regularisers import (
    activation,
    drop,
    drop_embeddings,
    drop_locked,
    temporal_activation,
)


def assert_share(mask, p):
    """The zeros of a mask of independent draws are within four standard errors of p; the rest is 1 / (1 - p)."""
    zeros = (mask == 0).double().mean().item()
    assert abs(zeros - p) < 4 * math.sqrt(p * (1 - p) / mask.numel())
    torch.testing.assert_close(mask[mask != 0], torch.full_like(mask[mask != 0], 1 / (1 - p)))


def test_dropout_draws_a_mask_for_every_number():
    x = torch.ones(30, 20, 40)
    mask = drop(x, 0.3)
    assert_share(mask, 0.3)
    assert not torch.equal(mask[0], mask[1]) and not torch.equal(mask, drop(x, 0.3))
    x = torch.randn(4, 3, 5, dtype=torch.float64, requires_grad=True)
    out = drop(x, 0.5)
    out.sum().backward()
    torch.testing.assert_close(out, x * x.grad)  # linear: the gradient is the mask


def test_locked_dropout_draws_one_mask_for_all_steps():
    mask = drop_locked(torch.ones(6, 50, 40), 0.4)
    assert_share(mask[0], 0.4)
    assert all(torch.equal(step, mask[0]) for step in mask)
    assert not torch.equal(mask[0, 0], mask[0, 1])


def test_embedding_dropout_leaves_out_tokens_wherever_they_stand():
    ids = torch.randint(1000, (40, 30))
    rows = torch.ones(40, 30, 2)
    kept = drop_embeddings(rows, ids, 0.25, 1000)
    by_token = {}
    for token, row in zip(ids.flatten().tolist(), kept.flatten(0, 1).tolist(), strict=True):
        assert by_token.setdefault(token, row) == row and row[0] == row[1]
    assert_share(torch.tensor([row[0] for row in by_token.values()]), 0.25)


def test_no_dropout_is_the_same_tensor():
    x = torch.ones(2, 3, 4)
    assert drop(x, 0.0) is x and drop_locked(x, 0.0) is x
    assert drop_embeddings(x, torch.zeros(2, 3, dtype=torch.int64), 0.0, 9) is x


def test_ar_and_tar_of_a_written_out_example():
    h = torch.tensor([[[1.0, 2.0]], [[3.0, 0.0]], [[3.0, 4.0]]], dtype=torch.float64)  # [3, 1, 2]
    # Σh² = 5 + 9 + 25 over 6 numbers; times 3 tokens: 39 / 6 · 3.
    assert activation(h, 2.0).item() == pytest.approx(2.0 * 39 / 6 * 3)
    # Σ(h_t - h_{t-1})² = (4 + 4) + (0 + 16) over 4 differences; times 3 tokens.
    assert temporal_activation(h, 0.5).item() == pytest.approx(0.5 * 24 / 4 * 3)
    assert temporal_activation(h[:1], 0.5).item() == 0


def penalty_of(model, ids):
    (_, penalty), _ = model(ids, None, ids)
    return penalty


def test_ar_is_of_the_dropped_output_and_tar_of_the_whole_one():
    ids = random_tokens(12).view(4, 3)
    model = language_model(ar=2.0, tar=1.0, output_dropout=0.5).train()
    torch.manual_seed(8)
    h, dropped, _ = model.hidden(ids)
    assert (dropped == 0).any() and not (h == 0).any()
    torch.manual_seed(8)
    wanted = 2.0 * dropped.square().mean() * 12 + 1.0 * (h[1:] - h[:-1]).square().mean() * 12
    torch.testing.assert_close(penalty_of(model, ids), wanted)
    assert penalty_of(model.eval(), ids) == 0


@pytest.mark.parametrize(
    "option",
    ["input_dropout", "hidden_dropout", "output_dropout", "embedding_dropout", "weight_drop"],
)
def test_each_dropout_acts_in_training_alone(option):
    ids = random_tokens(12).view(4, 3)
    plain, model = language_model(), language_model(**{option: 0.5})
    with torch.no_grad():
        wanted, _ = plain(ids)
        torch.testing.assert_close(model(ids)[0], wanted, rtol=0, atol=0)
        model.train()
        once, again = model(ids)[0], model(ids)[0]
    assert not torch.equal(once, wanted) and not torch.equal(once, again)
    plain.train()
    with torch.no_grad():
        torch.testing.assert_close(plain(ids)[0], wanted, rtol=0, atol=0)


def test_locked_masks_inside_the_model_are_the_same_at_every_step():
    ids = torch.zeros(5, 40, dtype=torch.int64)
    model = language_model(locked=True, input_dropout=0.5).train()
    rows = model.embed(ids)
    assert (rows == 0).any() and all(torch.equal(row, rows[0]) for row in rows)
    loose = language_model(input_dropout=0.5).train().embed(ids)
    assert not all(torch.equal(row, loose[0]) for row in loose)


def test_weight_drop_drops_entries_of_the_recurrent_matrix_for_a_whole_window():
    """A recurrent matrix of which only entry (unit 0's candidate, unit 0) counts: kept and doubled, or gone."""
    model = language_model(weight_drop=0.5, num_layers=1).train()
    layer = model.recurrent.layers[0]
    ids = torch.zeros(6, 1, dtype=torch.int64)
    with torch.no_grad():
        w = layer.weight_hh_l0
        w.zero_()
        w[12, 0] = 0.6
        seen = {tuple(model.hidden(ids)[0][:, 0, 0].tolist()) for _ in range(12)}
        wanted = set()
        for value in (0.0, 1.2):
            w[12, 0] = value
            wanted.add(tuple(model.eval().hidden(ids)[0][:, 0, 0].tolist()))
    assert len(seen) == 2
    for found in seen:
        assert any(torch.allclose(torch.tensor(found), torch.tensor(one), atol=1e-12) for one in wanted)
