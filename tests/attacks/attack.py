"""What an attack is: an input that somebody made in order to break a reader."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewise.errors import GatewiseError


@dataclass(frozen=True)
class Attack:
    """One malicious input.

    Args:
        name: unique.
        what: what the input is. naive: what a reader would do that does not expect it.
        make: writes it into an empty folder; what it returns is handed to `use`.
        use: reads it; where it is harmless, also asserts that nothing came of it.
        error: what is to be raised; None: it is read, and is harmless.
        says: a piece of the error's sentence.
    """

    name: str
    what: str
    naive: str
    make: Callable[[Path], Any]
    use: Callable[[Any], object]
    error: type[GatewiseError] | None
    says: str = ""
