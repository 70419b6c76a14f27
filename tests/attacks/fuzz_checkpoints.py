"""Fuzzed: the files of a checkpoint, read and gone on from."""

from pathlib import Path

from attack_files import begun, checkpoint, training
from fuzz_contents import JSON, TENSORS
from fuzz_reader import Reader, bytes_of, inside

from gatewise.training.checkpoint import load_checkpoint
from gatewise.training.resume import Keeper


def _resumed(whole: Path) -> None:
    """Go on from a checkpoint with right hashes, whatever is in it, to the training's end."""
    run = training()
    assert Keeper(run, whole.parent.parent, {}, "").restore()
    run.train()


CHECKPOINTS: dict[str, Reader] = {
    "checkpoint: manifest": Reader(
        bytes_of(checkpoint, "manifest.json"), inside(checkpoint, "manifest.json", load_checkpoint), JSON
    ),
    "checkpoint: state": Reader(
        bytes_of(checkpoint, "state.json"), inside(checkpoint, "state.json", load_checkpoint, True), JSON
    ),
    "checkpoint: tensors": Reader(
        bytes_of(checkpoint, "model.safetensors"),
        inside(checkpoint, "model.safetensors", load_checkpoint, True),
        TENSORS,
    ),
    "resumed: state": Reader(
        bytes_of(begun, "state.json"), inside(begun, "state.json", _resumed, True), JSON
    ),
    "resumed: optimizer": Reader(
        bytes_of(begun, "optimizer.safetensors"),
        inside(begun, "optimizer.safetensors", _resumed, True),
        TENSORS,
    ),
    "resumed: carried": Reader(
        bytes_of(begun, "carried.safetensors"),
        inside(begun, "carried.safetensors", _resumed, True),
        TENSORS,
    ),
    "resumed: random numbers": Reader(
        bytes_of(begun, "random.safetensors"), inside(begun, "random.safetensors", _resumed, True), TENSORS
    ),
}
