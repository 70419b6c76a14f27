"""What a recording saw: the recurrent modules of a model, their calls, and the layers of each call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from gatewise.errors import UsageError
from gatewise.memory.joining import join
from gatewise.memory.layer_trace import Key, LayerTrace
from gatewise.memory.summary import html, text
from gatewise.memory.trace_file import read, write


class CallTrace(Mapping[Key, LayerTrace]):
    """One call of a module: its layers by `[k]` (forward) and `[k, "reverse"]`."""

    def __init__(self, layers: list[LayerTrace]) -> None:
        self._layers: dict[Key, LayerTrace] = {lt.key: lt for lt in layers}

    def __getitem__(self, key: Key) -> LayerTrace:
        if key not in self._layers:
            has = ", ".join(_in_brackets(k) for k in self._layers)
            raise UsageError(f"no layer {_in_brackets(key)} was recorded; there are {has}")
        return self._layers[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        return "CallTrace(" + "; ".join(repr(lt) for lt in self.values()) + ")"


def _in_brackets(key: Key) -> str:
    return f"[{key}]" if isinstance(key, int) else f'[{key[0]}, "{key[1]}"]'


class ModuleTrace:
    """All calls of one module: `.calls[n]`; `[k]` and `[k, "reverse"]` where it was called once."""

    def __init__(self, path: str, calls: list[CallTrace]) -> None:
        self.path = path
        self.calls = calls

    def __getitem__(self, key: Key) -> LayerTrace:
        if len(self.calls) != 1:
            raise UsageError(
                f"{self.path or 'the model'} was called {len(self.calls)} times; "
                "take .calls[n], or .concat() to join them along time"
            )
        return self.calls[0][key]

    def __len__(self) -> int:
        return len(self.calls)

    def concat(self) -> CallTrace:
        """The calls joined along time, where each one started from the state that the last one left.

        Raises:
            UsageError: no call; another batch size or other layers; rows that ended before the last call; a
                call that did not start from the state before it.
        """
        if not self.calls:
            raise UsageError(f"{self.path or 'the model'} was not called")
        return CallTrace([join([call[key] for call in self.calls]) for key in self.calls[0]])

    def __repr__(self) -> str:
        return f"ModuleTrace({self.path!r}, {len(self.calls)} calls)"


class Trace:
    """What `record` saw: `trace[path]` is the module at that path; `.paths` lists the recurrent modules."""

    def __init__(self, modules: list[ModuleTrace] | None = None) -> None:
        self._modules = {m.path: m for m in modules or []}

    @property
    def paths(self) -> list[str]:
        """Paths of the recurrent modules, in the model's order; "" is the model itself."""
        return list(self._modules)

    def __getitem__(self, path: str) -> ModuleTrace:
        if path not in self._modules:
            known = ", ".join(map(repr, self.paths))
            raise UsageError(f"nothing was recorded at {path!r}; the recurrent modules are {known}")
        return self._modules[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

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
