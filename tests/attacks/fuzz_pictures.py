"""Fuzzed: pictures, frames of a clip, and the kept features of a picture."""

import io
from functools import cache, partial
from pathlib import Path

import torch
from attack_files import picture, scratch
from fuzz_contents import IMAGES, TENSORS
from fuzz_reader import Reader, as_file, bytes_of
from PIL import Image

from gatewise.data.pictures import picture_files, read_picture, squared
from gatewise.tasks.caption.features import Features, Frozen

MODEL = "timm/none"


def _seen(path: Path) -> None:
    assert squared(read_picture(path, near=8), 8).shape == (3, 8, 8)


def _clip(folder: Path, content: bytes) -> None:
    """The broken frame between two whole ones."""
    clip = folder / "clip"
    clip.mkdir(exist_ok=True)
    (clip / "1.png").write_bytes(picture().read_bytes())
    (clip / "2.png").write_bytes(content)
    (clip / "10.png").write_bytes(picture().read_bytes())
    for path in picture_files(clip):
        _seen(path)


def _kept_features(folder: Path, content: bytes) -> None:
    """Kept features that cannot be read are asked of the model, which there is not."""
    kept = folder / "cache" / kept_features().relative_to(kept_features().parents[1])
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(content)
    cells = Features(MODEL, folder / "cache", torch.device("cpu"))(picture())
    assert cells.dim() == 3 and bool(cells.isfinite().all())


@cache
def kept_features() -> Path:
    """The file in which the features of the picture are kept."""
    features = Features(MODEL, scratch() / "cache", torch.device("cpu"))
    vars(features)["model"] = Frozen(lambda pictures: torch.ones(1, 2, 2, 4), 8, (0.0,) * 3, (1.0,) * 3)
    features(picture())
    return next((scratch() / "cache").rglob("*.safetensors"))


def _pictures(kind: str) -> list[bytes]:
    """Small pictures of a format: of every kind of pixel, turned, and as an animation."""
    plain = Image.linear_gradient("L").resize((40, 30))
    clear = Image.merge("RGBA", (plain, plain, plain, plain))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    several: dict[str, object] = {"save_all": True, "append_images": [plain.convert("RGB")]}
    images: dict[str, list[tuple[Image.Image, dict[str, object]]]] = {
        "PNG": [
            (clear, {}),
            (plain.convert("P"), {"transparency": 0}),
            (plain.convert("I;16"), {"exif": exif}),
        ],
        "JPEG": [
            (plain, {}),
            (clear.convert("RGB"), {"exif": exif}),
            (clear.convert("CMYK"), {"progressive": True}),
        ],
        "WEBP": [(clear, {"exif": exif}), (clear.convert("RGB"), several), (clear, {"lossless": True})],
        "GIF": [(plain, {}), (clear.convert("RGB"), several), (plain.convert("P"), {"transparency": 0})],
        "BMP": [(clear.convert("RGB"), {}), (plain.convert("P"), {}), (plain.convert("1"), {})],
    }
    found = []
    for image, options in images[kind]:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        found.append(stream.getvalue())
    return found


PICTURES: dict[str, Reader] = {
    **{
        f"picture: {kind}": Reader(partial(_pictures, kind), as_file("a.png", _seen), IMAGES)
        for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP")
    },
    "frames of a clip": Reader(lambda: _pictures("PNG") + _pictures("JPEG"), _clip, IMAGES),
    "features of a picture": Reader(bytes_of(kept_features), _kept_features, TENSORS),
}
