"""Options as dataclass and TOML: what is accepted, what is refused and in which words."""

import tomllib
from dataclasses import dataclass, fields

import pytest

from gatewise.errors import RunError, UsageError
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.training.config import check_options, dump_config, load_config, make_config, option


@dataclass(frozen=True)
class Small:
    share: float = option(0.5, "", "g", low=0, high=1, below=True)
    count: int = option(3, "", "g", low=1, high=9)
    on: bool = option(False, "", "g")
    kind: str = option("a", "", "g", choices=("a", "b"))
    names: tuple[str, ...] = option((), "", "g")

    def __post_init__(self):
        check_options(self)


def test_a_written_config_reads_back_the_same(tmp_path):
    config = ClassifyConfig(
        cell="gru+lstm", features=("a", "b"), learning_rate=3e-4, bidirectional=True, data="x/ü.csv", seed=7
    )
    dump_config(config, tmp_path / "c.toml", task="classify")
    assert load_config(ClassifyConfig, tmp_path / "c.toml", task="classify") == config


def test_the_file_holds_format_task_and_every_option(tmp_path):
    text = dump_config(ClassifyConfig(), tmp_path / "c.toml", task="classify")
    assert (tmp_path / "c.toml").read_text(encoding="utf-8") == text
    values = tomllib.loads(text)
    assert list(values)[:2] == ["format", "task"]
    assert (values["format"], values["task"]) == (1, "classify")
    assert set(values) - {"format", "task"} == {item.name for item in fields(ClassifyConfig)}


def test_missing_options_keep_their_defaults_and_whole_numbers_become_floats(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('share = 0\nnames = ["x"]\n')
    assert load_config(Small, path) == Small(share=0.0, names=("x",))
    assert isinstance(load_config(Small, path).share, float)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"shares": 0.1}, "options: unknown option 'shares'; did you mean share?"),
        ({"zzz": 1}, "options: unknown option 'zzz'"),
        ({"share": 1.0}, "options: share is 1; it must be in [0, 1)"),
        ({"share": float("nan")}, "options: share is nan; it must be in [0, 1)"),
        ({"share": "0.5"}, "options: share is '0.5'; it must be a number"),
        ({"share": True}, "options: share is True; it must be a number"),
        ({"count": 10}, "options: count is 10; it must be in [1, 9]"),
        ({"count": 2.0}, "options: count is 2.0; it must be a whole number"),
        ({"count": True}, "options: count is True; it must be a whole number"),
        ({"on": 1}, "options: on is 1; it must be true or false"),
        ({"kind": "c"}, "options: kind is 'c'; it must be one of a, b"),
        ({"names": "x"}, "options: names is 'x'; it must be a list of texts"),
        ({"names": ["x", 1]}, "options: names is ['x', 1]; it must be a list of texts"),
    ],
)
def test_what_does_not_fit_is_refused_with_value_and_range(values, sentence):
    with pytest.raises(UsageError) as error:
        make_config(Small, values)
    assert str(error.value) == sentence


def test_options_that_exclude_each_other():
    with pytest.raises(UsageError, match=r"cell is 'lstm\+tree'; it must be rnn, gru, lstm, or these joined"):
        ClassifyConfig(cell="lstm+tree")
    with pytest.raises(UsageError, match=r"num_layers is 2; the stack 'gru\+lstm' already names its layers"):
        ClassifyConfig(cell="gru+lstm", num_layers=2)


@pytest.mark.parametrize(
    ("content", "kind", "sentence"),
    [
        ("format = 2\n", RunError, "written by a newer version (format 2; this version reads up to 1)"),
        ("format = 'x'\n", RunError, "format is 'x'; it must be a whole number from 1"),
        ("format = \n", RunError, "not a TOML file"),
        ("task = 'translate'\n", UsageError, "the file is for the task 'translate', not 'classify'"),
        ("count = 0\n", UsageError, "count is 0; it must be in [1, 9]"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, kind, sentence):
    path = tmp_path / "c.toml"
    path.write_text(content)
    with pytest.raises(kind) as error:
        load_config(Small, path, task="classify")
    assert str(path) in str(error.value)
    assert sentence in str(error.value)


def test_a_missing_and_a_broken_file(tmp_path):
    with pytest.raises(RunError, match="there is no such file"):
        load_config(Small, tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="not UTF-8"):
        load_config(Small, tmp_path / "bytes.toml")
