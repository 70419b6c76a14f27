"""The errors that a user can cause: one clear sentence each, with the numbers and the place in it."""


class GatewiseError(ValueError):
    """Base of every error that Gatewise raises on purpose. `exit_code` is what the command line exits with."""

    exit_code = 1


class DataError(GatewiseError):
    """What was read cannot be used: a missing column, an empty file, a text that is not UTF-8."""


class RunError(GatewiseError):
    """A run folder is missing, incomplete, or written by a newer version."""


class UsageError(GatewiseError):
    """A call that cannot be carried out as it stands: a wrong shape, option, name or combination."""

    exit_code = 2


class UsageTypeError(UsageError, TypeError):
    """An argument of the wrong type."""
