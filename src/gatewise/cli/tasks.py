"""The tasks and their commands: `gatewise train TASK`, and commands of which a run's task decides what they do.

A task is a package named here, with a function for each of these commands that it has: `train`, `evaluate`, `predict`,
`explain`, `explore`, `faithfulness`, `compare`. Each is written as Typer wants it; what takes a run has it as first
argument.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from gatewise.errors import RunError, UsageError

TASKS = {
    "classify": "gatewise.cli.classify",
    "generate": "gatewise.cli.generate",
    "translate": "gatewise.cli.translate",
    "caption": "gatewise.cli.caption",
}
"""The package of each task's commands."""

OF_A_RUN = {
    "evaluate": "Measure a run on data that it was not trained on.",
    "predict": "Let a run answer inputs.",
    "generate": "Let a language model continue a text.",
    "explain": "Show why a run answers as it does.",
    "explore": "Make a page of every gate and state of a run, for two inputs or two runs side by side.",
    "units": "Find the units of a run that track the label, or of a language model those that follow the text.",
    "faithfulness": "Measure whether what a run's explanations point at carries its answers.",
}
"""Commands whose first argument is a run, which says what task it is of."""

OF_A_NAME = {"compare": "Set trained runs side by side on the same data, or train several models on it."}
"""Commands whose first argument may be a task's name, or where a task has it so the first of several runs; else they
are for the first of `TASKS` that has the command."""


def of_tasks(command: str) -> dict[str, Callable[..., None]]:
    """The functions of a command by the names of the tasks that have it."""
    packages = {task: import_module(package) for task, package in TASKS.items()}
    return {task: getattr(one, command) for task, one in packages.items() if hasattr(one, command)}


def train_command() -> typer.Typer:
    """`gatewise train`, with a sub-command for each task."""
    group = typer.Typer(name="train", help="Train a model on your data.", no_args_is_help=True)
    group.callback()(lambda: None)  # keeps it a group where there is one task
    for task, function in of_tasks("train").items():
        group.command(task)(function)
    return group


def shared_commands() -> Sequence[_Shared]:
    """Those of which each task has its own."""
    return [_OfRun(name, about) for name, about in OF_A_RUN.items()] + [
        _OfName(name, about) for name, about in OF_A_NAME.items()
    ]


class _Shared(TyperCommand):
    """A command with the arguments and options of every task, which hands the call to one task's."""

    def __init__(self, name: str, about: str):
        self.tasks = {task: _made(task, function) for task, function in of_tasks(name).items()}
        super().__init__(
            name, params=_union(self.tasks), help=_help(about, self.tasks), rich_markup_mode="rich"
        )

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The parsed call, of the task's command; of this one where there is no argument to tell the task by."""
        read = super().make_context(info_name, list(args), parent, resilient_parsing=True)
        first = next((read.params[p.name] for p in self.params if p.param_type_name == "argument"), None)
        task, rest = (None, args) if first is None else self.chosen(str(first), list(args))
        if task is None:
            return super().make_context(info_name, args, parent, **extra)
        if task not in self.tasks:
            raise UsageError(
                f"a {task} run has no {self.name}; {self.name} is for {_joined(self.tasks)} runs"
            )
        self.refuse_others(task, read)
        return self.tasks[task].make_context(info_name, rest, parent, **extra)

    def chosen(self, first: str, args: list[str]) -> tuple[str | None, list[str]]:
        """The task that the first argument tells, or None, and the words for that task's command."""
        raise NotImplementedError

    def refuse_others(self, task: str, read: Any) -> None:
        """Refuse options that other tasks have and this one has not."""
        for option in (p for p in self.params if p.param_type_name == "option"):
            source = read.get_parameter_source(option.name)
            if source is None or source.name != "COMMANDLINE" or _has(self.tasks[task], option):
                continue
            others = [other for other, command in self.tasks.items() if _has(command, option)]
            raise UsageError(
                f"{option.opts[0]} is an option of {self.name} for {_joined(others)}; this is about {task}"
            )


class _OfRun(_Shared):
    """A command whose first argument is a run."""

    def chosen(self, first: str, args: list[str]) -> tuple[str | None, list[str]]:
        from gatewise.training.run import CONFIG, read_run

        try:
            task = read_run(Path(first)).task
        except RunError:
            if "--help" in args:
                return None, args
            raise
        if task not in TASKS:
            raise RunError(f"{Path(first) / CONFIG}: the task is {task!r}; {_joined(TASKS, 'or')} is needed")
        return task, args


class _OfName(_Shared):
    """A command whose first argument may be the name of a task, or the first of several runs."""

    def chosen(self, first: str, args: list[str]) -> tuple[str | None, list[str]]:
        if first in self.tasks:
            args.remove(first)
            return first, args
        from gatewise.training.run import CONFIG, read_run

        if not any((Path(word) / CONFIG).is_file() for word in args):
            return next(iter(self.tasks)), args
        task = read_run(first).task
        if task in self.tasks and not any(p.name == "runs" for p in self.tasks[task].params):
            raise UsageError(f"{first}: is a {task} run; {self.name} takes data for {task}, and no runs")
        return task, args


def _made(task: str, function: Callable[..., None]) -> Any:
    """Typer's command of a function."""
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(task)(function)
    return get_command(app)


def _union(tasks: Mapping[str, Any]) -> list[Any]:
    """Every parameter once; options that only some tasks have stand in a panel of theirs."""
    found: dict[str, Any] = {}
    for command in tasks.values():
        for parameter in command.params:
            if parameter.name in found:
                continue
            having = [task for task, other in tasks.items() if _has(other, parameter)]
            own = copy.copy(parameter)
            if len(having) < len(tasks) and own.param_type_name == "option" and not own.rich_help_panel:
                own.rich_help_panel = f"Options of {_joined(having)}"
            found[parameter.name] = own
    return list(found.values())


def _has(command: Any, parameter: Any) -> bool:
    return any(parameter.name == own.name for own in command.params)


def _help(about: str, tasks: Mapping[str, Any]) -> str:
    """What the command does, then what it does for each task."""
    if len(tasks) == 1:
        return next(iter(tasks.values())).help
    return "\n\n".join([about, *(f"[bold]{task}[/bold]: {command.help}" for task, command in tasks.items())])


def _joined(names: Sequence[str] | Mapping[str, Any], word: str = "and") -> str:
    *first, last = names
    return f"{', '.join(first)} {word} {last}" if first else last
