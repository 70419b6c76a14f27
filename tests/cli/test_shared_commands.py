"""One command, several tasks: the run, or the name of a task, decides whose arguments and options count."""

import sys
from types import ModuleType
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from gatewise.cli import app as app_module
from gatewise.cli import tasks
from gatewise.cli.options import Device, RunFolder


def evaluate(
    run: RunFolder,
    corpus: Annotated[list[str] | None, typer.Argument(metavar="CORPUS")] = None,
    window: Annotated[int, typer.Option(help="Steps from a zero state.")] = 0,
    device: Device = "auto",
) -> None:
    """Perplexity of a toy."""
    print("toy", run.name, corpus, window, device)


def train(pieces: Annotated[int, typer.Option(help="How many.")] = 1) -> None:
    """Train a toy."""
    print("pieces", pieces)


def compare(data: str, depth: Annotated[int, typer.Option(help="How deep.")] = 1) -> None:
    """Compare toys."""
    print("compared", data, depth)


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A second task with `train`, `evaluate` and `compare`, and a run of it."""
    module = ModuleType("a_toy_task")
    module.__dict__.update(evaluate=evaluate, train=train, compare=compare)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(tasks, "TASKS", {"classify": tasks.TASKS["classify"], "toy": module.__name__})
    app = typer.Typer(cls=app_module._Commands, rich_markup_mode="rich")
    app.add_typer(tasks.train_command())
    app.callback()(lambda: None)
    monkeypatch.setattr(app_module, "app", get_command(app))
    run = tmp_path / "toy"
    run.mkdir()
    (run / "config.toml").write_text('format = 1\ntask = "toy"\n')
    return run


def test_the_task_of_the_run_is_called_with_its_own_arguments(gatewise, toy):
    assert gatewise("evaluate", toy, "a", "b", "--window", "7").out == "toy toy ['a', 'b'] 7 auto\n"
    assert gatewise("evaluate", "--window", "7", toy).out == "toy toy None 7 auto\n"
    assert gatewise("evaluate", "--device=cpu", "--", toy, "--window").out == "toy toy ['--window'] 0 cpu\n"
    assert gatewise("train", "toy", "--pieces", "3").out == "pieces 3\n"


def test_the_other_task_is_called_for_its_own_runs(gatewise, toy, trained, reviews):
    found = gatewise("evaluate", trained, reviews, "--device", "cpu", "--json").json
    assert found["run"] == str(trained) and 0 <= found["accuracy"] <= 1


def test_options_of_another_task_are_refused_by_name(gatewise, toy, trained, reviews):
    called = gatewise("evaluate", toy, "--save")
    assert called.code == 2
    assert called.error == "--save is an option of evaluate for classify; this is about toy"
    called = gatewise("evaluate", trained, reviews, "--window", "7")
    assert called.error == "--window is an option of evaluate for toy; this is about classify"


def test_a_command_that_the_task_lacks_is_refused(gatewise, toy):
    called = gatewise("predict", toy, "a text")
    assert (called.code, called.error) == (2, "a toy run has no predict; predict is for classify runs")


def test_a_run_of_no_known_task_is_refused(gatewise, toy):
    (toy / "config.toml").write_text('format = 1\ntask = "cook"\n')
    called = gatewise("evaluate", toy)
    assert called.error == f"{toy / 'config.toml'}: the task is 'cook'; classify or toy is needed"


def test_faults_of_a_call_are_named_as_before(gatewise, toy):
    assert gatewise("evaluate").error == "Missing argument 'RUN' (see gatewise evaluate --help)"
    assert gatewise("evaluate", toy, "--nothing").error.startswith("No such option: --nothing")
    assert gatewise("evaluate", toy, "--window", "x").error.startswith("Invalid value for '--window'")
    assert gatewise("evaluate", toy / "none").error == f"{toy / 'none'}: no such run folder"


def test_help_shows_every_task_or_the_one_of_the_run(gatewise, toy):
    every = gatewise("evaluate", "--help").out
    assert "Perplexity of a toy." in every and "Accuracy" in every
    assert "Options of toy" in every and "Options of classify" in every
    own = gatewise("evaluate", toy, "--help").out
    assert "Perplexity of a toy." in own and "Accuracy" not in own and "--save" not in own
    assert "Perplexity of a toy." in gatewise("evaluate", toy / "none", "--help").out


def test_compare_takes_the_name_of_a_task_first(gatewise, toy):
    assert gatewise("compare", "toy", "corpus", "--depth", "2").out == "compared corpus 2\n"
    called = gatewise("compare", "corpus", "--depth", "2")
    assert called.error == "--depth is an option of compare for toy; this is about classify"


@pytest.mark.parametrize("name", [*tasks.OF_A_RUN, *tasks.OF_A_NAME])
def test_options_of_one_name_are_written_alike_in_every_task(name):
    """Else the first argument could not be told from an option's value."""
    seen: dict[str, tuple[bool, int]] = {}
    for command in next(c for c in tasks.shared_commands() if c.name == name).tasks.values():
        for parameter in command.params:
            if parameter.param_type_name == "option":
                for word in parameter.opts:
                    kind = (parameter.is_flag, parameter.nargs)
                    assert seen.setdefault(word, kind) == kind, word
