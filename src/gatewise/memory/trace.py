"""What a recording saw: the recurrent modules of a model, their calls, and the layers of each call."""

from __future__ import annotations

from pathlib import Path

from gatewise.errors import UsageError
from gatewise.memory.joining import join
from gatewise.memory.layer_trace import LayerTrace
from gatewise.memory.places import ByCall, ByLayer, ByPath
from gatewise.memory.summary import html, text
from gatewise.memory.trace_file import read, write


class CallTrace(ByLayer[LayerTrace]):
    """One call of a module: its layers by `[k]` (forward) and `[k, "reverse"]`."""


class ModuleTrace(ByCall[LayerTrace]):
    """All calls of one module: `.calls[n]`; `[k]` and `[k, "reverse"]` where it was called once."""

    more = "take .calls[n], or .concat() to join them along time"

    def concat(self) -> CallTrace:
        """The calls joined along time, where each one started from the state that the last one left.

        Raises:
            UsageError: no call; another batch size or other layers; rows that ended before the last call; a
                call that did not start from the state before it.
        """
        if not self.calls:
            raise UsageError(f"{self.path or 'the model'} was not called")
        return CallTrace([join([call[key] for call in self.calls]) for key in self.calls[0]])


class Trace(ByPath[ModuleTrace]):
    """What `record` saw: `trace[path]` is the module at that path; `.paths` lists the recurrent modules."""

    def layers(self) -> list[LayerTrace]:
        """Every recorded layer, by module, call, layer and direction."""
        return [lt for m in self._modules.values() for call in m.calls for lt in call.values()]

    def save(self, path: str | Path) -> None:
        """Write the trace as one safetensors file, whole or not at all."""
        calls = {m.path: [list(call.values()) for call in m.calls] for m in self._modules.values()}
        write(calls, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read what `save` wrote.

        Raises:
            RunError: the file is missing, broken, or of a newer version.
        """
        calls = read(Path(path))
        return cls([ModuleTrace(p, [CallTrace(layers) for layers in made]) for p, made in calls.items()])

    def __repr__(self) -> str:
        if not self.layers():
            return f"Trace: no call of {', '.join(map(repr, self.paths)) or 'any module'} yet"
        return text(self.layers())

    def _repr_html_(self) -> str:
        return html(self.layers())
