"""The kernels in C++, compiled at installation where there was a compiler.

Addresses, sizes and strides cross into C++; what is checked is checked here. float32 and float64 run as they are.
bfloat16 is computed in float32: what a layer takes and returns is rounded, the gates and cell states between are not.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gatewise.cells.catalogue import CELLS
from gatewise.cells.variant import Variant
from gatewise.errors import UsageError
from gatewise.kernels.weights import Weights

DTYPES = (torch.float32, torch.float64, torch.bfloat16)

# In the order of `Cell` in native/src/problem.h.
_CELLS = {name: k for k, name in enumerate(("lstm", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu"))}

_CPU = torch.device("cpu")  # named at every allocation: the default device may be another


class Outputs(NamedTuple):
    """What a run leaves; h_seq, h_n and c_n in x's dtype, the rest in the dtype of the computation.

    Shape: h_seq [T, B, P], c_seq [T, B, H], h_n [B, P], c_n [B, H], reserve [T, B, G*H], workspace [bytes] uint8.
    Empty: c_seq and c_n of cells without c; c_seq, reserve and workspace unless the run was for training.
    """

    h_seq: Tensor
    c_seq: Tensor
    h_n: Tensor
    c_n: Tensor
    reserve: Tensor
    workspace: Tensor


def _load() -> tuple[ModuleType | None, str | None]:
    try:
        module = import_module("gatewise._native")
    except ModuleNotFoundError:
        return None, "no C++ compiler worked when Gatewise was installed"
    except ImportError as error:
        return None, f"the compiled module does not load: {error}"
    _share_threads(module)
    return module, None


def _share_threads(module: ModuleType) -> None:
    """Let the kernels run on PyTorch's own OpenMP threads; where they are not found, they start threads for a call."""
    root = Path(torch.__file__).parent
    found = [str(p) for p in (*root.glob("lib/libgomp*"), *root.parent.glob("torch.libs/libgomp*"))]
    for name in (*found, "libgomp.so.1"):
        try:
            runtime = ctypes.CDLL(name, mode=os.RTLD_NOW | getattr(os, "RTLD_NOLOAD", 0))
            functions = [runtime.GOMP_parallel, runtime.omp_get_thread_num, runtime.omp_get_num_threads]
        except (OSError, AttributeError):
            continue
        module.use_openmp(*(ctypes.cast(f, ctypes.c_void_p).value for f in functions))
        return


_native, _missing = _load()


def available() -> bool:
    return _native is not None


def why_missing() -> str | None:
    """What keeps the native kernels from running, in a clause; None where they run."""
    return _missing


def isa() -> str:
    """The instruction set that they run with: "portable", "avx2" or "avx512"."""
    return _module().isa()


def _module() -> Any:
    assert _native is not None, "asked for without native kernels"
    return _native


def refuse(call: Any) -> str | None:
    """Why another backend runs a `registry.Call` that these kernels could run; None: it is theirs."""
    return None


def workspace_size(cell: str, variant: Variant, T: int, B: int, H: int, itemsize: int) -> int:
    """Bytes that a training run of T steps and B rows leaves for its backward pass, beside c_seq and reserve."""
    if cell == "gru":
        return T * B * H * itemsize
    if variant.layer_norm:
        return T * B * (2 * gate_rows(cell, variant, H) + 2) * itemsize
    return 0


def gate_rows(cell: str, variant: Variant, H: int) -> int:
    """Rows of the gates in the weights."""
    return (len(CELLS[cell].gates) - variant.coupled) * H


def reserve_rows(cell: str, variant: Variant, H: int) -> int:
    """Columns of the reserve: the gates; none for a plain RNN, whose h is its gate."""
    return 0 if cell.startswith("rnn") else gate_rows(cell, variant, H)


def forward(
    cell: str, variant: Variant, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights, lengths: Tensor | None,
    resets: Tensor | None, seed: Tensor | None, *, reverse: bool, train: bool,
) -> Outputs:  # fmt: skip
    """Run one layer in one direction; arguments as in `gatewise.kernels.recurrence`.

    Args:
        train: keep what the backward pass and a recording read.
    """
    dtype = x.dtype
    call = _Call(cell, variant, x, h0, c0, weights, lengths, resets, seed, reverse=reverse)
    T, B, P, H = call.sizes
    h_seq, h_n = call.empty(T, B, P), call.empty(B, P)
    c_n = call.empty(0) if c0 is None else call.empty(B, H)
    c_seq = call.empty(T, B, H) if train and c0 is not None else call.empty(0)
    rows = reserve_rows(cell, variant, H)
    reserve = call.empty(T, B, rows) if train and rows else call.empty(0)
    size = workspace_size(cell, variant, T, B, H, call.x.element_size()) if train else 0
    workspace = torch.empty(size, dtype=torch.uint8, device=_CPU)
    call.outputs(h_seq, c_seq, reserve, workspace)
    call.set(h_n=h_n, c_n=c_n)
    _module().forward(call.problem)
    return Outputs(_cast(h_seq, dtype), c_seq, _cast(h_n, dtype), _cast(c_n, dtype), reserve, workspace)


def backward(
    cell: str, variant: Variant, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights, lengths: Tensor | None,
    resets: Tensor | None, seed: Tensor | None, outputs: Outputs, grads: tuple[Tensor | None, ...], *, reverse: bool,
    need_dx: bool = True,
) -> tuple[Tensor, Tensor, Tensor | None, list[Tensor]]:  # fmt: skip
    """Gradients of x (empty unless `need_dx`), h0, c0 and the weights that exist.

    Args:
        outputs: of `forward` with train=True and the same arguments.
        grads: of h_seq, c_seq, h_n and c_n, None where there is none.
    """
    dtype = x.dtype
    call = _Call(cell, variant, x, h0, c0, weights, lengths, resets, seed, reverse=reverse)
    call.outputs(_cast(outputs.h_seq, call.dtype), outputs.c_seq, outputs.reserve, outputs.workspace)
    dh_seq, dc_seq, dh_n, dc_n = (None if g is None else _cast(g, call.dtype) for g in grads)
    call.set_strided("dh_seq", dh_seq)
    call.set(**{
        name: None if g is None else g.contiguous()
        for name, g in (("dc_seq", dc_seq), ("dh_n", dh_n), ("dc_n", dc_n))
    })  # fmt: skip
    dx = call.empty(*x.shape) if need_dx else call.empty(0)
    dh0 = call.empty(*h0.shape)
    dc0 = None if c0 is None else call.empty(*c0.shape)
    dw = weights.replaced([call.empty(*w.shape) for w in weights.tensors()])
    call.set(dx=dx, dh0=dh0, dc0=dc0, **{f"d{name}": w for name, w in dw._asdict().items()})
    _module().backward(call.problem)
    dc0 = None if dc0 is None else _cast(dc0, dtype)
    return _cast(dx, dtype), _cast(dh0, dtype), dc0, [_cast(w, dtype) for w in dw.tensors()]


def drop_weights(p: float, seed: Tensor, like: Tensor) -> Tensor:
    """The mask of `random_bits.scales` for a weight on the CPU, float32 or bfloat16, to the bit and much faster."""
    mask = torch.empty(like.shape, dtype=torch.float32, device=_CPU)
    _module().drop_weights(int(seed), p, *like.shape, mask.data_ptr())
    return mask.to(like.dtype)


def softmax_loss(logits: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """See `gatewise.kernels.softmax`; logits and bias float32 or float64 on the CPU, the logits contiguous."""
    rows, columns = logits.shape
    _check_targets(targets, rows, columns)
    bias, targets = _cast(bias, logits.dtype).contiguous(), targets.contiguous()
    losses = torch.empty(rows, dtype=logits.dtype, device=_CPU)
    _module().softmax_loss(
        logits.dtype is torch.float64, logits.data_ptr(), bias.data_ptr(), rows, columns, targets.data_ptr(),
        losses.data_ptr(), torch.get_num_threads(),
    )  # fmt: skip
    return losses


def _check_targets(targets: Tensor, rows: int, columns: int) -> None:
    """Raise a UsageError unless there is one for each row, within its columns: C++ writes where they point."""
    if targets.shape != (rows,) or targets.dtype is not torch.int64 or not targets.is_cpu:
        raise UsageError(
            f"targets are {targets.dtype} {tuple(targets.shape)} on {targets.device}; here they must be torch.int64 "
            f"{(rows,)} on the CPU"
        )
    least, most = (int(one) for one in targets.aminmax()) if rows else (0, 0)
    if rows and not 0 <= least <= most < columns:
        raise UsageError(
            f"targets are from {least} to {most}; with {columns:,} logits a row they are 0 to {columns - 1:,}"
        )


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """`tensor.to(dtype)`, which takes its time even where there is nothing to do; its numbers stand in memory."""
    if tensor.dtype is not dtype:
        return tensor.to(dtype)
    return tensor.resolve_neg() if tensor.is_neg() else tensor


def _check_sizes(
    cell: str, variant: Variant, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights, lengths: Tensor | None,
    resets: Tensor | None,
) -> None:  # fmt: skip
    """Raise a UsageError unless all sizes follow from those of x and the states: C++ reads as much as those promise."""
    (T, B, I), P = x.shape, h0.shape[1]  # noqa: E741
    H = P if weights.w_hr is None else weights.w_hr.shape[1]
    rows = gate_rows(cell, variant, H)
    of_weights = (rows, I), (rows, P), (rows,), (rows,), (P, H), (rows - H,), (rows,), (rows,), (H,), (H,)
    names = *Weights._fields, "h0", "c0", "lengths", "resets"
    shapes = *of_weights, (B, P), (B, H), (B,), (T, B)
    for name, tensor, shape in zip(names, (*weights, h0, c0, lengths, resets), shapes, strict=True):
        if tensor is not None and tensor.shape != shape:
            raise UsageError(
                f"{name} has shape {tuple(tensor.shape)}; with x {T, B, I} and {H} units it must be {shape}"
            )
    if (c0 is not None) != CELLS[cell].has_c:
        raise UsageError(f"a {cell} cell {'needs' if c0 is None else 'has no'} c0")
    if lengths is not None and lengths.dtype is not torch.int64:
        raise UsageError(f"lengths are {lengths.dtype}; here they must be torch.int64")


class _Call:
    """One call as C++ sees it; holds every tensor whose address it hands over."""

    def __init__(
        self, cell: str, variant: Variant, x: Tensor, h0: Tensor, c0: Tensor | None, weights: Weights,
        lengths: Tensor | None, resets: Tensor | None, seed: Tensor | None, *, reverse: bool,
    ) -> None:  # fmt: skip
        self.dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        _check_sizes(cell, variant, x, h0, c0, weights, lengths, resets)
        self.problem = _module().Problem()
        self.held: list[Tensor] = []
        self.x = _cast(x, self.dtype)
        T, B, I = x.shape  # noqa: E741
        P, H = h0.shape[1], weights.hidden_size
        self.sizes = T, B, P, H
        p = self.problem
        p.cell, p.is_double, p.reverse = _CELLS[cell], self.dtype == torch.float64, reverse
        p.T, p.B, p.I, p.H, p.P = T, B, I, H, P
        p.threads = torch.get_num_threads()
        p.coupled = variant.coupled
        p.zoneout_c, p.zoneout_h = variant.zoneout
        if seed is not None and variant.random:
            p.random, p.seed = True, int(seed)
            if variant.recurrent_dropout_on == "g":
                p.dropout_g = variant.recurrent_dropout
            elif variant.recurrent_dropout_on == "h":
                p.dropout_h = variant.recurrent_dropout
        self.set_strided("x", self.x)
        self.set(h0=self.whole(h0), c0=self.whole(c0))
        self.set(**{
            name: self.whole(w) for name, w in weights._asdict().items()
        })  # fmt: skip
        self.set(lengths=None if lengths is None else lengths.contiguous())
        if resets is not None:
            self.set(resets=resets)
            p.resets_t, p.resets_b = resets.stride()

    def whole(self, tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else _cast(tensor, self.dtype).contiguous()

    def empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=self.dtype, device=_CPU)

    def set(self, **tensors: Tensor | None) -> None:
        """Hand over addresses; an empty tensor is one that does not exist.

        Raises:
            UsageError: a tensor that has no numbers in the CPU's memory.
        """
        for name, tensor in tensors.items():
            if tensor is not None and tensor.numel():
                address = tensor.data_ptr() if tensor.is_cpu else 0
                if not address:
                    raise UsageError(
                        f"{name} is a {type(tensor).__name__} on {tensor.device}; x is on the CPU, and so must it be"
                    )
                self.held.append(tensor)
                setattr(self.problem, name, address)

    def set_strided(self, name: str, tensor: Tensor | None) -> None:
        """A tensor [T, B, *] whose steps and rows may lie anywhere."""
        if tensor is None:
            return
        if tensor.shape[2] > 1 and tensor.stride(2) != 1:
            tensor = tensor.contiguous()
        self.set(**{name: tensor})
        setattr(self.problem, f"{name}_t", tensor.stride(0))
        setattr(self.problem, f"{name}_b", tensor.stride(1))

    def outputs(self, h_seq: Tensor, c_seq: Tensor, reserve: Tensor, workspace: Tensor) -> None:
        self.set_strided("h_seq", h_seq)
        self.set(c_seq=c_seq, reserve=reserve, workspace=workspace)


def stepper(
    layers: Sequence[tuple[str, Variant, Weights]], input_size: int, states: Sequence[Sequence[Tensor]],
    others: Sequence[Sequence[Tensor]], new: tuple[Any, Any, Any],
) -> tuple[Any, list[Tensor]]:  # fmt: skip
    """A `_native.Stepper` of layers over one another, and tensors that have to live as long as it.

    Args:
        layers: cell, variant and weights of each; the weights are copied, in the dtype of the states.
        input_size: of the first.
        states, others: two copies of each layer's states, (h [B, P],) or (h [B, P], c [B, H]), which take turns.
        new: what makes an output [B, P], what makes an output [P], and what is told of tensors that were written to.
    """
    steps = _module().Stepper(torch.Tensor, *new)
    held = [state for of_layer in (*states, *others) for state in of_layer]
    for (cell, variant, weights), (h, *c), (h_n, *c_n) in zip(layers, states, others, strict=True):
        # Matrices are packed now, vectors are read at every step.
        copied = [w.detach().to(h.dtype, copy=w.dim() == 1) for w in weights.tensors()]
        x = h.new_empty(1, len(h), input_size)
        call = _Call(
            cell, variant.in_steps(False), x, h, c[0] if c else None, weights.replaced(copied), None, None, None,
            reverse=False,
        )  # fmt: skip
        call.set(h_n=h_n, c_n=c_n[0] if c_n else None)
        steps.add(call.problem)
        held += [tensor for tensor in call.held if tensor.dim() == 1]
        input_size = h.shape[1]
    return steps, held
