"""Fuzzed: what a server answers, archives, and the record of a fetch."""

import gzip
import hashlib
import json
import shutil
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from attacks_on_archives import member, tar
from fuzz_contents import BINARY, HTTP, JSON
from fuzz_reader import Reader, of

from gatewise.data.catalogue import Dataset
from gatewise.data.download import download
from gatewise.data.fetch import RECORD, fetch_dataset
from gatewise.data.unpack import unpack

DATASET = Dataset("x", "X", "none", "http://127.0.0.1:1", ())
ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def _record(folder: Path, content: bytes) -> object:
    (folder / "x").mkdir(exist_ok=True)
    (folder / "x" / RECORD).write_bytes(content)
    return fetch_dataset(DATASET, folder)


def _archive(folder: Path, content: bytes) -> None:
    """The tar file inside of the gzip file is what is broken."""
    _packed(folder, gzip.compress(content, 1))


def _packed(folder: Path, content: bytes) -> None:
    target = folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    (folder / "a.tar.gz").write_bytes(content)
    unpack(folder / "a.tar.gz", target, max_bytes=10_000, max_files=10)


def _tar() -> list[bytes]:
    return [tar([member("a/b.txt", b"hello"), member("c" * 150, b"x" * 600)])]


class _Raw(BaseHTTPRequestHandler):
    """Answers with whatever is to be answered."""

    answer = b""

    def handle(self) -> None:
        try:
            self.connection.settimeout(5)
            while b"\r\n\r\n" not in self.connection.recv(65_536):
                pass
            self.connection.sendall(self.answer)
        except OSError:
            pass


@cache
def _address() -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Raw)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def _http(folder: Path, content: bytes) -> None:
    _Raw.answer = content
    path = folder / "file"
    path.unlink(missing_ok=True)
    download(_address(), path, size=5, checksum=f"md5:{hashlib.md5(b'hello').hexdigest()}")


DOWNLOADS: dict[str, Reader] = {
    "record of a fetch": Reader(of(json.dumps(DATASET.record())), _record, JSON),
    "archive: tar": Reader(_tar, _archive, BINARY),
    "archive: gzip": Reader(lambda: [gzip.compress(_tar()[0])], _packed, BINARY),
    "answer of a server": Reader(of(ANSWER, CHUNKED), _http, HTTP),
}
