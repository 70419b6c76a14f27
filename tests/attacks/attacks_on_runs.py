"""Run folders from a stranger: configuration, weights, labels, figures."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from attack import Attack
from attack_files import (
    as_file,
    copy_of,
    entry,
    in_json,
    in_tensors,
    in_text,
    linked,
    series_run,
    sparse,
    tensor_bytes,
    text_run,
)

from gatewise.errors import RunError, UsageError
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.faithfulness import FaithfulnessLog
from gatewise.tasks.classify.fitted import load_fitted
from gatewise.tasks.classify.trial_log import TrialLog
from gatewise.training.config import load_config

CONFIG, WEIGHTS = "config.toml", "model.safetensors"


def _run(name: str, change: Callable[[Path], object], says: str, what: str, naive: str) -> Attack:
    return Attack(name, what, naive, copy_of(text_run, change), load_fitted, RunError, says)


def _series(name: str, scaling: dict[str, object], says: str, what: str, naive: str) -> Attack:
    make = copy_of(series_run, in_json("labels.json", scaling=scaling))
    return Attack(name, what, naive, make, load_fitted, RunError, says)


def _config(name: str, content: str, says: str, what: str, naive: str) -> Attack:
    def use(path: Path) -> object:
        return load_config(ClassifyConfig, path)

    return Attack(name, what, naive, as_file("my.toml", content), use, RunError, says)


def _weights(name: str, content: bytes, says: str, what: str, naive: str) -> Attack:
    return _run(name, as_file(WEIGHTS, content), says, what, naive)


def _explain(path: Path) -> None:
    page = explain(load_fitted(path), "a fine film").to_html()
    assert "no readable figures" in page


def _spoil(tensors: dict[str, torch.Tensor]) -> None:
    tensors["output.bias"][0] = torch.inf


def _retyped(dtype: torch.dtype) -> Callable[[Path], object]:
    return in_tensors(
        WEIGHTS, lambda t: t.update({"output.bias": torch.ones(2, dtype=torch.uint8).view(dtype)})
    )


def _without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


LARGEST = [
    ("hidden_size = 5", "hidden_size = 8192"),
    ("num_layers = 1", "num_layers = 16"),
    ("bidirectional = false", "bidirectional = true"),
]
ONE = {"output.bias": entry("F32", [2], 0, 8)}
DEEP = "[" * 100_000
NUMBER = "9" * 5000

ON_RUNS = [
    # The header of the weights
    _weights(
        "weights whose header claims 2^60 bytes",
        tensor_bytes(b"{}", claimed=1 << 60),
        "claims 1,152,921,504",
        "The first 8 bytes of a safetensors file are the header's length.",
        "Asks for an exabyte of memory.",
    ),
    _run(
        "weights with a header of 100 MB",
        sparse(WEIGHTS, 200_000_000, tensor_bytes(b"", claimed=99_000_000)),
        "at most are read",
        "As long a header as the library allows.",
        "Parses it, with some GB of memory.",
    ),
    _weights(
        "weights that overlap",
        tensor_bytes({**ONE, "b": entry("F32", [2], 4, 12)}, b"\0" * 12),
        "not a readable safetensors",
        "Two tensors share bytes.",
        "One changes when the other is trained.",
    ),
    _weights(
        "weights out of range",
        tensor_bytes({"a": entry("F32", [1 << 20], 0, 1 << 22)}, b"\0" * 8),
        "not a readable safetensors",
        "Offsets that lie behind the file's end.",
        "Reads foreign memory.",
    ),
    _weights(
        "weights that end before they begin",
        tensor_bytes({"a": entry("F32", [2], 8, 0)}, b"\0" * 8),
        "not a readable safetensors",
        "Offsets in the wrong order.",
        "A negative size becomes a huge one.",
    ),
    _weights(
        "weights with a negative shape",
        tensor_bytes({"a": entry("F32", [-1], 0, 4)}, b"\0" * 4),
        "not a readable safetensors",
        "A shape below zero.",
        "Takes it for “whatever is there”.",
    ),
    _weights(
        "weights with a shape of NaN",
        tensor_bytes(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}'),
        "not a readable safetensors",
        "A size that is no number.",
        "Compares with NaN, and finds nothing wrong.",
    ),
    _weights(
        "weights whose shape overflows",
        tensor_bytes({"a": entry("F32", [1 << 32, 1 << 32], 0, 0)}),
        "not a readable safetensors",
        "A product of sizes that is 0 in 64 bits.",
        "Makes a view of all memory.",
    ),
    _weights(
        "weights with a size beyond 63 bits",
        tensor_bytes({"a": entry("F32", [0, 2**64 - 1], 0, 0)}),
        "not a readable safetensors",
        "No numbers, in a shape that no torch can hold.",
        "A TypeError of torch.",
    ),
    _weights(
        "weights in a deeply nested header",
        tensor_bytes(b'{"a":' + DEEP.encode()),
        "not a readable safetensors",
        "A hundred thousand brackets.",
        "Overflows the stack.",
    ),
    _weights(
        "weights with one name twice",
        tensor_bytes(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
            b'"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
            b"\0" * 8,
        ),
        "not a readable safetensors",
        "Two tensors of one name.",
        "A check reads one of them, the model the other.",
    ),
    _run(
        "weights that are a pickle",
        lambda folder: torch.save({}, folder / WEIGHTS),
        "not a readable safetensors",
        "torch.save's format, in which code can lie.",
        "Unpickles it.",
    ),
    _run(
        "weights of eight-bit floats",
        _retyped(torch.float8_e4m3fn),
        "the configuration needs float32",
        "Numbers of a kind for which torch has no arithmetic.",
        "NotImplementedError when they are looked at.",
    ),
    _run(
        "weights that are not finite",
        in_tensors(WEIGHTS, _spoil),
        "not finite",
        "An infinity.",
        "Every answer is NaN.",
    ),
    _run(
        "weights of another model",
        in_tensors(WEIGHTS, lambda t: t.update(extra=t.pop("output.bias"))),
        "'extra' is not part of this model",
        "Another name.",
        "Fills what fits, and leaves the rest at random.",
    ),
    _run(
        "weights without their pairs",
        in_tensors(WEIGHTS, lambda t: t.pop("embedding.pairs")),
        "'embedding.pairs' is missing",
        "A table that is missing.",
        "KeyError.",
    ),
    _run(
        "weights with pairs of floats",
        in_tensors(WEIGHTS, lambda t: t.update({"embedding.pairs": torch.ones(1)})),
        "no list of keys",
        "Keys that are no whole numbers.",
        "Finds no pair, without a word.",
    ),
    _run(
        "weights of 3 GB of nothing",
        sparse(
            WEIGHTS,
            3 << 30,
            tensor_bytes({"output.bias": entry("F32", [(3 << 30) // 4 - 100], 0, (3 << 30) - 400)}),
        ),
        "not",
        "A file that takes no room on the disk, and 3 GB in memory.",
        "Reads the numbers before the shapes.",
    ),
    _run(
        "weights on an endless device",
        linked(WEIGHTS, "/dev/zero"),
        "is missing",
        "A link to /dev/zero.",
        "Reads for ever.",
    ),
    # The configuration
    _run(
        "config of 100 GB of weights",
        lambda folder: [in_text(CONFIG, old, new)(folder) for old, new in LARGEST],
        "model.safetensors",
        "Every size at its highest, beside weights of 3 kB.",
        "Makes the model, and only then compares.",
    ),
    _run(
        "config of a hundred thousand layers",
        in_text(CONFIG, 'cell = "lstm"', f'cell = "{"lstm+" * 100_000}lstm"'),
        "at most",
        "A stack named layer by layer.",
        "Makes them all.",
    ),
    _run(
        "config of terabytes",
        in_text(CONFIG, "hidden_size = 5", "hidden_size = 99999999999999"),
        "must be in",
        "A size out of any range.",
        "MemoryError, or a machine that swaps.",
    ),
    _run(
        "config of another size",
        in_text(CONFIG, "hidden_size = 5", "hidden_size = 6"),
        "the configuration needs",
        "Weights and sizes that do not fit.",
        "A RuntimeError of torch over ten lines.",
    ),
    _run(
        "config of a newer format",
        in_text(CONFIG, "format = 1", "format = 9"),
        "newer version",
        "A format that nobody knows yet.",
        "Reads what it knows of it.",
    ),
    _run(
        "config of a format without end",
        in_text(CONFIG, "format = 1", "format = inf"),
        "must be a whole number",
        "No whole number.",
        "int(inf) is an OverflowError.",
    ),
    _run(
        "config of another task",
        in_text(CONFIG, '"classify"', '"speak"'),
        "the task is 'speak'",
        "A run of another recipe.",
        "Guesses.",
    ),
    _run(
        "config with an unknown option",
        in_text(CONFIG, "clip", "clap"),
        "unknown option 'clap'",
        "An option that does not exist.",
        "Leaves it out silently.",
    ),
    _config(
        "config nested deeply",
        f"data = {DEEP}",
        "nested too deeply",
        "A hundred thousand brackets.",
        "RecursionError.",
    ),
    _config(
        "config with a dotted key of 100,000 parts",
        f"{'a.' * 100_000}a = 1",
        "dots",
        "A table in a table in a table.",
        "The parser takes the square of the parts: hours.",
    ),
    _config(
        "config with dots behind quotes",
        'data = ["""\n""", {' + "a." * 100_000 + 'a = "z"}]',
        "several lines",
        "The same, where a search for it takes it for a quoted text.",
        "Looks for the dots with a regex.",
    ),
    _config(
        "config with a number of 5,000 digits",
        f"seed = {NUMBER}",
        "not a TOML file",
        "More digits than Python converts.",
        "ValueError.",
    ),
    _config(
        "config with a date that is none",
        "data = 2024-02-31T25:61:61",
        "not a TOML file",
        "A day in no calendar.",
        "ValueError of datetime.",
    ),
    Attack(
        "config with nested tables as an option",
        "A table, two thousand deep, where a text belongs.",
        "Shows it in the error, with a RecursionError of repr.",
        as_file("my.toml", "".join(f"[data.{'.'.join('a' * k)}]\n" for k in range(1, 15))),
        lambda path: load_config(ClassifyConfig, path),
        UsageError,
        "must be a text",
    ),
    Attack(
        "config of 10 GB",
        "A sparse file.",
        "Reads it whole.",
        sparse("my.toml", 10 << 30),
        lambda path: load_config(ClassifyConfig, path),
        RunError,
        "at most belong there",
    ),
    Attack(
        "config on an endless device",
        "--config /dev/zero.",
        "Reads for ever.",
        linked("my.toml", "/dev/zero"),
        lambda path: load_config(ClassifyConfig, path),
        RunError,
        "not a regular file",
    ),
    # Labels, figures, log
    _run(
        "labels: one",
        in_json("labels.json", labels=["pos"]),
        "two or more different names",
        "Too few.",
        "An output without a name.",
    ),
    _run(
        "labels: twice the same",
        in_json("labels.json", labels=["1", 1]),
        "two or more different names",
        "Two labels that look the same.",
        "Nobody can tell the answers apart.",
    ),
    _run(
        "labels: an object",
        in_json("labels.json", labels={"a": 1}),
        "two or more different names",
        "No list.",
        "Goes through its keys.",
    ),
    _run(
        "labels: more than outputs",
        in_json("labels.json", labels=["a", "b", "c"]),
        "the configuration needs",
        "Three names for two outputs.",
        "Names the wrong ones.",
    ),
    _run(
        "labels with half of a surrogate pair",
        as_file("labels.json", '{"inputs": "texts", "labels": ["a", "\\ud800"]}'),
        "surrogate pair",
        "JSON can spell what no file can hold.",
        "UnicodeEncodeError when an answer is written.",
    ),
    _run(
        "labels nested deeply",
        as_file("labels.json", DEEP),
        "nested too deeply",
        "A hundred thousand brackets.",
        "RecursionError.",
    ),
    _run(
        "labels of 10 GB",
        sparse("labels.json", 10 << 30),
        "at most belong there",
        "A sparse file.",
        "Reads it whole.",
    ),
    _run(
        "labels behind a loop of links",
        linked("labels.json", "labels.json"),
        "is missing",
        "A link to itself.",
        "OSError: too many levels.",
    ),
    _run(
        "inputs of an unknown kind",
        in_json("labels.json", inputs="sounds"),
        "inputs must be texts, or series",
        "A kind of a later version.",
        "KeyError.",
    ),
    _run(
        "series without a scaling",
        in_json("labels.json", inputs="series"),
        "inputs must be",
        "A part is missing.",
        "TypeError.",
    ),
    _series(
        "scaling of another length",
        {"mean": [0], "std": [1]},
        "2 features, and a scaling of 1",
        "One mean for two features.",
        "Broadcasts it.",
    ),
    _series(
        "scaling with a number of 400 digits",
        {"mean": [10**400, 0], "std": [1, 1]},
        "no readable mean",
        "A whole number beyond float64.",
        "OverflowError.",
    ),
    _series(
        "scaling by zero",
        {"mean": [0, 0], "std": [0, 1]},
        "positive std",
        "A division by zero.",
        "inf and NaN.",
    ),
    _run(
        "temperature zero",
        in_json("metrics.json", temperature=0.0),
        "must be a positive number",
        "A division by zero.",
        "NaN probabilities.",
    ),
    _run(
        "temperature as text",
        in_json("metrics.json", temperature="hot"),
        "must be a positive number",
        "No number.",
        "TypeError.",
    ),
    _run(
        "temperature without end",
        as_file("metrics.json", '{"temperature": 1e999}'),
        "must be a positive number",
        "JSON's 1e999 is infinity.",
        "All labels are equally likely.",
    ),
    _run(
        "log that is no log",
        as_file("metrics.jsonl", "[]"),
        "no JSON object",
        "A list where an epoch belongs.",
        "TypeError when the curves are drawn.",
    ),
    _run(
        "log that is cut short",
        as_file("metrics.jsonl", '{"epoch": 1}\n{"epo'),
        "line 2: not JSON",
        "Half a line.",
        "JSONDecodeError.",
    ),
    _run(
        "tokenizer that is none",
        as_file("tokenizer.json", "{}"),
        "not a tokenizer",
        "Another JSON file.",
        "KeyError.",
    ),
    Attack(
        "figures of any shape",
        "Texts, lists and numbers where the page expects tables.",
        "TypeError in a template.",
        copy_of(
            text_run, in_json("metrics.json", validation=["x"], data=7, half_lives="long", baselines=[[]])
        ),
        _explain,
        None,
    ),
    Attack(
        "run that is a file",
        "No folder.",
        "NotADirectoryError.",
        as_file("run", "x"),
        load_fitted,
        RunError,
        "no such run folder",
    ),
    Attack(
        "run with a name of 5,000 characters",
        "Longer than any name can be.",
        "OSError.",
        lambda folder: folder / ("x" * 5000),
        load_fitted,
        RunError,
        "cannot be read",
    ),
    *[
        _run(
            f"run without {name}",
            _without(name),
            f"{name} is missing",
            "A file that is not there.",
            "FileNotFoundError.",
        )
        for name in (
            "config.toml",
            "model.safetensors",
            "tokenizer.json",
            "labels.json",
            "metrics.json",
            "metrics.jsonl",
        )
    ],
    # The log of a comparison
    Attack(
        "trials that are not UTF-8",
        "Bytes.",
        "UnicodeDecodeError.",
        as_file("trials.jsonl", b"\xff\xfe\n"),
        lambda path: TrialLog(path, "s"),
        UsageError,
        "not UTF-8",
    ),
    Attack(
        "trials nested deeply",
        "A hundred thousand brackets.",
        "RecursionError.",
        as_file("trials.jsonl", DEEP + "\n"),
        lambda path: TrialLog(path, "s"),
        UsageError,
        "not a trial",
    ),
    Attack(
        "trials with texts for numbers",
        "A figure that is a text.",
        "TypeError in the table.",
        as_file(
            "trials.jsonl",
            '{"setup": "s", "model": "lstm", "size": "big", "seed": 0, "tuned": 0, '
            '"validation_accuracy": "x", "validation_loss": 0, "test_accuracy": null, "test_macro_f1": null, '
            '"parameters": 1, "seconds": 1}\n',
        ),
        lambda path: TrialLog(path, "s"),
        UsageError,
        "not a trial",
    ),
    Attack(
        "trials on a pipe",
        "A FIFO that nobody writes to.",
        "Waits for ever.",
        lambda folder: (os.mkfifo(folder / "trials.jsonl"), folder / "trials.jsonl")[1],
        lambda path: TrialLog(path, "s"),
        UsageError,
        "not a regular file",
    ),
    # The log of a study of faithfulness
    Attack(
        "a study nested deeply",
        "A hundred thousand brackets.",
        "RecursionError.",
        as_file("texts.jsonl", DEEP + "\n"),
        lambda path: FaithfulnessLog(path, {}),
        UsageError,
        "neither the setup nor a text",
    ),
    Attack(
        "a study with a number that is no float",
        "A number of words with 400 digits.",
        "OverflowError in the table.",
        as_file(
            "texts.jsonl",
            '{"setup": {}}\n{"place": 0, "words": 1'
            + 400 * "0"
            + ', "label": "a", "probability": 0.5, "drops": {}}\n',
        ),
        lambda path: FaithfulnessLog(path, {}),
        UsageError,
        "line 2: neither the setup nor a text",
    ),
    Attack(
        "a study on a pipe",
        "A FIFO that nobody writes to.",
        "Waits for ever.",
        lambda folder: (os.mkfifo(folder / "texts.jsonl"), folder / "texts.jsonl")[1],
        lambda path: FaithfulnessLog(path, {}),
        UsageError,
        "not a regular file",
    ),
]
