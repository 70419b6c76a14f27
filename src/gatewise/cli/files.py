"""The files that a command writes, under the name that the commands import."""

from gatewise.files import check_target, new_file

__all__ = ["check_target", "new_file"]
