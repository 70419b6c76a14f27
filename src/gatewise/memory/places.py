"""Where things seen of a model's recurrent layers stand: by path, by call, by layer and direction.

A recording holds traces there, a gradient flow holds gradients; looking one up, and saying what is missing, is
the same for both.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, Literal, TypeVar

from gatewise.errors import UsageError

Key = int | tuple[int, Literal["reverse"]]


class Placed:
    """What stands at one layer and direction of a module; `path`, `layer` and `direction` are its fields."""

    path: str
    layer: int
    direction: Literal["forward", "reverse"]

    @property
    def key(self) -> Key:
        """Its place in a call: k, or (k, "reverse")."""
        return (self.layer, "reverse") if self.reverse else self.layer

    @property
    def label(self) -> str:
        """Its place in words, for messages."""
        return f"{self.path or 'the model'}, layer {self.layer}" + (" reverse" if self.reverse else "")

    @property
    def reverse(self) -> bool:
        return self.direction == "reverse"


Item = TypeVar("Item", bound=Placed)
Module = TypeVar("Module", bound="ByCall")


class ByLayer(Mapping[Key, Item]):
    """One call of a module: its layers by `[k]` (forward) and `[k, "reverse"]`."""

    def __init__(self, layers: list[Item]) -> None:
        self._layers: dict[Key, Item] = {item.key: item for item in layers}

    def __getitem__(self, key: Key) -> Item:
        if key not in self._layers:
            has = ", ".join(in_brackets(k) for k in self._layers)
            raise UsageError(f"no layer {in_brackets(key)} was recorded; there are {has}")
        return self._layers[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(" + "; ".join(repr(item) for item in self.values()) + ")"


def in_brackets(key: Key) -> str:
    return f"[{key}]" if isinstance(key, int) else f'[{key[0]}, "{key[1]}"]'


class ByCall(Generic[Item]):
    """All calls of one module: `.calls[n]`; `[k]` and `[k, "reverse"]` where it was called once."""

    more = "take .calls[n]"  # what to do where there is not one call

    def __init__(self, path: str, calls: Iterable[ByLayer[Item]]) -> None:
        self.path = path
        self.calls = list(calls)

    def __getitem__(self, key: Key) -> Item:
        if len(self.calls) != 1:
            raise UsageError(f"{self.path or 'the model'} was called {len(self.calls)} times; {self.more}")
        return self.calls[0][key]

    def __len__(self) -> int:
        return len(self.calls)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, {len(self.calls)} calls)"


class ByPath(Generic[Module]):
    """The recurrent modules of a model by path, in the model's order; "" is the model itself."""

    def __init__(self, modules: list[Module] | None = None) -> None:
        self._modules = {m.path: m for m in modules or []}

    @property
    def paths(self) -> list[str]:
        """Paths of the recurrent modules, in the model's order; "" is the model itself."""
        return list(self._modules)

    def __getitem__(self, path: str) -> Module:
        if path not in self._modules:
            known = ", ".join(map(repr, self.paths))
            raise UsageError(f"nothing was recorded at {path!r}; the recurrent modules are {known}")
        return self._modules[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
