"""A case as tensors for `gatewise.kernels.recurrence`, with the oracle's answer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from compare import GRADIENTS, VALUES, array, arrays, assert_gradient, assert_in_company, assert_values, rms
from oracle import CELLS as ORACLE_CELLS
from oracle import Params, Run, Variation, random_params, run, run_backward
from pairwise import Case
from torch import Tensor

from contract.catalogue import BACKENDS, CELLS, VARIANTS
from gatewise.cells import Variant
from gatewise.kernels import Result, Weights, backend, native, recurrence

PLAIN: Case = {
    "cell": "lstm", "dtype": torch.float64, "T": 5, "B": 4, "I": 3, "H": 6, "gain": 1.0, "lengths": "none",
    "resets": "none", "reverse": False, "bias": True, "strides": "contiguous", "keep_c": False, "training": True,
    "variant": "plain",
}  # fmt: skip


@dataclass
class Built:
    """One case as tensors, with what the oracle says of it."""

    cell: str
    x: Tensor  # [T, B, I]
    h0: Tensor  # [B, P]
    c0: Tensor | None  # [B, H]
    weights: Weights
    lengths: Tensor | None  # [B]
    reverse: bool
    keep_c: bool
    variant: Variant
    resets: Tensor | None  # [T, B]
    seed: Tensor | None
    cotangents: Run  # arrays in the shapes of the outputs
    expected: Run

    def leaves(self) -> dict[str, Tensor]:
        """Every input that has a gradient, by name."""
        named = {"x": self.x, "h0": self.h0, "c0": self.c0, **self.weights._asdict()}
        return {name: t for name, t in named.items() if t is not None}

    def run(self, x: Tensor | None = None, *, recompute: bool = False) -> Result:
        """The package's answer, with the backend in force."""
        return recurrence(
            self.cell, self.x if x is None else x, self.h0, self.c0, self.weights, self.lengths,
            variant=self.variant, resets=self.resets, seed=self.seed, reverse=self.reverse, keep_c=self.keep_c,
            recompute=recompute,
        )  # fmt: skip

    def check_values(self, result: Result) -> None:
        size = rms(self.expected[:4])
        for name, got, expected in zip(Result._fields, result, self.expected[:4], strict=False):
            if got is None:
                assert expected is None or (name == "c_seq" and not self.keep_c), f"{name} is missing"
            else:
                assert_values(got, expected, name, size)

    def check_gradients(self, result: Result) -> None:
        self.check_named(self.gradients(result), self.cotangents_of(result))

    def check_named(self, got: dict[str, Tensor], cotangents: Run) -> None:
        """Gradients by the names of `leaves` against back-propagation by hand."""
        expected = self.expected_gradients(cotangents)
        size = rms(expected.values())
        for name, gradient in got.items():
            assert_gradient(gradient, expected[name], name, size)

    def gradients(self, result: Result) -> dict[str, Tensor]:
        """Of every leaf, from all outputs that there are."""
        pairs = [
            (output, torch.from_numpy(cotangent).to(output))
            for output, cotangent in zip(result, self.cotangents[:4], strict=False)
            if output is not None
        ]
        leaves = self.leaves()
        got = torch.autograd.grad(
            [o for o, _ in pairs], list(leaves.values()), [c for _, c in pairs],
            allow_unused=True, materialize_grads=True,
        )  # fmt: skip
        return dict(zip(leaves, got, strict=True))

    def cotangents_of(self, result: Result) -> Run:
        """Those of the outputs that there are."""
        return self.cotangents if result.c_seq is not None else self.cotangents._replace(c_seq=None)

    def expected_gradients(self, cotangents: Run) -> dict[str, Any]:
        """The oracle's, by the names of `leaves`."""
        back = run_backward(
            self.expected.tape, cotangents.h_seq, cotangents.h_n, cotangents.c_seq, cotangents.c_n
        )
        return {"x": back.x, "h0": back.h0, "c0": back.c0, **back.params._asdict()}


def can(name: str, cell: str) -> bool:
    """Whether a backend runs a non-empty batch of this plain cell here."""
    return BACKENDS[name].has(CELLS[cell]) and (name != "native" or native.available())


def runs() -> list[tuple[str, str]]:
    """(backend, cell) of everything that runs non-empty batches of plain cells."""
    return [(name, cell) for name in ("naive", "aten", "native") for cell in CELLS if can(name, cell)]


def outcome(made: Built, name: str, **options: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Outputs of a backend, and gradients of every leaf."""
    with backend(name):
        result = made.run(**options)
    outputs = {field: t for field, t in result._asdict().items() if t is not None}
    if not made.keep_c:
        outputs.pop("c_seq", None)  # naive always has it
    return outputs, made.gradients(result._replace(c_seq=outputs.get("c_seq")))


def seen(made: Built, name: str, **options: Any) -> dict[str, Tensor]:
    """Outputs and gradients in one."""
    values, gradients = outcome(made, name, **options)
    return values | {f"d{leaf}": gradient for leaf, gradient in gradients.items()}


def check(made: Built, values: dict[str, Tensor], gradients: dict[str, Tensor]) -> None:
    """Every one of them against the oracle."""
    expected = made.expected._asdict()
    size = rms(made.expected[:4])
    for name, value in values.items():
        assert_values(value.to(made.x.dtype), expected[name], name, size)  # bfloat16 has c_seq in float32
    if not near_a_kink(made):
        made.check_named(gradients, cotangents_of(made))


def check_rounded(made: Built, values: dict[str, Tensor], gradients: dict[str, Tensor]) -> None:
    """The same of results that are rounded to a dtype below float64 on the way, from step to step."""
    assert_in_company(values, made.expected._asdict(), VALUES)
    if not near_a_kink(made):
        assert_in_company(gradients, made.expected_gradients(cotangents_of(made)), GRADIENTS)


def near_a_kink(made: Built) -> bool:
    """Whether rounding may move a relu across 0, where its derivative jumps: then gradients say nothing."""
    return made.cell == "rnn_relu" and made.x.dtype == torch.bfloat16


def cotangents_of(made: Built) -> Run:
    """Those of the outputs that were asked for."""
    return made.cotangents if made.keep_c else made.cotangents._replace(c_seq=None)


def assert_equal_bits(got: dict[str, Tensor], expected: dict[str, Tensor], message: str = "") -> None:
    """Bit by bit: a NaN equals the same NaN, and 0.0 is not -0.0."""
    assert got.keys() == expected.keys()
    for name, tensor in got.items():
        assert tensor.shape == expected[name].shape, f"{name} {message}"
        a, b = (t.detach().contiguous().view(torch.uint8) for t in (tensor, expected[name]))
        assert torch.equal(a, b), f"{name} {message}"


def make_lengths(kind: str, T: int, B: int, rng: np.random.Generator) -> np.ndarray | None:
    """[B] lengths of this kind, or None."""
    drawn = rng.integers(min(1, T), T + 1, B)
    if kind == "sorted":
        return np.sort(drawn)[::-1].copy()
    if kind == "with_zeros":
        return np.where(rng.random(B) < 0.4, 0, drawn)
    if kind == "long":  # nearly full, one row empty: what a padded kernel is for
        return np.where(np.arange(B) == 1, 0, np.maximum(drawn, T - 1))
    if kind == "all_equal":
        return np.full(B, max(T - 1, min(1, T)))
    return {"none": None, "unsorted": drawn, "all_zero": np.zeros(B, dtype=np.int64)}[kind]


def make_resets(kind: str, T: int, B: int, rng: np.random.Generator) -> np.ndarray | None:
    """[T, B] borders of segments, or None."""
    return None if kind == "none" else rng.random((T, B)) < {"few": 0.1, "many": 0.5, "all": 1.0}[kind]


def as_variant(variation: Variation) -> Variant:
    """The package's name for the oracle's variation."""
    *same, dropout, on = variation
    return Variant(*same, recurrent_dropout=dropout, recurrent_dropout_on=on)


def lay_out(tensor: Tensor, how: str) -> Tensor:
    """The same values under other strides; what lies between them in memory is NaN."""
    if how == "transposed" and tensor.dim() > 1:
        return tensor.transpose(0, 1).contiguous().transpose(0, 1)
    if how == "sliced":
        wide = tensor.new_full((*tensor.shape[:-1], 2 * tensor.shape[-1]), float("nan"))
        wide[..., ::2] = tensor
        return wide[..., ::2]
    return tensor.contiguous()


def expand_first(tensor: Tensor) -> Tensor:
    """The first entry along the first dimension, repeated with stride 0."""
    return tensor[:1].expand(tensor.shape) if len(tensor) else tensor


def build(case: Case, seed: int = 0, device: str = "cpu") -> Built:
    """The tensors of a case, drawn from `seed`, and the oracle's answer for them; what it lacks is as in PLAIN.

    `gain` scales w_ih and w_hh: at 0.5 every cell is contractive and none is saturated. (Where tanh is nearly 1, its
    derivative 1 - h² has lost its digits, whoever computes it.)
    """
    case = PLAIN | case
    rng = np.random.default_rng([seed, *map(int, (case["T"], case["B"], case["I"], case["H"]))])
    cell, projected = CELLS[case["cell"]].cell, CELLS[case["cell"]].projected
    T, B, I, dtype, strides = case["T"], case["B"], case["I"], case["dtype"], case["strides"]  # noqa: E741
    variation = VARIANTS[case["variant"]]
    H = max(case["H"], 2) if projected else case["H"]  # a projection is narrower than what it projects
    if variation.layer_norm:
        # It leaves nearly nothing of one or two numbers, and no gradient to a lone input; and of a few numbers that
        # are nearly the same, it makes large ones of their rounding errors.
        few = (3, 6) if dtype == torch.float64 else (8, 16)
        I, H = max(I, few[0]), max(H, few[1])  # noqa: E741
    P = max(1, H // 3) if projected else H
    if projected:
        variation = variation._replace(zoneout=(variation.zoneout[0], 0.0))
    kind = ORACLE_CELLS[cell]
    params = random_params(
        rng, kind.gates - variation.coupled, I, H, bias=case["bias"], projection=P if projected else 0,
        peephole=variation.peephole, layer_norm=variation.layer_norm,
    )  # fmt: skip
    gain = case["gain"]
    of_x = gain if gain == 1 else gain * min(1.0, (H / I) ** 0.5)  # many inputs saturate few units
    params = params._replace(w_hh=params.w_hh * gain, w_ih=params.w_ih * of_x)

    def tensor(values: np.ndarray) -> Tensor:
        return lay_out(torch.from_numpy(values).to(device, dtype), strides).requires_grad_()

    def state(*shape: int) -> Tensor:
        values = torch.from_numpy(rng.normal(size=shape)).to(device, dtype)
        made = expand_first(values) if strides == "expanded" else lay_out(values, strides)
        return made.requires_grad_()

    x, h0 = state(T, B, I), state(B, P)
    c0 = state(B, H) if kind.has_c else None
    weights = Weights(*(None if p is None else tensor(p) for p in params))
    lengths = make_lengths(case["lengths"], T, B, rng)
    resets = make_resets(case["resets"], T, B, rng)
    variant = as_variant(variation)
    key = int(rng.integers(2**62)) if variant.random and case["training"] else None
    given = Params(*arrays(weights))  # the oracle sees what the package sees, rounded to its dtype
    expected = run(
        cell, array(x), array(h0), None if c0 is None else array(c0), given, lengths,
        reverse=case["reverse"], variation=variation, resets=resets, seed=key,
    )  # fmt: skip
    drawn = [None if a is None else rng.normal(size=a.shape).astype(np.float32) for a in expected[:4]]
    cotangents = Run(*(None if d is None else d.astype(np.float64) for d in drawn), expected.tape)
    return Built(
        cell, x, h0, c0, weights, None if lengths is None else torch.from_numpy(lengths).to(device),
        case["reverse"], case["keep_c"], variant, None if resets is None else torch.from_numpy(resets).to(device),
        None if key is None else torch.tensor(key), cotangents, expected,
    )  # fmt: skip
