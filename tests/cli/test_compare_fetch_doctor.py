"""compare, fetch and doctor through the command line."""

import hashlib
import threading
from dataclasses import fields
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from conftest import TINY

from gatewise.cells import CELLS, Variant
from gatewise.cli import selfcheck
from gatewise.data import catalogue
from gatewise.data.catalogue import Dataset, RemoteFile
from gatewise.kernels import native


def test_compare_sets_the_cells_beside_the_baselines(gatewise, reviews, tmp_path):
    options = [*TINY, "--cells", "gru,lstm", "--sizes", "60,120", "--learning-rates", "0.01,0.02"]
    log = tmp_path / "log.jsonl"
    called = gatewise("compare", reviews, "--test", reviews, *options, "--log", log, "--json")
    assert called.code == 0, called.err
    rows = called.json["summary"]
    assert [(row["size"], row["model"]) for row in rows] == [
        (size, model) for size in (60, 120) for model in ("majority label", "bag of words", "gru", "lstm")
    ]
    trials = called.json["trials"]
    assert len(trials) == 2 * (2 + 2 * 2)
    for row in rows:
        own = [t for t in trials if (t["model"], t["size"]) == (row["model"], row["size"])]
        assert row["validation_accuracy"] == max(t["validation_accuracy"] for t in own)
    logged = log.read_text()
    again = gatewise("compare", reviews, "--test", reviews, *options, "--log", log)
    assert again.code == 0 and "| 120 |" in " ".join(again.out.split())
    assert log.read_text() == logged  # all were in the log, none was trained again


def test_compare_refuses_what_it_cannot_use(gatewise, reviews, beats):
    called = gatewise("compare", reviews, "--sizes", "60,many")
    assert (called.code, called.error) == (
        2,
        "--sizes is '60,many'; it must be numbers with commas between them",
    )
    called = gatewise("compare", reviews, "--cells", "lstm,gro")
    assert called.code == 2 and "cell is 'gro'" in called.error
    called = gatewise("compare", reviews, "--sizes", "500")
    assert called.code == 2 and "there are 120 training texts" in called.error


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A data set of one file, served from this machine; yields its address."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "input.txt").write_bytes(b"to be or not to be\n")
    checksum = "sha256:" + hashlib.sha256(b"to be or not to be\n").hexdigest()
    small = Dataset(
        "shakespeare",
        "Small Shakespeare",
        "Public domain.",
        "http://none",
        (RemoteFile("input.txt", 19, checksum),),
    )
    monkeypatch.setitem(catalogue.CATALOGUE, "shakespeare", small)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *args): ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(source))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_fetch_shows_the_licence_and_puts_the_file_in_place(gatewise, served, tmp_path):
    called = gatewise("fetch", "shakespeare", "--out", tmp_path / "data", "--from", served, "--json")
    assert called.code == 0, called.err
    assert "licence: Public domain." in called.err
    folder = tmp_path / "data" / "shakespeare"
    assert called.json["folder"] == str(folder)
    assert (folder / "input.txt").read_bytes() == b"to be or not to be\n"


def test_fetch_of_a_changed_file_fails_and_leaves_nothing(gatewise, served, tmp_path):
    (tmp_path / "source" / "input.txt").write_bytes(b"to be or not to bE\n")
    called = gatewise("fetch", "shakespeare", "--out", tmp_path / "data", "--from", served)
    assert called.code == 1 and f"{served}/input.txt" in called.error
    assert list((tmp_path / "data").iterdir()) == []


def test_fetch_of_an_unknown_name(gatewise, tmp_path):
    called = gatewise("fetch", "wikipedia", "--out", tmp_path / "data")
    assert (called.code, called.error) == (
        2,
        "there is no data set 'wikipedia'; there are imdb, shakespeare, multi30k",
    )
    assert not (tmp_path / "data").exists()


def test_doctor_checks_every_backend(gatewise):
    called = gatewise("doctor", "--json")
    assert called.code == 0
    found = called.json
    assert found["passed"] is True
    assert found["surroundings"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    ran = {(c["cell"], c["dtype"], c["backend"]) for c in found["checks"] if c["verdict"] == "passed"}
    for cell in ("lstm", "gru", "rnn"):
        for dtype in ("float32", "bfloat16"):
            assert {(cell, dtype, "aten"), (cell, dtype, "naive")} <= ran
            assert ((cell, dtype, "native") in ran) == native.available()
    assert all(c["output_error"] <= 2e-6 for c in found["checks"] if c["dtype"] == "float32")
    assert sum(c["chosen"] for c in found["checks"] if c["device"] == "cpu") == 6


def test_doctor_says_which_instruction_set_the_native_kernels_use(gatewise):
    if not native.available():
        pytest.skip(f"no native kernels: {native.why_missing()}")
    assert native.isa() in ("portable", "avx2", "avx512")
    facts = gatewise("doctor", "--json").json["surroundings"]
    assert facts["native_kernels"] == f"yes ({native.isa()})"


def test_doctor_says_how_to_get_the_native_kernels(gatewise, monkeypatch):
    monkeypatch.setattr(native, "_native", None)
    monkeypatch.setattr(native, "_missing", "no C++ compiler worked when Gatewise was installed")
    called = gatewise("doctor", "--json")
    assert called.code == 0  # every other backend works
    fact = called.json["surroundings"]["native_kernels"]
    assert fact.startswith("no: no C++ compiler worked when Gatewise was installed; ")
    assert "`python -m pip install --force-reinstall --no-deps --editable .`" in fact


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("none"), "no C++ compiler worked when Gatewise was installed"),
        (ImportError("no GLIBCXX"), "the compiled module does not load: no GLIBCXX"),
    ],
)
def test_a_native_module_that_does_not_load_says_why(monkeypatch, error, reason):
    def fails(name):
        raise error

    monkeypatch.setattr(native, "import_module", fails)
    assert native._load() == (None, reason)


@pytest.fixture
def few_cases(monkeypatch):
    """A selftest of one cell in one size."""
    cases = [c for c in selfcheck.selftest_cases() if c.cell == "gru" and c.T == 40]
    monkeypatch.setattr(selfcheck, "selftest_cases", lambda: cases)
    return cases


def test_the_selftest_meets_every_cell_and_variant():
    cases = selfcheck.selftest_cases()
    assert {case.cell for case in cases} == set(selfcheck.LAYERS)
    cells = {build(2, 6).cell for build in selfcheck.LAYERS.values()}
    assert cells == set(CELLS)
    assert {name for case in cases for name in case.options} == {f.name for f in fields(Variant)}
    assert 100 <= len(cases) <= 200


def test_selftest_shows_errors_beside_what_is_allowed(gatewise, few_cases):
    called = gatewise("doctor", "--selftest", "--json")
    assert called.code == 0
    found = called.json
    assert found["passed"] is True and found["selftest"] is True
    checks = {(c["backend"], c["dtype"]): c for c in found["checks"] if c["device"] == "cpu"}
    assert found["cases"] == sum(c["cases"] for c in found["checks"])
    assert checks["naive", "float32"]["cases"] == len(few_cases)
    assert checks["aten", "float32"]["cases"] == 3  # dense, ragged, and dropped weights without either
    assert ("naive", "float64") not in checks  # it is the definition
    for check in checks.values():
        assert 0 < check["output_error"] <= check["output_allowed"]
        assert 0 < check["gradient_error"] <= check["gradient_allowed"]
        assert check["seconds"] > 0
    assert checks["aten", "float64"]["output_allowed"] == 1e-12


WRONG = {
    "values": lambda values, gradients: (values * 1.001, gradients),
    "gradients": lambda values, gradients: (values, gradients * 1.001),
    "nan": lambda values, gradients: (values * torch.nan, gradients),
}


@pytest.mark.parametrize("what", WRONG)
def test_doctor_fails_where_a_backend_computes_something_else(gatewise, monkeypatch, few_cases, what):
    right = selfcheck._run

    def wrong(layer, x, call, *, backend):
        values, gradients = right(layer, x, call, backend=backend)
        spoiled = backend == "aten" and x.dtype == torch.float32 and call["lengths"] is not None
        return WRONG[what](values, gradients) if spoiled else (values, gradients)

    monkeypatch.setattr(selfcheck, "_run", wrong)
    called = gatewise("doctor", "--selftest", "--json")
    assert called.code == 1 and called.json["passed"] is False
    (failed,) = [c for c in called.json["checks"] if c["verdict"] == "FAILED"]
    assert (failed["backend"], failed["dtype"]) == ("aten", "float32")
    assert failed["reason"] == "40 steps, 4 rows, 8 features, 19 units, lengths: too far from the definition"
    error = failed["gradient_error" if what == "gradients" else "output_error"]
    assert error is None if what == "nan" else error == pytest.approx(1e-3, rel=1e-2)


def test_doctor_goes_on_where_a_backend_breaks_down(gatewise, monkeypatch, few_cases):
    right = selfcheck._run

    def broken(layer, x, call, *, backend):
        if backend == "aten":
            raise RuntimeError("no engine")
        return right(layer, x, call, backend=backend)

    monkeypatch.setattr(selfcheck, "_run", broken)
    called = gatewise("doctor", "--selftest")
    assert called.code == 1
    assert "gru float32 on cpu, aten: 40 steps, 4 rows, 8 features, 19 units: no engine" in called.out
    assert "a check failed: see the lines marked FAILED" in called.out


def test_doctor_takes_no_other_flag(gatewise):
    called = gatewise("doctor", "--self-test")
    assert called.code == 2 and "--selftest" in called.error
