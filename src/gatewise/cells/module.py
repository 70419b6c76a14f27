"""What the cell modules share: torch's parameters, its initialisation, and the checks at the door."""

import math
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from gatewise.errors import UsageError, UsageTypeError

T = TypeVar("T")


def given(x: T | None, input: T | None) -> T:
    """The one of the two that the caller gave; torch's keyword for x is `input`."""
    if (x is None) == (input is None):
        raise UsageTypeError(
            f"{'no x was given' if x is None else 'x and input were both given'}; give one of them"
        )
    return x if x is not None else input  # type: ignore[return-value]


class CellModule(nn.Module):
    """Base of the cell modules; holds the parameters under torch's names. Not for use by itself."""

    num_chunks: ClassVar[int]  # row blocks of H in each weight

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self.num_chunks * hidden_size
        make = {"device": device, "dtype": dtype}
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size, **make))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size, **make))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, nn.Parameter(torch.empty(rows, **make)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every parameter ~ U(-1/√H, 1/√H), as in torch."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")

    def _batched(self, tensor: Tensor, name: str, size: int) -> tuple[Tensor, bool]:
        """`tensor` as [B, size], and whether it came without a batch dimension."""
        if tensor.dim() not in (1, 2):
            raise UsageError(
                f"{name} has {tensor.dim()} dimensions; a cell takes [batch, {size}] or [{size}]"
            )
        if tensor.shape[-1] != size:
            built = "input_size" if name == "x" else "hidden_size"
            raise UsageError(
                f"{name} has {tensor.shape[-1]} features; this cell was built with {built}={size}"
            )
        return (tensor[None], True) if tensor.dim() == 1 else (tensor, False)

    def _state(self, state: Tensor | None, name: str, x: Tensor, unbatched: bool) -> Tensor:
        """`state` as [B, H]; zeros when it is None."""
        if state is None:
            return x.new_zeros(x.shape[0], self.hidden_size)
        if state.dim() != (1 if unbatched else 2):
            raise UsageError(
                f"{name} has {state.dim()} dimensions; with this x it needs {1 if unbatched else 2}"
            )
        state, _ = self._batched(state, name, self.hidden_size)
        if state.shape[0] != x.shape[0]:
            raise UsageError(f"{name} has batch size {state.shape[0]}; x has {x.shape[0]}")
        return state
