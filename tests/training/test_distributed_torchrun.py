"""Several processes under torchrun: the same optimisation as one, each example once, and going on after a kill."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from distributed_worker import SAMPLES, Ragged, single_examples, trained

from gatewise.cli import app
from gatewise.synthetic.clips import draw_clips, write_clips
from gatewise.training.distributed import Processes
from gatewise.training.run import read_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix" or not torch.distributed.is_available(), reason="torchrun"),
    pytest.mark.xdist_group("torchrun"),
]
WORKER = Path(__file__).with_name("distributed_worker.py")
LIMIT = 150
"""Seconds after which a launch is killed with all that it started."""


class Launch:
    """A call of torchrun in a process group of its own."""

    def __init__(self, *arguments: str | Path):
        environment = {
            name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")
        }
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(WORKER.parent)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--monitor-interval=0.05", *map(str, arguments)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def done(self) -> str:
        """What it printed; fails when it failed or hung."""
        try:
            printed, _ = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"torchrun hung for {LIMIT} s") from None
        finally:
            self.kill()
        assert self.process.returncode == 0, printed[-4000:]
        return printed

    def kill(self) -> None:
        """End everything that it started, also what it has left behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def results(folder, job, world=2):
    return [json.loads((folder / f"{job}.{rank}.json").read_text()) for rank in range(world)]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Results of both processes of one launch, which does all that needs no second one."""
    folder = tmp_path_factory.mktemp("torchrun")
    Launch("--standalone", "--nproc-per-node=2", WORKER, "everything", folder).done()
    return results(folder, "everything")


@pytest.fixture(scope="module")
def one():
    """The same trainings in this process, without processes."""
    torch.set_num_threads(1)
    return {"plain": trained(Processes(), None), "accumulated": trained(Processes(), None, accumulate=2)}


def furthest(left, right):
    """Largest |left - right| / max |right|."""
    a, b = (torch.tensor(value, dtype=torch.float64) for value in (left, right))
    assert a.shape == b.shape
    return ((a - b).abs().max() / b.abs().max()).item() if b.numel() else 0.0


@pytest.mark.parametrize(("name", "steps"), [("plain", 60), ("accumulated", 32)])
def test_two_processes_are_one(two, one, name, steps):
    """Ragged data in float64, class weights, clipping, batches of 7 and 3: losses and weights to 1e-12."""
    for found in two:
        losses, weights = found[name]
        assert len(losses) == steps
        assert furthest(losses, one[name][0]) <= 1e-12
        for key, value in one[name][1].items():
            assert furthest(weights[key], value) <= 1e-12, key


def test_it_learns_and_the_processes_end_with_the_same_bits(two):
    assert two[0]["plain"] == two[1]["plain"] and two[0]["dropout"] == two[1]["dropout"]
    losses = two[0]["plain"][0]
    assert sum(losses[-15:]) < 0.95 * sum(losses[:15])


def test_dropout_differs_from_process_to_process_and_changes_the_training(two):
    assert furthest(two[0]["dropout"][0], two[0]["plain"][0]) > 1e-3


def test_each_of_101_examples_is_evaluated_once(two):
    counted = Counter(two[0]["evaluated"]["own"]) + Counter(two[1]["evaluated"]["own"])
    assert counted == Counter(range(SAMPLES)) and SAMPLES == 101
    for found in two:
        assert found["evaluated"]["count"] == 101
        assert found["evaluated"]["whole"] == [[i, i / 2] for i in range(101)]


def test_a_process_with_nothing_to_do_neither_hangs_nor_counts(two):
    """Batches of one and two examples on two processes, beside one process."""
    assert two[0]["single"]["seen"] == [5, 8, 7] * 2 and two[1]["single"]["seen"] == [9] * 2
    alone = single_examples(Processes())
    assert alone["seen"] == [5, 8, 9, 7] * 2
    for found in two:
        for key, value in alone["weights"].items():
            assert furthest(found["single"]["weights"][key], value) <= 1e-12


def test_what_processes_tell_each_other(two):
    for rank, found in enumerate(two):
        told = found["told"]
        assert told["number"] == 0.1 + 0.2
        assert told["whole numbers"] == [2**53, 1] and told["named"] == {"a": 3.0, "b": 1}
        total = torch.tensor([0.2, 1.0]).double() + torch.tensor([0.1, 1e16]).double()
        assert told["tensor"] == total.float().tolist() and told["tensor dtype"] == "torch.float32"
        assert told["rows"] == [{"rank": 1, "text": "ü" * 1000}] and told["none"] == []
        assert told["tensors"] == [
            ["torch.float32", [[0.0, 0.0]]],
            ["torch.int64", 7],
            ["torch.float32", [[1.0, 1.0], [1.0, 1.0]]],
            ["torch.int64", 7],
        ]
        assert told["first"] == ["decided by", 0]
        assert told["is first"] == (rank == 0)
        assert found["backend"] == "gloo" and found["world"] == 2 and found["local rank"] == rank


def test_a_process_group_that_was_made_is_ended_and_one_that_exists_is_left(two):
    for rank, found in enumerate(two):
        assert found["left"] is True
        assert found["joined"]["still there"] is True
        assert (found["joined"]["world"], found["joined"]["rank"]) == (2, rank)
        assert found["joined"]["plain"] == found["plain"]


def test_a_worker_that_is_killed_costs_nothing(two, tmp_path):
    """SIGKILL of the second process in mid-epoch; torchrun starts both again, and they end with the same bits."""
    Launch("--standalone", "--nproc-per-node=2", "--max-restarts=1", WORKER, "disturbed", tmp_path).done()
    for found, undisturbed in zip(results(tmp_path, "disturbed"), two, strict=True):
        assert found["restarted"] is True
        losses, weights = undisturbed["dropout"]
        assert found["trained"][1] == weights
        resumed = found["trained"][0]  # from the last checkpoint on, which each epoch's end is
        assert resumed == losses[30:]
    rows = [json.loads(line) for line in (tmp_path / "training" / "steps.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert [row["loss"] for row in rows] == two[0]["dropout"][0]


def test_two_agents_on_one_machine(one, tmp_path):
    """`--nnodes=2`: two calls of torchrun that meet at an address, with a process each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ("--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}")
    named = ("--rdzv-id=gatewise", "--local-addr=127.0.0.1", WORKER, "short", tmp_path)
    agents = [Launch(*meeting, *named) for _ in range(2)]
    try:
        for agent in agents:
            agent.done()
    finally:
        for agent in agents:
            agent.kill()
    expected = trained(Processes(), None, epochs=1)
    for found in results(tmp_path, "short"):
        assert found["world"] == 2 and found["local rank"] == 0
        assert furthest(found["trained"][0], expected[0]) <= 1e-12


WORDS = ["plot", "scene", "actor", "end", "score", "light"]
TABLE = "text,label\n" + "".join(
    f"{'good' if n % 2 else 'dull'} {' '.join(WORDS[: n % 7])},{'pos' if n % 2 else 'neg'}\n"
    for n in range(61)
)
SMALL = [
    "--device=cpu", "--hidden-size=8", "--embedding-size=8", "--epochs=3", "--batch-size=7", "--accumulate=2",
    "--dropout=0", "--json",
]  # fmt: skip


def classify(folder: Path) -> list[str]:
    (folder / "data.csv").write_text(TABLE)
    return [str(folder / "data.csv"), "--word-dropout=0", "--embedding-dropout=0", "--class-weights=balanced"]


def translate(folder: Path) -> list[str]:
    lines = [" ".join(WORDS[n % 5 : 1 + n % 7]) + f" {WORDS[n % 6]}" for n in range(61)]
    (folder / "source.txt").write_text("\n".join(lines))
    (folder / "target.txt").write_text("\n".join(line.upper() for line in lines))
    return [*(str(folder / name) for name in ("source.txt", "target.txt")), "--tokenizer=words", "--beams=1"]


def caption(folder: Path) -> list[str]:
    """Clips, and to make them ragged one of a single frame."""
    clips, table = write_clips(draw_clips(33, frames=3, size=16), folder / "drawn")
    for frame in sorted(next(clips.iterdir()).iterdir())[1:]:
        frame.unlink()
    return [str(clips), str(table), "--picture-size=32", "--channels=32", "--augment=0", "--beams=1"]


@pytest.mark.parametrize("data", [classify, translate, caption])
def test_gatewise_train_under_torchrun_is_gatewise_train(data, tmp_path, capsys):
    """Losses, figures and weights in float32, to what another order of sums may change; one process writes."""
    (tmp_path / "data").mkdir()
    command = ["train", data.__name__, *data(tmp_path / "data"), *SMALL]
    launched = Launch(
        "--standalone", "--nproc-per-node=2", "-m", "gatewise", *command, "--out", tmp_path / "two"
    )
    assert app.run([*command, "--out", str(tmp_path / "one")]) == 0
    said = capsys.readouterr().out
    printed = launched.done()
    assert [line[:8] for line in printed.splitlines() if line.startswith("{")] == ['{"run": ']
    assert printed.count("epoch 3  loss") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "one", "two"]
    runs = [read_run(tmp_path / name) for name in ("one", "two")]
    one, two = (run.json_lines("steps.jsonl") for run in runs)
    assert [row["step"] for row in two] == [row["step"] for row in one] == list(range(1, len(one) + 1))
    assert furthest([row["loss"] for row in two], [row["loss"] for row in one]) <= 1e-5
    one, two = (run.weights() for run in runs)
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert furthest(two[name].tolist(), value.tolist()) <= 1e-4, name
    figures = json.loads(said)["validation"]
    assert runs[1].json("metrics.json")["validation"]["accuracy"] == figures["accuracy"]
    assert runs[1].json("metrics.json")["validation"]["loss"] == pytest.approx(figures["loss"], rel=1e-4)


def test_the_data_of_these_tests_is_ragged():
    data = Ragged()
    assert len({len(sequence) for sequence in data.inputs}) == 9
    assert [len(batch) for batch in data.batches(0)] == [7] * 14 + [3]
    assert len(set(data.weights[data.targets].tolist())) == 3
