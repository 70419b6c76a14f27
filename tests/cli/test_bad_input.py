"""Every bad input gets one sentence that names the place, exit code 1 or 2, no traceback, and leaves nothing behind."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SERIES, TINY, write_table

RUN_FILES = ("config.toml", "model.safetensors", "tokenizer.json", "labels.json", "metrics.json")
GOOD = [["a fine film", "good"], ["a dull film", "bad"]] * 8


@pytest.fixture
def refuses(gatewise, tmp_path):
    """Calls train on a file; the error, after seeing that it is one sentence and that nothing was written."""

    def train(data: Path, *options: str, code: int = 1) -> str:
        before = sorted(tmp_path.rglob("*"))
        called = gatewise("train", "classify", data, "--out", tmp_path / "run", *TINY, *options)
        assert called.code == code, called.err
        assert called.out == ""
        assert called.err.splitlines() == [f"error: {called.error}"]
        assert sorted(tmp_path.rglob("*")) == before
        return called.error

    return train


def test_no_such_file(refuses, tmp_path):
    assert refuses(tmp_path / "none.csv") == f"{tmp_path}/none.csv: there is no such file"


def test_empty_file(refuses, tmp_path):
    (tmp_path / "empty.csv").touch()
    assert refuses(tmp_path / "empty.csv") == f"{tmp_path}/empty.csv: the file is empty"


def test_header_without_rows(refuses, tmp_path):
    path = write_table(tmp_path / "head.csv", ["text", "label"], [])
    assert refuses(path) == f"{path}: there is a header and no row"


def test_a_missing_column_lists_the_columns_with_a_sample(refuses, tmp_path):
    path = write_table(tmp_path / "in.csv", ["body", "label"], GOOD)
    error = refuses(path)
    assert error.startswith(f"{path}: no column is called text, review, sentence or content")
    assert "'body' ('a fine film')" in error and "'label' ('good')" in error
    error = refuses(path, "--text", "Body")
    assert error.startswith(f"{path}: there is no column 'Body'; the columns are 'body'")


def test_one_label_only(refuses, tmp_path):
    path = write_table(tmp_path / "in.csv", ["text", "label"], [[f"text {n}", "good"] for n in range(9)])
    assert refuses(path) == f"{path}: the label of 9 texts is always 'good'; two labels are needed"


def test_text_that_is_not_utf8(refuses, tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"text,label\nfine,good\ncaf\xe9,bad\n")
    assert refuses(path).startswith(f"{path}, line 3, byte 4: not UTF-8 (byte 0xe9")


def test_a_line_of_ten_million_bytes(refuses, tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"text,label\nfine,good\n" + b"x" * 10_000_000 + b",bad\n")
    assert refuses(path) == f"{path}, line 3: the line has 10,000,000 bytes or more, which is too long"


def test_empty_texts_are_left_out_and_said(gatewise, tmp_path):
    path = write_table(tmp_path / "in.csv", ["text", "label"], [*GOOD, ["", "good"], ["  ", "bad"]])
    called = gatewise("train", "classify", path, "--out", tmp_path / "run", *TINY)
    assert called.code == 0
    assert "2 empty texts left out" in called.err


def test_only_empty_texts(refuses, tmp_path):
    path = write_table(tmp_path / "in.csv", ["text", "label"], [["", "good"], ["", "bad"]])
    assert refuses(path) == f"{path}: all 2 texts are empty"


def test_text_in_a_number_column(refuses, tmp_path):
    rows = [["a", "1", "0.5", "7", "up"], ["a", "2", "high", "7", "up"], ["b", "1", "0.1", "8", "down"]]
    path = write_table(tmp_path / "in.csv", ["patient", "second", "ecg", "spo2", "rhythm"], rows)
    error = refuses(path, *SERIES)
    assert error.startswith(f"{path}, line 3: ") and "'high'" in error and "'ecg'" in error


def test_numbers_need_to_know_their_columns(refuses, beats):
    error = refuses(beats, "--features", "ecg", "--id", "patient", code=2)
    assert error == "numeric sequences (--features) need --time and --label as well"
    error = refuses(beats, *SERIES, "--features", "ecg,,spo2", code=2)
    assert error.startswith("'ecg,,spo2' is not a list of names with commas between them")


def test_an_option_out_of_its_range(refuses, reviews):
    assert refuses(reviews, "--dropout", "1.5", code=2) == "options: dropout is 1.5; it must be in [0, 1)"
    assert refuses(reviews, "--cell", "lstn", code=2).startswith("options: cell is 'lstn'")


def test_a_config_with_an_unknown_key(refuses, reviews, tmp_path):
    file = tmp_path / "my.toml"
    file.write_text("hiden_size = 5\n")
    error = refuses(reviews, "--config", str(file), code=2)
    assert error == f"{file}: unknown option 'hiden_size'; did you mean hidden_size?"
    file.write_text("hidden_size = \n")
    assert refuses(reviews, "--config", str(file)).startswith(f"{file}: not a TOML file")


def test_no_data_at_all(gatewise, tmp_path):
    called = gatewise("train", "classify", "--out", tmp_path / "run")
    assert called.code == 2 and called.error.startswith("there is no training data")


def test_unknown_commands_and_options(gatewise):
    for words in (["trian"], ["train", "classify", "--hiden-size", "3"], ["evaluate"], ["doctor", "--jsn"]):
        called = gatewise(*words)
        assert called.code == 2, words
        assert called.err.splitlines() == [f"error: {called.error}"]
        assert re.search(r"\(see gatewise.* --help\)$", called.error), called.error


def test_no_command_at_all_shows_the_help(gatewise):
    for words, name in (([], "gatewise"), (["train"], "gatewise train")):
        called = gatewise(*words)
        assert called.code == 2 and called.error == f"a command is missing (see {name} --help)"
        assert f"Usage: {name}" in called.out + called.err


def test_out_that_exists_is_left_as_it_was(gatewise, reviews, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "precious.txt").write_text("mine")
    for options in ([], ["--overwrite"]):
        called = gatewise("train", "classify", reviews, "--out", run, *TINY, *options)
        assert called.code == 1 and str(run) in called.error and "not empty" in called.error
        assert [path.name for path in tmp_path.rglob("*")] == ["run", "precious.txt"]


def test_an_unwritable_out(gatewise, reviews, tmp_path):
    (tmp_path / "file").write_text("a file, not a folder")
    called = gatewise("train", "classify", reviews, "--out", tmp_path / "file" / "run", *TINY)
    assert called.code == 1 and str(tmp_path / "file") in called.error
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_run_that_misses_a_file(gatewise, trained, tmp_path, name):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / name).unlink()
    for words in (["predict", run, "fine"], ["explain", run, "fine"], ["evaluate", run, tmp_path / "x.csv"]):
        called = gatewise(*words)
        assert (called.code, called.error) == (1, f"{run}: {name} is missing")


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_run_with_a_broken_file(gatewise, trained, tmp_path, name):
    run = shutil.copytree(trained, tmp_path / "run")
    (run / name).write_bytes(b"\xff\x00 nonsense")
    called = gatewise("predict", run, "fine")
    assert called.code == 1 and called.error.startswith(f"{run / name}: ")


def test_a_run_of_a_newer_version(gatewise, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    config = run / "config.toml"
    config.write_text(config.read_text().replace("format = 1", "format = 9"))
    called = gatewise("predict", run, "fine")
    assert called.code == 1
    assert called.error == f"{config}: written by a newer version (format 9; this version reads up to 1)"


def test_no_run_there(gatewise, tmp_path):
    called = gatewise("predict", tmp_path / "none", "fine")
    assert (called.code, called.error) == (1, f"{tmp_path}/none: no such run folder")


def test_a_label_unseen_in_training(gatewise, trained, tmp_path):
    path = write_table(
        tmp_path / "t.csv", ["review", "sentiment"], [["fine", "positive"], ["so so", "mixed"]]
    )
    called = gatewise("evaluate", trained, path)
    assert called.code == 1
    assert called.error == (
        f"{path}, id 2: the label 'mixed' is not among those of the training data (negative, positive)"
    )


def test_predicting_a_file_that_is_not_there_is_not_taken_for_a_text(gatewise, trained, tmp_path):
    called = gatewise("predict", trained, tmp_path / "new.csv")
    assert (called.code, called.error) == (1, f"{tmp_path}/new.csv: there is no such file")


def test_predict_out_that_exists_or_cannot_be_written(gatewise, trained, reviews, tmp_path):
    taken = tmp_path / "out.csv"
    taken.write_text("mine")
    called = gatewise("predict", trained, reviews, "--out", taken)
    assert called.code == 1 and called.error == f"{taken}: exists; name another file, or add --overwrite"
    assert taken.read_text() == "mine"
    called = gatewise("predict", trained, reviews, "--out", tmp_path / "none" / "out.csv")
    assert called.code == 1 and "there is no folder" in called.error
    called = gatewise("predict", trained, reviews, "--out", tmp_path / "out.xlsx")
    assert called.code == 2 and called.error == f"{tmp_path}/out.xlsx: --out ends in .csv, .tsv, .jsonl"
    called = gatewise("predict", trained, "fine", "--out", tmp_path / "new.csv")
    assert called.code == 2 and called.error.startswith("--out needs a file as INPUT")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_failure_in_the_middle_leaves_no_output(gatewise, trained, tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(b"review\nfine\n\xff\n")
    called = gatewise("predict", trained, path, "--out", tmp_path / "out.csv")
    assert called.code == 1 and called.error.startswith(f"{path}, line 3, byte 1: not UTF-8")
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_standard_input_that_is_not_utf8_or_empty(gatewise, trained):
    called = gatewise("predict", trained, "-", stdin=b"fine\n\xff\n")
    assert called.code == 1 and called.error.startswith("standard input, line 2, byte 1: not UTF-8")
    called = gatewise("predict", trained, "-", stdin=b"")
    assert (called.code, called.error) == (1, "standard input: there is nothing to read")


def test_a_text_that_is_empty_or_has_unknown_words_only(gatewise, trained, tmp_path):
    for command in ("predict", "explain"):
        called = gatewise(command, trained, "")
        assert (called.code, called.error) == (1, "the text is empty")
        called = gatewise(command, trained, "xyzzy plugh")
        assert called.code == 1
        assert (
            called.error
            == "the text has no word that the model knows, so any answer would say nothing about it"
        )
    path = write_table(tmp_path / "in.csv", ["review"], [["xyzzy"], ["plugh plover"]])
    called = gatewise("predict", trained, path, "--out", tmp_path / "out.csv")
    assert called.code == 1
    assert called.error == f"{path}: no text has a word that the model knows, so there is nothing to answer"
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_a_known_full_stop_is_no_word(gatewise, trained):
    for text in ("xyzzy qwrtz.", "\N{SNOWMAN}, xyzzy!"):
        called = gatewise("predict", trained, text)
        assert (called.code, called.out) == (1, "")
        assert "no word that the model knows" in called.error
    assert gatewise("predict", trained, "xyzzy film.").code == 0
    assert gatewise("predict", trained, "...").code == 0


def test_explaining_an_empty_text_or_an_unknown_label(gatewise, trained):
    called = gatewise("explain", trained, "  ")
    assert (called.code, called.error) == (1, "the text is empty")
    called = gatewise("explain", trained, "fine", "--target", "mixed")
    assert (called.code, called.error) == (
        2, "there is no label 'mixed'; the labels are negative, positive",
    )  # fmt: skip


def test_texts_for_a_model_of_numbers_and_numbers_for_a_model_of_texts(
    gatewise, trained, trained_beats, beats
):
    called = gatewise("predict", trained_beats, "a text")
    assert called.code == 2 and "numeric sequences" in called.error
    called = gatewise("evaluate", trained, beats)
    assert called.code == 1 and called.error.startswith(f"{beats}: no column is called text")


def test_json_errors_are_one_object_on_standard_output(gatewise, tmp_path):
    called = gatewise("predict", tmp_path / "none", "fine", "--json")
    assert called.code == 1
    assert called.json == {"error": called.error, "exit_code": 1}
    called = gatewise("predict", "--json")
    assert called.code == 2
    assert called.json == {"error": called.error, "exit_code": 2}


def test_an_unexpected_error_is_a_sentence_and_a_traceback_only_with_debug(gatewise, trained, monkeypatch):
    def broken(*arguments, **options):
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr("gatewise.tasks.classify.fitted.load_fitted", broken)
    called = gatewise("predict", trained, "fine")
    assert called.code == 1
    sentence = "unexpected ZeroDivisionError: one two; run again with --debug for the traceback"
    assert called.err == f"error: {sentence}\n"
    called = gatewise("predict", trained, "fine", "--debug")
    assert called.code == 1 and "Traceback" in called.err and "in broken" in called.err


def test_ctrl_c_exits_130(gatewise, trained, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("gatewise.tasks.classify.fitted.load_fitted", interrupted)
    called = gatewise("predict", trained, "fine")
    assert called.code == 130 and called.error == "stopped by Ctrl-C"


def test_the_real_process_exits_with_the_code_and_one_line(tmp_path):
    command = [sys.executable, "-m", "gatewise", "predict", str(tmp_path / "none"), "x", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path}/none: no such run folder\n"
    assert json.loads(done.stdout)["exit_code"] == 1


def test_a_reader_that_goes_away_is_no_error(trained):
    lines = "\n".join(["a fine film"] * 3000)
    command = f"{sys.executable} -m gatewise predict {trained} - | head -n 1"
    done = subprocess.run(command, input=lines, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("name", ["reviews.txt", "folder/new.parquet", "answers.json"])
def test_a_file_that_is_not_there_is_no_text(gatewise, trained, name):
    called = gatewise("predict", trained, name)
    assert called.code in (1, 2) and name in called.error and called.out == ""
