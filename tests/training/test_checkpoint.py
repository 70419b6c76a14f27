"""Checkpoints: what is saved comes back bit for bit, and the committed one of each format is read for ever."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

import gatewise.training.checkpoint as checkpoints
from gatewise.errors import RunError, UsageError
from gatewise.training.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
    unpack_optimizer,
)

FIXTURE = Path(__file__).parent / "fixtures" / "checkpoint-format-1" / "step-00000007"

TENSORS = {
    "bf16": torch.tensor([1.0, -0.0, 3e38, math.inf], dtype=torch.bfloat16),
    "f16": torch.tensor([65504.0, 6e-8], dtype=torch.float16),
    "f32": torch.tensor([[1e-45, math.nan, -math.inf]]),
    "f64": torch.tensor([0.1, 5e-324, -1e308], dtype=torch.float64),
    "complex": torch.tensor([1 + 2j], dtype=torch.complex64),
    "int64": torch.tensor([2**63 - 1, -(2**63)]),
    "int32": torch.tensor([-(2**31)], dtype=torch.int32),
    "int8": torch.tensor([-128, 127], dtype=torch.int8),
    "bool": torch.tensor([True, False, True]),
    "uint8": torch.get_rng_state(),
    "empty": torch.zeros(0, 3),
    "no elements, no rows": torch.zeros(3, 0, dtype=torch.int64),
    "one number": torch.tensor(2.5),
    "strided": torch.arange(12.0).reshape(3, 4).t(),
    "needs a gradient": torch.ones(2, requires_grad=True),
    'naïve/name.with\n"all" ✓': torch.ones(1),
    "": torch.zeros(1),
}


def same_bits(left, right):
    assert left.dtype == right.dtype and left.shape == right.shape
    raw = [t.detach().contiguous().reshape(-1).view(torch.uint8).tolist() for t in (left, right)]
    assert raw[0] == raw[1]


def test_tensors_of_every_dtype_come_back_bit_for_bit(tmp_path):
    read = load_checkpoint(save_checkpoint(tmp_path, 1, Checkpoint({"model": TENSORS, "random": {}}, {})))
    assert read.tensors.keys() == {"model", "random"} and read.tensors["random"] == {}
    assert read.tensors["model"].keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        same_bits(read.tensors["model"][name], tensor)


def test_tensors_that_share_memory_come_back_apart(tmp_path):
    whole = torch.arange(6.0)
    shared = {"whole": whole, "tied": whole, "head": whole[:2], "tail": whole[4:], "rows": whole.view(2, 3)}
    read = load_checkpoint(save_checkpoint(tmp_path, 1, Checkpoint({"model": shared}, {}))).tensors["model"]
    assert read["tail"].tolist() == [4.0, 5.0] and read["rows"].tolist() == [[0, 1, 2], [3, 4, 5]]
    read["whole"].zero_()
    assert read["tied"].tolist() == [0, 1, 2, 3, 4, 5] and read["head"].tolist() == [0, 1]


def test_a_read_checkpoint_does_not_look_at_its_files_again(tmp_path):
    path = save_checkpoint(tmp_path, 1, Checkpoint({"model": {"w": torch.ones(1000)}}, {}))
    read = load_checkpoint(path).tensors["model"]["w"]
    file = path / "model.safetensors"
    with file.open("r+b") as stream:  # in place: what a map of the file would show
        stream.write(bytes(file.stat().st_size))
    assert read.tolist() == [1.0] * 1000


@pytest.mark.parametrize(
    "value",
    [0.1, 5e-324, -0.0, 1.7976931348623157e308, 2**200, -1, True, None, "naïve \ud800 ✓\n", [], {}, [[{}]], {"": 1}],
    ids=range(13),
)  # fmt: skip
def test_the_state_comes_back_exactly(tmp_path, value):
    read = load_checkpoint(save_checkpoint(tmp_path, 1, Checkpoint({}, {"key": value}))).state["key"]
    assert read == value and type(read) is type(value)
    assert not isinstance(value, float) or math.copysign(1, read) == math.copysign(1, value)


def test_the_configuration_comes_back_as_it_is(tmp_path):
    text = 'a = "ü"\r\n# comment\n'
    assert load_checkpoint(save_checkpoint(tmp_path, 1, Checkpoint({}, {}, text))).config == text


@pytest.mark.parametrize(
    ("tensors", "state", "config", "said"),
    [
        ({}, {"a": math.nan}, "", "not JSON"),
        ({}, {"a": [math.inf]}, "", "not JSON"),
        ({}, {"a": torch.ones(1)}, "", "not JSON"),
        ({}, {"a": (1, 2)}, "", "come back changed"),
        ({}, {1: 2}, "", "come back changed"),
        ({}, [1], "", "not an object"),
        ({}, {"a": 10**5000}, "", "not JSON"),
        ({}, {"a": "x" * (1 << 24)}, "", r"state.json has 16,777,2\d\d bytes; at most 16,777,216 fit"),
        ({}, {}, "x" * (1 << 21), "config.toml has 2,097,152 bytes; at most 1,048,576 fit"),
        ({"../model": {}}, {}, "", "named '../model'"),
        ({"Model": {}}, {}, "", "lower-case"),
        ({"model": {"__metadata__": torch.ones(1)}}, {}, "", "model/__metadata__"),
        ({"model": {"a": torch.ones(1, dtype=torch.complex128)}}, {}, "", "complex128"),
    ],
    ids=range(13),
)  # fmt: skip
def test_what_would_not_come_back_is_refused_and_nothing_is_written(tmp_path, tensors, state, config, said):
    with pytest.raises(UsageError, match=said):
        save_checkpoint(tmp_path / "c", 1, Checkpoint(tensors, state, config))
    assert not (tmp_path / "c").exists() or list((tmp_path / "c").iterdir()) == []


def test_a_state_that_is_nested_too_deeply_is_refused(tmp_path):
    state: dict = {}
    for _ in range(100_000):
        state = {"a": state}
    with pytest.raises(UsageError, match="not JSON"):
        save_checkpoint(tmp_path, 1, Checkpoint({}, state))
    while state:  # taken down level by level: the interpreter would do it in one recursion
        state = state["a"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_older_ones_are_pruned_and_the_latest_is_found(tmp_path):
    folder = tmp_path / "run" / "checkpoints"
    assert latest_checkpoint(folder) is None
    for step in (3, 10, 99_999_999, 100_000_000):
        saved = save_checkpoint(folder, step, Checkpoint({}, {"step": step}), keep=2)
        assert latest_checkpoint(folder) == saved
    assert names(folder) == ["step-100000000", "step-99999999"]
    save_checkpoint(folder, 100_000_001, Checkpoint({}, {}))
    assert names(folder) == ["step-100000001"]


def test_a_checkpoint_without_a_manifest_is_not_the_latest(tmp_path):
    first = save_checkpoint(tmp_path, 1, Checkpoint({}, {}), keep=5)
    (save_checkpoint(tmp_path, 2, Checkpoint({}, {}), keep=5) / "manifest.json").unlink()
    (tmp_path / "step-00000003").mkdir()
    (tmp_path / "step-4").mkdir()
    (tmp_path / ".step-00000005.partial-0123456789ab").mkdir()
    assert latest_checkpoint(tmp_path) == first


def test_the_same_step_again_replaces_it(tmp_path):
    for keep in (1, 2):
        for turn in range(3):
            path = save_checkpoint(tmp_path, 8, Checkpoint({}, {"turn": turn}), keep=keep)
            assert names(tmp_path) == ["step-00000008"] and load_checkpoint(path).state == {"turn": turn}


def test_a_later_step_of_another_training_is_refused(tmp_path):
    save_checkpoint(tmp_path, 50, Checkpoint({}, {}))
    with pytest.raises(RunError, match="holds step-00000050, later than step 49"):
        save_checkpoint(tmp_path, 49, Checkpoint({}, {}))
    assert names(tmp_path) == ["step-00000050"]


def test_senseless_numbers_are_refused(tmp_path):
    with pytest.raises(UsageError, match="step is -1 and keep is 1"):
        save_checkpoint(tmp_path, -1, Checkpoint({}, {}))
    with pytest.raises(UsageError, match="step is 1 and keep is 0"):
        save_checkpoint(tmp_path, 1, Checkpoint({}, {}), keep=0)


def test_the_manifest_is_what_the_specification_says(tmp_path):
    """By the standard library: sizes by `stat`, hashes by the `sha256sum` of hashlib over whole files."""
    import hashlib

    path = save_checkpoint(tmp_path, 1, Checkpoint({"model": {"w": torch.ones(3)}}, {"a": 1}, "x = 1\n"))
    manifest = json.loads((path / "manifest.json").read_bytes())
    assert manifest["format"] == 1 and manifest["version"] == checkpoints.gatewise.__version__
    assert manifest["files"].keys() == {"config.toml", "model.safetensors", "state.json"}
    assert names(path) == sorted([*manifest["files"], "manifest.json"])
    for name, entry in manifest["files"].items():
        content = (path / name).read_bytes()
        assert entry == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


# Format 1, for ever. The expected values are those that the fixture's own script, which knows no Gatewise, spells out.


def test_the_checkpoint_of_format_1_is_read():
    read = load_checkpoint(FIXTURE)
    assert read.config == 'format = 1\ntask = "classify"\nseed = 3\n'
    state = {name: read.state[name] for name in ("step", "loss", "tiny", "large", "text", "nothing", "list")}
    assert state == {
        "step": 7, "loss": 0.1, "tiny": 5e-324, "large": 1180591620717411303424, "text": "naïve ✓", "nothing": None,
        "list": [True, False, 0.0, []],
    }  # fmt: skip
    assert math.copysign(1, state["list"][2]) == -1
    expected = {
        "model": {
            "weight": torch.tensor([[0.5, -1.0, 2.0], [0.25, 1e-45, -0.0]]),
            "bias": torch.tensor([0.1, -1e300], dtype=torch.float64),
            "half": torch.tensor([1.0, -2.0], dtype=torch.bfloat16),
            "empty": torch.zeros(0, 3),
        },
        "optimizer": {
            "state.0.step": torch.tensor(7.0),
            "state.0.exp_avg": torch.tensor([[1.0, 2, 3], [4, 5, 6]]),
            "state.0.exp_avg_sq": torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]),
        },
        "random": {"cpu": torch.tensor([0, 1, 127, 128, 255], dtype=torch.uint8)},
        "carried": {"steps": torch.tensor([2**62, -1]), "done": torch.tensor([True, False, True])},
    }
    assert {group: set(tensors) for group, tensors in read.tensors.items()} == {
        group: set(tensors) for group, tensors in expected.items()
    }
    for group, tensors in expected.items():
        for name, tensor in tensors.items():
            same_bits(read.tensors[group][name], tensor)


def test_the_optimizer_of_format_1_goes_on():
    """One step of AdamW from the fixture's state, beside its formula (Loshchilov and Hutter 2019, algorithm 2)."""
    read = load_checkpoint(FIXTURE)
    start = read.tensors["model"]["weight"]
    parameter = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([parameter], lr=1.0, betas=(0.5, 0.5), weight_decay=0.5, fused=True)
    unpack_optimizer(optimizer, read.tensors["optimizer"], read.state["optimizer"])
    parameter.grad = torch.full((2, 3), 0.5)
    optimizer.step()
    old = start.double()
    m = 0.9 * torch.tensor([[1.0, 2, 3], [4, 5, 6]]).double() + 0.1 * 0.5
    v = 0.98 * torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]).double() + 0.02 * 0.25
    step = (m / (1 - 0.9**8)) / ((v / (1 - 0.98**8)).sqrt() + 1e-8)
    torch.testing.assert_close(
        parameter.double(), old * (1 - 0.003 * 0.01) - 0.003 * step, rtol=1e-6, atol=1e-8
    )


def test_the_fixture_is_what_its_script_writes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FIXTURE.parent))
    import make  # pyright: ignore[reportMissingImports]

    try:
        make.main(tmp_path / "again")
    finally:
        del sys.modules["make"]
    assert names(tmp_path / "again") == names(FIXTURE)
    for file in FIXTURE.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()
