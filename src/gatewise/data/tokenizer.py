"""Texts as token numbers: a vocabulary of words, or of byte pairs, on the `tokenizers` library."""

import json
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from gatewise.errors import RunError, UsageError
from gatewise.files import read_json

PAD, UNK = "<pad>", "<unk>"
PAD_ID, UNK_ID = 0, 1
Kind = Literal["words", "bpe"]

_KINDS: dict[str, Kind] = {"WordLevel": "words", "BPE": "bpe"}
_WORD = r"\p{N}+(?:[.,]\p{N}+)+|[\p{L}\p{M}\p{N}]+(?:'[\p{L}\p{M}\p{N}]+)*|\S"
_BEFORE_CLOSING, _AFTER_OPENING = re.compile(r" (?=[.,;:!?)\]}…])"), re.compile(r"(?<=[(\[{]) ")
_LINE_BREAK_TAG = r"<[bB][rR]\s*/?>"
_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
_MOST_BYTES = 200_000_000  # of a tokenizer file
_CHARACTERS = 200_000  # that are encoded at once, where the texts can be cut so


def _threads_end_at_a_fork() -> None:
    """Let the library use threads here, but not in a forked child, which has none; a user's choice stands.

    The variable is set for the time of the fork alone: processes that are started from here must not take it for a
    user's choice.
    """
    name = "TOKENIZERS_PARALLELISM"
    ours: list[str] = []

    def before() -> None:
        if name not in os.environ:
            os.environ[name] = "false"
            ours.append(name)

    def after_in_parent() -> None:
        if ours:
            os.environ.pop(ours.pop(), None)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=before, after_in_parent=after_in_parent)


_threads_end_at_a_fork()


@dataclass(frozen=True)
class Encoded:
    """One text as tokens; the four lists have one entry a token.

    Attributes:
        ids: numbers in the vocabulary.
        tokens: the tokens as they stand in the text.
        spans: start and end of each in the text, in characters. Byte pairs that share a character share its
            span.
        unknown: True where the vocabulary lacks the token.
    """

    ids: list[int]
    tokens: list[str]
    spans: list[tuple[int, int]]
    unknown: list[bool]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Sequence[int] | np.ndarray) -> "Encoded":
        """The tokens at these positions, in this order."""
        return Encoded(
            ids=[self.ids[p] for p in positions],
            tokens=[self.tokens[p] for p in positions],
            spans=[self.spans[p] for p in positions],
            unknown=[self.unknown[p] for p in positions],
        )


class Tokenizer:
    """Cuts texts into tokens and numbers them. `<pad>` is 0 and `<unk>` is 1; no text can contain either as a
    token.

    `words`: lower case; `<br />` is a space; a token is a word with its inner apostrophes (`don't`), a number
    with its inner points and commas (`3.5`), or one other character. Made for scripts that put spaces between
    words.

    `bpe`: byte pairs, with case kept and no unknown tokens. A token holds the space before it; its span does
    not, except for a token of spaces only.
    """

    def __init__(self, inner: tokenizers.Tokenizer, kind: Kind) -> None:
        self._inner = inner
        self.kind: Kind = kind

    @classmethod
    def train(
        cls, texts: Sequence[str], kind: Kind = "words", vocab_size: int = 30_000, min_count: int = 2
    ) -> "Tokenizer":
        """Build a vocabulary of the most frequent words, or of the byte pairs merged most often;
        deterministic.

        Args:
            vocab_size: the largest size, the two special tokens counted; at least 3 for words and 258 for
                byte pairs.
            min_count: words or pairs that occur less often are left out. Words of one count are taken in the
                order of the alphabet.
        """
        if kind not in get_args(Kind):
            raise UsageError(f"there is no tokenizer {kind!r}; there are words and bpe")
        least = 3 if kind == "words" else len(_BYTES) + 2
        if vocab_size < least:
            raise UsageError(f"vocab_size is {vocab_size}; a tokenizer of {kind} needs {least} at least")
        if min_count < 1:
            raise UsageError(f"min_count is {min_count}; it must be 1 at least")
        inner = _words({}) if kind == "words" else _bpe({}, [])
        trainer = _trainer(kind, vocab_size, min_count)
        inner.train_from_iterator(texts, trainer, length=len(texts))
        # The trainer declares the special tokens as words that are found in any text; rebuilt, none is.
        vocabulary = inner.get_vocab()
        if kind == "words":
            return cls(_words(vocabulary), kind)
        return cls(_bpe(vocabulary, _merges(inner)), kind)

    @property
    def vocab_size(self) -> int:
        """Number of tokens, special ones counted."""
        return self._inner.get_vocab_size()

    @property
    def vocabulary(self) -> list[str]:
        """The tokens in the order of their numbers."""
        vocabulary = self._inner.get_vocab()
        return sorted(vocabulary, key=vocabulary.__getitem__)

    def token_to_id(self, token: str) -> int | None:
        """The number of a token as it stands in the vocabulary, or None."""
        return self._inner.token_to_id(token)

    def merges(self) -> list[tuple[int, int, int]]:
        """Of byte pairs: the numbers of left, right and merged token, the merge that was learned first first."""
        number = self._inner.get_vocab().__getitem__
        return [(number(left), number(right), number(left + right)) for left, right in _merges(self._inner)]

    def byte_tokens(self) -> list[int | None]:
        """Of byte pairs: the number of each of the 256 bytes; None for one that the vocabulary lacks."""
        return [self.token_to_id(_character_of(byte)) for byte in range(256)]

    def encode(self, text: str) -> Encoded:
        """One text with everything that is known of its tokens."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[Encoded]:
        """Several texts, on all cores."""
        found = self._inner.encode_batch(list(texts))
        return [self._encoded(text, one) for text, one in zip(texts, found, strict=True)]

    def encode_ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The numbers alone, one int32 array a text; the fast way for training."""
        parts: list[list[np.ndarray]] = [[] for _ in texts]
        for some in _batches(texts, self.kind):
            found = self._inner.encode_batch_fast([part for _, part in some])
            for (number, _), one in zip(some, found, strict=True):
                parts[number].append(np.array(one.ids, dtype=np.int32))
        return [one[0] if len(one) == 1 else np.concatenate(one) for one in parts]

    def decode(self, ids: Sequence[int], known: Mapping[int, str] = MappingProxyType({})) -> str:
        """Tokens as a text.

        Byte pairs give back what they were cut from; bytes that are no UTF-8 become U+FFFD. Words are put together with
        spaces, none before a closing sign or after an opening one. Padding is left out.

        Args:
            known: what stands at some places of `ids`, whatever the token; for words that the vocabulary lacks.
        """
        if self.kind == "bpe":
            return self._inner.decode([n for n in ids if n != PAD_ID], skip_special_tokens=False)
        tokens = [known.get(at) or str(self._inner.id_to_token(n)) for at, n in enumerate(ids) if n != PAD_ID]
        return _BEFORE_CLOSING.sub("", _AFTER_OPENING.sub("", " ".join(tokens)))

    def save(self, path: str | Path) -> None:
        """Write the vocabulary in the library's JSON format."""
        Path(path).write_text(self._inner.to_str(pretty=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read what `save` wrote.

        Only the vocabulary and the merges are taken from the file; how texts are cut is decided by the kind.

        Raises:
            RunError: the file is missing, broken, or not of this format.
        """
        path = Path(path)
        try:
            model = read_json(path, _MOST_BYTES, RunError)["model"]
            kind = _KINDS[model["type"]]
            vocabulary = _checked_vocabulary(model["vocab"])
            merges = [] if kind == "words" else [(str(left), str(right)) for left, right in model["merges"]]
            return cls(_words(vocabulary) if kind == "words" else _bpe(vocabulary, merges), kind)
        except RunError:
            raise
        # The library raises a bare Exception for merges that do not fit the vocabulary.
        except Exception as error:
            raise RunError(
                f"{path}: not a tokenizer written by gatewise ({type(error).__name__}: {error})"
            ) from error

    def _encoded(self, text: str, found: tokenizers.Encoding) -> Encoded:
        spans = found.offsets if self.kind == "words" else [_trimmed(text, *span) for span in found.offsets]
        return Encoded(
            ids=found.ids,
            tokens=[text[start:end] for start, end in spans],
            spans=spans,
            unknown=[number == UNK_ID for number in found.ids],
        )


def _batches(texts: Sequence[str], kind: Kind) -> Iterator[list[tuple[int, str]]]:
    """The texts with their numbers, long ones in parts, some at a time.

    While it works, the library takes 300 bytes a token, and a text of full stops has a token a character.
    """
    some: list[tuple[int, str]] = []
    characters = 0
    for number, text in enumerate(texts):
        for part in _parts(text, kind):
            if some and (len(some) == 1000 or characters + len(part) > _CHARACTERS):
                yield some
                some, characters = [], 0
            some.append((number, part))
            characters += len(part)
    if some:
        yield some


def _parts(text: str, kind: Kind) -> Iterator[str]:
    """A text, cut where no token can span the cut; the tokens of the parts are those of the text."""
    seams = _is_seam_of_words if kind == "words" else _is_seam_of_pairs
    start = 0
    while len(text) - start > _CHARACTERS:
        places = range(start + (_CHARACTERS + 1) // 2, len(text) - 1)
        end = next((at for at in places if seams(text, at)), len(text))
        yield text[start:end]
        start = end
    yield text[start:]


def _is_seam_of_words(text: str, at: int) -> bool:
    """After a blank, or between two signs that are tokens by themselves; never inside of `<br />`."""
    left, right = text[at - 1], text[at]
    if right in "/>" or right.isspace():
        return False
    return left.isspace() or (_is_sign(left) and _is_sign(right))


def _is_sign(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character)[0] not in "LMN"


def _is_seam_of_pairs(text: str, at: int) -> bool:
    """Before a single blank, which belongs to what follows."""
    return text[at] == " " and not text[at - 1].isspace() and not text[at + 1].isspace()


def kept_positions(n: int, max_length: int, where: str) -> np.ndarray:
    """Which of n positions a text keeps when it is cut to `max_length`.

    Args:
        n: length of the text in tokens.
        max_length: most tokens to keep, at least 1.
        where: the part that stays: `head` (the beginning), `tail` (the end), or `middle` (a third of
            `max_length`, rounded down, from the beginning and the rest from the end; what is between them is
            cut out).

    Returns:
        Rising positions, int64 [min(n, max_length)].
    """
    if max_length < 1:
        raise UsageError(f"max_length is {max_length}; it must be 1 at least")
    if where not in ("head", "tail", "middle"):
        raise UsageError(
            f"a text cannot be cut at {where!r}; it keeps its head, its tail, or head and tail (middle)"
        )
    if n <= max_length:
        return np.arange(n)
    first = {"head": max_length, "tail": 0, "middle": max_length // 3}[where]
    return np.concatenate([np.arange(first), np.arange(n - (max_length - first), n)])


def truncate(ids: np.ndarray, max_length: int, where: str) -> np.ndarray:
    """The ids at `kept_positions`; the array itself when it is short enough."""
    return ids if len(ids) <= max_length else ids[kept_positions(len(ids), max_length, where)]


def _words(vocabulary: dict[str, int]) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=UNK))
    inner.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_LINE_BREAK_TAG), " "),
            normalizers.Replace("’", "'"),
            normalizers.Lowercase(),
        ]
    )
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), "removed", invert=True)
    return inner


def _bpe(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return inner


def _merges(inner: tokenizers.Tokenizer) -> list[tuple[str, str]]:
    return [(left, right) for left, right in json.loads(inner.to_str())["model"]["merges"]]


def _character_of(byte: int) -> str:
    """What stands for a byte in a vocabulary of byte pairs: itself where it can be seen."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return chr(byte if byte in seen else 0x100 + sum(other not in seen for other in range(byte)))


def _trainer(kind: Kind, vocab_size: int, min_count: int) -> trainers.Trainer:
    common = {
        "vocab_size": vocab_size,
        "min_frequency": min_count,
        "special_tokens": [PAD, UNK],
        "show_progress": False,
    }
    if kind == "words":
        return trainers.WordLevelTrainer(**common)
    return trainers.BpeTrainer(**common, initial_alphabet=_BYTES)


def _checked_vocabulary(vocabulary: object) -> dict[str, int]:
    if not isinstance(vocabulary, dict):
        raise ValueError("its vocabulary is no object")
    numbers = sorted(vocabulary.values())
    if (
        any(type(number) is not int for number in numbers)
        or numbers != list(range(len(numbers)))
        or (vocabulary.get(PAD), vocabulary.get(UNK)) != (PAD_ID, UNK_ID)
    ):
        raise ValueError(f"the vocabulary does not number its tokens from {PAD} = 0 and {UNK} = 1 on")
    return vocabulary


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the spaces before its first visible character; as it is where there is none."""
    inner = text[start:end]
    return (start + len(inner) - len(inner.lstrip()), end) if inner.strip() else (start, end)
