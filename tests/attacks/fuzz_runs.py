"""Fuzzed: every file of the runs of every task, traces, logs, and what a model is given to read."""

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from attack_files import caption_run, language_run, picture, series_run, text_run, trace_file
from attacks_on_translators import run as translator_run
from fuzz_contents import BYTES, JSON, TENSORS, TOML
from fuzz_reader import Reader, as_file, bytes_of, of, of_file

from gatewise.cli.safe_tensors import CONVERT_INPUTS, read_safetensors
from gatewise.data.tokenizer import Tokenizer
from gatewise.memory import Trace, ledger
from gatewise.memory.summary import text as summary
from gatewise.tasks.caption.fitted import load_fitted as load_captioner
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.faithfulness import FaithfulnessLog
from gatewise.tasks.classify.fitted import load_fitted
from gatewise.tasks.classify.trial_log import TrialLog
from gatewise.tasks.generate.fitted import FittedLanguageModel
from gatewise.tasks.generate.fitted import load_fitted as load_language_model
from gatewise.tasks.generate.vocabulary import load_vocabulary
from gatewise.tasks.translate.fitted import FittedTranslator
from gatewise.tasks.translate.fitted import load_fitted as load_translator
from gatewise.training.config import load_config

OPTIONS = 'format = 1\ntask = "classify"\ncell = "gru"\nhidden_size = 7\nfeatures = ["a", "b"]\nema = 0.5\n'
VOCABULARY = '{"kind": "characters", "tokens": [" ", "a", "f", "i", "l", "m"]}'
TRIAL = {
    "model": "lstm",
    "size": 9,
    "seed": 0,
    "tuned": 0.1,
    "validation_accuracy": 0.5,
    "validation_loss": 0.7,
    "test_accuracy": None,
    "test_macro_f1": 0.5,
    "parameters": 7,
    "seconds": 1.5,
    "setup": "s",
}
MEASURED = (
    '{"setup": {"seed": 0}}\n'
    '{"place": 7, "words": 3, "label": "a", "probability": 0.5, "drops": {"push": '
    + json.dumps({name: 5 * [0.5] for name in ("removed", "alone", "removed_score", "alone_score")})
    + "}}\n"
)


def _answers(folder: Path) -> None:
    load_fitted(folder, device="cpu").probabilities(["a fine film"])


def _answers_series(folder: Path) -> None:
    load_fitted(folder, device="cpu").probabilities([torch.zeros(3, 2).double().numpy()])


def _writes(folder: Path) -> None:
    assert len("".join(load_language_model(folder, device="cpu").write("a f", 3))) <= 3


def _translates(folder: Path) -> None:
    load_translator(folder, device="cpu").translate(["a dull film"])[0].text.encode()


def _describes(folder: Path) -> None:
    load_captioner(folder, device="cpu").describe([picture()])[0].text.encode()


def _prompt(folder: Path, content: bytes) -> None:
    """As a terminal gives it."""
    list(_language_model().write(_argument(content), 3))


def _source(folder: Path, content: bytes) -> None:
    _translator().translate([_argument(content)])[0].text.encode()


@cache
def _language_model() -> FittedLanguageModel:
    return load_language_model(language_run(), device="cpu")


@cache
def _translator() -> FittedTranslator:
    return load_translator(translator_run(), device="cpu")


def _argument(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _trace(path: Path) -> None:
    layers = Trace.load(path).layers()
    summary(layers)
    for layer in layers:
        if layer.gates and layer.h.numel():
            ledger(layer, at=-1)


def _tokenizer(path: Path) -> None:
    Tokenizer.load(path).encode("a fine, fine film.")


def _bpe() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        Tokenizer.train(["a fine film", "a fine day"] * 3, "bpe", 262, 1).save(f"{folder}/t.json")
        return [Path(folder, "t.json").read_bytes()]


def _of_run(
    task: str, good: Callable[[], Path], vocabulary: str, read: Callable[[Path], object]
) -> dict[str, Reader]:
    """Each file of a run, broken."""
    names = ("config.toml", vocabulary, "metrics.json", "model.safetensors")
    return {f"run of {task}: {name}": of_file(good, name, read) for name in names}


RUNS: dict[str, Reader] = {
    "run: config.toml": of_file(text_run, "config.toml", _answers),
    "run: labels.json": of_file(text_run, "labels.json", _answers),
    "run: metrics.json": of_file(text_run, "metrics.json", _answers),
    "run: metrics.jsonl": of_file(text_run, "metrics.jsonl", _answers),
    "run: weights": of_file(text_run, "model.safetensors", _answers),
    "run of series: labels.json": of_file(series_run, "labels.json", _answers_series),
    **_of_run("generate", language_run, "vocabulary.json", _writes),
    **_of_run("translate", translator_run, "tokenizer.json", _translates),
    **_of_run("caption", caption_run, "tokenizer.json", _describes),
    "prompt": Reader(of("a fine film\n"), _prompt, BYTES),
    "source of a translator": Reader(of("a dull film", "das größte 1.5"), _source, BYTES),
    "vocabulary.json": Reader(
        of(VOCABULARY, '{"kind": "words", "tokens": ["<unk>", "<eos>", "a"]}', '{"kind": "bytes"}'),
        as_file("vocabulary.json", lambda path: load_vocabulary(path.parent).encode(b"a film")),
        JSON,
    ),
    "tokenizer of words": Reader(bytes_of(text_run, "tokenizer.json"), as_file("t.json", _tokenizer), JSON),
    "tokenizer of byte pairs": Reader(_bpe, as_file("t.json", _tokenizer), JSON),
    "options.toml": Reader(
        of(OPTIONS), as_file("o.toml", lambda path: load_config(ClassifyConfig, path)), TOML
    ),
    "trace": Reader(bytes_of(trace_file), as_file("t.safetensors", _trace), TENSORS),
    "inputs of inspect": Reader(
        bytes_of(series_run, "model.safetensors"),
        as_file("i.safetensors", lambda path: read_safetensors(path, CONVERT_INPUTS)),
        TENSORS,
    ),
    "trials.jsonl": Reader(
        of(json.dumps(TRIAL) + "\n"), as_file("l.jsonl", lambda path: TrialLog(path, "s")), JSON
    ),
    "texts of a study of faithfulness": Reader(
        of(MEASURED), as_file("t.jsonl", lambda path: FaithfulnessLog(path, {"seed": 0})), JSON
    ),
}
