"""Sentences about pictures and clips: every form that is read, and what is refused."""

import pytest

from gatewise.data.captions import evenly, read_captions
from gatewise.errors import DataError

ROWS = 'image,caption\na.jpg,A dog runs .\nb.jpg,"A cat, asleep"\na.jpg, A brown dog \n'


@pytest.fixture
def folder(tmp_path):
    """Two pictures, which are not decoded here, and two clips of three and eleven frames."""
    for name in ("pictures/a.jpg", "pictures/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    for clip, frames in (("one", 3), ("two", 11)):
        (tmp_path / "clips" / clip).mkdir(parents=True)
        for k in range(frames):
            (tmp_path / "clips" / clip / f"{k}.png").write_bytes(b"frame")
    return tmp_path


def table(folder, content, name="captions.csv"):
    path = folder / name
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", ROWS),
        ("c.txt", ROWS),
        ("c.tsv", 'image\tcaption\na.jpg\tA dog runs .\nb.jpg\t"A cat, asleep"\na.jpg\tA brown dog\n'),
        ("c.token", "a.jpg#0\tA dog runs .\nb.jpg#0\tA cat, asleep\na.jpg#1\t A brown dog\n\n"),
        (
            "c.jsonl",
            '{"image": "a.jpg", "caption": "A dog runs ."}\n{"image": "b.jpg", "caption": "A cat, asleep"}\n'
            '{"image": "a.jpg", "caption": "A brown dog"}\n',
        ),
    ],
)
def test_every_form_gives_the_same(folder, name, content):
    found = read_captions(folder / "pictures", table(folder, content, name))
    assert found.names == ["a.jpg", "b.jpg"]
    assert found.captions == [["A dog runs .", "A brown dog"], ["A cat, asleep"]]
    assert found.files == [(folder / "pictures" / "a.jpg",), (folder / "pictures" / "b.jpg",)]
    assert (len(found), found.sentences, found.video, found.notes) == (2, 3, False, [])
    assert found.columns == (None if name == "c.token" else ("image", "caption"))


def test_columns_of_other_names_are_named(folder):
    path = table(folder, "key,said\na.jpg,x\n")
    found = read_captions(folder / "pictures", path, image="key", caption="said")
    assert found.captions == [["x"]]
    with pytest.raises(DataError, match="no column is called image, picture, file"):
        read_captions(folder / "pictures", path)


def test_a_clip_has_its_frames_in_the_order_of_their_numbers(folder):
    found = read_captions(folder / "clips", table(folder, "clip,caption\ntwo,x\none,y\n"))
    assert found.video
    assert [path.name for path in found.files[0]] == [f"{k}.png" for k in range(11)]
    assert len(found.files[1]) == 3


def test_frames_are_thinned_evenly_with_both_ends():
    assert evenly(range(11), 3) == [0, 5, 10]
    assert evenly(range(11), 4) == [0, 3, 7, 10]
    assert evenly(range(3), 16) == [0, 1, 2]
    assert evenly(range(5), 1) == [0]


def test_what_is_left_out_is_told(folder):
    found = read_captions(folder / "pictures", table(folder, "image,caption\na.jpg,x\na.jpg,  \nb.jpg,\n"))
    assert (found.names, found.captions) == (["a.jpg"], [["x"]])
    assert found.notes == [
        f"2 empty captions left out (the first is {folder / 'captions.csv'}, line 3)",
    ]
    found = read_captions(folder / "pictures", table(folder, "image,caption\na.jpg,x\n"))
    assert found.notes == [
        f"1 picture of {folder / 'pictures'} without a caption in {folder / 'captions.csv'} left out"
    ]


def test_the_hash_follows_sentences_and_pictures(folder):
    path = table(folder, ROWS)
    before = read_captions(folder / "pictures", path).sha256
    assert read_captions(folder / "pictures", path).sha256 == before
    (folder / "pictures" / "b.jpg").write_bytes(b"another")
    after = read_captions(folder / "pictures", path).sha256
    assert after != before
    table(folder, ROWS.replace("brown", "black"))
    assert read_captions(folder / "pictures", path).sha256 not in (before, after)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "image,caption\na.jpg,x\nc.jpg,y\nd.jpg,z\n",
            "captions.csv, line 3: there is no picture 'c.jpg' in {folder}/pictures, and 1 other that the table names",
        ),
        ("image,caption\n../captions.csv,x\n", "line 2: '../captions.csv' names no picture inside"),
        ("image,caption\n/etc/passwd,x\n", "line 2: '/etc/passwd' names no picture inside"),
        ("image,caption\n,x\n", "line 2: '' names no picture inside"),
        ("image,caption\na.jpg,\n", "captions.csv: there is no sentence in it"),
        ("image,caption\n", "there is a header and no row"),
    ],
)
def test_sentences_of_pictures_that_are_not_there_are_refused(folder, content, sentence):
    with pytest.raises(DataError) as refused:
        read_captions(folder / "pictures", table(folder, content))
    assert sentence.format(folder=folder) in str(refused.value)


def test_folders_that_do_not_fit_are_refused(folder):
    path = table(folder, ROWS)
    with pytest.raises(DataError, match="there is no such folder of pictures"):
        read_captions(folder / "none", path)
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="there is neither a picture in it nor a folder of frames"):
        read_captions(folder / "empty", path)
    (folder / "clips" / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="line 3: 'one' is a folder of frames, and those before it are not"):
        read_captions(folder / "clips", table(folder, "clip,caption\na.jpg,x\none,y\n"))
    (folder / "clips" / "three").mkdir()
    with pytest.raises(DataError, match="three: there is no picture in it"):
        read_captions(folder / "clips", table(folder, "clip,caption\nthree,x\n"))
    with pytest.raises(DataError, match="line 2: not of the form name#k, a tab, and a sentence"):
        read_captions(folder / "pictures", table(folder, "a.jpg#0\tx\na.jpg y\n", "c.token"))
