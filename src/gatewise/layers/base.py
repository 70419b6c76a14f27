"""What the recurrent layers share: torch's parameters and names, depth, direction, and the call."""

import math
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from gatewise.cells import PLAIN, Variant
from gatewise.cells.module import given
from gatewise.errors import UsageError, UsageTypeError
from gatewise.kernels import (
    Changes,
    Choice,
    Weights,
    choose,
    describe,
    in_forward_mode,
    needs_gradients,
    recurrence,
)
from gatewise.layers.door import Batch, Door
from gatewise.layers.passes import Pass, Watcher
from gatewise.layers.streaming import Stream, one_step

State = Tensor | tuple[Tensor, Tensor]

# The parameters of a layer and direction without their suffix, in the order of `Weights`.
_PARAMETERS = (
    "weight_ih",
    "weight_hh",
    "bias_ih",
    "bias_hh",
    "weight_hr",
    "weight_peephole",
    "weight_norm_ih",
    "weight_norm_hh",
    "weight_norm_c",
    "bias_norm_c",
)


class Recurrent(nn.Module):
    """Base of `LSTM`, `GRU` and `RNN`; not for use by itself.

    Parameters carry torch's names: weight_ih_l{k}, weight_hh_l{k}, bias_ih_l{k}, bias_hh_l{k}, weight_hr_l{k}, and the
    same with `_reverse` for the reverse direction.

    Attributes:
        variant: which variants of the cell run.
        recompute: the backward pass runs the forward pass once more instead of reading stored gates.
        watchers: called with what happened in each call; while there are any, the kernels hand out their gates.
            Compiled code calls none.
        changes: by (layer, reverse), what `gw.intervene` changes in the steps of a pass.
    """

    gate_count: ClassVar[int]  # of the plain cell
    torch_class: ClassVar[type[nn.RNNBase]]
    has_c: ClassVar[bool] = False

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        variant: Variant = PLAIN,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        flags = {
            "bias": bias,
            "batch_first": batch_first,
            "bidirectional": bidirectional,
            "recompute": recompute,
        }
        _check_types(flags, bool)
        sizes = {
            "input_size": input_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "proj_size": proj_size,
        }
        _check_types(sizes, int)
        _check_options(input_size, hidden_size, num_layers, dropout, proj_size)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.variant = variant
        self.recompute = recompute
        self.watchers: list[Watcher] = []
        self.changes: dict[tuple[int, bool], Changes] = {}
        variant.check(self.cell, projected=proj_size > 0)
        self._make_parameters({"device": device, "dtype": dtype})
        self.reset_parameters()

    @property
    def cell(self) -> str:
        """The name of the cell in `gatewise.cells.CELLS`."""
        return self.mode.lower()

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """The features of one direction's output: P with a projection, else H."""
        return self.proj_size or self.hidden_size

    def _make_parameters(self, make: dict[str, Any]) -> None:
        for layer, suffix in self._passes():
            inputs = self.input_size if layer == 0 else self.output_size * self.num_directions
            for name, shape in self._parameter_shapes(inputs).items():
                self.register_parameter(f"{name}{suffix}", nn.Parameter(torch.empty(shape, **make)))

    def _parameter_shapes(self, inputs: int) -> dict[str, tuple[int, ...]]:
        """What a layer that reads `inputs` features has in each direction, in order."""
        H, on = self.hidden_size, self.variant
        rows = (self.gate_count - on.coupled) * H
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, inputs),
            "weight_hh": (rows, self.output_size),
        }
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, H)
        if on.peephole:
            shapes["weight_peephole"] = (rows - H,)
        if on.layer_norm:
            shapes |= {"weight_norm_ih": (rows,), "weight_norm_hh": (rows,), "weight_norm_c": (H,)}
            shapes |= {"bias_norm_c": (H,)} if self.bias else {}
        return shapes

    def _passes(self) -> Iterator[tuple[int, str]]:
        """(layer, parameter suffix) of every layer and direction, in torch's order."""
        for layer in range(self.num_layers):
            yield layer, f"_l{layer}"
            if self.bidirectional:
                yield layer, f"_l{layer}_reverse"

    def weights(self, layer: int, *, reverse: bool = False) -> Weights:
        """The parameters of one layer and direction."""
        suffix = f"_l{layer}" + ("_reverse" if reverse else "")
        return Weights.from_all([getattr(self, name + suffix, None) for name in _PARAMETERS])

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, as torch.nn lists them."""
        return [
            self.weights(layer, reverse=suffix.endswith("_reverse")).tensors()
            for layer, suffix in self._passes()
        ]

    def reset_parameters(self) -> None:
        """Every parameter ~ U(-1/√H, 1/√H), as in torch; of layer normalisation the scales are 1 and the bias 0."""
        bound = 1 / math.sqrt(self.hidden_size)
        for name, parameter in self.named_parameters():
            if name.startswith("weight_norm"):
                nn.init.ones_(parameter)
            elif name.startswith("bias_norm"):
                nn.init.zeros_(parameter)
            else:
                nn.init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Exists because torch's layers have it; does nothing, since weights are packed at each call."""

    def extra_repr(self) -> str:
        defaults: dict[str, Any] = {
            "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False, "proj_size": 0,
        }  # fmt: skip
        options = {k: (getattr(self, k), default) for k, default in defaults.items()}
        options |= {f.name: (getattr(self.variant, f.name), f.default) for f in fields(self.variant)}
        options["recompute"] = self.recompute, False
        changed = [f"{k}={value!r}" for k, (value, default) in options.items() if value != default]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])

    def _door(self) -> Door:
        return Door(
            input_size=self.input_size,
            state_sizes=(self.output_size, self.hidden_size) if self.has_c else (self.output_size,),
            passes=self.num_layers * self.num_directions,
            batch_first=self.batch_first,
        )

    def forward(
        self,
        x: Tensor | PackedSequence | None = None,
        hx: Any = None,
        lengths: Tensor | list[int] | None = None,
        resets: Tensor | None = None,
        *,
        input: Tensor | PackedSequence | None = None,
    ) -> tuple[Any, Any]:
        door = self._door()
        batch = door.enter(given(x, input), hx, lengths, resets)
        output, states = self._run(batch)
        return door.leave(batch, output, states)

    def _run(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All layers: output [T, B, D*P] and the final states, each [L*D, B, *]."""
        output = batch.x  # [T, B, I]
        final: list[tuple[Tensor, ...]] = []
        watchers = [] if torch.compiler.is_compiling() else list(self.watchers)
        passes: list[Pass] = []
        for layer in range(self.num_layers):
            if layer > 0:
                output = F.dropout(output, self.dropout, self.training)
            outputs: list[Tensor] = []
            for direction in range(self.num_directions):
                h0, *rest = (s[layer * self.num_directions + direction] for s in batch.states)
                c0, reverse = rest[0] if rest else None, direction == 1
                weights, seed = self.weights(layer, reverse=reverse), self._draw_seed()
                result = recurrence(
                    self.cell, output, h0, c0, weights, batch.lengths,
                    variant=self.variant, resets=batch.resets, seed=seed,
                    reverse=reverse, keep_gates=bool(watchers), recompute=self.recompute,
                    changes=self.changes.get((layer, reverse)),
                )  # fmt: skip
                if watchers:
                    passes.append(Pass(layer, reverse, output, h0, c0, weights, seed, result))
                outputs.append(result.h_seq)
                final.append((result.h_n,) if result.c_n is None else (result.h_n, result.c_n))
            output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
        for watch in watchers:
            watch(batch, passes)
        return output, tuple(torch.stack(states) for states in zip(*final, strict=True))

    def _draw_seed(self) -> Tensor | None:
        """The seed of one pass's masks, from torch's generator; None where no masks are drawn."""
        if not (self.training and self.variant.random):
            return None
        return torch.randint(2**62, (), dtype=torch.int64, device="cpu")

    def step(self, x_t: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """One step of all layers, with a graph: an ordinary call with T = 1.

        In training mode every step draws its own masks, as every call does.

        Args:
            x_t: [B, I] or [I].
            state: what the step before returned, or hx as in a call; None for zeros.

        Returns: the output [B, P] or [P], and the state for the next step.

        Raises:
            UsageError: a bidirectional layer; x_t or the state does not fit, with the numbers.
        """
        return one_step(self, [self], x_t, state)

    def streaming(self, batch_size: int = 1) -> Stream:
        """A snapshot of this layer made ready for single steps, for speed and without a graph: see `Stream`.

        Args:
            batch_size: B, the rows that run side by side.

        Raises:
            UsageError: a bidirectional layer; a forced backend that has no streams.
        """
        return Stream([self], batch_size, stacked=False)

    def to_torch(self) -> nn.RNNBase:
        """A torch.nn layer with this layer's options, weights (copied), device, dtype and mode.

        Raises:
            UsageError: the layer has a variant that torch.nn has not, by name.
        """
        if not self.variant.plain:
            raise UsageError(
                f"torch.nn.{self.torch_class.__name__} has no {self.variant.names[0]}; this layer cannot become one"
            )
        first = next(self.parameters())
        # By way of the meta device: nothing is drawn from the random generators for weights that are replaced.
        module = self.torch_class(**self._torch_options(), device="meta", dtype=first.dtype)
        module.to_empty(device=first.device).load_state_dict(self.state_dict())
        return module.train(self.training)

    def _torch_options(self) -> dict[str, Any]:
        names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
        return {name: getattr(self, name) for name in names}

    def choice(
        self, x: Tensor | PackedSequence, hx: Any = None, lengths: Any = None, resets: Tensor | None = None
    ) -> Choice:
        """The backend that runs the first layer of this call, and why; see `gw.explain_backend`."""
        batch, weights = self._door().enter(x, hx, lengths, resets), self.weights(0)
        masks = self.training and self.variant.random
        h0, *c0 = batch.states
        train = needs_gradients(batch.x, h0, c0[0] if c0 else None, weights)
        call = describe(
            self.cell, self.variant.in_steps(masks), batch.x, weights,
            ragged=batch.lengths is not None, resets=batch.resets is not None, train=train,
            tangents=in_forward_mode(),
        )  # fmt: skip
        return choose(call)


def explain_backend(
    layer: Recurrent,
    x: Tensor | PackedSequence,
    hx: Any = None,
    lengths: Any = None,
    resets: Tensor | None = None,
) -> Choice:
    """Which backend runs `layer(x, hx, lengths, resets)`, and for every backend why or why not.

    Returns: a `Choice`; `str()` of it is a short text, `.backend` the name.

    Raises:
        UsageError: the call itself is wrong, or a forced backend cannot run it.
    """
    return layer.choice(x, hx, lengths, resets)


def _check_types(options: dict[str, Any], kind: type) -> None:
    for name, value in options.items():
        if type(value) is not kind:
            raise UsageTypeError(
                f"{name} is {value!r}; it must be {'True or False' if kind is bool else 'a whole number'}"
            )


def _check_options(
    input_size: int, hidden_size: int, num_layers: int, dropout: float, proj_size: int
) -> None:
    if input_size <= 0:
        raise UsageError(f"input_size is {input_size}; it must be 1 or more")
    if hidden_size <= 0:
        raise UsageError(f"hidden_size is {hidden_size}; it must be 1 or more")
    if num_layers <= 0:
        raise UsageError(f"num_layers is {num_layers}; it must be 1 or more")
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout <= 1:
        raise UsageError(f"dropout is {dropout!r}; it is a probability between 0 and 1")
    if not 0 <= proj_size < hidden_size:
        raise UsageError(
            f"proj_size is {proj_size}; it must be 0 (none) or less than hidden_size={hidden_size}"
        )
