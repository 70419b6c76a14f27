"""Archives that are unpacked after a download: here as if somebody had got past the checksum."""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

from attack import Attack
from attack_files import gzip_bomb

from gatewise.data.unpack import unpack
from gatewise.errors import DataError


def member(
    name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content) if info.size else None)
    return stream.getvalue()


def use(archive: Path) -> None:
    """Unpack it; whatever comes of that, nothing may lie beside the target."""
    target = archive.parent / "target"
    target.mkdir()
    before = {path.name for path in archive.parent.iterdir()}
    try:
        unpack(archive, target, max_bytes=1_000_000, max_files=1000)
    finally:
        assert {path.name for path in archive.parent.iterdir()} == before
        assert not any(path.is_symlink() for path in target.rglob("*"))
        assert sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) <= 1_000_000


def _archive(name: str, content: Callable[[], bytes], says: str, what: str, naive: str) -> Attack:
    def make(folder: Path) -> Path:
        (folder / "a.tar.gz").write_bytes(content())
        return folder / "a.tar.gz"

    return Attack(name, what, naive, make, use, DataError, says)


def _members(
    name: str, members: list[tuple[tarfile.TarInfo, bytes]], says: str, what: str, naive: str
) -> Attack:
    return _archive(name, lambda: gzip.compress(tar(members), 1), says, what, naive)


def _claiming(size: int) -> bytes:
    """A member whose header claims a size that its content does not have."""
    info = tarfile.TarInfo("a")
    info.size = size
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512)


def _long_name(claimed: int) -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, claimed
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024)


def _extended(size: int) -> bytes:
    """A header that only carries attributes for the next one."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, size
    record = b"%d a=%s\n" % (size, b"x" * (size - len(str(size)) - 4))
    return info.tobuf(tarfile.USTAR_FORMAT) + record.ljust(-(-size // 512) * 512, b"\0")


ON_ARCHIVES = [
    _members(
        "archive that leads outside",
        [member("../evil")],
        "leads outside",
        "A name with two points.",
        "Overwrites what lies beside.",
    ),
    _members(
        "archive that leads outside later",
        [member("a/b/../../../evil")],
        "leads outside",
        "The same, inside a name.",
        "Looks at the beginning only.",
    ),
    _members(
        "archive with an absolute path",
        [member("/tmp/evil")],
        "leads outside",
        "A name from the root.",
        "Overwrites any file.",
    ),
    _members(
        "archive with a path of Windows",
        [member("C:\\evil")],
        "leads outside",
        "A drive and a backslash.",
        "On Windows it overwrites any file.",
    ),
    _members(
        "archive with a link and a file behind it",
        [member("a", kind=tarfile.SYMTYPE, link="/tmp"), member("a/evil")],
        "neither a plain file nor a folder",
        "A link, and then a file through it.",
        "Writes where the link leads.",
    ),
    _members(
        "archive with a hard link",
        [member("a", kind=tarfile.LNKTYPE, link="/etc/passwd")],
        "neither a plain file nor a folder",
        "A second name for a foreign file.",
        "Changes it with the next write.",
    ),
    _members(
        "archive with a device",
        [member("a", kind=tarfile.CHRTYPE)],
        "neither a plain file nor a folder",
        "A device.",
        "As root it makes one.",
    ),
    _members(
        "archive with a pipe",
        [member("a", kind=tarfile.FIFOTYPE)],
        "neither a plain file nor a folder",
        "A FIFO.",
        "The next reader waits for ever.",
    ),
    _members(
        "archive with one name twice",
        [member("a", b"good"), member("a", b"evil")],
        "in it twice",
        "Two files.",
        "A check saw the first, the user gets the second.",
    ),
    _members(
        "archive that moves the cursor",
        [member("\x1b[2J")],
        "unprintable",
        "An escape sequence.",
        "Prints it.",
    ),
    _members(
        "archive of too many files",
        [member(str(k)) for k in range(1200)],
        "more than 1,000 files",
        "Many files.",
        "Fills the table of the disk.",
    ),
    _members(
        "archive a thousand folders deep",
        [member("a/" * 1000 + "x")],
        "folders deep",
        "A thousand folders in one name.",
        "Makes them all, for each of its files.",
    ),
    _members(
        "archive of 2 MB in one file",
        [member("a", b"\0" * 2_000_000)],
        "more than 1,000,000 bytes",
        "Over the limit.",
        "Fills the disk.",
    ),
    _archive(
        "archive that claims 8 GB",
        lambda: _claiming(8 << 30),
        "more than 1,000,000 bytes",
        "A size in a header.",
        "Makes the room.",
    ),
    _archive(
        "archive with a name of 1 GB",
        lambda: _long_name(1 << 30),
        "a header of",
        "A name's length in a header.",
        "Reads it into memory.",
    ),
    _archive(
        "archive that is a gzip bomb",
        lambda: gzip_bomb(tar([member("a", b"\0" * 10_000_000)])[:-10240], 200),
        "more than 1,000,000 bytes",
        "2 GB of files with nothing in them.",
        "Unpacks it all.",
    ),
    _archive(
        "archive with a bomb for a header",
        lambda: gzip_bomb(_extended(900_000), 100),
        "with its headers",
        "90 MB of attributes of no file.",
        "Reads them all.",
    ),
    _archive(
        "archive that is cut short",
        lambda: gzip.compress(tar([member("a", b"x" * 5000)]))[:60],
        "cannot be unpacked",
        "Half of it.",
        "Half a data set that looks whole.",
    ),
    _archive(
        "archive that is none",
        lambda: b"<html>404</html>",
        "cannot be unpacked",
        "A page of a server.",
        "BadGzipFile.",
    ),
]
