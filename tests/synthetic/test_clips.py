"""Drawn clips show what their sentences say."""

import numpy as np
import pytest

from gatewise.data.captions import read_captions
from gatewise.data.pictures import read_picture
from gatewise.errors import UsageError
from gatewise.synthetic.clips import COLOURS, SENTENCES, draw_clips, write_clips


def coloured(frame, colour):
    """The pixels near a colour, [size, size] bool."""
    return np.abs(frame.astype(int) - COLOURS[colour]).max(-1) < 40


def test_each_shape_moves_as_its_sentence_says():
    clips = draw_clips(100, frames=4, size=96, seed=3)
    assert clips.frames.shape == (100, 4, 96, 96, 3)
    assert set(clips.sentences) <= set(SENTENCES)
    assert len(SENTENCES) == 48
    for clip, sentence in zip(clips.frames, clips.sentences, strict=True):
        _, colour, shape, _, way = sentence.split()
        middles = np.array([np.argwhere(coloured(frame, colour)).mean(0) for frame in clip])  # row, column
        moved = middles[-1] - middles[0]
        sign, axis = {"left": (-1, 1), "right": (1, 1), "up": (-1, 0), "down": (1, 0)}[way]
        assert sign * moved[axis] > 15
        assert abs(moved[1 - axis]) < 1.5
        assert all(sign * np.diff(middles[:, axis]) > 0)
        inside = coloured(clip[0], colour)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        share = inside.sum() / box  # of the box around it: 1, π/4 and about 1/2
        low, high = {"square": (0.97, 1.0), "circle": (0.72, 0.85), "triangle": (0.44, 0.58)}[shape]
        assert low <= share <= high, sentence


def test_a_seed_decides_the_clips_and_another_gives_others():
    first, again, other = draw_clips(20, seed=1), draw_clips(20, seed=1), draw_clips(20, seed=2)
    assert np.array_equal(first.frames, again.frames)
    assert first.sentences == again.sentences
    assert first.sentences != other.sentences


def test_written_clips_are_read_back(tmp_path):
    clips = draw_clips(3, frames=12, size=20)
    found = read_captions(*write_clips(clips, tmp_path / "drawn"))
    assert found.video
    assert found.captions == [[sentence] for sentence in clips.sentences]
    assert np.array_equal(
        np.stack([np.asarray(read_picture(path)) for path in found.files[2]]), clips.frames[2]
    )


def test_too_few_are_refused():
    with pytest.raises(UsageError, match="0 clips of 6 frames of 32 pixels; 1, 2 and 16 are the fewest"):
        draw_clips(0)
    with pytest.raises(UsageError, match="1 clips of 1 frames"):
        draw_clips(1, frames=1)
