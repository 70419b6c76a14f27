"""What a killed training needs to go on bit for bit: logs, and checkpoints of everything that a step reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gatewise.errors import RunError, UsageError
from gatewise.training.carried import Carried
from gatewise.training.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    load_checkpoint,
    pack_optimizer,
    save_checkpoint,
    unpack_optimizer,
)
from gatewise.training.logs import Log
from gatewise.training.options import FREE
from gatewise.training.run import check_fit, fill
from gatewise.training.state import State

if TYPE_CHECKING:
    from gatewise.training.loop import Fit

CHECKPOINTS, STEPS, ROWS = "checkpoints", "steps.jsonl", "metrics.jsonl"


class Keeper:
    """Writes a training's logs and checkpoints, and brings a training to where a checkpoint was taken.

    Args:
        about: what must be the same in a resumed training, besides the options of the loop.
        config: TOML text that is kept in the checkpoints.
    """

    def __init__(self, fit: Fit, folder: Path, about: Mapping[str, Any], config: str):
        self.fit, self.folder, self.config = fit, folder, config
        same = {name: value for name, value in asdict(fit.options).items() if name not in FREE} | dict(about)
        self.about = json.loads(json.dumps(same))  # as it will come back
        self.logs: dict[str, Log] = {}

    def open_logs(self) -> None:
        """In the first process: open the logs, cut back to where the state says they were."""
        if not self.fit.processes.is_first:
            return
        for name in (STEPS, ROWS):
            self.logs[name] = Log(self.folder / name, self.fit.state.lengths.get(name, 0))

    def log_step(self, row: Mapping[str, float]) -> None:
        if self.logs:
            self.logs[STEPS].write(row)

    def log_row(self, row: Mapping[str, float]) -> None:
        if self.logs:
            self.logs[ROWS].write(row)

    def close(self) -> None:
        for log in self.logs.values():
            log.close()

    def save(self) -> None:
        """Write a checkpoint of this moment, between two steps."""
        fit = self.fit
        fit.seconds()
        fit.state.lengths = {name: log.sync() for name, log in self.logs.items()}
        checkpoint = self.taken()  # with what the other processes hold
        if fit.processes.is_first:
            keep = max(1, fit.options.keep_checkpoints)
            save_checkpoint(self.folder / CHECKPOINTS, fit.state.step, checkpoint, keep=keep)

    def taken(self) -> Checkpoint:
        fit = self.fit
        optimizer, packed = pack_optimizer(fit.optimizer)
        tensors: dict[str, Mapping[str, Tensor]] = {
            "model": fit.model.state_dict(),
            "optimizer": optimizer,
            "random": self.of_all([state.cpu() for state in _random(_device(fit))]),
        }
        state: dict[str, Any] = {"about": self.about, "training": fit.state.to_json(), "optimizer": packed}
        if fit.average:
            tensors["average"] = dict(fit.average.model.named_parameters())
            state["averaged"] = fit.average.count
        if fit.best:
            tensors["best"] = fit.best
        if isinstance(fit.loss, Carried):
            carried, structure = fit.loss.pack()
            tensors["carried"] = self.of_all(carried)
            state["carried"] = fit.processes.gather([structure])
        return Checkpoint(tensors, state, self.config)

    def of_all(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        """The tensors of every process, each named `PROCESS.NUMBER`."""
        parts = self.fit.processes.parts(tensors)
        return {f"{rank}.{n}": tensor for rank, part in enumerate(parts) for n, tensor in enumerate(part)}

    def restore(self) -> bool:
        """Bring the training to where its newest checkpoint was taken; False when there is none.

        Raises:
            UsageError: the training was begun with other options or data.
            RunError: a checkpoint that is damaged, or is one of another model.
        """
        path = latest_checkpoint(self.folder / CHECKPOINTS)
        name = self.fit.processes.first(
            path.name if path else ""
        )  # a disk may show it later to another machine
        if not name:
            return False
        path = self.folder / CHECKPOINTS / name
        checkpoint = load_checkpoint(path)
        self.refuse_others(checkpoint.state.get("about"), path)
        fit, state, tensors = self.fit, checkpoint.state, checkpoint.tensors
        reached = State.from_json(state.get("training"), path)
        self.refuse_elsewhere(reached, path)
        fill(fit.model, _group(tensors, "model", path), path / "model.safetensors", needed_by="this training")
        unpack_optimizer(fit.optimizer, _group(tensors, "optimizer", path), _object(state, "optimizer", path))
        if fit.average:
            weights = _group(tensors, "average", path)
            self.restore_average(weights, state.get("averaged"), reached.history, path)
        if "best" in tensors:
            check_fit(fit.model, tensors["best"], path / "best.safetensors", needed_by="this training")
            fit.best = {name: value.to(_device(fit), copy=True) for name, value in tensors["best"].items()}
        if isinstance(fit.loss, Carried):
            self.restore_carried(fit.loss, _group(tensors, "carried", path), state.get("carried"), path)
        self.restore_random(_group(tensors, "random", path), path)
        fit.state = reached  # last: whoever is interrupted before this has trained nothing
        return True

    def refuse_others(self, begun: Any, path: Path) -> None:
        """Refuse to go on with what the training was not begun with."""
        if not isinstance(begun, dict):
            raise RunError(f"{path}: does not say what the training was begun with")
        for name in [*self.about, *(begun.keys() - self.about.keys())]:
            then, now = begun.get(name), self.about.get(name)
            if then != now:
                raise UsageError(
                    f"{self.folder}: this training was begun with {name} = {_shown(then)}, and cannot go on with "
                    f"{_shown(now)}"
                )

    def refuse_elsewhere(self, reached: State, path: Path) -> None:
        """Refuse a place that this training does not come by."""
        batches = len(self.fit.batches(reached.epoch)) if reached.epoch < self.fit.options.epochs else 0
        if reached.batch and reached.batch >= batches:
            raise RunError(f"{path}: batch is {reached.batch:,}, and an epoch has {batches:,} batches")

    def restore_average(
        self, weights: Mapping[str, Tensor], count: Any, history: Sequence[Mapping[str, float]], path: Path
    ) -> None:
        average = self.fit.average
        assert average
        own = dict(average.model.named_parameters())
        if not isinstance(count, int) or own.keys() != weights.keys():
            raise RunError(f"{path}: the averaged weights are not those of this training")
        check_fit(average.model, average.model.state_dict() | dict(weights), path, needed_by="this training")
        average.count = count
        average.look(history)
        with torch.no_grad():
            for name, value in weights.items():
                own[name].copy_(value)

    def restore_carried(
        self, loss: Carried, tensors: Mapping[str, Tensor], structures: Any, path: Path
    ) -> None:
        processes = self.fit.processes
        if not isinstance(structures, list) or len(structures) != processes.world:
            then = len(structures) if isinstance(structures, list) else "no"
            raise RunError(
                f"{path}: holds the carried state of {then} processes, and {processes.world} are to go on with it"
            )
        loss.unpack(_own(tensors, processes.rank), structures[processes.rank], _device(self.fit))

    def restore_random(self, states: Mapping[str, Tensor], path: Path) -> None:
        """Each process goes on with its own numbers; one that was not there before, with those of another."""
        device = _device(self.fit)
        count = len({name.partition(".")[0] for name in states})
        found, wanted = _own(states, self.fit.processes.rank % max(count, 1)), _random(device)
        if [(s.shape, s.dtype) for s in found] != [(s.shape, s.dtype) for s in wanted]:
            raise RunError(
                f"{path}: holds no random state that this version of PyTorch can use on {device.type}"
            )
        try:
            torch.set_rng_state(found[0])
            if device.type == "cuda":
                torch.cuda.set_rng_state(found[1], device)
        except RuntimeError as error:
            raise RunError(f"{path}: the random state cannot be used ({error})") from None


def _own(tensors: Mapping[str, Tensor], rank: int) -> list[Tensor]:
    """The tensors of one process, in their order."""
    count = sum(name.startswith(f"{rank}.") for name in tensors)
    return [tensors[key] for n in range(count) if (key := f"{rank}.{n}") in tensors]


def _device(fit: Fit) -> torch.device:
    return fit.parameters[0].device


def _random(device: torch.device) -> list[Tensor]:
    """The states of torch's generators, from which everything random in a step comes."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _group(tensors: Mapping[str, Mapping[str, Tensor]], name: str, path: Path) -> Mapping[str, Tensor]:
    if name not in tensors:
        raise RunError(f"{path / name}.safetensors: is missing")
    return tensors[name]


def _object(state: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    value = state.get(name)
    if not isinstance(value, dict):
        raise RunError(f"{path}: {name} is missing in the state")
    return value


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, str) and value else json.dumps(value)
