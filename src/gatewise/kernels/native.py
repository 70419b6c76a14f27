"""The kernels in C++, compiled at installation where there was a compiler."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def _load() -> tuple[ModuleType | None, str | None]:
    try:
        return import_module("gatewise._native"), None
    except ModuleNotFoundError:
        return None, "no C++ compiler worked when Gatewise was installed"
    except ImportError as error:
        return None, f"the compiled module does not load: {error}"


_native, _missing = _load()


def available() -> bool:
    return _native is not None


def why_missing() -> str | None:
    """What keeps the native kernels from running, in a clause; None where they run."""
    return _missing


def isa() -> str:
    """The instruction set that they run with: "portable", "avx2", "avx512" or "amx"."""
    assert _native is not None, "asked for without native kernels"
    return _native.isa()
