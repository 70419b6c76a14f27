"""Servers that answer a download with something else; each is a path of one server on 127.0.0.1."""

import hashlib
import json
import threading
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from attack import Attack
from attack_files import linked

from gatewise.data.catalogue import Dataset
from gatewise.data.download import download
from gatewise.data.fetch import RECORD, fetch_dataset
from gatewise.errors import DataError, GatewiseError, UsageError

CONTENT = b"the real file"
Answer = Callable[["_Server"], object]


class _Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            ANSWERS[self.path](self)
        except OSError:  # the other side has had enough
            self.close_connection = True

    def say(self, code: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"x" * 65_536)

    def log_message(self, *_: object) -> None: ...


def _to(place: str) -> Answer:
    return lambda server: server.say(302, Location=place)


ANSWERS: dict[str, Answer] = {
    "/endless": _Server.endless,
    "/other": lambda server: server.say(200, b"the evil file"),
    "/longer": lambda server: server.say(200, CONTENT + b"!"),
    "/cut": lambda server: server.say(200, CONTENT[:-1]),
    "/liar": lambda server: server.say(200, CONTENT[:5], length=len(CONTENT)),
    "/file": _to("file:///etc/passwd"),
    "/ftp": _to("ftp://127.0.0.1:1/x"),
    "/data": _to("data:text/plain,the%20real%20file"),
    "/circle": _to("/circle"),
    "/headers": lambda server: server.say(200, CONTENT, **{f"X-{k}": "y" * 100 for k in range(5000)}),
    "/header": lambda server: server.say(200, CONTENT, X="y" * 1_000_000),
    "/cursor": lambda server: server.wfile.write(b"HTTP/1.0 404 \x1b[2J\x9b2J gone\r\n\r\n"),
    "/noise": lambda server: server.wfile.write(b"\0\xff" * 100),
}


@cache
def _address() -> str:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def _use(made: tuple[str, Path]) -> None:
    url, file = made
    try:
        download(url, file, size=len(CONTENT), checksum=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}")
    except GatewiseError:
        assert not file.exists() and not any(file.parent.iterdir())
        raise


def _download(name: str, path: str, says: str, what: str, naive: str) -> Attack:
    return Attack(
        name, what, naive, lambda folder: (_address() + path, folder / "file"), _use, DataError, says
    )


def _fetched(path: Path) -> object:
    return fetch_dataset(Dataset("x", "X", "none", "http://127.0.0.1:1", ()), path)


def _earlier(content: str | None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "x").mkdir()
        if content is None:
            linked(RECORD, "/dev/zero")(folder / "x")
        else:
            (folder / "x" / RECORD).write_text(content)
        return folder

    return make


ON_DOWNLOADS = [
    _download(
        "download without end",
        "/endless",
        "more than the 13 bytes",
        "A body that never ends.",
        "Fills the disk.",
    ),
    _download(
        "download of another file", "/other", "checksum", "The same length, another content.", "Takes it."
    ),
    _download(
        "download of a byte too many", "/longer", "more than the 13 bytes", "A byte more.", "Takes it."
    ),
    _download(
        "download of a byte too few", "/cut", "ended after 12 of 13 bytes", "A byte less.", "Takes it."
    ),
    _download(
        "download that promises more",
        "/liar",
        "ended after 5 of 13 bytes",
        "A length that is not kept.",
        "IncompleteRead.",
    ),
    _download("redirect to a file", "/file", "not allowed", "file:///etc/passwd.", "Reads it."),
    _download(
        "redirect to FTP", "/ftp", "not followed", "Another protocol.", "Follows it, without a time limit."
    ),
    _download("redirect to data", "/data", "not allowed", "The content in the address.", "Takes it."),
    _download(
        "redirect in a circle",
        "/circle",
        "the server answers 302",
        "A redirect to itself.",
        "Follows it for ever.",
    ),
    _download(
        "five thousand headers",
        "/headers",
        "the connection broke off",
        "More than anyone reads.",
        "HTTPException.",
    ),
    _download(
        "header of a million characters",
        "/header",
        "the connection broke off",
        "One long line.",
        "LineTooLong.",
    ),
    _download(
        "answer that moves the cursor",
        "/cursor",
        "\\x1b[2J",
        "Escape sequences in the reason.",
        "Prints them.",
    ),
    _download("answer that is no HTTP", "/noise", "the connection broke off", "Noise.", "BadStatusLine."),
    Attack(
        "address of a file",
        "file:///etc/passwd for an address.",
        "urlopen reads it.",
        lambda folder: ("file:///etc/passwd", folder / "file"),
        _use,
        UsageError,
        "starts with http",
    ),
    Attack(
        "record of a fetch on an endless device",
        "A link to /dev/zero in an earlier fetch's folder.",
        "Reads for ever.",
        _earlier(None),
        _fetched,
        DataError,
        "is not a fetched x",
    ),
    Attack(
        "record of a fetch nested deeply",
        "A hundred thousand brackets.",
        "RecursionError.",
        _earlier("[" * 100_000),
        _fetched,
        DataError,
        "is not a fetched x",
    ),
    Attack(
        "record of another data set",
        "Another name and address.",
        "Takes the folder for the data set.",
        _earlier(json.dumps({"name": "y"})),
        _fetched,
        DataError,
        "is not a fetched x",
    ),
]
