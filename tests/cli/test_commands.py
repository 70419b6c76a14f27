"""What the commands print and write, checked against the Python front door and against counts done here."""

import csv
import json
import math
import shutil
import signal
import subprocess
import sys

import pytest
from conftest import SERIES, TINY, write_table

import gatewise as gw
from gatewise.training.progress import Silent

FILES = [
    "README.md",
    "config.toml",
    "labels.json",
    "metrics.json",
    "metrics.jsonl",
    "model.safetensors",
    "steps.jsonl",
    "tokenizer.json",
]


def rows_of(path, delimiter=","):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=delimiter))


def test_train_says_what_was_read_and_what_comes_next(gatewise, reviews, tmp_path):
    called = gatewise("train", "classify", reviews, "--out", tmp_path / "run", *TINY, "--max-length", "10")
    assert called.code == 0
    counts = {
        label: sum(row["sentiment"] == label for row in rows_of(reviews))
        for label in ("negative", "positive")
    }
    assert called.out.splitlines()[0] == (
        f"read 120 texts from {reviews}, column 'review', labels from 'sentiment': "
        f"negative {counts['negative']}, positive {counts['positive']}"
    )
    assert "are longer than 10 tokens; the middle was cut" in called.err
    assert "epoch 1  loss " in called.err and "validation_accuracy" in called.err
    assert f"gatewise evaluate {tmp_path / 'run'} TEST_DATA" in called.out
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == FILES


def test_train_json_is_what_the_run_holds(gatewise, reviews, tmp_path):
    run = tmp_path / "run"
    called = gatewise("train", "classify", reviews, "--out", run, *TINY, "--json")
    metrics = json.loads((run / "metrics.json").read_text())
    assert called.json == {"run": str(run)} | metrics
    assert metrics["split"]["training"] + metrics["split"]["validation"] == 120
    assert metrics["command"].startswith("gatewise train classify ") and metrics["command"].endswith("--json")


def test_the_config_of_a_run_makes_the_same_run_again(gatewise, trained, tmp_path):
    called = gatewise("train", "classify", "--config", trained / "config.toml", "--out", tmp_path / "again")
    assert called.code == 0, called.err
    for name in ("model.safetensors", "tokenizer.json", "labels.json", "config.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (trained / name).read_bytes()


def test_the_config_of_a_run_names_its_data_in_full(gatewise, reviews, tmp_path, monkeypatch):
    monkeypatch.chdir(reviews.parent)
    assert gatewise("train", "classify", reviews.name, "--out", tmp_path / "one", *TINY).code == 0
    monkeypatch.chdir(tmp_path)
    again = gatewise("train", "classify", "--config", tmp_path / "one/config.toml", "--out", tmp_path / "two")
    assert again.code == 0, again.err
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("one", "two")]
    assert weights[0] == weights[1]


def test_evaluate_says_what_was_cut(gatewise, reviews, tmp_path):
    short = ("--max-length", "10", "--truncate", "head")
    assert gatewise("train", "classify", reviews, "--out", tmp_path / "run", *TINY, *short).code == 0
    called = gatewise("evaluate", tmp_path / "run", reviews, "--json")
    assert any("are longer than 10 tokens; the end was cut" in note for note in called.json["notes"])


def test_flags_override_the_config_file(gatewise, trained, reviews, tmp_path):
    options = [
        "--config",
        trained / "config.toml",
        "--out",
        tmp_path / "run",
        "--seed",
        "7",
        "--bidirectional",
    ]
    assert gatewise("train", "classify", *options).code == 0
    config = gw.load(tmp_path / "run").fitted.config
    before = gw.load(trained).fitted.config
    assert (config.seed, config.bidirectional) == (7, True)
    assert (config.hidden_size, config.data) == (before.hidden_size, str(reviews))


def test_a_validation_part_of_ones_own(gatewise, reviews, tmp_path):
    valid = write_table(tmp_path / "v.tsv", ["text", "label"], [["fine", "positive"], ["dull", "negative"]])
    called = gatewise(
        "train", "classify", reviews, "--valid", valid, "--out", tmp_path / "run", *TINY, "--json"
    )
    assert called.json["split"] == {"training": 120, "validation": 2, "how": "given"}
    assert f"validation: read 2 texts from {valid}" in called.err


def test_overwrite_replaces_an_earlier_run(gatewise, trained, reviews, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    assert gatewise("train", "classify", reviews, "--out", run, *TINY).code == 1
    assert gatewise("train", "classify", reviews, "--out", run, *TINY, "--overwrite", "--seed", "3").code == 0
    assert gw.load(run).fitted.config.seed == 3


def test_ctrl_c_in_training_saves_what_was_learnt(gatewise, reviews, tmp_path, monkeypatch):
    class Stopping(Silent):
        def epoch(self, row):
            raise KeyboardInterrupt

    monkeypatch.setattr("gatewise.training.job.reporter", lambda kind: Stopping())
    called = gatewise("train", "classify", reviews, "--out", tmp_path / "run", *TINY, "--json")
    assert called.code == 0
    assert called.json["training"]["stopped"] == "interrupted" and called.json["training"]["epochs"] == 1
    assert any(note.startswith("interrupted after") for note in called.json["notes"])
    assert gatewise("predict", tmp_path / "run", "a fine film").code == 0


def test_ctrl_c_of_a_real_process_exits_0_with_a_whole_run(reviews, tmp_path):
    command = [
        sys.executable,
        "-m",
        "gatewise",
        "train",
        "classify",
        reviews,
        "--out",
        tmp_path / "run",
        *TINY,
    ]
    with subprocess.Popen(
        [*command, "--epochs", "10000"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # a background shell's child ignores it
    ) as process:
        assert process.stderr
        while not process.stderr.readline().startswith("epoch 2 "):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 0, rest
    assert "interrupted after" in rest and "Traceback" not in rest
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == FILES
    assert gw.load(tmp_path / "run").metrics_["training"]["interrupted"] is True


def test_evaluate_agrees_with_counts_done_here(gatewise, trained, reviews):
    classifier = gw.load(trained)
    rows = rows_of(reviews)
    guesses = classifier.predict([row["review"] for row in rows])
    truth = [row["sentiment"] for row in rows]
    labels = ["negative", "positive"]
    confusion = [
        [sum(t == a and g == b for t, g in zip(truth, guesses, strict=True)) for b in labels] for a in labels
    ]
    hits = [confusion[k][k] for k in range(2)]
    f1 = [2 * hits[k] / (sum(confusion[k]) + confusion[0][k] + confusion[1][k]) for k in range(2)]
    figures = gatewise("evaluate", trained, reviews, "--json").json
    assert figures["examples"] == 120 and figures["labels"] == labels
    assert figures["confusion"] == confusion
    assert figures["accuracy"] == pytest.approx(sum(hits) / 120, abs=1e-12)
    assert figures["macro_f1"] == pytest.approx(sum(f1) / 2, abs=1e-12)
    assert figures["classes"]["positive"]["f1"] == pytest.approx(f1[1], abs=1e-12)
    text = gatewise("evaluate", trained, reviews).out
    assert f"accuracy {figures['accuracy']:.4f}" in text and f"macro F1 {figures['macro_f1']:.4f}" in text
    assert ["negative", *map(str, confusion[0])] in [line.split() for line in text.splitlines()]
    before = figures["uncalibrated"]["calibration_error"]
    assert (
        f"calibration error {figures['calibration_error']:.4f} ({before:.4f} before the temperature)" in text
    )


def test_evaluate_reads_other_column_names_and_leaves_the_run_alone(gatewise, trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    other = write_table(tmp_path / "t.csv", ["body", "verdict"], [["fine", "positive"], ["dull", "negative"]])
    called = gatewise("evaluate", run, other, "--text", "body", "--label", "verdict", "--json")
    assert called.code == 0 and called.json["examples"] == 2
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_evaluate_save_notes_the_figures_in_the_run(gatewise, trained, reviews, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    figures = gatewise("evaluate", run, reviews, "--save", "--json").json
    saved = json.loads((run / "metrics.json").read_text())
    assert saved["test"]["accuracy"] == figures["accuracy"]
    assert {k: v for k, v in saved.items() if k != "test"} == json.loads(
        (trained / "metrics.json").read_text()
    )
    assert f"Test, 120 examples: accuracy {figures['accuracy']:.4f}" in (run / "README.md").read_text()
    assert gatewise("predict", run, "a fine film").code == 0


def test_predict_a_text(gatewise, trained):
    text = "A film with <script>alert(1)</script> and hardly a dull minute."
    shares = gw.load(trained).predict_proba([text])[0]
    label = ["negative", "positive"][int(shares.argmax())]
    assert gatewise("predict", trained, text).out == f"{label} ({shares.max():.1%})\n"
    answer = gatewise("predict", trained, text, "--all", "--json").json
    assert answer["text"] == text and answer["label"] == label
    assert answer["probability_negative"] == pytest.approx(shares[0], abs=1e-6)
    assert answer["probability_negative"] + answer["probability_positive"] == pytest.approx(1, abs=2e-6)


def test_predict_keeps_ids_and_every_column(gatewise, trained, reviews, tmp_path):
    called = gatewise("predict", trained, reviews, "--out", tmp_path / "out.csv", "--all")
    assert called.code == 0 and f"wrote 120 rows to {tmp_path / 'out.csv'}" in called.err
    given, found = rows_of(reviews), rows_of(tmp_path / "out.csv")
    assert [{k: row[k] for k in given[0]} for row in found] == given
    assert list(found[0]) == [
        *given[0],
        "label",
        "probability",
        "probability_negative",
        "probability_positive",
    ]
    shares = gw.load(trained).predict_proba([row["review"] for row in given])
    assert [float(row["probability_positive"]) for row in found] == pytest.approx(shares[:, 1], abs=1e-6)
    assert all(float(row["probability"]) == float(row[f"probability_{row['label']}"]) for row in found)


def test_predict_does_not_overwrite_a_column(gatewise, trained, tmp_path):
    path = write_table(tmp_path / "in.csv", ["id", "review", "label"], [["7", "a fine film", "mine"]])
    called = gatewise("predict", trained, path, "--out", tmp_path / "out.tsv")
    assert "note: the predictions stand in predicted_label, probability" in called.err
    (row,) = rows_of(tmp_path / "out.tsv", "\t")
    assert (row["id"], row["label"]) == ("7", "mine") and row["predicted_label"] in ("negative", "positive")
    again = gatewise("predict", trained, tmp_path / "out.tsv", "--out", tmp_path / "again.csv")
    assert again.code == 2 and "has a column 'predicted_label' already" in again.error


def test_predict_leaves_rows_without_known_words_open(gatewise, trained, tmp_path):
    path = write_table(tmp_path / "in.csv", ["review"], [["a fine film"], [""], ["xyzzy"]])
    called = gatewise("predict", trained, path, "--out", tmp_path / "out.csv")
    assert called.code == 0
    assert f"2 of 3 texts have no word that the model knows (the first is {path}, line 3)" in called.err
    assert [row["label"] != "" for row in rows_of(tmp_path / "out.csv")] == [True, False, False]
    assert [row["probability"] != "" for row in rows_of(tmp_path / "out.csv")] == [True, False, False]


def test_predict_json_lines_keep_their_values(gatewise, trained, tmp_path):
    path = tmp_path / "in.jsonl"
    rows = [
        {"id": 3, "review": "a fine film", "tags": ["a", 1.25]},
        {"id": 4, "review": "a dull film", "tags": None},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert gatewise("predict", trained, path, "--out", tmp_path / "out.jsonl").code == 0
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [{k: row[k] for k in rows[0]} for row in found] == rows
    assert gatewise("predict", trained, path, "--out", tmp_path / "out.csv").code == 0
    assert rows_of(tmp_path / "out.csv")[0]["tags"] == '["a", 1.25]'


def test_predict_the_lines_of_standard_input(gatewise, trained):
    lines = ["a fine film", "xyzzy", "a\tdull film"]
    called = gatewise("predict", trained, "-", stdin="\r\n".join(lines).encode())
    cells = [line.split("\t") for line in called.out.splitlines()]
    assert [row[2] for row in cells] == ["a fine film", "xyzzy", "a dull film"]
    assert cells[1][:2] == ["", ""]
    shares = gw.load(trained).predict_proba(lines)
    assert float(cells[0][1]) == pytest.approx(shares[0].max(), abs=1e-6)
    answers = gatewise("predict", trained, "-", "--json", stdin="\n".join(lines).encode()).json["predictions"]
    assert [row["line"] for row in answers] == [1, 2, 3]
    assert [str(row["probability"]) for row in answers] == [row[1] for row in cells]


def test_explain_prints_sums_that_add_up(gatewise, trained, tmp_path):
    text = "There was hardly any <b>boring</b> moment, and xyzzy."
    page = tmp_path / "why.html"
    found = gatewise("explain", trained, text, "--target", "negative", "--html", page, "--json").json
    assert found["label"] == "negative" and found["html"] == str(page)
    assert math.fsum(found["push"]) + found["initial"] + found["bias"] == pytest.approx(
        found["score"], abs=1e-5
    )
    shares = gw.load(trained).predict_proba([text])[0]
    assert found["probability"] == pytest.approx(shares[0], abs=1e-9)
    assert found["unknown"][found["words"].index("xyzzy")] is True
    printed = gatewise("explain", trained, text, "--target", "negative").out
    assert f"{found['score']:.4f} (score: log odds)" in printed
    html = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;boring&lt;/b&gt;" in html and "<b>boring" not in html
    assert f"gatewise explain {trained} " in html  # the command that made it
    again = gatewise("explain", trained, text, "--html", page)
    assert again.code == 1 and again.error == f"{page}: exists; name another file, or add --overwrite"
    assert gatewise("explain", trained, text, "--html", page, "--overwrite").code == 0


def test_numeric_sequences_from_training_to_explanation(gatewise, trained_beats, beats, tmp_path):
    figures = gatewise("evaluate", trained_beats, beats, "--json").json
    assert figures["examples"] == 40 and figures["accuracy"] >= 0.95  # a rising and a falling line
    assert gatewise("predict", trained_beats, beats, "--out", tmp_path / "out.csv").code == 0
    found = rows_of(tmp_path / "out.csv")
    truth = {row["patient"]: row["rhythm"] for row in rows_of(beats)}
    assert [row["patient"] for row in found] == list(truth)
    right = sum(row["label"] == truth[row["patient"]] for row in found)
    assert right == figures["confusion"][0][0] + figures["confusion"][1][1]
    why = gatewise("explain", trained_beats, beats, "--row", "s03", "--json").json
    assert why["words"] == [str(second) for second in range(8)]
    assert math.fsum(why["push"]) + why["initial"] + why["bias"] == pytest.approx(why["score"], abs=1e-5)
    called = gatewise("explain", trained_beats, beats, "--row", "s99")
    assert called.error == f"{beats}: there is no row with the id 's99'"
    assert gatewise("explain", trained_beats, beats).code == 2


def test_explain_says_first_what_was_kept_and_whether_it_holds_up(gatewise, trained):
    text = "There was hardly any boring moment in this fine film."
    called = gatewise("explain", trained, text, "--json")
    found = called.json
    lines = gatewise("explain", trained, text).out.splitlines()
    assert lines[0].startswith(f"answer: {found['label']}")
    assert len(found["occlusion"]) == len(found["words"]) == len(found["push"])
    check = found["check"]
    assert len(found["kept"]) == check["kept"] > 0 and len(check["random"]) == 50
    if not check["spread_out"]:
        kept = ", ".join(found["words"][at] for at in found["kept"])
        assert lines[1].startswith(f"It kept {check['kept']} of {len(found['words'])} words: {kept}")
    assert f"these words only {check['only']:.1%}, without them {check['without']:.1%}, " in lines[2]
    alone = gw.load(trained).predict_proba([" ".join(found["words"][at] for at in found["kept"])])[0]
    assert check["only"] == pytest.approx(alone[["negative", "positive"].index(found["label"])], abs=1e-6)


def test_explain_shows_other_runs_beside_and_refuses_those_of_other_labels(
    gatewise, trained, trained_beats, beats, reviews, tmp_path
):
    run, page = tmp_path / "rnn", tmp_path / "why.html"
    assert gatewise("train", "classify", reviews, "--out", run, *TINY, "--cell", "rnn").code == 0
    text = "There was hardly any boring moment."
    called = gatewise(
        "explain", trained, text, "--beside", run, "--beside", trained, "--html", page, "--json"
    )
    assert called.code == 0, called.err
    html = page.read_text(encoding="utf-8")
    assert "LSTM (2)" in html and "RNN: " in html
    called = gatewise("explain", trained, text, "--beside", trained_beats)
    assert called.code == 2
    assert called.error == (
        "the lstm model beside the explained one has the labels down, up; it must have the same, negative, positive"
    )
    called = gatewise("explain", run, text)  # a plain RNN by itself: by occlusion
    assert called.code == 0 and "plain RNN" in called.out and " occlusion" in called.out
    assert gatewise("explain", run, text, "--json").json["push"] == []


def test_dates_name_the_steps_of_a_sequence(gatewise, tmp_path):
    days = [
        [f"s{n}", f"2024-03-{day:02d}", str(day if n % 2 else -day), "up" if n % 2 else "down"]
        for n in range(20)
        for day in range(1, 5)
    ]
    table = write_table(tmp_path / "days.csv", ["who", "day", "level", "way"], days)
    columns = ("--id", "who", "--time", "day", "--features", "level", "--label", "way")
    assert gatewise("train", "classify", table, "--out", tmp_path / "run", *columns, *TINY).code == 0
    found = gatewise("explain", tmp_path / "run", table, "--row", "s3", "--json").json
    assert found["words"] == [f"2024-03-0{day}" for day in range(1, 5)]
    hours = [[who, f"{day}T06:30", level, way] for who, day, level, way in days]
    table = write_table(tmp_path / "hours.csv", ["who", "day", "level", "way"], hours)
    found = gatewise("explain", tmp_path / "run", table, "--row", "s3", "--json").json
    assert found["words"] == [f"2024-03-0{day} 06:30:00" for day in range(1, 5)]


def test_a_folder_a_label(gatewise, tmp_path):
    for label, word in (("good", "fine"), ("bad", "dull")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for n in range(8):
            (tmp_path / "data" / label / f"{n}.txt").write_text(f"a {word} film {n}")
    run = tmp_path / "run"
    called = gatewise("train", "classify", tmp_path / "data", "--out", run, *TINY)
    assert called.code == 0 and "read 16 texts" in called.out and "bad 8, good 8" in called.out
    assert gatewise("evaluate", run, tmp_path / "data", "--json").json["examples"] == 16


def test_version_and_help(gatewise):
    assert gatewise("--version").out == "gatewise 0.1.0\n"
    helped = gatewise("--help").out
    names = [
        "train",
        "evaluate",
        "predict",
        "generate",
        "explain",
        "explore",
        "units",
        "faithfulness",
        "inspect",
        "compare",
        "flow",
        "demo",
        "fetch",
        "doctor",
    ]
    assert [
        line.split()[1] for line in helped.splitlines() if line[:2] == "│ " and line[2].isalpha()
    ] == names
    for name in names[1:]:
        text = " ".join(gatewise(name, "--help").out.split())
        assert f"gatewise {name}" in text.split("Options")[0].split("Usage")[1], name
        assert "xample" in text or name == "predict", name


def test_help_needs_no_torch():
    code = (
        "import sys; from gatewise.cli import run; run(['--help']); run(['train', 'classify', '--help']); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_numbers_need_series_options_in_the_config_too(gatewise, beats, trained_beats, tmp_path):
    called = gatewise(
        "train", "classify", "--config", trained_beats / "config.toml", "--out", tmp_path / "again"
    )
    assert called.code == 0, called.err
    weights = [folder / "model.safetensors" for folder in (tmp_path / "again", trained_beats)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    called = gatewise("train", "classify", beats, "--out", tmp_path / "x", *SERIES[2:])
    assert called.error == "numeric sequences (--features) need --id as well"
