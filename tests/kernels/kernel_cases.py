"""Inputs for `gatewise.kernels.recurrence` of every kind, with the oracle's answer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from compare import array, arrays, assert_gradient, assert_values, rms
from oracle import CELLS, Params, Run, Variation, random_params, run, run_backward
from pairwise import Case, many
from torch import Tensor

from gatewise.cells import Variant
from gatewise.kernels import Result, Weights, native, recurrence

FACTORS: dict[str, list[Any]] = {
    "cell": ["lstm", "lstm_projected", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu"],
    "dtype": [torch.float64, torch.float32],
    "T": [0, 1, 2, 7, 33],
    "B": [0, 1, 3, 8],
    "I": [1, 3, 5],
    "H": [1, 3, 16],
    "lengths": ["none", "sorted", "unsorted", "with_zeros", "long", "all_equal", "all_zero"],
    "reverse": [False, True],
    "bias": [True, False],
    "strides": ["contiguous", "transposed", "sliced", "expanded"],
    "keep_c": [False, True],
}

VARIANTS = {
    "plain": Variation(),
    "drop_h": Variation(dropout=0.25),
    "drop_weights": Variation(dropout=0.25, dropout_on="weights"),
    # from here on of the LSTM only
    "drop_g": Variation(dropout=0.25, dropout_on="g"),
    "peephole": Variation(peephole=True),
    "coupled": Variation(coupled=True),
    "layer_norm": Variation(layer_norm=True),
    "zoneout_c": Variation(zoneout=(0.25, 0.0)),
    "zoneout_h": Variation(zoneout=(0.0, 0.15)),
    "zoneout": Variation(zoneout=(0.15, 0.05)),
    "coupled_peephole": Variation(coupled=True, peephole=True),
    "coupled_norm": Variation(coupled=True, layer_norm=True),
    "norm_zoneout_drop_h": Variation(layer_norm=True, zoneout=(0.2, 0.1), dropout=0.2),
    "peephole_zoneout_drop_g": Variation(peephole=True, zoneout=(0.2, 0.1), dropout=0.2, dropout_on="g"),
    "coupled_peephole_zoneout_drop_weights": Variation(
        coupled=True, peephole=True, zoneout=(0.2, 0.1), dropout=0.2, dropout_on="weights"
    ),
    "coupled_norm_zoneout_drop_g": Variation(
        coupled=True, layer_norm=True, zoneout=(0.2, 0.1), dropout=0.2, dropout_on="g"
    ),
}

BEYOND_PLAIN: dict[str, list[Any]] = {
    "resets": ["none", "few", "many", "all"],
    "training": [True, False],
}


def all_cases() -> list[Case]:
    """The plain cells; then the LSTM with resets and its variants; then every cell with what every cell takes."""
    every_cell = {**FACTORS, **BEYOND_PLAIN, "variant": list(VARIANTS)[:3]}
    lstm = {**FACTORS, **BEYOND_PLAIN, "variant": list(VARIANTS), "cell": ["lstm", "lstm_projected"]}
    return many(FACTORS, rounds=44) + many(lstm, rounds=5) + many(every_cell, rounds=8)


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
            (output, torch.from_numpy(cotangent).to(output.dtype))
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


def can(backend: str, case: Case) -> bool:
    """Whether a backend has this case at all."""
    if backend == "native":
        return native.available() and hasattr(native, "forward")
    if backend == "aten":
        plain = VARIANTS[case.get("variant", "plain")] == Variation() and case.get("resets", "none") == "none"
        return plain and case["cell"] != "gru_reset_before" and case["T"] > 0 and case["B"] > 0
    return True


def runs() -> list[tuple[str, str]]:
    """(backend, cell) of everything that runs non-empty batches of plain cells."""
    filled = {"T": 1, "B": 1}
    return [
        (backend, cell)
        for backend in ("naive", "aten", "native")
        for cell in FACTORS["cell"]
        if can(backend, {**filled, "cell": cell})
    ]


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


def build(case: Case, seed: int = 0, *, recurrent_gain: float = 1.0, input_gain: float = 1.0) -> Built:
    """The tensors of a case, drawn from `seed`, and the oracle's answer for them; the gains scale w_hh and w_ih."""
    rng = np.random.default_rng([seed, *map(int, (case["T"], case["B"], case["I"], case["H"]))])
    projected = case["cell"] == "lstm_projected"
    cell = "lstm" if projected else case["cell"]
    T, B, I, dtype, strides = case["T"], case["B"], case["I"], case["dtype"], case["strides"]  # noqa: E741
    variation = VARIANTS[case.get("variant", "plain")]
    H = max(case["H"], 2) if projected else case["H"]  # a projection is narrower than what it projects
    if (
        variation.layer_norm
    ):  # it leaves nearly nothing of one or two numbers, and no gradient to a lone input
        I, H = max(I, 3), max(H, 6)  # noqa: E741
    P = max(1, H // 3) if projected else H
    if projected:
        variation = variation._replace(zoneout=(variation.zoneout[0], 0.0))
    kind = CELLS[cell]
    params = random_params(
        rng, kind.gates - variation.coupled, I, H, bias=case["bias"], projection=P if projected else 0,
        peephole=variation.peephole, layer_norm=variation.layer_norm,
    )  # fmt: skip
    params = params._replace(w_hh=params.w_hh * recurrent_gain, w_ih=params.w_ih * input_gain)

    def tensor(values: np.ndarray) -> Tensor:
        return lay_out(torch.from_numpy(values).to(dtype), strides).requires_grad_()

    def state(*shape: int) -> Tensor:
        values = torch.from_numpy(rng.normal(size=shape)).to(dtype)
        made = expand_first(values) if strides == "expanded" else lay_out(values, strides)
        return made.requires_grad_()

    x, h0 = state(T, B, I), state(B, P)
    c0 = state(B, H) if kind.has_c else None
    weights = Weights(*(None if p is None else tensor(p) for p in params))
    lengths = make_lengths(case["lengths"], T, B, rng)
    resets = make_resets(case.get("resets", "none"), T, B, rng)
    variant = as_variant(variation)
    key = int(rng.integers(2**62)) if variant.random and case.get("training", True) else None
    seen = Params(*arrays(weights))  # the oracle sees what the package sees, rounded to its dtype
    expected = run(
        cell, array(x), array(h0), None if c0 is None else array(c0), seen, lengths,
        reverse=case["reverse"], variation=variation, resets=resets, seed=key,
    )  # fmt: skip
    drawn = [None if a is None else rng.normal(size=a.shape).astype(np.float32) for a in expected[:4]]
    cotangents = Run(*(None if d is None else d.astype(np.float64) for d in drawn), expected.tape)
    return Built(
        cell, x, h0, c0, weights, None if lengths is None else torch.from_numpy(lengths),
        case["reverse"], case["keep_c"], variant, None if resets is None else torch.from_numpy(resets),
        None if key is None else torch.tensor(key), cotangents, expected,
    )  # fmt: skip
