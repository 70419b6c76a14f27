"""Fetching, from a server on this machine: whole files, broken ones, and archives made to do harm."""

import gzip
import hashlib
import http.server
import io
import itertools
import json
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from gatewise.data import download as download_module
from gatewise.data.catalogue import CATALOGUE, Dataset, RemoteFile
from gatewise.data.download import redirected
from gatewise.data.fetch import fetch, fetch_dataset
from gatewise.data.unpack import unpack
from gatewise.errors import DataError, UsageError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


class Server:
    """Serves `files` by path; `lies` states another length, `hangs` stops in the middle; `asked` counts."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.lies: dict[str, int] = {}
        self.hangs: set[str] = set()
        self.asked: list[str] = []
        self.done = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                content = outer.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(outer.lies.get(self.path, len(content))))
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()
                if self.path in outer.hangs:
                    outer.done.wait(20)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self):
        self.done.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def plain(server, **files):
    """A data set of plain files on the server."""
    remote = []
    for name, content in files.items():
        server.files[f"/{name}"] = content
        remote.append(RemoteFile(name, len(content), sha256(content)))
    return Dataset("words", "Words", "Free for all.", server.url, tuple(remote))


def archived(server, content):
    server.files["/a.tar.gz"] = content
    return Dataset(
        "reviews",
        "Reviews",
        "Free for all.",
        server.url,
        (RemoteFile("a.tar.gz", len(content), "md5:" + hashlib.md5(content).hexdigest()),),
        archive=True,
        inside="top",
        max_unpacked_bytes=1000,
        max_unpacked_files=10,
    )


def tar(*members):
    """A gzip'ed tar of (name, content or TarInfo type, link name) members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as out:
        for name, content, *link in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
                out.addfile(member)
            elif isinstance(content, str):
                member.size = len(content)
                out.addfile(member, io.BytesIO(content.encode()))
            else:
                member.type = content
                member.linkname = link[0] if link else ""
                out.addfile(member)
    return buffer.getvalue()


def nothing_left(folder):
    return not folder.exists() or list(folder.iterdir()) == []


def test_plain_files_are_fetched_with_their_record_and_not_twice(server, tmp_path):
    dataset = plain(server, **{"a.txt": b"one", "b.gz": b"\0" * 200_000})
    steps = []
    path = fetch_dataset(dataset, tmp_path / "new", progress=lambda *step: steps.append(step))
    assert path == tmp_path / "new" / "words"
    assert (path / "a.txt").read_bytes() == b"one"
    assert (path / "b.gz").read_bytes() == b"\0" * 200_000
    assert sorted(entry.name for entry in path.iterdir()) == ["SOURCE.json", "a.txt", "b.gz"]
    assert [entry.name for entry in path.parent.iterdir()] == ["words"]
    record = json.loads((path / "SOURCE.json").read_text())
    assert (record["licence"], record["address"]) == ("Free for all.", server.url)
    assert record["files"][0] == {"name": "a.txt", "size": 3, "checksum": sha256(b"one")}
    assert steps[0] == (3, 3)
    assert steps[-1] == (200_000, 200_000)
    assert fetch_dataset(dataset, tmp_path / "new") == path
    assert server.asked == ["/a.txt", "/b.gz"]


def test_an_archive_is_unpacked_and_not_kept(server, tmp_path):
    content = tar(("top", None), ("top/pos/1.txt", "good"), ("./top/neg/1.txt", "bad"), ("top/empty.txt", ""))
    path = fetch_dataset(archived(server, content), tmp_path)
    assert path == tmp_path / "reviews" / "top"
    found = {file.relative_to(path).as_posix(): file.read_text() for file in path.rglob("*.txt")}
    assert found == {"pos/1.txt": "good", "neg/1.txt": "bad", "empty.txt": ""}
    assert sorted(entry.name for entry in (tmp_path / "reviews").iterdir()) == ["SOURCE.json", "top"]


def refusal(dataset, folder, error=DataError, **options):
    with pytest.raises(error) as caught:
        fetch_dataset(dataset, folder, **options)
    assert nothing_left(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_checksum_is_refused(server, tmp_path):
    dataset = plain(server, **{"a.txt": b"one"})
    server.files["/a.txt"] = b"two"
    assert refusal(dataset, tmp_path) == (
        f"{server.url}/a.txt: the sha256 checksum is {sha256(b'two')[7:]}, and {sha256(b'one')[7:]} was expected"
    )


def test_a_failure_in_the_second_file_leaves_nothing_of_the_first(server, tmp_path):
    dataset = plain(server, **{"a.txt": b"one", "b.txt": b"two"})
    del server.files["/b.txt"]
    assert refusal(dataset, tmp_path) == f"{server.url}/b.txt: the server answers 404 (Not Found)"


def test_a_download_that_ends_early_is_refused(server, tmp_path):
    dataset = plain(server, **{"a.txt": b"x" * 100_000})
    server.files["/a.txt"] = b"x" * 70_000
    server.lies["/a.txt"] = 100_000
    assert (
        refusal(dataset, tmp_path) == f"{server.url}/a.txt: the download ended after 70,000 of 100,000 bytes"
    )


def test_a_download_that_does_not_end_is_cut_off(server, tmp_path):
    dataset = plain(server, **{"a.txt": b"x" * 10})
    server.files["/a.txt"] = b"x" * 3_000_000
    assert refusal(dataset, tmp_path) == f"{server.url}/a.txt: more than the 10 bytes that the file has"


def test_a_server_that_falls_silent_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "TIMEOUT", 0.2)
    dataset = plain(server, **{"a.txt": b"x" * 10})
    server.files["/a.txt"] = b"x" * 5
    server.lies["/a.txt"] = 10
    server.hangs.add("/a.txt")
    assert refusal(dataset, tmp_path) == f"{server.url}/a.txt: the connection broke off (timed out)"


def test_no_network_is_one_sentence(tmp_path):
    dataset = Dataset("words", "", "", "http://127.0.0.1:9", (RemoteFile("a", 1, "md5:0"),))
    assert refusal(dataset, tmp_path) == ("http://127.0.0.1:9/a: cannot be reached (Connection refused)")
    dataset = replace(dataset, address="http://nowhere.invalid")
    assert refusal(dataset, tmp_path).startswith("http://nowhere.invalid/a: cannot be reached (")


@pytest.mark.parametrize("address", ["file:///etc", "ftp://127.0.0.1", "/etc"])
def test_only_http_is_asked(tmp_path, address):
    dataset = Dataset("words", "", "", address, (RemoteFile("hostname", 1, "md5:0"),))
    sentence = f"{address}/hostname: an address starts with http:// or https://"
    assert refusal(dataset, tmp_path, UsageError) == sentence


def test_an_interruption_leaves_nothing(server, tmp_path):
    dataset = plain(server, **{"a.txt": b"one"})

    def interrupt(received, size):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_dataset(dataset, tmp_path, progress=interrupt)
    assert nothing_left(tmp_path)


def test_a_folder_of_that_name_is_not_touched(server, tmp_path):
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "mine.txt").write_text("keep")
    with pytest.raises(DataError) as caught:
        fetch_dataset(plain(server, **{"a.txt": b"one"}), tmp_path)
    assert (
        str(caught.value)
        == f"{tmp_path / 'words'}: is there already and is not a fetched words; move it away"
    )
    assert (tmp_path / "words" / "mine.txt").read_text() == "keep"
    assert server.asked == []


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/new/words: cannot be written \(Not a directory\)"):
        fetch_dataset(plain(server, **{"a.txt": b"one"}), tmp_path / "file" / "new")


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ([("../out.txt", "x")], "the name '../out.txt' leads outside the folder"),
        ([("top/a/../../../out.txt", "x")], "the name 'top/a/../../../out.txt' leads outside the folder"),
        ([("..", None)], "the name '..' leads outside the folder"),
        ([("/tmp/out.txt", "x")], "the name '/tmp/out.txt' leads outside the folder"),
        ([("C:/out.txt", "x")], "the name 'C:/out.txt' leads outside the folder"),
        ([("top\\..\\out.txt", "x")], "the name 'top\\\\..\\\\out.txt' leads outside the folder"),
        ([("top/a\nb.txt", "x")], "a name with unprintable characters, 'top/a\\nb.txt'"),
        ([("top/s", tarfile.SYMTYPE, "/etc")], "'top/s' is neither a plain file nor a folder"),
        ([("top/s", tarfile.SYMTYPE, "."), ("top/s/x", "x")], "'top/s' is neither a plain file nor a folder"),
        (
            [("top/a", "x"), ("top/h", tarfile.LNKTYPE, "top/a")],
            "'top/h' is neither a plain file nor a folder",
        ),
        ([("top/h", tarfile.LNKTYPE, "/etc/passwd")], "'top/h' is neither a plain file nor a folder"),
        ([("top/d", tarfile.CHRTYPE)], "'top/d' is neither a plain file nor a folder"),
        ([("top/d", tarfile.BLKTYPE)], "'top/d' is neither a plain file nor a folder"),
        ([("top/f", tarfile.FIFOTYPE)], "'top/f' is neither a plain file nor a folder"),
        ([("top/a", "x"), ("top/a", "y")], "'top/a' is in it twice"),
        ([("top/a", "x" * 600), ("top/b", "x" * 401)], "more than 1,000 bytes unpacked, with 'top/b'"),
        ([(f"top/{n}", "x") for n in range(11)], "more than 10 files"),
        ([("other/a", "x")], None),
    ],
)
def test_a_hostile_archive_is_refused(server, tmp_path, members, sentence):
    folder = tmp_path / "inner" / "data"
    folder.mkdir(parents=True)
    message = refusal(archived(server, tar(*members)), folder)
    assert message == (
        f"a.tar.gz: {sentence}" if sentence else "reviews: there is no folder 'top' in the archive"
    )
    assert [entry.name for entry in tmp_path.rglob("*")] == ["inner", "data"]


def header(name, size, kind):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            gzip.compress(header("top/a", 10**13, tarfile.REGTYPE)),
            "more than 1,000 bytes unpacked, with 'top/a'",
        ),
        (
            gzip.compress(header("top/a", 10**13, tarfile.GNUTYPE_SPARSE)),
            "'top/a' is neither a plain file nor a folder",
        ),
        (
            gzip.compress(header("x", 2**31, tarfile.GNUTYPE_LONGNAME) + b"a" * 1024),
            "a header of 2,147,483,648 bytes",
        ),
        (gzip.compress(header("x", 2**31, tarfile.XHDTYPE) + b"a" * 1024), "a header of 2,147,483,648 bytes"),
        (gzip.compress(header("x", 0, tarfile.XHDTYPE) * 5000), "more than 23,528 bytes with its headers"),
        (gzip.compress(header("top/a", 900, tarfile.REGTYPE) + b"x" * 100), None),
        (gzip.compress(b"\0" * 30_000_000 + b"x"), None),
        (gzip.compress(b"x" * 30_000_000), None),
        (tar(("top/a", "x" * 500))[:-20], None),
        (b"no gzip", None),
        (b"", None),
        (gzip.compress(b""), None),
    ],
    ids=itertools.count(),  # not the bytes: a gzip header holds the time
)
def test_a_forged_or_broken_archive_is_refused(server, tmp_path, content, sentence):
    message = refusal(archived(server, content), tmp_path / "data")
    if sentence:
        assert message == f"a.tar.gz: {sentence}"
    else:
        assert message.startswith(("a.tar.gz: ", "reviews: there is no folder 'top'"))


def test_headers_alone_cannot_fill_the_disk_or_the_time(tmp_path):
    """Long names of a megabyte each, within the size of one header, stop at the limit of the whole."""
    one = header("x", 900_000, tarfile.GNUTYPE_LONGNAME) + b"a" * 900_000 + b"\0" * (-900_000 % 512)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(one * 50))
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"a\.tar\.gz: more than 23,528 bytes with its headers"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", max_bytes=1000, max_files=10)


def test_modes_and_owners_are_not_taken_over(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as out:
        member = tarfile.TarInfo("a")
        member.mode, member.mtime = 0o6777, 1
        out.addfile(member)
    (tmp_path / "a.tar.gz").write_bytes(buffer.getvalue())
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.tar.gz", tmp_path / "out", max_bytes=10, max_files=1)
    assert (tmp_path / "out" / "a").stat().st_mode & 0o7111 == 0
    assert (tmp_path / "out" / "a").stat().st_mtime > 1e9


def test_the_catalogue_is_whole():
    assert list(CATALOGUE) == ["imdb", "shakespeare", "multi30k"]
    for dataset in CATALOGUE.values():
        assert dataset.licence.endswith(".")
        assert dataset.address.startswith("https://")
        for file in dataset.files:
            algorithm, digest = file.checksum.split(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
            assert len(bytes.fromhex(digest)) == len(digest) // 2
    with pytest.raises(UsageError) as caught:
        fetch("mnist", ".")
    assert str(caught.value) == "there is no data set 'mnist'; there are imdb, shakespeare, multi30k"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data sets are not beside the project")
@pytest.mark.parametrize(
    ("name", "source"), [("shakespeare", "lm/tinyshakespeare"), ("multi30k", "mt/multi30k")]
)
def test_the_real_files_have_the_sizes_and_checksums_of_the_catalogue(server, tmp_path, name, source):
    for file in CATALOGUE[name].files:
        server.files[f"/{file.name}"] = (SHARED / source / file.name).read_bytes()
    path = fetch(name, tmp_path, base_urls={name: server.url + "/"})
    assert path == tmp_path / name
    assert len(list(path.iterdir())) == len(CATALOGUE[name].files) + 1


@pytest.mark.parametrize(
    ("before", "after", "follows"),
    [
        ("http://a/x", "http://b/y", True),
        ("http://a/x", "https://b/y", True),
        ("https://a/x", "HTTPS://b/y", True),
        ("https://a/x", "http://b/y", False),
        ("https://a/x", "ftp://b/y", False),
        ("http://a/x", "file:///etc/passwd", False),
    ],
)
def test_redirects_stay_on_the_web_and_do_not_leave_encryption(before, after, follows):
    if follows:
        redirected(before, after)
    else:
        with pytest.raises(DataError, match="where it is not followed"):
            redirected(before, after)
