"""Unpacking a `.tar.gz` from the network: files and folders only, inside the target, of bounded size and number."""

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from gatewise.data.wording import count
from gatewise.errors import DataError

_MAX_READ = 1 << 20  # what tarfile asks for at once; only a forged header asks for more
_MAX_DEPTH = 50  # folders inside each other
_OVERHEAD = 2048  # bytes of headers and padding that a member may add


def unpack(archive: Path, target: Path, *, max_bytes: int, max_files: int) -> None:
    """Unpack `archive` into the empty folder `target`. Owners, modes and times are not taken over.

    Args:
        max_bytes: of all files together, unpacked.
        max_files: files and folders.

    Raises:
        DataError: a broken archive, or a member that is a link or a device, that has a name which leads outside or is
            there twice, or that goes over a limit. What was unpacked until then is left for the caller to remove.
    """
    try:
        with gzip.open(archive) as stream:
            bounded = _Bounded(stream, archive, max_bytes + _OVERHEAD * (max_files + 1))
            with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as tar:
                _unpack_members(tar, archive, target, max_bytes, max_files)
    except DataError:
        raise
    except (
        tarfile.TarError,
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        RecursionError,
        zlib.error,
    ) as error:
        raise DataError(f"{archive.name}: cannot be unpacked ({error})") from error


def _unpack_members(
    tar: tarfile.TarFile, archive: Path, target: Path, max_bytes: int, max_files: int
) -> None:
    total = 0
    for number, member in enumerate(tar, start=1):
        _check_member(member, archive.name, target)
        total += member.size
        if number > max_files:
            raise DataError(f"{archive.name}: more than {count(max_files, 'file')}")
        if total > max_bytes:
            raise DataError(f"{archive.name}: more than {max_bytes:,} bytes unpacked, with {member.name!r}")
        path = target / member.name
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise DataError(f"{archive.name}: {member.name!r} is in it twice")
        content = tar.extractfile(member)
        if content is None:
            raise DataError(f"{archive.name}: {member.name!r} has no content")
        with content, path.open("xb") as out:
            shutil.copyfileobj(content, out)


def _check_member(member: tarfile.TarInfo, archive: str, target: Path) -> None:
    name = member.name
    if not name.isprintable():
        raise DataError(f"{archive}: a name with unprintable characters, {name[:100]!r}")
    if (
        name.startswith("/")
        or "\\" in name
        or PureWindowsPath(name).drive
        or ".." in PurePosixPath(name).parts
    ):
        raise DataError(f"{archive}: the name {name[:100]!r} leads outside the folder")
    if len(PurePosixPath(name).parts) > _MAX_DEPTH:
        raise DataError(f"{archive}: {name[:100]!r} lies more than {_MAX_DEPTH} folders deep")
    if not (member.isdir() or member.isreg()) or member.issparse():
        raise DataError(f"{archive}: {name[:100]!r} is neither a plain file nor a folder")
    if member.size < 0:
        raise DataError(f"{archive}: {name[:100]!r} has a size of {member.size}")
    if hasattr(tarfile, "data_filter"):  # Python 3.11 has it from 3.11.4 on
        tarfile.data_filter(member, str(target))


class _Bounded:
    """The decompressed archive, read in small pieces and up to a limit, whatever its headers claim."""

    def __init__(self, stream: gzip.GzipFile, archive: Path, limit: int) -> None:
        self.stream, self.archive, self.limit = stream, archive, limit

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ:
            raise DataError(f"{self.archive.name}: a header of {size:,} bytes")
        self._check(self.stream.tell())
        return self.stream.read(size)

    def seek(self, position: int) -> int:
        self._check(position)
        return self.stream.seek(position)

    def tell(self) -> int:
        return self.stream.tell()

    def _check(self, position: int) -> None:
        if position > self.limit:
            raise DataError(f"{self.archive.name}: more than {self.limit:,} bytes with its headers")
