"""Which recorded call a report is about."""

from __future__ import annotations

from typing import Any

import torch

from gatewise.errors import UsageError, UsageTypeError
from gatewise.memory import CallTrace, ModuleTrace, Readout, Trace


def one_call(trace: Any, target: Any, at: str | None) -> tuple[CallTrace, Any]:
    """The one call that is meant, and its target: a readout given as the trace is its own.

    Args:
        trace: a trace, or one of its modules or calls, or a readout. at: path of a module in a trace.

    Raises:
        UsageError: not one module, or not one call, is meant; a trace and a readout of different runs.
    """
    if isinstance(trace, Readout):
        if target is not None:
            raise UsageError("the first argument is a readout, which is its own target; leave out target")
        trace, target = trace.traces, trace
        at = _same_path(target, at)
    elif isinstance(target, Readout):
        at = _same_path(target, at)
    call = _call(trace, at)
    if not call:
        raise UsageError("the trace holds no layer")
    if isinstance(target, Readout):
        _check_same_run(call, target)
        call = target.traces
    return call, target


def _same_path(readout: Readout, at: str | None) -> str:
    if at is not None and at != readout.path:
        raise UsageError(f"at is {at!r}; the readout is of {readout.path!r}")
    return readout.path


def _call(trace: Any, at: str | None) -> CallTrace:
    if isinstance(trace, Trace):
        trace = trace[_only_path(trace) if at is None else at]
    if isinstance(trace, ModuleTrace):
        place = f"trace[{trace.path!r}]"
        if len(trace.calls) == 0:
            raise UsageError(f"{trace.path or 'the model'} was not called while it was recorded")
        if len(trace.calls) > 1:
            raise UsageError(
                f"{trace.path or 'the model'} was called {len(trace.calls)} times; give one of {place}.calls, or "
                f"{place}.concat(), as trace"
            )
        trace = trace.calls[0]
    if not isinstance(trace, CallTrace):
        raise UsageTypeError(
            f"trace is a {type(trace).__name__}; it takes what gatewise.record yields, one of its modules or calls, or "
            "a readout"
        )
    return trace


def _only_path(trace: Trace) -> str:
    called = [path for path in trace.paths if trace[path].calls]
    if len(called) > 1:
        raise UsageError(
            f"{len(called)} recurrent modules were recorded, {', '.join(map(repr, called))}; name one with at="
        )
    if not called:
        raise UsageError(f"nothing was called while it was recorded: {', '.join(map(repr, trace.paths))}")
    return called[0]


def _check_same_run(call: CallTrace, readout: Readout) -> None:
    for key in readout.weights:
        mine, theirs = (c[key].h.detach() if key in c else None for c in (call, readout.traces))
        if (
            mine is None
            or theirs is None
            or mine.shape != theirs.shape
            or not torch.allclose(mine, theirs.to(mine), rtol=1e-4, atol=1e-5, equal_nan=True)
        ):
            raise UsageError(
                "the trace and the readout are of different runs: their hidden states differ; "
                "gatewise.report(readout) needs no trace"
            )
