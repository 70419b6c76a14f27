"""What autograd may ask of a run: some gradients only, twice, from odd cotangents, after a weight has changed."""

import pytest
import torch
from kernel_cases import build, runs

from gatewise.kernels import backend

RUNS = runs()
every_run = pytest.mark.parametrize(("name", "cell"), RUNS)
precisions = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
raggedness = pytest.mark.parametrize("lengths", ["none", "unsorted", "long"])


def run(cell, name, dtype, lengths, *, keep_c=False):
    case = {
        "cell": cell, "dtype": dtype, "T": 6, "B": 4, "I": 3, "H": 5, "lengths": lengths,
        "reverse": True, "bias": True, "strides": "contiguous", "keep_c": keep_c,
    }  # fmt: skip
    made = build(case, seed=4)
    with backend(name):
        return made, made.run()


def outputs(result):
    return [t for t in result if t is not None]


@every_run
@precisions
@raggedness
def test_a_second_backward_pass_gives_the_same(name, cell, dtype, lengths):
    made, result = run(cell, name, dtype, lengths)
    leaves, total = list(made.leaves().values()), sum((o**2).sum() for o in outputs(result))
    first = torch.autograd.grad(total, leaves, retain_graph=True)
    second = torch.autograd.grad(total, leaves)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@every_run
@precisions
@raggedness
def test_each_input_alone_gets_the_gradient_that_it_gets_in_company(name, cell, dtype, lengths):
    made, result = run(cell, name, dtype, lengths)
    leaves = made.leaves()
    together = torch.autograd.grad(sum((o**2).sum() for o in outputs(result)), list(leaves.values()))
    for leaf in leaves.values():
        leaf.requires_grad_(False)
    for (key, leaf), expected in zip(leaves.items(), together, strict=True):
        leaf.requires_grad_()
        with backend(name):
            alone = made.run()
        (got,) = torch.autograd.grad(sum((o**2).sum() for o in outputs(alone)), leaf)
        tolerance = 1e-13 if dtype == torch.float64 else 1e-5
        torch.testing.assert_close(
            got, expected, rtol=tolerance, atol=tolerance, msg=lambda m, k=key: f"{k}: {m}"
        )
        leaf.requires_grad_(False)


@every_run
@precisions
@raggedness
def test_cotangents_of_any_stride(name, cell, dtype, lengths):
    made, result = run(cell, name, dtype, lengths, keep_c=True)
    leaves = list(made.leaves().values())
    plain, strided = [], []
    for output in outputs(result):
        wide = torch.randn([2 * n for n in reversed(output.shape)], dtype=dtype)
        strided.append(wide[(slice(None, None, 2),) * output.dim()].permute(*reversed(range(output.dim()))))
        plain.append(strided[-1].contiguous())
    expected = torch.autograd.grad(outputs(result), leaves, plain, retain_graph=True)
    got = torch.autograd.grad(outputs(result), leaves, strided, retain_graph=True)
    ones = torch.autograd.grad(
        outputs(result), leaves, [torch.ones_like(o) for o in outputs(result)], retain_graph=True
    )
    summed = torch.autograd.grad(sum(o.sum() for o in outputs(result)), leaves)  # cotangents of stride 0
    for a, b in [*zip(got, expected, strict=True), *zip(summed, ones, strict=True)]:
        tolerance = 1e-13 if dtype == torch.float64 else 1e-6
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@every_run
def test_a_weight_changed_before_the_backward_pass_is_noticed(name, cell):
    made, result = run(cell, name, torch.float32, "none")
    with torch.no_grad():
        made.weights.w_hh.mul_(2)
    with pytest.raises(RuntimeError, match=r"modified (by an )?inplace"):
        result.h_seq.sum().backward()


@every_run
@raggedness
def test_the_results_can_be_written_into(name, cell, lengths):
    made, result = run(cell, name, torch.float64, lengths)
    given = [made.x.detach().clone(), made.h0.detach().clone()]
    with torch.no_grad(), backend(name):
        for output in outputs(made.run()):
            output.fill_(9.0)
    assert torch.equal(made.x, given[0]) and torch.equal(made.h0, given[1])
    made.check_values(result)
