"""The errors that a user can cause: one clear sentence each, with the numbers and the place in it."""

from gatewise.shown import one_line


class GatewiseError(ValueError):
    """Base of every error that Gatewise raises on purpose. `exit_code` is what the command line exits with.

    The sentence may name files and quote what stands in them: see `one_line`.
    """

    exit_code = 1

    def __init__(self, sentence: str) -> None:
        super().__init__(one_line(sentence))


class DataError(GatewiseError):
    """What was read cannot be used: a missing column, an empty file, a text that is not UTF-8."""


class RunError(GatewiseError):
    """A run folder is missing, incomplete, or written by a newer version."""


class UsageError(GatewiseError):
    """A call that cannot be carried out as it stands: a wrong shape, option, name or combination."""

    exit_code = 2


class UsageTypeError(UsageError, TypeError):
    """An argument of the wrong type."""
