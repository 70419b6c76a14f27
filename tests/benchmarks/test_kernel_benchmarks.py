"""The benchmarks of the kernels: what they measure, their arithmetic, their table, and that each runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gatewise as gw
from benchmarks.kernels import (
    __main__,
    bf16,
    cells,
    dense,
    epoch,
    loops,
    peak,
    peers,
    plan,
    ragged,
    recorded,
    step,
    variants,
)
from benchmarks.kernels.figures import Figure, geometric_mean, ratio_of_sums
from benchmarks.kernels.plan import Bar, Shape, bars, shapes
from benchmarks.kernels.results import FOLDER, Results, file_name, read
from benchmarks.kernels.rows import NoFigureError, Sample, judged, row
from benchmarks.kernels.table import END, README, START, replaced, table
from benchmarks.kernels.work import compare, inputs, training
from gatewise.data.reviews import load_reviews
from gatewise.tasks.classify.config import ClassifyConfig

TINY = Shape(6, 3, 4, 8)
MACHINE = {
    "processor": "Some(R) Processor @ 2.80GHz",
    "cores": 2,
    "threads": 1,
    "system": "Linux",
    "python": "3.11.4",
    "torch": "2.13.0",
    "cpu_capability": "AVX512",
}

SMALL = "1000,1,1,32 1000,1,64,64 1000,8,32,64 400,12,40,96 100,16,64,128"
LARGE = (
    "600,1,128,256 100,32,128,256 200,64,256,256 120,48,200,300 200,1,512,512 60,64,512,512 35,20,650,650 "
    "20,64,1024,1024"
)
RAGGED = "1000,8,32,64 400,12,40,96 100,16,64,128 100,32,128,256 120,48,200,300 35,20,650,650"


@pytest.mark.parametrize(("name", "written"), [("small", SMALL), ("large", LARGE), ("ragged", RAGGED)])
def test_the_shapes_are_those_that_were_asked_for(name, written):
    assert [str(shape).replace(" ", "") for shape in shapes(name)] == written.split()


def test_the_bars_are_those_that_were_asked_for():
    bounds = {name: (bar.at_least, bar.at_most, bar.aim) for name, bar in bars().items() if bar.bound}
    variant = {f"variant-{name}": (None, 1.35, 1.2) for name in variants.VARIANTS}
    assert bounds == variant | {
        "dense-training-small": (1.8, None, 2.5),
        "dense-training-large": (1.05, None, 1.25),
        "dense-inference-small": (1.5, None, 2.0),
        "dense-inference-large": (1.05, None, 1.25),
        "dense-each-shape": (0.95, None, None),
        "ragged-packed": (5, None, 8),
        "ragged-per-length": (1.5, None, 2),
        "ragged-dense": (None, 1.15, None),
        "gru-training": (2.5, None, 4),
        "rnn-training": (1.5, None, 2),
        "projection-training": (2, None, 3),
        "variant-layer-norm": (None, 1.6, 1.2),
        "recorded-training": (None, 1.05, None),
        "recorded-inference": (None, 1.3, None),
        "bf16-training": (1.1, None, 1.5),
        "step-cell": (7, None, 10),
        "step-onnxruntime": (3, None, 5),
        "epoch-padded": (1.5, None, 2.5),
        "epoch-packed": (8, None, 15),
    }
    assert bars()["dense-each-shape"].judged == "low"


def test_flops_of_a_shape_on_paper():
    # 2 · T·B · 4H · (I + H)
    assert Shape(10, 3, 5, 7).flops == 2 * 30 * 28 * 12 == 20_160


def test_geometric_mean_on_paper():
    twice, eightfold = np.array([[2.0, 1.0]] * 5), np.array([[4.0, 0.5]] * 9)
    assert geometric_mean([twice, eightfold]) == pytest.approx((4.0, 4.0, 4.0))


def test_interval_of_a_median_on_paper():
    # Of three draws out of 1, 2, 3 the median is 1 in 7 of 27 cases and 3 in 7 of 27: both ends are beyond 2.5 %.
    assert geometric_mean([np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]])]) == pytest.approx((2.0, 1.0, 3.0))


def test_ratio_of_sums_on_paper():
    # (3 + 5) / (1 + 3); a quarter of the draws hold only the first part, a quarter only the second.
    assert ratio_of_sums([np.array([[3.0, 1.0], [5.0, 3.0]])]) == pytest.approx((2.0, 5 / 3, 3.0))


@pytest.mark.parametrize(
    ("name", "figure", "met", "aim_met"),
    [
        ("ragged-packed", Figure(5.0, 4.9, 5.1), True, False),
        ("ragged-packed", Figure(4.99, 4.9, 5.1), False, False),
        ("ragged-packed", Figure(8.0, 7.9, 8.1), True, True),
        ("ragged-dense", Figure(1.15, 1.1, 1.2), True, None),
        ("ragged-dense", Figure(1.16, 1.1, 1.2), False, None),
        ("variant-peephole", Figure(1.2, 1.1, 1.3), True, True),
        ("dense-each-shape", Figure(1.3, 0.95, 1.5), True, None),
        ("dense-each-shape", Figure(1.3, 0.94, 1.5), False, None),
        ("loop-cell", Figure(0.5, 0.4, 0.6), None, None),
    ],
)
def test_a_figure_is_held_against_its_bar(name, figure, met, aim_met):
    found = judged(name, figure)
    assert (found.met, found.aim_met) == (met, aim_met)


def test_uniform_lengths():
    for T, B in ((1000, 8), (400, 12), (35, 20), (2, 5), (1, 1)):
        lengths = ragged.uniform_lengths(T, B)
        assert lengths[0] == T
        assert lengths.min() >= max(T // 2, 1)
        assert lengths.max() == T
        assert lengths.sum() % B == 0


def test_no_figure_where_results_differ():
    x, grad = inputs(TINY)
    one, other = nn.LSTM(TINY.I, TINY.H), gw.LSTM(TINY.I, TINY.H)
    found = row(
        "loop-cell", lambda: [Sample("", compare(training(one, x, grad), training(other, x, grad), 0))]
    )
    assert found.figure is None
    assert found.met is False
    assert found.reason.startswith("wrong: result 0 of 6 differs by ")


def _sample_is_sound(sample: Sample) -> None:
    assert sample.times.shape[1] == 2
    assert np.isfinite(sample.times).all()
    assert (sample.times > 0).all()


@pytest.mark.parametrize("mode", [None, torch.no_grad, torch.inference_mode])
def test_dense_runs(mode):
    _sample_is_sound(dense.sample(TINY, 0, mode))


@pytest.mark.parametrize("peer", [peers.packed, peers.per_length])
def test_ragged_runs(peer):
    _sample_is_sound(ragged.sample(TINY, peer, 0))


def test_ragged_beside_dense_runs():
    sample = ragged.against_dense(TINY, 0)
    _sample_is_sound(sample)
    assert sample.notes["dense_steps"] * TINY.B == ragged.uniform_lengths(TINY.T, TINY.B).sum()


@pytest.mark.parametrize("name", cells.ROWS)
def test_cells_run(name):
    batch, make = cells.ROWS[name]
    _sample_is_sound(batch(make, TINY, 0))


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_variants_run(name):
    _sample_is_sound(variants.sample(TINY, variants.VARIANTS[name], 0))


@pytest.mark.parametrize("train", [True, False])
def test_recorded_runs(train):
    _sample_is_sound(recorded.sample(TINY, 0, train=train))


@pytest.mark.parametrize("packed", [True, False])
def test_bf16_runs(packed):
    _sample_is_sound(bf16.sample(TINY, 0, packed=packed))


@pytest.mark.parametrize("name", step.PEERS)
def test_steps_run(name):
    if name == "step-onnxruntime":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    for steps in (3, 4):  # onnxruntime's states take turns
        (sample,) = step.sample(name, 0, units=8, steps=steps)
        _sample_is_sound(sample)


def test_loop_runs():
    _sample_is_sound(loops.cell(TINY, 0))


def test_onnxruntime_runs():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    _sample_is_sound(loops.onnxruntime(TINY, 0))


def test_epoch_runs():
    given = epoch.task(
        load_reviews("train"), ClassifyConfig(batch_size=16, embedding_size=8, hidden_size=8, max_length=20)
    )
    times = epoch.seconds(given, 2)
    assert times.shape == (2, 3)
    assert (times > 0).all()


@pytest.fixture
def small_plan(monkeypatch):
    """Tiny shapes in place of the real ones, and a small product for the peak."""
    real = plan._plan()
    tiny = {"small": [[20, 16, 16, 64]], "large": [[4, 3, 5, 8]], "ragged": [[6, 3, 4, 8]]}
    monkeypatch.setattr(plan, "_plan", lambda: real | {"shapes": tiny})
    monkeypatch.setattr(peak, "_SIZE", 64)
    peak.peak.cache_clear()
    yield
    peak.peak.cache_clear()


def test_a_run_writes_its_rows_and_keeps_earlier_ones(small_plan, tmp_path, capsys):
    common = ["--seconds", "0", "--results", str(tmp_path), "--imdb", str(tmp_path / "absent")]
    __main__.main(["--only", "dense", *common])
    __main__.main(["--only", "ragged,epoch", *common])
    (content,) = read(tmp_path)
    rows = content["rows"]
    assert list(rows) == [name for name in bars() if name.partition("-")[0] in ("dense", "ragged", "epoch")]
    assert [s["name"] for s in rows["dense-training-small"]["samples"]] == ["20, 16, 16, 64"]
    assert rows["dense-training-small"]["at_least"] == 1.8
    lows = [s["low"] for name in rows if name.startswith("dense-") for s in rows[name]["samples"]
            if name != "dense-inference-mode"]  # fmt: skip
    assert rows["dense-each-shape"]["figure"]["low"] == min(lows)
    assert rows["dense-training-small"]["samples"][0]["share_of_peak"]["ours"] > 0
    assert rows["epoch-padded"]["figure"] is None
    assert rows["epoch-padded"]["reason"] == "the training part of IMDB is not there (--imdb)"
    assert "dense-training-small" in capsys.readouterr().out


def test_rows_of_another_version_are_left_behind(tmp_path):
    Results(tmp_path, MACHINE, 80.0).put(judged("loop-cell", Figure(2.0, 1.9, 2.1)))
    assert list(Results(tmp_path, MACHINE, 80.0).content["rows"]) == ["loop-cell"]
    assert Results(tmp_path, MACHINE | {"torch": "2.14.0"}, 80.0).content["rows"] == {}


def test_a_row_that_cannot_be_measured_replaces_nothing(tmp_path):
    def absent() -> list[Sample]:
        raise NoFigureError("nothing here")

    results = Results(tmp_path, MACHINE, 80.0)
    results.put(judged("loop-cell", Figure(2.0, 1.9, 2.1)))
    results.put(row("loop-cell", absent))
    assert json.loads(results.file.read_text())["rows"]["loop-cell"]["figure"]["value"] == 2.0


def test_file_name():
    assert file_name(MACHINE) == "some-processor-2.80ghz-1t.json"
    epyc = {"processor": "AMD EPYC 9R14 96-Core Processor", "threads": 2}
    assert file_name(epyc) == "amd-epyc-9r14-96-core-processor-2t.json"


TABLE = """\
Some(R) Processor @ 2.80GHz, 2 cores, AVX512; torch 2.13.0, Python 3.11.4. A product 2048 × 2048 × 2048 runs at 80 \
with 1 thread, 150 with 2 threads (GFLOP/s):

|  | bar | aim | 1 thread | 2 threads |
|---|---:|---:|---:|---:|
| quick | ≥ 1.8 | 2.5 | 2.60 [2.50, 2.70] (aim) | 1.70 [1.60, 1.80] **missed** |
| each shape | ≥ 0.95 |  | 1.01 [0.96, 1.10] at 1, 2, 3, 4 | not measured |
| spread / plain | ≤ 1.15 |  | 1.10 [1.00, 1.20] | **wrong** |
| bf16 | ≥ 1.1 | 1.5 | not measured | not measured |
| beside a loop |  |  | 9.00 [8.00, 10.00] | not measured |

Not measured: bf16: no bf16 here. spread: wrong: result 0 differs.

Dense LSTM by shape, and at what share of a large matrix product's speed ours (`nn.LSTM`) runs:

| T, B, I, H | training, 1 thread | inference, 1 thread | training, 2 threads | inference, 2 threads |
|---|---:|---:|---:|---:|
| 1, 2, 3, 4 | 2.60 [2.50, 2.70], 52% (20%) |  |  |  |"""


def _made_up_row(figure: Figure | None, met: bool | None, **more) -> dict:
    defaults = {"reason": "", "aim_met": None, "samples": [], "notes": {}}
    return defaults | {"figure": figure and figure._asdict(), "met": met} | more


def test_the_table_of_a_made_up_result(monkeypatch):
    made_up = {
        "dense-training-small": Bar("quick", at_least=1.8, aim=2.5),
        "each": Bar("each shape", at_least=0.95, judged="low"),
        "spread": Bar("spread / plain", at_most=1.15),
        "bf16": Bar("bf16", at_least=1.1, aim=1.5),
        "loop": Bar("beside a loop"),
        "never": Bar("a row without a bar that nobody measured"),
    }
    monkeypatch.setattr("benchmarks.kernels.table.bars", lambda: made_up)
    quick = Figure(2.6, 2.5, 2.7)
    sample = {"name": "1, 2, 3, 4", **quick._asdict(), "share_of_peak": {"ours": 0.52, "peer": 0.2}}
    one = {
        "dense-training-small": _made_up_row(quick, True, aim_met=True, samples=[sample]),
        "each": _made_up_row(Figure(1.01, 0.96, 1.1), True, notes={"shape": "1, 2, 3, 4"}),
        "spread": _made_up_row(Figure(1.1, 1.0, 1.2), True),
        "bf16": _made_up_row(None, None, reason="no bf16 here"),
        "loop": _made_up_row(Figure(9.0, 8.0, 10.0), None),
    }
    two = {
        "dense-training-small": _made_up_row(Figure(1.7, 1.6, 1.8), False, aim_met=False),
        "spread": _made_up_row(None, False, reason="wrong: result 0 differs"),
        "bf16": _made_up_row(None, None, reason="no bf16 here"),
    }
    contents = [
        {"machine": MACHINE, "peak_gflops": 80.0, "rows": one},
        {"machine": MACHINE | {"threads": 2}, "peak_gflops": 150.4, "rows": two},
    ]
    assert table(contents).split("\n\n", 1)[1] == TABLE


def test_the_table_goes_between_the_markers():
    page = f"before\n{START}\nold\n{END}\nafter\n"
    assert replaced(page, "new") == f"before\n{START}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="once each"):
        replaced("no markers", "new")


def test_the_readme_says_what_the_results_say():
    page = Path(README).read_text(encoding="utf-8")
    assert replaced(page, table(read(FOLDER))) == page
