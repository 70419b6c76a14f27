"""One file over HTTP, of a known size and checksum."""

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from gatewise.errors import DataError, UsageError

TIMEOUT = 30.0
"""Seconds without a byte after which a download is given up."""
_BLOCK = 1 << 16

Progress = Callable[[int, int], None]
"""Called with the bytes received and the bytes expected."""


def download(url: str, file: Path, *, size: int, checksum: str, progress: Progress | None = None) -> None:
    """Download `url` into a new `file`; nothing is left of it when anything is wrong.

    Args:
        size: the bytes that must come; reading stops at the first one more.
        checksum: `md5:` or `sha256:` and the digest in hexadecimal.
        progress: called after every block.

    Raises:
        DataError: no answer, an answer that is not the file, a redirect to anything but http or https (or away from
            https), too few or too many bytes, another checksum.
        UsageError: an address that is neither http nor https.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url}: an address starts with http:// or https://")
    algorithm, expected = checksum.split(":")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    received = 0
    try:
        with file.open("xb") as out:
            for block in _blocks(url):
                received += len(block)
                if received > size:
                    raise DataError(f"{url}: more than the {size:,} bytes that the file has")
                digest.update(block)
                out.write(block)
                if progress:
                    progress(received, size)
        if received < size:
            raise DataError(f"{url}: the download ended after {received:,} of {size:,} bytes")
        if digest.hexdigest() != expected:
            raise DataError(
                f"{url}: the {algorithm} checksum is {digest.hexdigest()}, and {expected} was expected"
            )
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def redirected(before: str, after: str) -> None:
    """Refuse to go on from one address to another: to anything but http and https, and from https to http.

    Raises:
        DataError: names both addresses.
    """
    allowed = ("https://",) if before.lower().startswith("https://") else ("http://", "https://")
    if not after.lower().startswith(allowed):
        raise DataError(f"{before}: the server sends us on to {after}, where it is not followed")


class _SameKind(urllib.request.HTTPRedirectHandler):
    """Asks `redirected` before it follows."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        redirected(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _blocks(url: str) -> Iterator[bytes]:
    request = urllib.request.Request(url, headers={"User-Agent": "gatewise"})
    try:
        with urllib.request.build_opener(_SameKind).open(request, timeout=TIMEOUT) as answer:
            while block := answer.read(_BLOCK):
                yield block
    except urllib.error.HTTPError as error:
        with error:
            raise DataError(f"{url}: the server answers {error.code} ({error.reason})") from None
    except urllib.error.URLError as error:
        raise DataError(
            f"{url}: cannot be reached ({getattr(error.reason, 'strerror', None) or error.reason})"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url}: the connection broke off ({error or type(error).__name__})") from None
