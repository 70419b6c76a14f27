"""The data sets that can be fetched: official address, licence, size and checksum of every file."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class RemoteFile:
    """One file to download.

    Attributes:
        name: the file's name, which follows the data set's address.
        size: in bytes, exactly.
        checksum: `md5:` or `sha256:` and the digest in hexadecimal.
    """

    name: str
    size: int
    checksum: str


@dataclass(frozen=True)
class Dataset:
    """A data set.

    Attributes:
        name: what it is fetched by.
        title: its name and paper.
        licence: what it may be used for, as one sentence.
        address: where its files are, without a slash at the end.
        files: what to download.
        archive: True when the files are `.tar.gz` archives to unpack; they are not kept.
        inside: the folder inside that holds the data, or empty.
        max_unpacked_bytes, max_unpacked_files: more than that in an archive is refused.
    """

    name: str
    title: str
    licence: str
    address: str
    files: tuple[RemoteFile, ...]
    archive: bool = False
    inside: str = ""
    max_unpacked_bytes: int = 0
    max_unpacked_files: int = 0

    def record(self) -> dict[str, Any]:
        """What is kept beside the data: where it came from and under which licence."""
        return {
            "name": self.name,
            "title": self.title,
            "licence": self.licence,
            "address": self.address,
            "files": [asdict(file) for file in self.files],
        }


_IMDB = Dataset(
    name="imdb",
    title="Large Movie Review Dataset (Maas et al., ACL 2011)",
    licence="It comes without a licence text; its authors offer it for research and ask to cite their paper.",
    address="https://ai.stanford.edu/~amaas/data/sentiment",
    files=(RemoteFile("aclImdb_v1.tar.gz", 84_125_825, "md5:7c2ac02c03563afcf9b574c7e56c153a"),),
    archive=True,
    inside="aclImdb",
    max_unpacked_bytes=1_000_000_000,
    max_unpacked_files=150_000,
)

_SHAKESPEARE = Dataset(
    name="shakespeare",
    title="Tiny Shakespeare (Karpathy, char-rnn, 2015)",
    licence="The text is in the public domain; the repository that it comes from is under the MIT licence.",
    address="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare",
    files=(
        RemoteFile(
            "input.txt", 1_115_394, "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
        ),
    ),
)

_MULTI30K = Dataset(
    name="multi30k",
    title="Multi30k, task 1, German and English (Elliott et al., 2016)",
    licence="The sentences come without a licence text; the pictures that they describe are for research only.",
    address="https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw",
    files=(
        RemoteFile(
            "train.de.gz", 637_044, "sha256:726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"
        ),
        RemoteFile(
            "train.en.gz", 568_929, "sha256:d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"
        ),
        RemoteFile(
            "val.de.gz", 24_681, "sha256:f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"
        ),
        RemoteFile(
            "val.en.gz", 21_650, "sha256:14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"
        ),
        RemoteFile(
            "test_2016_flickr.de.gz",
            22_890,
            "sha256:9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
        ),
        RemoteFile(
            "test_2016_flickr.en.gz",
            21_077,
            "sha256:611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
        ),
    ),
)

CATALOGUE = {dataset.name: dataset for dataset in (_IMDB, _SHAKESPEARE, _MULTI30K)}
