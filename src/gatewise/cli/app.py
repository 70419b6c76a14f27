"""The `gatewise` command: its sub-commands, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gatewise.cli.demo import demo
from gatewise.cli.doctor import doctor
from gatewise.cli.fetch import fetch
from gatewise.cli.flow import flow
from gatewise.cli.inspect import inspect
from gatewise.cli.output import print_json
from gatewise.cli.tasks import shared_commands, train_command
from gatewise.errors import GatewiseError
from gatewise.shown import one_line

FAILED, BAD_CALL, INTERRUPTED = 1, 2, 130

COMMANDS = (
    "train",
    "evaluate",
    "predict",
    "generate",
    "explain",
    "explore",
    "units",
    "faithfulness",
    "inspect",
    "compare",
    "flow",
    "demo",
    "fetch",
    "doctor",
)


class _Commands(TyperGroup):
    """Has the commands that tasks share as well, and lists all in the order in which one meets them."""

    def __init__(self, **attributes: Any):
        super().__init__(**attributes)
        for command in shared_commands():
            self.add_command(command)

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return sorted(super().list_commands(ctx), key=COMMANDS.index)  # type: ignore[arg-type]


app = typer.Typer(
    name="gatewise",
    cls=_Commands,
    help="Recurrent networks that can be seen through: train an RNN, LSTM or GRU on your sequences, and see what it "
    "wrote, kept, forgot and read.",
    epilog="First steps: [bold]gatewise demo[/bold]. Help on a command: [bold]gatewise train classify --help[/bold].",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(train_command())
for command in (inspect, flow, demo, fetch, doctor):
    app.command()(command)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gatewise {version('gatewise')}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere in the call.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one call of `gatewise`; every error is one sentence on standard error, never a traceback.

    Args:
        arguments: without the program's name. With `--debug` among them the traceback is printed first; with
            `--json` the error is also one object on standard output.

    Returns: the exit code: 0 fine, 1 failed, 2 a bad call, 130 stopped by Ctrl-C.
    """
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a terminal of another encoding gets "?" in place of an error
            stream.reconfigure(errors="replace")
    try:
        words = _without_debug(arguments, len(options))
        code = app(words, prog_name="gatewise", standalone_mode=False, obj=words)
        sys.stdout.flush()
        if code == INTERRUPTED:  # typer's own answer to Ctrl-C
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except BrokenPipeError:  # whoever read our output has seen enough
        sys.stdout = None  # or the interpreter's own flush would complain
        return FAILED
    except SystemExit as end:  # typer's and rich's own answer to a broken pipe
        return end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        return _fail("stopped by Ctrl-C", INTERRUPTED, options)
    except Exception as error:
        if "--debug" in options:
            traceback.print_exc()
        return _fail(*_explained(error), options)


def _without_debug(arguments: Sequence[str], end: int) -> list[str]:
    return [word for number, word in enumerate(arguments) if number >= end or word != "--debug"]


def _explained(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code of an error."""
    if isinstance(error, GatewiseError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror[0].lower()}{error.strerror[1:]}", FAILED
    if isinstance(error, typer.Abort):
        return "stopped", INTERRUPTED
    if hasattr(error, "format_message"):  # what typer raises for a call that it cannot read
        return _usage(error), BAD_CALL
    return (
        f"unexpected {type(error).__name__}: {error}; run again with --debug for the traceback",
        FAILED,
    )


def _usage(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".") or "a command is missing"  # type: ignore[attr-defined]
    return f"{message} (see {context.command_path} --help)" if context else message


def _fail(sentence: str, code: int, options: Sequence[str]) -> int:
    sentence = one_line(" ".join(sentence.split()))
    print(f"error: {sentence}", file=sys.stderr)
    if "--json" in options:
        print_json({"error": sentence, "exit_code": code})
    return code
