"""Pictures from files: what is read from each kind, and what is refused with one sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from gatewise.data import pictures
from gatewise.data.pictures import in_order, picture_files, read_picture, squared
from gatewise.errors import DataError

RED, BLUE = (200, 30, 20), (10, 40, 220)


def halves(left=RED, right=BLUE, size=(8, 4)):
    """A picture whose left half has one colour and whose right half has another."""
    values = np.empty((size[1], size[0], 3), np.uint8)
    values[:, : size[0] // 2], values[:, size[0] // 2 :] = left, right
    return Image.fromarray(values)


def saved(image, path, **options):
    image.save(path, **options)
    return path


def test_a_picture_is_read_as_it_was_written(tmp_path):
    image = halves()
    for name in ("a.png", "a.bmp"):
        assert np.array_equal(np.asarray(read_picture(saved(image, tmp_path / name))), np.asarray(image))
    lossy = np.asarray(read_picture(saved(image.resize((80, 40), 0), tmp_path / "a.jpg", quality=95))).astype(
        int
    )
    assert abs(lossy[20, 10] - RED).max() < 6
    assert abs(lossy[20, 70] - BLUE).max() < 6


def test_a_photograph_that_was_taken_upright_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    found = read_picture(saved(halves(), tmp_path / "a.png", exif=exif))
    assert found.size == (4, 8)
    assert found.getpixel((1, 0)) == RED
    assert found.getpixel((1, 7)) == BLUE


def test_what_is_transparent_stands_over_white(tmp_path):
    clear = halves().convert("RGBA")
    clear.putalpha(Image.fromarray(np.where(np.arange(8) < 4, 0, 255).astype(np.uint8)[None].repeat(4, 0)))
    found = read_picture(saved(clear, tmp_path / "a.png"))
    assert found.getpixel((0, 0)) == (255, 255, 255)
    assert found.getpixel((7, 0)) == BLUE
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, *BLUE])
    palette.putdata([0, 1])
    found = read_picture(saved(palette, tmp_path / "p.png", transparency=0))
    assert [found.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), BLUE]


def test_sixteen_bits_a_pixel_become_eight(tmp_path):
    greys = np.array([[0, 257 * 100, 65_535]], np.uint16)
    found = read_picture(saved(Image.fromarray(greys), tmp_path / "a.png"))
    assert [found.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (100, 100, 100), (255, 255, 255)]


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [halves(left=RED, right=RED), halves(left=BLUE, right=BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "a.gif").getpixel((0, 0)) == RED


def test_a_picture_is_squared_whole():
    found = squared(halves(size=(40, 20)), 16)
    assert found.shape == (3, 16, 16)
    assert found[:, 8, 1].tolist() == list(RED)
    assert found[:, 8, 14].tolist() == list(BLUE)


def test_names_with_numbers_are_in_the_order_of_the_numbers(tmp_path):
    names = ["frame10.png", "frame9.png", "frame1.png", "a.png", "10.png", "9.png"]
    ordered = ["9.png", "10.png", "a.png", "frame1.png", "frame9.png", "frame10.png"]
    assert [path.name for path in in_order([tmp_path / name for name in names])] == ordered
    for name in (*names, ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in picture_files(tmp_path)] == ordered


def png_of(width, height):
    """A PNG whose header promises so many pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def cut(kind):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()[:3000]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a picture (the file is empty); PNG, JPEG, WebP, BMP and GIF are read"),
        (b"A text, and no picture.\n", "not a picture (its first bytes are text)"),
        ("ä".encode() * 700, "not a picture (its first bytes are text)"),
        (b"\x00\x01\xfe\xff" * 400, "not a picture (its bytes are of no such format)"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture (its first bytes are text)"),
        (cut("PNG"), "a broken picture ("),
        (cut("JPEG"), "a broken picture ("),
        (cut("BMP"), "a broken picture ("),
        (png_of(10_000, 10_000), "10,000 × 10,000 pixels, which is more than 40,000,000; make it smaller"),
        (png_of(60_000, 60_000), "has far more than 40,000,000 pixels"),
    ],
    ids=["empty", "text", "long text", "bytes", "eps", "cut png", "cut jpeg", "cut bmp", "huge", "bomb"],
)
def test_what_is_no_picture_is_refused_by_name(tmp_path, content, sentence):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        read_picture(path)
    assert str(refused.value).startswith(f"{path}: {sentence}")


def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = saved(Image.new("RGBA", (200, 150)), tmp_path / "a.png")
    size = path.stat().st_size
    assert read_picture(path).size == (200, 150)
    monkeypatch.setattr(pictures, "FREE_PIXELS", 8_000)
    assert 200 * size < 3 * 200 * 150  # it is flat
    with pytest.raises(DataError) as refused:
        read_picture(path)
    assert str(refused.value) == (
        f"{path}: 200 × 150 pixels in {size:,} bytes, which is more than 200 times its size; make it smaller"
    )
    noise = np.random.default_rng(0).integers(0, 255, (90, 100, 3), np.uint8)
    assert read_picture(saved(Image.fromarray(noise), tmp_path / "b.png")).size == (100, 90)


def test_files_that_are_none_or_too_large_are_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="there is no such file"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(DataError, match="not a regular file"):
        read_picture(tmp_path)
    with pytest.raises(DataError, match=r"there is no picture in it \(\.png, \.jpg"):
        picture_files(tmp_path)
    monkeypatch.setattr(pictures, "MOST_BYTES", 50)
    with pytest.raises(DataError, match="has more than 50 bytes"):
        read_picture(saved(halves(), tmp_path / "a.png"))
