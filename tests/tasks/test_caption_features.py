"""Features of frozen models by name, with stand-ins for torchvision and timm that hold a model each."""

import shutil
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from gatewise.data.captions import read_captions
from gatewise.errors import DataError, UsageError
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.caption.encode import Looker
from gatewise.tasks.caption.features import Features, _as_grid
from gatewise.tasks.caption.fitted import load_fitted
from gatewise.tasks.caption.recipe import train_captions

CPU = torch.device("cpu")


class OfTimm(nn.Module):
    """Means over 8 × 8 patches of a picture of 32 pixels: a grid of 4 × 4 cells of 3 features."""

    def __init__(self):
        super().__init__()
        self.num_features = 3
        self.pretrained_cfg = {"input_size": (3, 32, 32), "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}

    def forward_features(self, x):
        return nn.functional.avg_pool2d(x, 8)


class OfTorchvision(nn.Module):
    """Patches of 56 pixels, a map 4 × 4, then pooled and classified."""

    def __init__(self):
        super().__init__()
        self.patches, self.pool, self.head = nn.AvgPool2d(56), nn.AdaptiveAvgPool2d(1), nn.Linear(3, 10)

    def forward(self, x):
        return self.head(self.pool(self.patches(x)).flatten(1))


@pytest.fixture
def packages(monkeypatch):
    """Both packages, and the names of the models that were made."""
    made = []

    def make(name, kind):
        made.append(name)
        if name == "unknown":
            raise RuntimeError("Unknown model (unknown)")
        return kind()

    timm = ModuleType("timm")
    timm.create_model = lambda name, pretrained: make(name, OfTimm)  # pyright: ignore
    torchvision, models = ModuleType("torchvision"), ModuleType("torchvision.models")
    models.get_model = lambda name, weights: make(name, OfTorchvision)  # pyright: ignore
    for module in (timm, torchvision, models):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return made


@pytest.fixture
def quarters(tmp_path):
    """A picture of 32 pixels with a colour a quarter."""
    values = np.zeros((32, 32, 3), np.uint8)
    values[:16, :16], values[:16, 16:], values[16:, :16] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    Image.fromarray(values).save(tmp_path / "quarters.png")
    return tmp_path / "quarters.png"


def test_the_cells_are_those_of_the_models_last_map(packages, quarters):
    cells = Features("timm/means", None, CPU)(quarters)
    assert (cells.shape, cells.dtype) == ((4, 4, 3), torch.float16)
    assert cells[0, 0].tolist() == [1, 0, 0]
    assert cells[0, 3].tolist() == [0, 1, 0]
    assert cells[3, 0].tolist() == [0, 0, 1]
    assert cells[3, 3].tolist() == [0, 0, 0]


def test_of_torchvision_the_last_map_before_pooling_is_taken(packages, quarters):
    cells = Features("torchvision/means", None, CPU)(quarters)
    assert cells.shape == (4, 4, 3)
    black, red = -0.485 / 0.229, (1 - 0.485) / 0.229  # as ImageNet's mean and deviation make them
    assert float(cells[3, 3, 0]) == pytest.approx(black, abs=2e-3)
    assert float(cells[0, 0, 0]) == pytest.approx(red, abs=2e-3)


def test_features_are_kept_by_model_and_content(packages, quarters, tmp_path):
    cache = tmp_path / "cache"
    first = Features("timm/means", cache, CPU)(quarters)
    assert torch.equal(Features("timm/means", cache, CPU)(quarters), first)
    assert packages == ["means"]
    copy = tmp_path / "copy.png"
    copy.write_bytes(quarters.read_bytes())
    Features("timm/means", cache, CPU)(copy)
    assert packages == ["means"]
    Features("timm/means_", cache, CPU)(quarters)
    assert packages == ["means", "means_"]
    (kept, _) = cache.rglob("*.safetensors")
    kept.write_bytes(b"broken")
    for name in ("timm/means", "timm/means_"):
        assert torch.equal(Features(name, cache, CPU)(quarters), first)
    assert len(packages) == 3
    assert not [path for path in cache.rglob("*") if "partial" in path.name]


def test_kept_features_of_another_shape_are_refused_and_broken_numbers_made_anew(
    packages, quarters, tmp_path
):
    cache = tmp_path / "cache"
    first = Features("timm/means", cache, CPU)(quarters)
    (kept,) = cache.rglob("*.safetensors")
    save_file({"cells": torch.full((4, 4, 3), torch.nan).half()}, kept)
    assert torch.equal(Features("timm/means", cache, CPU)(quarters), first)
    save_file({"cells": torch.zeros(4, 2, 6).half()}, kept)
    looker = Looker(CaptionConfig(features="timm/means", feature_size=3), cache, CPU)
    sentence = (
        rf"quarters.png: its features are \[4, 2, 6\], where \[4, 2, 3\] are needed; delete .* {cache}/timm"
    )
    with pytest.raises(DataError, match=sentence):
        looker([quarters])


@pytest.mark.parametrize(
    ("shape", "aside"),
    [((1, 7, 3, 3), None), ((1, 3, 3, 7), None), ((1, 9, 7), 0), ((1, 11, 7), 2), ((1, 10, 7), None)],
)
def test_every_form_of_map_becomes_a_grid(shape, aside):
    assert _as_grid(torch.zeros(shape), 7, aside, "x").shape == (1, 3, 3, 7)


def test_tokens_before_the_places_are_left_out():
    row = torch.arange(5.0)[None, :, None].expand(1, 5, 2)
    assert _as_grid(row, 2, 1, "x")[0, :, :, 0].tolist() == [[1, 2], [3, 4]]
    with pytest.raises(UsageError, match=r"the last map has the shape \[1, 7, 2\], which is no grid"):
        _as_grid(torch.zeros(1, 7, 2), 2, 0, "x")


def test_what_cannot_be_had_is_one_sentence(packages, quarters, monkeypatch):
    with pytest.raises(
        UsageError, match=r"features 'timm/unknown' cannot be had \(RuntimeError: Unknown model"
    ):
        Features("timm/unknown", None, CPU)(quarters)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        UsageError, match=r"features 'timm/means' need timm, which is not installed \(pip install timm\)"
    ):
        Features("timm/means", None, CPU)(quarters)


@pytest.mark.parametrize("video", [False, True])
def test_a_run_on_features_is_trained_saved_and_read(packages, tmp_path, video):
    rows, chance = ["image,caption"], np.random.default_rng(0)
    for k in range(6):
        name = f"clip{k}" if video else f"p{k}.png"
        place = tmp_path / "seen" / (f"{name}/0.png" if video else name)
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 255, (16, 16, 3), np.uint8)).save(place)
        rows.append(f"{name},picture number {k}")
    (tmp_path / "c.csv").write_text("\n".join(rows) + "\n")
    data = read_captions(tmp_path / "seen", tmp_path / "c.csv")
    config = CaptionConfig(
        features="timm/means", channels=32, hidden_size=8, embedding_size=8, vocab_size=20, epochs=1, device="cpu",
        cache=str(tmp_path / "cache"),
    )  # fmt: skip
    train_captions(data, config, out=tmp_path / "run", progress=None)
    shutil.rmtree(tmp_path / "cache")
    again = load_fitted(tmp_path / "run", device="cpu")
    assert again.config.feature_size == 3
    place = data.files[0][0].parent if video else data.files[0][0]
    (found,) = again.describe([place])
    assert found.attention.shape[1:] == ((1,) if video else (4, 4))
    assert again.explain(place).words[0].unseen is None
    assert packages == ["means", "means"]  # once for the training, once for all answers
    assert not (tmp_path / "cache").exists()  # a run that answers writes nothing where its options say
