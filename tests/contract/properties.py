"""What holds of every call beside its values. Each property is a function of a case and the name of a backend.

Sources of the demands: `docs/testing.md`. A backend is asked in the conditions that are in force.
"""

from collections.abc import Callable

import torch
from pairwise import Case, pairwise
from torch import Tensor

from contract.cases import Built, assert_equal_bits, outcome, seen
from contract.catalogue import BACKENDS, CELLS, contractive, factors
from contract.conditions import poisoned_memory
from gatewise.kernels import backend

TIGHT = {torch.float64: 1e-13, torch.float32: 1e-5, torch.bfloat16: 4e-2}
"""Of two ways to sum the same numbers."""

SHAPE = {"T": [8], "B": [5], "I": [4], "H": [1, 16, 19]}  # on both sides of a vector's width
SEEDS = 8  # of which `make test` takes the first


def lengths_of(made: Built) -> Tensor:
    """[B]"""
    T, B, _ = made.x.shape
    return torch.full((B,), T, device=made.x.device) if made.lengths is None else made.lengths


def steps(made: Built) -> Tensor:
    """[T, 1]"""
    return torch.arange(len(made.x), device=made.x.device)[:, None]


def segments(made: Built) -> Tensor:
    """[T, B]: the number of the segment that a step stands in."""
    return (
        torch.zeros(made.x.shape[:2], device=made.x.device) if made.resets is None else made.resets.cumsum(0)
    )


def spoil(made: Built, where: Tensor, value: float) -> None:
    """This value in the first feature of x at the places [T, B] that are True."""
    made.x = made.x.detach().clone()
    made.x[..., 0][where] = value
    made.x.requires_grad_()


def nan_in_x_touches_its_row_from_its_step_to_the_end_of_the_segment(made: Built, name: str) -> None:
    T, B, _ = made.x.shape
    at, row = min(3, T - 1), 2
    length, segment, t = lengths_of(made), segments(made), steps(made)
    rows = torch.arange(B, device=made.x.device)
    after = t <= at if made.reverse else t >= at
    reached = after & (t < length) & (rows == row) & (segment == segment[at, row]) & (length[row] > at)
    clean, clean_gradients = outcome(made, name)
    spoil(made, (t == at) & (rows == row), torch.nan)
    spoiled, gradients = outcome(made, name)
    assert torch.equal(spoiled["h_seq"].isnan().any(-1), reached)
    for key in {"h_seq", "c_seq"} & clean.keys():
        assert torch.equal(spoiled[key][~reached], clean[key][~reached]), key
    others = rows != row
    last = 0 if made.reverse else int(length[row]) - 1
    for key in {"h_n", "c_n"} & clean.keys():
        assert torch.equal(spoiled[key][others], clean[key][others]), key
        assert bool(spoiled[key][row].isnan().any()) == bool(length[row] > 0 and reached[last, row]), key
    outside = segment != segment[at, row] if length[row] > at else torch.ones_like(segment, dtype=torch.bool)
    outside[:, others] = True
    assert torch.equal(gradients["x"][outside], clean_gradients["x"][outside])
    for key in {"h0", "c0"} & gradients.keys():
        assert torch.equal(gradients[key][others], clean_gradients[key][others]), key


def nan_in_an_initial_state_touches_its_row_only(made: Built, name: str) -> None:
    clean = outcome(made, name)[0]
    made.h0 = made.h0.detach().clone()
    made.h0[2, 0] = torch.nan
    made.h0.requires_grad_()
    spoiled = outcome(made, name)[0]
    others = [0, 1, 3, 4]
    for key, tensor in spoiled.items():
        row = (slice(None), others) if tensor.dim() == 3 else (others,)
        assert torch.equal(tensor[row], clean[key][row]), key
    length = int(lengths_of(made)[2])
    first = length - 1 if made.reverse else 0
    cut_off = made.resets is not None and not made.reverse and bool(made.resets[0, 2])
    assert bool(spoiled["h_seq"][:, 2].isnan().any()) == (length > 0 and not cut_off)
    if length and not cut_off:
        assert spoiled["h_seq"][first, 2].isnan().any()


def padding_changes_no_bit(made: Built, name: str) -> None:
    padding = steps(made) >= lengths_of(made)
    expected = None
    for fill in (0.0, torch.nan, torch.inf):
        spoil(made, padding, fill)
        for key in ("h_seq", "c_seq"):
            cotangent = getattr(made.cotangents, key)
            if cotangent is not None:
                cotangent[padding.cpu().numpy()] = fill
        if made.resets is not None:
            made.resets[padding] = fill == 0
        found = seen(made, name)
        expected = expected or found
        assert_equal_bits(found, expected, f"with {fill} in the padding")
    assert expected is not None
    assert not expected["dx"][padding].any() and not expected["h_seq"][padding].any()


def repeats_give_the_same_bits(made: Built, name: str) -> None:
    expected = seen(made, name)
    for _ in range(3):
        assert_equal_bits(seen(made, name), expected)


def what_memory_held_before_is_never_read(made: Built, name: str) -> None:
    expected = seen(made, name)
    with poisoned_memory():
        assert_equal_bits(seen(made, name), expected, "in poisoned memory")


def nothing_that_is_given_is_changed(made: Built, name: str) -> None:
    given = [t for t in (*made.leaves().values(), made.lengths, made.resets, made.seed) if t is not None]
    before = [t.detach().clone() for t in given]
    random_state = torch.get_rng_state()
    with backend(name):
        result = made.run()
    values = [t.detach().clone() for t in result[:4] if t is not None]
    made.gradients(result)
    for now, then in zip(given, before, strict=True):
        assert torch.equal(now, then)
    for now, then in zip([t for t in result[:4] if t is not None], values, strict=True):
        assert torch.equal(now, then), "an output changed in the backward pass"
    assert torch.equal(torch.get_rng_state(), random_state)


def results_can_be_written_into(made: Built, name: str) -> None:
    expected = outcome(made, name)[0]
    given = {key: t.detach().clone() for key, t in made.leaves().items()}
    with torch.no_grad(), backend(name):
        for output in made.run()[:4]:
            if output is not None:
                output.fill_(9.0)
    for key, tensor in made.leaves().items():
        assert torch.equal(tensor, given[key]), key
    assert_equal_bits(outcome(made, name)[0], expected)


def cotangents_may_have_any_stride(made: Built, name: str) -> None:
    with backend(name):
        result = made.run()
    outputs = [t for t in (result if made.keep_c else result._replace(c_seq=None))[:4] if t is not None]
    leaves, tolerance = list(made.leaves().values()), TIGHT[made.x.dtype]
    strided = []
    for output in outputs:
        wide = torch.randn([2 * n for n in reversed(output.shape)], dtype=output.dtype, device=output.device)
        strided.append(wide[(slice(None, None, 2),) * output.dim()].permute(*reversed(range(output.dim()))))
    expanded = [torch.ones((), dtype=o.dtype, device=o.device).expand(o.shape) for o in outputs]
    for cotangents in (strided, expanded):
        got, expected = (
            torch.autograd.grad(
                outputs, leaves, given, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            for given in (cotangents, [c.contiguous() for c in cotangents])
        )
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def a_second_backward_pass_gives_the_same(made: Built, name: str) -> None:
    with backend(name):
        result = made.run()
    result = result if made.keep_c else result._replace(c_seq=None)
    outputs = [t for t in result[:4] if t is not None]
    leaves, total = list(made.leaves().values()), sum(o.square().sum() for o in outputs)
    options = {"allow_unused": True, "materialize_grads": True}
    first = torch.autograd.grad(total, leaves, retain_graph=True, **options)
    second = torch.autograd.grad(total, leaves, **options)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def each_input_alone_gets_the_gradient_that_it_gets_in_company(made: Built, name: str) -> None:
    together, leaves, tolerance = outcome(made, name)[1], made.leaves(), TIGHT[made.x.dtype]
    for leaf in leaves.values():
        leaf.requires_grad_(False)
    for key, leaf in leaves.items():
        leaf.requires_grad_()
        with backend(name):
            result = made.run()
        outputs = [
            (o, torch.from_numpy(c).to(o))
            for o, c in zip(
                result if made.keep_c else result._replace(c_seq=None), made.cotangents[:4], strict=False
            )
            if o is not None and o.requires_grad
        ]
        (got,) = torch.autograd.grad(
            [o for o, _ in outputs], leaf, [c for _, c in outputs], allow_unused=True, materialize_grads=True
        )
        torch.testing.assert_close(
            got, together[key], rtol=tolerance, atol=tolerance, msg=lambda m, k=key: f"{k}: {m}"
        )
        leaf.requires_grad_(False)


def without_gradients_the_values_are_the_same(made: Built, name: str) -> None:
    expected, tolerance = outcome(made, name)[0], TIGHT[made.x.dtype]
    found = []
    for mode in (torch.no_grad, torch.inference_mode):
        with backend(name), mode():
            result = made.run()
        found.append({key: getattr(result, key) for key in expected})
    assert_equal_bits(*found)
    for key, value in found[0].items():
        assert not value.requires_grad
        torch.testing.assert_close(value, expected[key].detach(), rtol=tolerance, atol=tolerance)


def recomputation_changes_no_bit(made: Built, name: str) -> None:
    assert_equal_bits(seen(made, name, recompute=True), seen(made, name))


def a_weight_changed_before_the_backward_pass_is_noticed(made: Built, name: str) -> None:
    with backend(name):
        result = made.run()
    with torch.no_grad():
        made.weights.w_hh.mul_(2)
    try:
        result.h_seq.sum().backward()
    except RuntimeError as error:
        assert "inplace" in str(error)
    else:
        # Weights that are dropped are another tensor; and where no step of any row runs, none is read.
        dropped = made.seed is not None and made.variant.recurrent_dropout_on == "weights"
        assert dropped or not lengths_of(made).any()


PROPERTIES: dict[str, Callable[[Built, str], None]] = {
    function.__name__: function
    for function in (
        nan_in_x_touches_its_row_from_its_step_to_the_end_of_the_segment,
        nan_in_an_initial_state_touches_its_row_only,
        padding_changes_no_bit,
        repeats_give_the_same_bits,
        what_memory_held_before_is_never_read,
        nothing_that_is_given_is_changed,
        results_can_be_written_into,
        cotangents_may_have_any_stride,
        a_second_backward_pass_gives_the_same,
        each_input_alone_gets_the_gradient_that_it_gets_in_company,
        without_gradients_the_values_are_the_same,
        recomputation_changes_no_bit,
        a_weight_changed_before_the_backward_pass_is_noticed,
    )
}


def property_cases(backend: str, cell: str, seed: int) -> list[Case]:
    """One covering array: every property meets every variant, dtype, kind of lengths and so on."""
    varied = factors(BACKENDS[backend], CELLS[cell], **SHAPE, property=list(PROPERTIES))
    return contractive(pairwise(varied | SHAPE, seed))
