"""The commands of a captioner, from a folder of pictures to a page that shows where it looked."""

import json

import numpy as np
import pytest
from PIL import Image

from gatewise.synthetic.clips import draw_clips, write_clips

SMALL = (
    "--picture-size", "32", "--channels", "32", "--hidden-size", "12", "--embedding-size", "8", "--vocab-size", "30",
    "--epochs", "1", "--beams", "2", "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve pictures of two colours, told by lines as Flickr8k has them; one has no sentence."""
    folder = tmp_path_factory.mktemp("pictures") / "images"
    folder.mkdir()
    lines = []
    for k in range(12):
        colour, values = ("red", (210, 20, 20)) if k % 2 else ("blue", (20, 20, 210))
        Image.fromarray(np.full((30, 40, 3), values, np.uint8)).save(folder / f"{k}.jpg")
        lines += [f"{k}.jpg#0\tall of it is {colour} .", f"{k}.jpg#1\ta {colour} picture ."]
    (folder.parent / "captions.token").write_text("\n".join(lines[:-2]) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(gatewise, pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "seen"
    table = pictures.parent / "captions.token"
    called = gatewise("train", "caption", pictures, table, "--out", folder, *SMALL)
    assert called.code == 0, called.err
    assert called.out.startswith(f"read 22 sentences on 11 pictures of {pictures} from {table}\n")
    assert f"1 picture of {pictures} without a caption in {table} left out" in called.err
    assert f"gatewise explain {folder} PICTURE --html seen.html" in called.out
    return folder


def test_the_config_of_a_run_makes_the_same_run_again(gatewise, run, tmp_path):
    called = gatewise("train", "caption", "--config", run / "config.toml", "--out", tmp_path / "again")
    assert called.code == 0, called.err
    for name in ("model.safetensors", "tokenizer.json", "config.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()


def test_evaluate_is_json_and_can_be_noted_in_the_run(gatewise, run, pictures, tmp_path):
    table = pictures.parent / "captions.token"
    called = gatewise("evaluate", run, pictures, table, "--beams", "1", "--json")
    assert (called.json["examples"], called.json["sentences"]) == (11, 22)
    assert {"loss", "perplexity", "accuracy", "exact", "bleu", "chrf"} <= called.json.keys()
    for path in run.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert gatewise("evaluate", tmp_path, pictures, table, "--save").code == 0
    assert "- Test, 11 with 22 sentences: loss" in (tmp_path / "README.md").read_text()
    assert json.loads((tmp_path / "metrics.json").read_text())["test"]["examples"] == 11


def test_predict_answers_a_picture_and_a_folder_alike(gatewise, run, pictures, tmp_path):
    out = tmp_path / "out.tsv"
    called = gatewise("predict", run, pictures, "--out", out)
    assert called.err == f"wrote 12 lines to {out}\n"
    rows = dict(line.split("\t") for line in out.read_text().splitlines())
    assert list(rows)[:3] == ["0.jpg", "1.jpg", "2.jpg"]
    assert list(rows)[-1] == "11.jpg"
    assert gatewise("predict", run, pictures / "3.jpg").out.rstrip("\n") == rows["3.jpg"]
    found = gatewise("predict", run, pictures, "--json").json["predictions"]
    assert [one["text"] for one in found] == list(rows.values())
    assert gatewise("predict", run, pictures, "--out", out).error == (
        f"{out}: exists; name another file, or add --overwrite"
    )


def test_explain_writes_a_page_and_says_where_it_looked(gatewise, run, pictures, tmp_path):
    page = tmp_path / "seen.html"
    called = gatewise("explain", run, pictures / "0.jpg", "--html", page)
    assert called.code == 0, called.err
    text, *words = called.out.splitlines()
    assert len(words) == len(text.replace(".", " .").split()) + 1
    assert all("looked most at row " in word for word in words)
    assert page.read_text().startswith("<!doctype html>")
    told = gatewise("explain", run, pictures / "0.jpg", "--json").json
    assert told["text"] == text
    assert np.sum(told["words"][0]["attention"]) == pytest.approx(1, abs=1e-4)


def test_clips_are_trained_on_and_answered(gatewise, tmp_path):
    place, table = write_clips(draw_clips(6, frames=3), tmp_path / "drawn")
    run = tmp_path / "moving"
    called = gatewise("train", "caption", place, table, "--out", run, *SMALL)
    assert called.code == 0, called.err
    assert "read 6 sentences on 6 clips" in called.out
    assert gatewise("evaluate", run, place, table, "--json").json["examples"] == 6
    assert len(gatewise("predict", run, place).out.splitlines()) == 6
    assert len(gatewise("predict", run, place / "clip00001").out.splitlines()) == 1
    assert "looked most at frame" in gatewise("explain", run, place / "clip00001").out


def test_bad_calls_are_one_sentence(gatewise, run, pictures, tmp_path):
    table = pictures.parent / "captions.token"
    text = tmp_path / "text.jpg"
    text.write_text("a text")
    missing = tmp_path / "missing.csv"
    missing.write_text("image,caption\nnone.jpg,x\n")
    (tmp_path / "empty").mkdir()
    cases = [
        ((), "a folder of pictures is missing (see gatewise train caption --help)"),
        ((pictures,), "a table with their sentences is missing"),
        ((tmp_path / "empty", table), "there is neither a picture in it nor a folder of frames"),
        ((pictures, missing), f"line 2: there is no picture 'none.jpg' in {pictures}"),
        ((pictures, tmp_path / "none.csv"), "none.csv: there is no such file"),
        ((pictures, table, "--features", "resnet"), "it must be torchvision/NAME or timm/NAME"),
        ((pictures, table, "--picture-size", "33"), "picture_size is 33; it must be a multiple of 16"),
    ]
    for arguments, sentence in cases:
        called = gatewise("train", "caption", *SMALL, *arguments, "--out", tmp_path / "run")
        assert called.code in (1, 2)
        assert sentence in called.error
        assert not (tmp_path / "run").exists()
    assert "not a picture (its first bytes are text)" in gatewise("predict", run, text).error
    assert "there is no such file" in gatewise("predict", run, tmp_path / "none.jpg").error
    assert "there is no picture in it" in gatewise("predict", run, tmp_path / "empty").error
    assert "is a folder; a picture is needed" in gatewise("explain", run, pictures).error
