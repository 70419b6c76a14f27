"""Fuzzed: the files of a checkpoint, read and gone on from."""

from pathlib import Path

from attack_files import begun, checkpoint, training
from fuzz_reader import Reader, of_file

from gatewise.training.checkpoint import load_checkpoint
from gatewise.training.resume import Keeper


def _resumed(whole: Path) -> None:
    """Go on from a checkpoint with right hashes, whatever is in it, to the training's end."""
    run = training()
    assert Keeper(run, whole.parent.parent, {}, "").restore()
    run.train()


CHECKPOINTS: dict[str, Reader] = {
    "checkpoint: manifest": of_file(checkpoint, "manifest.json", load_checkpoint),
    "checkpoint: state": of_file(checkpoint, "state.json", load_checkpoint, seal=True),
    "checkpoint: tensors": of_file(checkpoint, "model.safetensors", load_checkpoint, seal=True),
    "resumed: state": of_file(begun, "state.json", _resumed, seal=True),
    "resumed: optimizer": of_file(begun, "optimizer.safetensors", _resumed, seal=True),
    "resumed: carried": of_file(begun, "carried.safetensors", _resumed, seal=True),
    "resumed: random numbers": of_file(begun, "random.safetensors", _resumed, seal=True),
}
