"""Layers of depth and direction against the oracle's stack: values, final states and every gradient."""

from typing import Any

import numpy as np
import torch
from compare import array, assert_gradient, assert_values, rms
from oracle import Params, Variation, stack, stack_backward
from pairwise import Case, pairwise
from torch import Tensor

import gatewise as gw
from contract.cases import make_lengths, make_resets
from contract.catalogue import BACKENDS, CELLS

NAMES = (
    "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr",
    "weight_peephole", "weight_norm_ih", "weight_norm_hh", "weight_norm_c", "bias_norm_c",
)  # fmt: skip
INPUT, STEPS, ROWS = 3, 6, 4
FACTORS: dict[str, list[Any]] = {
    "num_layers": [1, 2, 3],
    "bidirectional": [False, True],
    "batch_first": [False, True],
    "bias": [True, False],
    "H": [4, 9],
    "lengths": ["none", "sorted", "unsorted", "with_zeros", "all_equal", "all_zero"],
    "resets": ["none", "few", "many"],
    "hx": [True, False],
    "training": [True, False],
    "dtype": [torch.float64, torch.float32],
}
SEEDS = 20  # of which `make test` takes the first


def layer_cases(backend: str, cell: str, seed: int) -> list[Case]:
    """One covering array."""
    plain = {"variant": ["plain"], "resets": ["none"]} if BACKENDS[backend].plain_only else {}
    return pairwise({"cell": [cell], "variant": CELLS[cell].variants, **FACTORS, **plain}, seed)


def flat(result: Any) -> list[Tensor]:
    """The tensors of a layer's result in order."""
    return [result] if isinstance(result, Tensor) else [tensor for part in result for tensor in flat(part)]


def variation_of(layer: Any) -> Variation:
    v = layer.variant
    return Variation(
        v.layer_norm, v.peephole, v.coupled, v.zoneout, v.recurrent_dropout, v.recurrent_dropout_on
    )


def oracle_params(layer: Any) -> tuple[list[Params], list[str]]:
    """The parameters of every layer and direction for the oracle, and the ends of their names."""
    named = dict(layer.named_parameters())
    suffixes = [
        f"_l{k}{d}" for k in range(layer.num_layers) for d in ("", "_reverse")[: layer.num_directions]
    ]
    made = [Params(*(array(named[n + s]) if n + s in named else None for n in NAMES)) for s in suffixes]
    return made, suffixes


def stir(layer: Any) -> None:
    """Scales of layer normalisation that are not all one, and small enough that rounding does not grow."""
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.2, 0.6)


def make_layer(case: Case) -> Any:
    line = CELLS[case["cell"]]
    shape = {name: case[name] for name in ("num_layers", "bidirectional", "batch_first", "bias", "dtype")}
    layer = line.layer(INPUT, case["H"], **shape, **line.options(case["variant"], case["H"]))
    stir(layer)
    return layer.train(case["training"])


def judge_layer(backend: str, case: Case, seed: int) -> None:
    """Run the case and compare everything with the oracle."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    layer = make_layer(case)
    dtype, passes = case["dtype"], layer.num_layers * layer.num_directions
    x = torch.from_numpy(rng.normal(size=(STEPS, ROWS, INPUT))).to(dtype).requires_grad_()
    sizes = [layer.output_size, *([layer.hidden_size] if layer.has_c else [])]
    states = [torch.from_numpy(rng.normal(size=(passes, ROWS, n)) * case["hx"]).to(dtype) for n in sizes]
    lengths = make_lengths(case["lengths"], STEPS, ROWS, rng)
    resets = make_resets(case["resets"], STEPS, ROWS, rng)
    given = [s.requires_grad_() for s in states]
    hx = None if not case["hx"] else tuple(given) if layer.has_c else given[0]

    def turned(array: Any) -> Any:
        return array.swapaxes(0, 1) if case["batch_first"] and array is not None else array

    torch.manual_seed(seed)
    with gw.backend(backend):
        result = layer(turned(x), hx, lengths=lengths, resets=turned(resets))
    torch.manual_seed(seed)
    draws = case["training"] and layer.variant.random
    seeds = [int(torch.randint(2**62, ())) for _ in range(passes)] if draws else None

    params, suffixes = oracle_params(layer)
    h0, c0 = [*map(array, states), None][:2]
    expected = stack(
        layer.cell, array(x), h0, c0, params, lengths, directions=layer.num_directions,
        variation=variation_of(layer), resets=resets, seeds=seeds,
    )  # fmt: skip
    outputs = flat(result)
    values = [v for v in (expected.output, expected.h_n, expected.c_n) if v is not None]
    for name, got, value in zip(
        ("output", "h_n", "c_n"), [turned(outputs[0]), *outputs[1:]], values, strict=False
    ):
        assert_values(got, value, name, rms(values))

    cotangents = [rng.normal(size=v.shape) for v in values]
    named = {"x": x, **(dict(zip(("h0", "c0"), given, strict=False)) if case["hx"] else {})}
    named |= dict(layer.named_parameters())
    wanted = [torch.from_numpy(c).to(dtype) for c in cotangents]
    got = torch.autograd.grad(outputs, list(named.values()), [turned(wanted[0]), *wanted[1:]])
    back = stack_backward(expected, *cotangents)
    reference = {"x": back.x, "h0": back.h0, "c0": back.c0}
    for suffix, p in zip(suffixes, back.params, strict=True):
        reference |= {name + suffix: value for name, value in zip(NAMES, p, strict=True)}
    size = rms(reference[name] for name in named)
    for name, gradient in zip(named, got, strict=True):
        assert_gradient(gradient, reference[name], name, size)
