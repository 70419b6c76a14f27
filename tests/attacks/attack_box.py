"""One call in a forked child whose memory is bounded: how it ended and what it took."""

import json
import os
import resource
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from gatewise.errors import GatewiseError

ROOM = 4 << 30  # bytes of address space beyond what the parent has mapped
PATIENCE = 20  # seconds until a call that waits for something is killed


@dataclass(frozen=True)
class Ended:
    """How a call ended.

    Args:
        kinds: names of the classes of what it raised, most special first; empty when it returned.
        sentence: of the error; for one that is not ours the whole traceback.
        seconds: of processor time. growth: of the resident memory at its highest, in bytes.
    """

    kinds: tuple[str, ...]
    sentence: str
    seconds: float
    growth: int

    @property
    def is_ours(self) -> bool:
        return GatewiseError.__name__ in self.kinds


def boxed(call: Callable[[], object]) -> Ended:
    """Run `call` in a child: everything that it needs is imported already, and what it breaks ends with it."""
    reading, writing = os.pipe()
    with (
        warnings.catch_warnings()
    ):  # the child starts no thread and takes no lock that another thread may hold
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reading)
        _run(call, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as answer:
            if not select.select([answer], [], [], PATIENCE)[0]:
                os.kill(child, signal.SIGKILL)
                return Ended(("TimeoutError",), f"nothing came for {PATIENCE} seconds", float("nan"), 0)
            told = answer.read()
    finally:
        _, status = os.waitpid(child, 0)
    if not told:
        return Ended(("ChildProcessError",), f"the child ended with status {status}", float("nan"), 0)
    kinds, sentence, seconds, growth = json.loads(told)
    return Ended(tuple(kinds), sentence, seconds, growth)


def _run(call: Callable[[], object], writing: int) -> None:
    """The child's part; it never returns."""
    kinds, sentence = [], ""
    try:
        torch.set_num_threads(1)
        limit = _status("VmSize") + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        Path("/proc/self/clear_refs").write_text("5")  # the highest mark begins anew
        before, start = _status("VmRSS"), _seconds()
        try:
            call()
        except BaseException as error:
            kinds = [kind.__name__ for kind in type(error).__mro__]
            sentence = str(error) if isinstance(error, GatewiseError) else traceback.format_exc()[-3000:]
        told = json.dumps([kinds, sentence, _seconds() - start, _status("VmHWM") - before])
        with os.fdopen(writing, "wb") as answer:
            answer.write(told.encode("utf-8", "backslashreplace"))
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(0)


def _status(name: str) -> int:
    """A figure of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
