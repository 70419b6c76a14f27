"""Run folders of translators from a stranger, and texts that are no sentences."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from attack import Attack
from attack_files import as_file, copy_of, in_tensors, in_text, scratch

from gatewise.data.pairs import Pairs
from gatewise.errors import RunError, UsageError
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.tasks.translate.encode import PairEncoder
from gatewise.tasks.translate.fitted import FittedTranslator, load_fitted, make_network

CONFIG, WEIGHTS = "config.toml", "model.safetensors"
PAIRS = Pairs([], ["a dull film", "the film"] * 2, ["un film nul", "le film"] * 2, "here", "00")


@cache
def run() -> Path:
    """A translator with random weights, that ends each target as soon as it can."""
    config = TranslateConfig(tokenizer="words", vocab_size=20, embedding_size=6, hidden_size=5, device="cpu")
    encoder = PairEncoder.train(PAIRS, config)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = make_network(config, encoder).eval()
    with torch.no_grad():
        network.decoder.output_bias[encoder.end] = 50
    FittedTranslator(config, network, encoder).save(scratch() / "translator")
    return scratch() / "translator"


def _run(name: str, change: Callable[[Path], object], says: str, what: str, naive: str) -> Attack:
    return Attack(name, what, naive, copy_of(run, change), load_fitted, RunError, says)


def _spoil(tensors: dict[str, torch.Tensor]) -> None:
    tensors["decoder.output_bias"][0] = torch.nan


def _largest(folder: Path) -> None:
    for name, value, most in (
        ("embedding_size", 6, 8192), ("hidden_size", 5, 8192), ("encoder_layers", 1, 16), ("decoder_layers", 1, 16)
    ):  # fmt: skip
        in_text(CONFIG, f"{name} = {value}", f"{name} = {most}")(folder)


def _explained(path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)> \x1b[2J \u202e film " + "a " * 40
    page = load_fitted(path, device="cpu").explain(hostile, "le <b>film</b> \x00").to_html()
    assert not any(piece in page for piece in ("<img", "<b>film", "\x1b", "\u202e", "\x00"))


def _translated(name: str, text: str, what: str, naive: str) -> Attack:
    """A text that is answered as any other; its first tokens are read."""

    def use(path: Path) -> None:
        (found,) = load_fitted(path, device="cpu").translate([text])
        assert found.source_tokens
        found.text.encode()

    return Attack(name, what, naive, lambda folder: run(), use, None)


ON_TRANSLATORS = [
    _run(
        "translator of every size at its highest",
        _largest,
        WEIGHTS,
        "Sizes of a hundred gigabytes, beside weights of some kB.",
        "Makes the network, and only then compares.",
    ),
    _run(
        "translator with two vocabularies, of which one is there",
        in_text(CONFIG, "shared = true", "shared = false"),
        "target_tokenizer.json is missing",
        "A run that says it has a file which it lacks.",
        "FileNotFoundError.",
    ),
    _run(
        "translator of another attention",
        in_text(CONFIG, 'attention = "luong"', 'attention = "bahdanau"'),
        WEIGHTS,
        "Weights and a kind of attention that do not fit.",
        "Leaves what is missing at random.",
    ),
    _run(
        "translator whose bias is not finite",
        in_tensors(WEIGHTS, _spoil),
        "not finite",
        "A NaN in the output.",
        "The search ranks by NaN, for ever or at random.",
    ),
    _run(
        "translator with another vocabulary",
        as_file(
            "tokenizer.json",
            '{"model": {"type": "WordLevel", "vocab": {"<pad>": 0, "<unk>": 1, "film": 2}, "unk_token": "<unk>"}}',
        ),
        "the configuration needs",
        "Fewer words than rows of the embedding.",
        "Writes numbers that no word has.",
    ),
    _run(
        "translator that searches without end",
        in_text(CONFIG, "beams = 5", "beams = 1000000000"),
        "it must be in [1, 1000]",
        "A billion beams.",
        "Asks for all memory at the first text.",
    ),
    _translated(
        "300,000 points to translate",
        "." * 300_000,
        "A token a character, of which the first are read.",
        "Keeps text and place of every one: a hundred bytes and more each.",
    ),
    _translated(
        "a word of 300,000 letters to translate",
        "é" * 300_000,
        "One unknown word.",
        "Looks at it again for every piece.",
    ),
    _translated(
        "signs to translate that turn, end or cut a text",
        "\u202e a \0 film \u2028 \x1b[2J \ufeff",
        "A NUL, a line separator, a turn of the direction, a mark.",
        "Two programs see two different texts.",
    ),
    Attack(
        "half a character to translate",
        "What a terminal makes of a byte that is no UTF-8.",
        "TypeError from the tokenizer.",
        lambda folder: run(),
        lambda path: load_fitted(path, device="cpu").translate(["film", "a \udcff"]),
        UsageError,
        "the source is not UTF-8 (character 3 of 3",
    ),
    Attack(
        "a text that would be markup, explained",
        "Tags, an escape of the terminal, a turn of the direction of writing, and a NUL.",
        "Writes them into the page.",
        lambda folder: run(),
        _explained,
        None,
    ),
]
