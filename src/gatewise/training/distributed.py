"""Several processes that train one model: who takes part, and what they tell each other.

Launching is torchrun's work and averaging gradients DistributedDataParallel's. No other file knows of processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload, runtime_checkable

import safetensors.torch
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from gatewise.errors import GatewiseError, UsageError

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

T = TypeVar("T")
_ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@runtime_checkable
class Divisible(Protocol):
    """A batch that knows how to divide itself, as windows of streams must: a stream stays with its process."""

    def shard(self, rank: int, world: int) -> Any: ...


def shard(batch: Any, rank: int, world: int) -> Any:
    """The part of a global batch that process `rank` of `world` takes: every `world`-th example from the `rank`-th on.

    The parts of all processes are disjoint and complete, keep the order, and differ in size by one at most, so some are
    empty where there are fewer examples than processes. Of a batch sorted by length each gets long and short ones.

    Args:
        batch: a sequence, or an object with a method `shard(rank, world)` of its own.

    Raises:
        UsageError: rank is not in [0, world).
    """
    if not 0 <= rank < world:
        raise UsageError(f"rank is {rank}; it must be in [0, {world})")
    if isinstance(batch, Divisible):
        return batch.shard(rank, world)
    return batch[rank::world]


def merge(parts: Sequence[Tensor]) -> Tensor:
    """The rows of a whole batch from those of its parts, as `shard` gave them, in the order of the ranks.

    Args:
        parts: of each process [N_rank, …], all of one dtype and device.

    Returns:
        [N, …].

    Raises:
        GatewiseError: the parts are not those of one batch.
    """
    sizes, world = [len(part) for part in parts], len(parts)
    if sizes != [len(range(rank, sum(sizes), world)) for rank in range(world)]:
        raise GatewiseError(
            f"the parts of {world} processes have {sizes} rows; they are not those of one batch"
        )
    whole = parts[0].new_empty((sum(sizes), *parts[0].shape[1:]))
    for rank, part in enumerate(parts):
        whole[rank::world] = part
    return whole


@dataclass(frozen=True)
class Processes:
    """The processes of one training, as one of them sees it. A single one never calls torch.distributed.

    Everything but the attributes is collective: each process must call it, in the same order.

    Args:
        rank: number of this process, in [0, world).
        world: how many there are.
        local_rank: its number on its machine.
        device: where it computes; a CUDA device has an index when world > 1.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files, bars and logs."""
        return self.rank == 0

    @classmethod
    @contextmanager
    def current(cls, device: torch.device | str = "cpu") -> Iterator[Processes]:
        """Those that this process belongs to.

        A process group that exists (Ray Train, a program of your own) is joined and left as it was. Without one, the
        variables that torchrun sets (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT) make one, with NCCL on
        CUDA and gloo elsewhere, which ends with the block. Without those there is one process.

        Args:
            device: where to compute; of "cuda" without an index each process takes the one of its local rank.

        Raises:
            UsageError: the variables are set by half, are no such numbers, or this PyTorch has no torch.distributed.
            GatewiseError: the other processes cannot be reached.
        """
        device = torch.device(device)
        if distributed.is_available() and distributed.is_initialized():
            rank, world = distributed.get_rank(), distributed.get_world_size()
            yield cls._of(rank, world, device)
            return
        rank, world = _from_environment()
        if world == 1:
            yield cls(device=device)
            return
        processes = cls._of(rank, world, device)
        with torch.cuda.device(processes.device) if device.type == "cuda" else nullcontext():
            _begin(processes)
            try:
                yield processes
                processes.barrier()  # nobody leaves while another still needs it
            finally:
                distributed.destroy_process_group()

    @classmethod
    def _of(cls, rank: int, world: int, device: torch.device) -> Processes:
        local_rank = _whole_number("LOCAL_RANK", os.environ.get("LOCAL_RANK", _local_rank(rank)))
        if world > 1 and device.type == "cuda" and device.index is None:
            devices = torch.cuda.device_count()
            if local_rank >= devices:
                raise UsageError(
                    f"process {local_rank} of this machine finds {devices} GPUs; start one process a GPU"
                )
            device = torch.device("cuda", local_rank)
        return cls(rank, world, local_rank, device)

    def shard(self, batch: Any) -> Any:
        """This process's part of a global batch; see the function `shard`."""
        return shard(batch, self.rank, self.world) if self.world > 1 else batch

    def wrap(self, model: nn.Module) -> nn.Module:
        """A model whose backward pass averages the gradients of all processes; its first weights are those of rank 0.

        Call it like the model, and `idle` where there is nothing to call it with. Every parameter that needs a gradient
        must take part in every loss.
        """
        if self.world == 1:
            return model
        places = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(_OrIdle(model), device_ids=places, gradient_as_bucket_view=True)

    def idle(self, wrapped: nn.Module) -> Tensor:
        """A loss of zero, whose backward pass takes part in the average of the gradients: for an empty part.

        Args:
            wrapped: what `wrap` gave.
        """
        return wrapped() if self.world > 1 else torch.zeros((), requires_grad=True)

    def apart(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Within it, backward passes add up gradients without averaging them: for all micro-batches but the last."""
        return wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else nullcontext()

    @overload
    def sum(self, value: Tensor) -> Tensor: ...
    @overload
    def sum(self, value: float) -> float: ...
    @overload
    def sum(self, value: Sequence[float]) -> list[float]: ...
    @overload
    def sum(self, value: Mapping[str, float]) -> dict[str, float]: ...
    def sum(self, value: Any) -> Any:
        """The sum over all processes, in float64 and in the order of the ranks: the same bits on each of them.

        Args:
            value: a number, some numbers, named numbers, or a tensor, which comes back with its dtype and device.
                Whole numbers stay so, and are exact up to 2^53.
        """
        if self.world == 1:
            return value
        if isinstance(value, Tensor):
            parts = self._all(value.detach().to(self._meeting_place, torch.float64))
            total = parts[0].clone()
            for part in parts[1:]:
                total += part
            return total.to(value.device, value.dtype)
        if isinstance(value, Mapping):
            return dict(zip(value, self.sum(list(value.values())), strict=True))
        if isinstance(value, Sequence):
            total = self.sum(torch.tensor(value, dtype=torch.float64)).tolist()
            return [int(t) if isinstance(v, int) else t for t, v in zip(total, value, strict=True)]
        return self.sum([value])[0]

    def gather(self, rows: Sequence[Any]) -> list[Any]:
        """The rows of every process, in the order of the ranks, on each of them; nothing is pickled.

        Args:
            rows: any number, also none: JSON values, or tensors, which come back on the CPU.
        """
        return [row for part in self.parts(rows) for row in part]

    def parts(self, rows: Sequence[Any]) -> list[list[Any]]:
        """As `gather`, the rows of each process in a list of their own."""
        if self.world == 1:
            return [list(rows)]
        content = torch.frombuffer(bytearray(_encoded(rows)), dtype=torch.uint8)
        sizes = [int(size) for size in self._all(torch.tensor(len(content), device=self._meeting_place))]
        own = torch.zeros(max(sizes), dtype=torch.uint8)  # all of one length, as they must be
        own[: len(content)] = content
        parts = self._all(own.to(self._meeting_place))
        return [
            _decoded(part[:size].cpu().numpy().tobytes()) for part, size in zip(parts, sizes, strict=True)
        ]

    def whole(self, rows: Tensor) -> Tensor:
        """The rows of a whole batch, in its order, from each process's rows for its `shard`; on the CPU.

        Args:
            rows: [N_rank, …].
        """
        return merge(self.gather([rows])) if self.world > 1 else rows.cpu()

    def first(self, value: T) -> T:
        """The first process's value, on each of them: what depends on a clock or a disk is decided once.

        Args:
            value: JSON, or a tensor.
        """
        return self.parts([value])[0][0]

    def barrier(self) -> None:
        """Wait for all processes."""
        self.sum(0.0)

    def _all(self, own: Tensor) -> list[Tensor]:
        """A tensor of every process, in the order of the ranks; all of one shape and dtype, at the meeting place."""
        parts = [torch.empty_like(own) for _ in range(self.world)]
        try:
            distributed.all_gather(parts, own.contiguous())
        except RuntimeError as error:
            reason = next(iter(str(error).splitlines()), "")[:120]
            raise GatewiseError(
                f"process {self.rank} of {self.world} has lost the others ({reason})"
            ) from None
        return parts

    @property
    def _meeting_place(self) -> torch.device:
        """Where a tensor must lie to be sent: NCCL knows GPUs only, gloo both."""
        return self.device if distributed.get_backend() == "nccl" else torch.device("cpu")


class _OrIdle(nn.Module):
    """A model that, called with nothing, gives a zero that depends on each of its parameters."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, *arguments: Any, **named: Any) -> Any:
        if arguments or named:
            return self.model(*arguments, **named)
        zeros = [p.flatten()[:0].sum().float() for p in self.model.parameters() if p.requires_grad]
        return torch.stack(zeros).sum()


def _from_environment() -> tuple[int, int]:
    """Rank and world as torchrun's variables say; (0, 1) without them.

    Raises:
        UsageError: some are set and some are not, or are no such numbers.
    """
    found = {name: os.environ[name] for name in _ENVIRONMENT if os.environ.get(name)}
    started = [name for name in ("RANK", "WORLD_SIZE") if name in found]
    if not started:  # clusters set MASTER_ADDR for programs that have nothing to do with it
        return 0, 1
    for name in _ENVIRONMENT:
        if name not in found:
            raise UsageError(
                f"{started[0]} is set and {name} is not; start with torchrun, or unset {started[0]}"
            )
    rank, world = (_whole_number(name, found[name]) for name in ("RANK", "WORLD_SIZE"))
    _whole_number("MASTER_PORT", found["MASTER_PORT"])
    if not rank < world:
        raise UsageError(f"RANK is {rank}; with a WORLD_SIZE of {world} it must be in [0, {world})")
    return rank, world


def _local_rank(rank: int) -> str:
    """Without torchrun's variable: Slurm's, or the place among the GPUs of machines that all have as many."""
    return os.environ.get("SLURM_LOCALID", str(rank % max(torch.cuda.device_count(), 1)))


def _whole_number(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"{name} is {text[:80]!r}; it must be a whole number from 0")
    return int(text)


def _begin(processes: Processes) -> None:
    """Make the process group."""
    if not distributed.is_available():
        raise UsageError(
            f"WORLD_SIZE is {processes.world}, and this PyTorch was built without torch.distributed"
        )
    on_gpu = processes.device.type == "cuda" and distributed.is_nccl_available()
    try:
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=_store(processes),
            rank=processes.rank,
            world_size=processes.world,
        )
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        reason = next(iter(str(error).splitlines()), "")[:120]
        raise GatewiseError(
            f"process {processes.rank} of {processes.world} cannot join the others at {where} ({reason})"
        ) from None


def _store(processes: Processes) -> Store:
    """Where processes find each other's addresses.

    torchrun keeps one store over all its restarts, in which those of killed processes still stand (pytorch issue
    135712). Names of their own for each restart help where one torchrun has started all processes; several do not count
    restarts alike.
    """
    from torch.distributed.distributed_c10d import PrefixStore  # some PyTorch has no such module
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://", processes.rank, processes.world))
    if os.environ.get("LOCAL_WORLD_SIZE") == str(processes.world):
        return PrefixStore(f"restart {os.environ.get('TORCHELASTIC_RESTART_COUNT')}", store)
    return store


def is_restart() -> bool:
    """Whether torchrun has started this process anew after one of its kind failed: what was begun is to be resumed."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"


# Rows as bytes: `all_gather_object` would pickle them.


def _encoded(rows: Sequence[Any]) -> bytes:
    if rows and all(isinstance(row, Tensor) for row in rows):
        named = {str(n): row.detach().cpu().contiguous().clone() for n, row in enumerate(rows)}
        return b"T" + safetensors.torch.save(named)
    return b"J" + json.dumps(list(rows)).encode()


def _decoded(content: bytes) -> list[Any]:
    if content[:1] == b"J":
        return json.loads(content[1:])
    named = safetensors.torch.load(content[1:])
    return [named[str(n)] for n in range(len(named))]
