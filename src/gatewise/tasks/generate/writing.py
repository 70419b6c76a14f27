"""Writing with a language model: the prompt in one call, then token by token through a stream."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding

from gatewise.data.lines import encode
from gatewise.decoding.sampling import Sampling
from gatewise.errors import UsageError
from gatewise.tasks.generate.model import LanguageModel, State
from gatewise.tasks.generate.vocabulary import Vocabulary

PROMPT_AT_ONCE = 4096
"""Tokens of a prompt in a call; only longer ones take several."""
NAMED = 8


class Prompt(NamedTuple):
    """What is read before the first token is written.

    Attributes:
        tokens: [N] int64; none where the prompt is empty and the vocabulary has no line end: then the state is zero.
        notes: what was made of it, in words.
    """

    tokens: Tensor
    notes: list[str]


def read_prompt(vocabulary: Vocabulary, prompt: str) -> Prompt:
    """The tokens of a prompt; of one without any the end of a line, after which a text may begin.

    Raises:
        UsageError: as `read_text`.
    """
    found = read_text(vocabulary, prompt)
    return found if len(found.tokens) else found._replace(tokens=line_end(vocabulary))


def read_text(vocabulary: Vocabulary, text: str, name: str = "prompt") -> Prompt:
    """The tokens of a text as it is; `name` says in messages what it is.

    Raises:
        UsageError: characters that the vocabulary lacks, or a text that is not UTF-8.
    """
    tokens = vocabulary.encode(_bytes(text, name, raw=vocabulary.kind == "bytes"))
    unknown = vocabulary.count_unknown(tokens)
    if unknown and vocabulary.kind == "characters":
        missing = [
            one for one, token in zip(text, tokens.tolist(), strict=True) if token == vocabulary.unknown
        ]
        raise UsageError(
            f"the {name} holds {_named(missing)}, of which the model has learnt nothing: its vocabulary has "
            f"{vocabulary.size - 1:,} characters"
        )
    note = f"{unknown:,} of the {len(tokens):,} words of the {name} are unknown, and read as <unk>"
    return Prompt(tokens, [note] if unknown else [])


def line_end(vocabulary: Vocabulary) -> Tensor:
    """The tokens of a line end; none where the vocabulary lacks it."""
    tokens = vocabulary.encode(b"\n")
    return tokens[:0] if vocabulary.count_unknown(tokens) else tokens


def never_written(vocabulary: Vocabulary) -> Tensor:
    """Tokens that stand for nothing, such as padding, and the unknown character, which no text holds: [K] int64."""
    silent = [token for token in range(vocabulary.size) if not vocabulary.to_bytes([token])]
    unknown = [0] if vocabulary.kind == "characters" else []
    return torch.tensor(sorted({*silent, *unknown}), dtype=torch.int64)


def write_tokens(
    network: LanguageModel,
    prompt: Tensor,
    count: int,
    sampling: Sampling,
    *,
    never: Tensor,
    rows: int = 1,
    seed: int = 0,
) -> Iterator[Tensor]:
    """Continue a prompt; the prompt is read in one call, and each step goes through `streaming()`.

    Args:
        network: in evaluation mode; its weights are copied when the first token is asked for.
        prompt: [N] int64; [0] begins from zero states, where the first logits are the output's bias.
        count: tokens to write.
        never: [K] int64, tokens that are not drawn.
        rows: continuations side by side, each with draws of its own.

    Yields: the next token of each row, [rows] int64 on the CPU.
    """
    generator = torch.Generator().manual_seed(seed)
    logits_of = _Continuation(network, prompt, rows, never)
    tokens: Tensor | None = None
    for _ in range(count):
        tokens = sampling.draw(logits_of(tokens), generator)
        yield tokens


class _Continuation:
    """The stream of a network after a prompt: called with the last tokens it gives the logits of the next ones."""

    @torch.no_grad()
    def __init__(self, network: LanguageModel, prompt: Tensor, rows: int, never: Tensor) -> None:
        h, state = _read(network, prompt)
        self.stream = network.recurrent.streaming(rows)
        self.stream.state = None if state is None else _spread(state, rows)
        self.embedding, self.bias = network.embedding.detach(), network.output_bias.detach()
        self.weight = network.decoder.detach().t()
        self.h = h.expand(rows, -1).contiguous()  # [rows, H]
        self.never = never.to(h.device)

    @torch.no_grad()
    def __call__(self, tokens: Tensor | None) -> Tensor:
        if tokens is not None:
            self.stream.step(embedding(tokens.to(self.embedding.device), self.embedding), out=self.h)
        logits = torch.addmm(self.bias, self.h, self.weight)
        return logits.index_fill_(1, self.never, -torch.inf).cpu()


def _read(network: LanguageModel, prompt: Tensor) -> tuple[Tensor, State | None]:
    """The last output [1, H] and the state after a prompt; zeros and None where there is none."""
    h, state = network.embedding.new_zeros(1, 1, network.config.sizes[-1]), None
    for piece in prompt.split(PROMPT_AT_ONCE) if len(prompt) else ():
        h, _, state = network.hidden(piece.unsqueeze(1).to(network.embedding.device), state)
    return h[-1], state


def _spread(state: Any, rows: int) -> Any:
    """The state of one row, [L, 1, H] each, for several."""
    if isinstance(state, Tensor):
        return state.expand(-1, rows, -1)
    return tuple(_spread(part, rows) for part in state)


class WrittenText:
    """Tokens as they come, made text: a character is given out when its last byte has come, a word when it stands.

    Args:
        before: the text that is continued. A word is set off from it by a blank.
    """

    def __init__(self, vocabulary: Vocabulary, before: str = "") -> None:
        self.vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._blank = b" " if before and not before[-1].isspace() else b""

    def add(self, token: int) -> str:
        """What can be read now that could not before."""
        content = self.vocabulary.to_bytes([token])
        if not self.vocabulary.exact:  # a blank belongs between words, and there is none before a line end
            before, self._blank = self._blank, b"" if content == b"\n" else b" "
            content = content if content == b"\n" else before + content.rstrip(b" ")
        return self._decoder.decode(content)

    def end(self) -> str:
        """U+FFFD for bytes that were to become a character."""
        return self._decoder.decode(b"", final=True)


def pieces(vocabulary: Vocabulary, tokens: Iterator[Tensor], before: str) -> Iterator[str]:
    """The text of the first row's tokens, piece by piece; none is empty."""
    text = WrittenText(vocabulary, before)
    for token in tokens:
        if piece := text.add(int(token[0])):
            yield piece
    if rest := text.end():
        yield rest


def _bytes(text: str, name: str, *, raw: bool) -> bytes:
    if raw:  # what a terminal makes of other bytes becomes those bytes again
        with suppress(UnicodeEncodeError):
            return text.encode("utf-8", "surrogateescape")
    return encode(text, f"the {name}")


def _named(characters: list[str]) -> str:
    different = list(dict.fromkeys(characters))
    more = f" and {len(different) - NAMED} more" if len(different) > NAMED else ""
    return ", ".join(map(repr, different[:NAMED])) + more
