"""What a text is a sequence of: characters, bytes, byte pairs or words, and their numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatewise.data.tokenizer import Tokenizer
from gatewise.errors import DataError, RunError, UsageError
from gatewise.files import read_json
from gatewise.training.run import write_json

VOCABULARY, TOKENIZER = "vocabulary.json", "tokenizer.json"
UNKNOWN_WORD, END_OF_LINE = "<unk>", "<eos>"
UNKNOWN_CHARACTER = "\ufffd"
_MOST_BYTES = 200_000_000


class Vocabulary(ABC):
    """Numbers tokens from 0.

    Attributes:
        unknown: the number of what the vocabulary lacks, or None where nothing can be lacking.
        exact: whether `decode` of `encode` is the text itself, unknown tokens apart.
    """

    kind: ClassVar[str]
    unknown: int | None = None
    exact = True

    @property
    @abstractmethod
    def size(self) -> int:
        """How many tokens there are."""

    @abstractmethod
    def encode(self, content: bytes) -> Tensor:
        """Tokens of a text in UTF-8 (of any bytes where the tokens are bytes): [N] int64."""

    @abstractmethod
    def to_bytes(self, ids: Sequence[int]) -> bytes:
        """What the tokens stand for, in UTF-8; a character may be spread over several tokens of bytes or byte pairs."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write it into an existing folder."""

    def byte_lengths(self, content: bytes, tokens: Tensor) -> NDArray[np.int64]:
        """How many bytes of a text each of its tokens is, [N]; of an exact vocabulary."""
        raise NotImplementedError

    def decode(self, ids: Sequence[int]) -> str:
        """What the tokens stand for; bytes that are no UTF-8 become U+FFFD."""
        return self.to_bytes(ids).decode("utf-8", "replace")

    def count_unknown(self, tokens: Tensor) -> int:
        return 0 if self.unknown is None else int((tokens == self.unknown).sum())


class Characters(Vocabulary):
    """Unicode characters, numbered from 1 by code point; 0 stands for all others.

    Args:
        characters: in rising order.
    """

    kind = "characters"
    unknown = 0

    def __init__(self, characters: str):
        self.characters = characters
        self._codes = np.array([ord(one) for one in characters], np.uint32)

    @classmethod
    def train(cls, content: bytes) -> Characters:
        return cls("".join(sorted(set(content.decode()))))

    @property
    def size(self) -> int:
        return len(self.characters) + 1

    def encode(self, content: bytes) -> Tensor:
        codes = np.frombuffer(content.decode().encode("utf-32-le"), np.uint32)
        at = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        return torch.from_numpy(np.where(self._codes[at] == codes, at + 1, 0).astype(np.int64))

    def byte_lengths(self, content: bytes, tokens: Tensor) -> NDArray[np.int64]:
        begins = np.frombuffer(content, np.uint8) & 0xC0 != 0x80  # a character's other bytes are 10xxxxxx
        return np.diff(np.flatnonzero(begins), append=len(content))

    def to_bytes(self, ids: Sequence[int]) -> bytes:
        shown = UNKNOWN_CHARACTER + self.characters
        return "".join(shown[number] for number in ids).encode()

    def save(self, folder: Path) -> None:
        write_json(folder / VOCABULARY, {"kind": self.kind, "tokens": list(self.characters)})


class Bytes(Vocabulary):
    """The 256 bytes, of any content."""

    kind = "bytes"

    @property
    def size(self) -> int:
        return 256

    def encode(self, content: bytes) -> Tensor:
        return torch.from_numpy(np.frombuffer(content, np.uint8).astype(np.int64))

    def byte_lengths(self, content: bytes, tokens: Tensor) -> NDArray[np.int64]:
        return np.ones(len(tokens), np.int64)

    def to_bytes(self, ids: Sequence[int]) -> bytes:
        return bytes(ids)

    def save(self, folder: Path) -> None:
        write_json(folder / VOCABULARY, {"kind": self.kind})


class Words(Vocabulary):
    """What stands between blanks, case kept; a line's end is `<eos>`. Runs of blanks are not kept.

    Args:
        words: the first two are `<unk>` and `<eos>`.
    """

    kind = "words"
    unknown = 0
    exact = False

    def __init__(self, words: Sequence[str]):
        self.words = list(words)
        self._numbers = {word: number for number, word in enumerate(self.words)}

    @classmethod
    def train(cls, content: bytes, vocab_size: int, min_count: int) -> Words:
        """The most frequent words; among equally frequent ones the order of the alphabet decides."""
        counts = Counter(cls.cut(content))
        for special in (UNKNOWN_WORD, END_OF_LINE):
            counts.pop(special, None)
        ranked = sorted((word for word, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w))
        return cls([UNKNOWN_WORD, END_OF_LINE, *ranked[: vocab_size - 2]])

    @staticmethod
    def cut(content: bytes) -> list[str]:
        *lines, rest = content.decode().split("\n")
        return [word for line in lines for word in (*line.split(), END_OF_LINE)] + rest.split()

    @property
    def size(self) -> int:
        return len(self.words)

    def encode(self, content: bytes) -> Tensor:
        return torch.tensor([self._numbers.get(word, 0) for word in self.cut(content)], dtype=torch.int64)

    def to_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(
            b"\n" if self.words[number] == END_OF_LINE else self.words[number].encode() + b" "
            for number in ids
        ).replace(b" \n", b"\n")

    def save(self, folder: Path) -> None:
        write_json(folder / VOCABULARY, {"kind": self.kind, "tokens": self.words})


class BytePairs(Vocabulary):
    """Byte pairs; every text can be written with them."""

    kind = "bpe"

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        self._bytes = _bytes_of(tokenizer)

    @classmethod
    def train(cls, content: bytes, vocab_size: int, min_count: int) -> BytePairs:
        lines = content.decode().splitlines(keepends=True)
        return cls(Tokenizer.train(lines, "bpe", vocab_size, max(min_count, 2)))

    @property
    def size(self) -> int:
        return self.tokenizer.vocab_size

    def encode(self, content: bytes) -> Tensor:
        (ids,) = self.tokenizer.encode_ids([content.decode()])
        return torch.from_numpy(ids.astype(np.int64))

    def byte_lengths(self, content: bytes, tokens: Tensor) -> NDArray[np.int64]:
        return np.array([len(one) for one in self._bytes], np.int64)[tokens.numpy()]

    def to_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(self._bytes[number] for number in ids)

    def save(self, folder: Path) -> None:
        self.tokenizer.save(folder / TOKENIZER)
        write_json(folder / VOCABULARY, {"kind": self.kind})


def train_vocabulary(content: bytes, kind: str, vocab_size: int, min_count: int = 1) -> Vocabulary:
    """The vocabulary of a training part.

    Raises:
        DataError: the text has fewer than two different tokens, so there is nothing to predict.
    """
    if kind == "bytes":
        made: Vocabulary = Bytes()
    elif kind == "characters":
        made = Characters.train(content)
    elif kind == "words":
        made = Words.train(content, vocab_size, min_count)
    elif kind == "bpe":
        made = BytePairs.train(content, vocab_size, min_count)
    else:
        raise UsageError(f"tokens is {kind!r}; it must be characters, bytes, bpe or words")
    return made


def check_variety(tokens: Tensor, vocabulary: Vocabulary, source: str) -> None:
    """Refuse a text in which one token follows itself: there is nothing to learn."""
    if len(tokens.unique()) < 2:
        found = repr(vocabulary.decode(tokens[:1].tolist())) if len(tokens) else "none"
        raise DataError(
            f"{source}: {len(tokens):,} tokens ({vocabulary.kind}), all of them {found}; two are needed"
        )


def load_vocabulary(folder: Path) -> Vocabulary:
    """Read what `save` wrote.

    Raises:
        RunError: the file is missing, broken, or not of this format.
    """
    path = folder / VOCABULARY
    value = read_json(path, _MOST_BYTES, RunError)
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind == "bytes":
        return Bytes()
    if kind == "bpe":
        return BytePairs(Tokenizer.load(folder / TOKENIZER))
    tokens = _checked(value.get("tokens"), path) if kind in ("characters", "words") else []
    if kind == "characters" and all(len(token) == 1 for token in tokens) and tokens == sorted(tokens):
        return Characters("".join(tokens))
    if kind == "words" and tokens[:2] == [UNKNOWN_WORD, END_OF_LINE]:
        return Words(tokens)
    raise RunError(f"{path}: not a vocabulary of characters, bytes, bpe or words")


def _checked(tokens: Any, path: Path) -> list[str]:
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise RunError(f"{path}: tokens is not a list of texts")
    if not tokens or len(set(tokens)) != len(tokens):
        raise RunError(f"{path}: tokens has {len(tokens):,} entries, {len(set(tokens)):,} of them different")
    return tokens


def _bytes_of(tokenizer: Tokenizer) -> list[bytes]:
    """What each token of byte pairs stands for; nothing for the special ones."""
    found = [b""] * tokenizer.vocab_size
    for byte, number in enumerate(tokenizer.byte_tokens()):
        if number is not None:
            found[number] = bytes([byte])
    for left, right, merged in tokenizer.merges():
        found[merged] = found[left] + found[right]
    return found
