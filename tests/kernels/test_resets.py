"""`resets=`: segments in a row know nothing of each other, in values and in gradients, in either direction."""

from itertools import pairwise

import pytest
import torch
from contract.cases import build, runs
from contract.catalogue import VARIANTS

from gatewise.kernels import backend

RUNS = [(b, cell) for b, cell in runs() if b != "aten"]
every_run = pytest.mark.parametrize(("name", "cell"), RUNS)
both_directions = pytest.mark.parametrize("reverse", [False, True])
T, B = 8, 3
CUTS = [(0, 3, 4, 8), (2, 5), (0, 1, 2, 3, 4, 5, 6, 7)]  # where segments begin, row by row
LENGTHS = [8, 6, 5]


def make(cell, *, lengths=None, reverse=False, cuts=CUTS, **case):
    made = build({"cell": cell, "T": T, "B": B, "reverse": reverse, "keep_c": True, **case}, seed=6)
    made.lengths = None if lengths is None else torch.tensor(lengths)
    made.resets = torch.zeros(T, B, dtype=torch.bool)
    for b, begins in enumerate(cuts):
        made.resets[[t for t in begins if t < T], b] = True
    return made


def run(made, name):
    with backend(name):
        return made.run()


def present(result):
    return [t for t in result[:4] if t is not None]


@every_run
@both_directions
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_every_segment_runs_as_if_alone(name, cell, reverse, lengths):
    made = make(cell, lengths=lengths, reverse=reverse)
    got = run(made, name)
    for b in range(B):
        stop = T if lengths is None else lengths[b]
        edges = sorted({0, stop, *(t for t in CUTS[b] if t < stop)})
        for first, last in pairwise(edges):
            alone = make(cell, reverse=reverse)
            # the pass enters one segment from the initial state, if no border stands before it
            enters = last == stop if reverse else first == 0 and 0 not in CUTS[b]
            alone.x, alone.resets = made.x[first:last, b : b + 1], None
            alone.h0, alone.c0 = (
                None if s is None else s[b : b + 1] * float(enters) for s in (made.h0, made.c0)
            )
            for whole, part in zip(got[:2], run(alone, name)[:2], strict=True):
                if whole is not None:
                    torch.testing.assert_close(whole[first:last, b], part[:, 0], rtol=1e-13, atol=1e-13)
        end = 0 if reverse else stop - 1
        for final, steps in zip((got.h_n, got.c_n), got[:2], strict=True):
            if final is not None:
                assert torch.equal(final[b], steps[end, b])


@every_run
@both_directions
def test_no_gradient_crosses_a_border(name, cell, reverse):
    made = make(cell, reverse=reverse)
    got = run(made, name)
    for t in range(T):
        (dx,) = torch.autograd.grad([o[t].sum() for o in got[:2] if o is not None], made.x, retain_graph=True)
        for b in range(B):
            segment = [s for s in range(T) if segment_of(s, b) == segment_of(t, b)]
            runs_before = [s for s in segment if (s >= t if reverse else s <= t)]
            others = [s for s in range(T) if s not in runs_before]
            assert dx[runs_before, b].abs().sum(-1).all()
            assert not dx[others, b].any()


def segment_of(t, b):
    return sum(begins <= t for begins in CUTS[b])


@every_run
def test_the_initial_state_belongs_to_another_segment(name, cell):
    made = make(cell)
    got = run(made, name)
    (dh0,) = torch.autograd.grad([o.sum() for o in present(got)], made.h0, retain_graph=True)
    assert not dh0[[0, 2]].any() and dh0[1].any()  # rows 0 and 2 begin with a border
    with torch.no_grad():
        made.h0[[0, 2]] += 1
    again = run(made, name)
    for before, after in zip(present(got), present(again), strict=True):
        assert torch.equal(before, after)


@every_run
@both_directions
def test_nan_stays_in_its_segment(name, cell, reverse):
    made = make(cell, reverse=reverse)
    clean = run(made, name)
    made.x = made.x.detach().clone()
    made.x[5, 0] = float("nan")  # of the segment of steps 4 to 7
    hit = torch.zeros(T, B, dtype=torch.bool)
    hit[4:6, 0] = True
    hit[6:, 0] = not reverse
    hit[4, 0] = reverse
    got = run(made, name)
    assert torch.equal(got.h_seq.isnan().any(-1), hit)
    assert torch.equal(got.h_seq[~hit], clean.h_seq[~hit])


@every_run
@both_directions
def test_borders_beyond_a_length_are_no_borders(name, cell, reverse):
    inside = [[t for t in begins if t < n] for begins, n in zip(CUTS, LENGTHS, strict=True)]
    seen = []
    for cuts in (inside, [[*begins, *range(n, T)] for begins, n in zip(inside, LENGTHS, strict=True)]):
        made = make(cell, lengths=LENGTHS, reverse=reverse, cuts=cuts)
        got = run(made, name)
        total = sum(o.square().sum() for o in present(got))
        seen.append([*present(got), *torch.autograd.grad(total, list(made.leaves().values()))])
    for a, b in zip(*seen, strict=True):
        assert torch.equal(a, b)


@every_run
@both_directions
def test_no_border_anywhere_is_no_resets(name, cell, reverse):
    made = make(cell, reverse=reverse, lengths=[8, 0, 3], cuts=[(), (), ()])
    got = run(made, name)
    made.resets = None
    for a, b in zip(present(got), present(run(made, name)), strict=True):
        assert torch.equal(a, b)


@every_run
@pytest.mark.parametrize("how", ["transposed", "sliced", "expanded"])
def test_resets_of_any_stride(name, cell, how):
    made = make(cell, cuts=[CUTS[0]] * B)
    expected = run(made, name)
    plain = made.resets
    if how == "transposed":
        made.resets = plain.t().contiguous().t()
    elif how == "sliced":
        wide = torch.ones(2 * T, 2 * B, dtype=torch.bool)
        wide[::2, ::2] = plain
        made.resets = wide[::2, ::2]
    else:
        made.resets = plain[:, :1].expand(T, B)
    assert torch.equal(made.resets, plain)
    for a, b in zip(present(expected), present(run(made, name)), strict=True):
        assert torch.equal(a, b)


@every_run
@both_directions
@pytest.mark.parametrize(("steps", "rows"), [(0, 3), (4, 0), (1, 2)])
def test_hardly_any_steps_or_rows(name, cell, reverse, steps, rows):
    made = make(cell, reverse=reverse, T=steps, B=rows)
    made.resets = torch.ones(steps, rows, dtype=torch.bool)
    got = run(made, name)
    assert got.h_seq.shape[:2] == (steps, rows)
    if steps == 1 and not reverse:
        with torch.no_grad():
            made.h0.zero_()
            if made.c0 is not None:
                made.c0.zero_()
        made.resets = None
        torch.testing.assert_close(got.h_seq, run(made, name).h_seq)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v not in ("plain", "drop_h", "drop_weights")])
@both_directions
def test_double_backward_through_borders(variant, reverse):
    options = {"T": 3, "B": 2, "I": 3, "H": 3, "variant": variant, "resets": "few", "lengths": "unsorted"}
    made = build({"cell": "lstm", "keep_c": True, **options, "reverse": reverse}, seed=1)
    made.resets = torch.tensor([[False, True], [True, False], [False, True]])
    leaves = list(made.leaves().values())
    penalties = []
    for name in {b for b, _ in RUNS}:
        result = run(made, name)
        total = sum((o**2).sum() for o in (result.h_seq, result.c_seq, result.h_n, result.c_n))
        first = torch.autograd.grad(total, leaves, create_graph=True)
        penalties.append(torch.autograd.grad(sum((g**2).sum() for g in first), leaves))
    for gradients in penalties[1:]:
        for a, b in zip(gradients, penalties[0], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
