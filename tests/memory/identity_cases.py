"""Models, random and trained, on which every identity of memory is measured, and the oracle's run of each.

A trained model has learnt the adding problem (Hochreiter & Schmidhuber 1997) from T = 22 on, in a second. The float32
and the float64 model of a case have the same weights and the same input, so one run of the oracle, in float64, serves
both.
"""

import copy
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from memory_cases import GATES
from oracle import Params, StackRun, Variation, masks, stack
from record_cases import cell_of, params_of
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from variant_cases import PARAMETERS, Seeds, variation_of

from gatewise import layers as gwl
from gatewise.memory import record
from gatewise.memory.trace import CallTrace
from gatewise.synthetic import adding
from gatewise.tasks.classify.pooling import POOLINGS

Array = np.ndarray
T, B, SIZE, H = 24, 4, 2, 6  # T: the longest sequence of the adding problem at 22 steps
LENGTHS = {True: [24, 9, 0, 17], False: [24, 9, 1, 17]}  # ours take empty rows, packed sequences do not
UPDATES, BATCH, RATE = 120, 32, 0.02
GUESS = (1 / 3 + 1 / 3) / 16  # the mean squared error of the best constant answer


@dataclass(frozen=True)
class Kind:
    """A sort of layer. `training`: its identities are read in training mode, with masks drawn; `like`: a kind of ours
    with the same weights, for a torch.nn layer."""

    cls: type[nn.Module]
    options: dict[str, Any] = field(default_factory=dict)
    training: bool = False
    like: str | None = None

    @property
    def ours(self) -> bool:
        return self.like is None


_LSTM = {"forget_bias": 1.0}
KINDS = {
    "LSTM": Kind(gwl.LSTM, _LSTM),
    "LSTM of one layer": Kind(gwl.LSTM, {**_LSTM, "num_layers": 1}),
    "LSTM, projected": Kind(gwl.LSTM, {**_LSTM, "proj_size": 4}),
    "LSTM, peepholes": Kind(gwl.LSTM, {**_LSTM, "peephole": True}),
    "LSTM, coupled": Kind(gwl.LSTM, {**_LSTM, "coupled": True}),
    "LSTM, layer norm": Kind(gwl.LSTM, {**_LSTM, "layer_norm": True}),
    "LSTM, zoneout on c": Kind(gwl.LSTM, {**_LSTM, "zoneout": (0.1, 0.0)}, training=True),
    "LSTM, zoneout on c and h": Kind(gwl.LSTM, {**_LSTM, "zoneout": (0.1, 0.1)}),
    "LSTM, dropout on h": Kind(gwl.LSTM, {**_LSTM, "recurrent_dropout": 0.1}, training=True),
    "LSTM, dropout on g": Kind(
        gwl.LSTM, {**_LSTM, "recurrent_dropout": 0.1, "recurrent_dropout_on": "g"}, training=True
    ),
    "LSTM, dropout on U": Kind(
        gwl.LSTM, {**_LSTM, "recurrent_dropout": 0.1, "recurrent_dropout_on": "weights"}, training=True
    ),
    "GRU": Kind(gwl.GRU),
    "GRU, reset before": Kind(gwl.GRU, {"reset_after": False}),
    "RNN": Kind(gwl.RNN),
    "RNN, ReLU": Kind(gwl.RNN, {"nonlinearity": "relu"}),
    "torch.nn.LSTM": Kind(nn.LSTM, like="LSTM"),
    "torch.nn.LSTM, projected": Kind(nn.LSTM, {"proj_size": 4}, like="LSTM, projected"),
    "torch.nn.GRU": Kind(nn.GRU, like="GRU"),
    "torch.nn.RNN": Kind(nn.RNN, like="RNN"),
}


class Model(nn.Module):
    """Recurrent layers, a pooling, a linear head: one answer a row, [B, 1]."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.rnn = kind.cls(SIZE, H, **{"num_layers": 2, "bidirectional": True, **kind.options})
        size = 2 * (getattr(self.rnn, "proj_size", 0) or H)
        self.pooling = POOLINGS["mean"](size, 2)
        self.head = nn.Linear(size, 1)
        nn.init.uniform_(self.head.weight, -3, 3)  # the mean of many states is small

    def forward(self, x, lengths, hx=None):
        if isinstance(self.rnn, gwl.base.Recurrent):
            h, _ = self.rnn(x, hx, lengths)
        else:
            packed, _ = self.rnn(pack_padded_sequence(x, lengths, enforce_sorted=False), hx)
            h, _ = pad_packed_sequence(packed, total_length=len(x))
        return self.head(self.pooling(h, lengths))


@dataclass(frozen=True, eq=False)
class Seen:
    """One layer and direction in the oracle's run, arrays in float64; its times stand in time order.

    Shape: gates, c [T, B, H]; h [T, B, P]; h0, c0, without c an empty one; m [T, B, H], how much of its old c zoneout
    let each unit keep; x the layer's input.
    """

    cell: str
    reverse: bool
    params: Params
    variation: Variation
    x: Array
    gates: dict[str, Array]
    h: Array
    h0: Array
    c: Array
    c0: Array
    m: Array
    lengths: list[int]

    @property
    def last(self) -> list[int]:
        """The step that each row was left at, in time; -1 for a row without steps."""
        return [-1 if n == 0 else 0 if self.reverse else n - 1 for n in self.lengths]

    def order(self, row: int) -> list[int]:
        steps = range(self.lengths[row])
        return list(reversed(steps)) if self.reverse else list(steps)

    def valid(self) -> Array:
        return np.arange(len(self.h))[:, None] < np.array(self.lengths)  # [T, B]

    def before(self, name: str) -> Array:
        """h or c as each step found it."""
        states, initial = (self.h, self.h0) if name == "h" else (self.c, self.c0)
        found = np.zeros_like(states)
        for row in range(B):
            old = initial[row]
            for t in self.order(row):
                found[t, row], old = old, states[t, row]
        return found

    @property
    def memory(self) -> Array:
        return self.c if self.cell == "lstm" else self.h

    @property
    def initial(self) -> Array:
        return self.c0 if self.cell == "lstm" else self.h0

    @property
    def keep(self) -> Array:
        """f~ = m + (1-m) f, of a GRU z; 0 beyond the lengths."""
        if self.cell != "lstm":
            return self.gates["z"]
        return (self.m + (1 - self.m) * self.gates["f"]) * self.valid()[..., None]

    @property
    def written(self) -> Array:
        if self.cell != "lstm":
            return (1 - self.gates["z"]) * self.gates["n"]
        return (1 - self.m) * self.gates["i"] * self.gates["g"]

    @cached_property
    def kept(self) -> tuple[Array, Array]:
        """R[t, s] [T, T, B, H], each a product taken afresh, and R[t, 0] [T, B, H]; 0 where s is after t."""
        steps, units = len(self.h), self.keep.shape[2]
        shares, start, keep = np.zeros((steps, steps, B, units)), np.zeros((steps, B, units)), self.keep
        for row in range(B):
            order = self.order(row)
            for k, t in enumerate(order):
                start[t, row] = np.prod(keep[order[: k + 1], row], axis=0)
                for j in range(k + 1):
                    shares[t, order[j], row] = np.prod(keep[order[j + 1 : k + 1], row], axis=0)
        return shares, start


@dataclass(frozen=True, eq=False)
class World:
    """One kind of layer with its weights, and what the oracle says of it on one batch."""

    name: str
    kind: Kind
    trained: bool
    model: Model  # float32
    x: torch.Tensor
    lengths: torch.Tensor
    hx: Any
    seeds: list[int | None]
    run: StackRun
    seen: dict[tuple[int, bool], Seen]

    @property
    def layers(self) -> int:
        return self.model.rnn.num_layers

    @cached_property
    def top(self) -> list[Seen]:
        return [self.seen[self.layers - 1, reverse] for reverse in (False, True)]

    @property
    def v(self) -> list[Array]:
        """The head's row, a half for each direction."""
        return np.split(self.model.head.weight.detach().double().numpy()[0], 2)

    @property
    def bias(self) -> float:
        return float(self.model.head.bias.detach())


@dataclass(frozen=True, eq=False)
class Case:
    """A world in one dtype."""

    world: World
    dtype: torch.dtype
    model: Model
    trace: CallTrace

    @property
    def inputs(self) -> tuple[Any, ...]:
        return self.world.x.to(self.dtype), self.world.lengths, _to(self.world.hx, self.dtype)

    def pairs(self):
        """Every layer and direction: its trace, and what the oracle saw."""
        return [
            (self.trace[(layer, "reverse") if reverse else layer], seen)
            for (layer, reverse), seen in self.world.seen.items()
        ]

    def with_pooling(self, name: str) -> Model:
        """The model with another pooling before its head; attention's score is the head's own row."""
        model = copy.copy(self.model)
        model._modules = dict(self.model._modules)
        size = model.head.weight.shape[1]
        model.pooling = POOLINGS[name](size, 2)
        if name == "attention":
            with torch.no_grad():
                model.pooling.score.weight.copy_(model.head.weight)
                model.pooling.score.bias.zero_()
        return model.to(self.dtype)


def _to(hx: Any, dtype: torch.dtype) -> Any:
    return tuple(s.to(dtype) for s in hx) if isinstance(hx, tuple) else hx.to(dtype)


def _made(name: str, trained: bool) -> Model:
    kind = KINDS[name]
    if kind.like is not None:
        model = Model(kind)
        model.load_state_dict(world(kind.like, trained).model.state_dict())
        return model.eval()
    torch.manual_seed(len(name))
    model = Model(kind)
    with torch.no_grad():
        for parameter_name, parameter in model.rnn.named_parameters():
            if "norm" in parameter_name and "weight" in parameter_name:
                parameter.uniform_(0.2, 0.6)  # as the oracle draws them: no chaos
    if trained:
        train(model)
    return model.train(kind.training)


def train(model: Model) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(1)
    for _ in range(UPDATES):
        x, lengths, targets = adding.draw(BATCH, 22, generator=generator)
        loss = (model(x, lengths)[:, 0] - targets).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def error_of(model: Model) -> float:
    """The mean squared error on new sequences, in eval mode."""
    training = model.training
    x, lengths, targets = adding.draw(256, 22, generator=torch.Generator().manual_seed(2))
    error = float((model.eval()(x, lengths)[:, 0] - targets).pow(2).mean())
    model.train(training)
    return error


@cache
def world(name: str, trained: bool) -> World:
    kind, model = KINDS[name], _made(name, trained)
    x, _, _ = adding.draw(B, 22, generator=torch.Generator().manual_seed(3))
    lengths = torch.tensor(LENGTHS[kind.ours])
    x[:, lengths == 0] = 0.0
    rows, lstm = model.rnn.num_layers * 2, cell_of(model.rnn) == "lstm"
    generator = torch.Generator().manual_seed(4)
    h0 = 2 * torch.rand(rows, B, getattr(model.rnn, "proj_size", 0) or H, generator=generator) - 1
    hx = (h0, 2 * torch.rand(rows, B, H, generator=generator) - 1) if lstm else h0
    seeds = _seeds(model, x, lengths, hx)
    run, seen = _oracle(model, x, lengths, hx, seeds)
    return World(name, kind, trained, model, x, lengths, hx, seeds, run, seen)


def _seeds(model: Model, x: torch.Tensor, lengths: torch.Tensor, hx: Any) -> list[int | None]:
    """The seeds that the layers draw after `torch.manual_seed(5)`, as `case` sets it too."""
    if not model.training:
        return [None] * (model.rnn.num_layers * 2)
    seeds = Seeds(model.rnn)
    torch.manual_seed(5)
    model(x, lengths, hx)
    model.rnn.watchers.pop()
    return seeds.numbers()


def _oracle(model: Model, x: torch.Tensor, lengths: torch.Tensor, hx: Any, seeds: list[int | None]):
    rnn, cell = model.rnn, cell_of(model.rnn)
    states = hx if isinstance(hx, tuple) else (hx, None)
    h0, c0 = (None if s is None else s.double().numpy() for s in states)
    ends = [f"_l{layer}{d}" for layer in range(rnn.num_layers) for d in ("", "_reverse")]
    if isinstance(rnn, gwl.base.Recurrent):
        found = [[getattr(rnn, name + end, None) for name in PARAMETERS] for end in ends]
        params = [Params(*(None if w is None else w.detach().double().numpy() for w in ws)) for ws in found]
        variation = variation_of(rnn)
    else:
        params, variation = [params_of(rnn, end) for end in ends], Variation()
    inputs, rows = x.double().numpy(), lengths.tolist()
    run = stack(cell, inputs, h0, c0, params, np.array(rows), directions=2, variation=variation, seeds=seeds)
    seen = {}
    for k, made in enumerate(run.runs):
        gates = {name: np.zeros((T, B, H)) for name in GATES[cell]}
        for t, of_rows, happened in made.tape.steps:
            for name in gates:
                gates[name][t, of_rows] = happened[name]
        c = np.zeros((0,)) if made.c_seq is None else made.c_seq
        seen[k // 2, bool(k % 2)] = Seen(
            cell, bool(k % 2), made.tape.params, variation, inputs, gates, made.h_seq, h0[k], c,
            np.zeros((0,)) if c0 is None else c0[k], _kept_by_zoneout(variation, seeds[k]), rows,
        )  # fmt: skip
        if k % 2:
            inputs = np.concatenate([run.runs[k - 1].h_seq, made.h_seq], axis=-1)
    return run, seen


def _kept_by_zoneout(variation: Variation, seed: int | None) -> Array:
    p = variation.zoneout[0]
    if seed is None or not p:
        return np.full((T, B, H), p)
    rows = np.arange(B)
    return np.stack([masks.happens(p, seed, masks.ZONEOUT_C, t, rows, H) for t in range(T)])


@cache
def case(name: str, trained: bool, dtype: torch.dtype) -> Case:
    made = world(name, trained)
    model = copy.deepcopy(made.model).to(dtype)
    found = Case(made, dtype, model, CallTrace([]))
    torch.manual_seed(5)
    with torch.no_grad(), record(model, pre=True) as trace:
        model(*found.inputs)
    return replace(found, trace=trace["rnn"].calls[0])
