"""Watching the calls of a torch.nn layer or cell, also inside a subclass whose forward goes round torch's own."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from torch import nn

from gatewise.errors import UsageError
from gatewise.memory.modules import Opened

Before = Callable[[nn.Module, tuple[Any, ...]], None]
After = Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], Any]


def watch_calls(opened: Opened, before: Before | None, after: After, hooks: ExitStack) -> Callable[[], None]:
    """Call `before` and `after` with each call of the module, until `hooks` closes; what `after` returns is its result.

    Returns:
        A function for the end of the block; it raises a UsageError where the module was called and its forward never
        came to that of torch.nn, so that nothing of it was seen.
    """
    module = opened.module
    if opened.goes_round is not None:
        return _watch_inner(opened, opened.goes_round, before, after, hooks)
    # Before the hooks that stand there already: they may change the result, and the gates explain the layer's own.
    hooks.callback(module.register_forward_hook(after, prepend=True, with_kwargs=True).remove)
    if before is not None:
        hooks.callback(module.register_forward_pre_hook(before).remove)
    return lambda: None


def _watch_inner(
    opened: Opened, known: type[nn.Module], before: Before | None, after: After, hooks: ExitStack
) -> Callable[[], None]:
    module, own = opened.module, type(opened.module)
    outer, inner = [0], [0]

    def count(*_: Any) -> None:
        outer[0] += 1

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        inner[0] += 1
        if before is not None:
            before(self, args)
        outward: Any = super(probe, self)
        result = outward.forward(*args, **kwargs)
        changed = after(self, args, kwargs, result)
        return result if changed is None else changed

    def finish() -> None:
        if outer[0] and not inner[0]:
            raise UsageError(
                f"{opened.label} is a {own.__name__}, whose forward ran {outer[0]} times without that of torch.nn."
                f"{known.__name__}, so its gates cannot be read"
            )

    # In the order of classes the probe comes after those of the subclass and before torch's: where `super().forward`
    # leads. For this one object only, as torch.nn.utils.parametrize does it.
    probe = type(known.__name__, (known,), {"forward": forward})
    names = {"__module__": own.__module__, "__qualname__": own.__qualname__}
    hooks.callback(setattr, module, "__class__", own)
    module.__class__ = type(own.__name__, (own, probe), names)
    hooks.callback(module.register_forward_hook(count, prepend=True).remove)
    return finish
