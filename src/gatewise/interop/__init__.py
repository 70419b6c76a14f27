"""Other libraries' recurrent layers, one format a file."""

from gatewise.interop.torch import from_torch

__all__ = ["from_torch"]
