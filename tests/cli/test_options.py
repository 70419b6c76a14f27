"""Flags made from a config: every option has one, with the type, and what the user did not say stays unsaid."""

from dataclasses import dataclass
from typing import Any

import pytest
import typer
from typer.exceptions import TyperException
from typer.main import get_command

from gatewise.cli.app import app
from gatewise.cli.options import build_config, comma_list, config_flags
from gatewise.errors import UsageError
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.training.config import check_options, in_order, option, rule


@dataclass(frozen=True)
class Small:
    """A config with an option of each kind."""

    units: int = option(3, "how many", "sizes", low=1, high=9)
    share: float = option(0.5, "how much", "sizes", low=0, high=1)
    both: bool = option(False, "the other way too", "ways")
    kind: str = option("a", "which", "ways", choices=("a", "b"))
    names: tuple[str, ...] = option((), "columns", "ways")
    hidden: str = option("x", "not a flag", "ways")

    def __post_init__(self):
        check_options(self)


@pytest.fixture
def flags_of():
    seen: list[dict[str, Any]] = []
    small = typer.Typer()

    @small.command()
    @config_flags(Small, without=("hidden",))
    def command(place: str, *, flags: dict[str, Any]) -> None:
        seen.append({"place": place} | flags)

    def parse(*words: str) -> dict[str, Any]:
        small(list(words), standalone_mode=False)
        return seen.pop()

    return parse


def test_only_what_was_said_arrives_with_its_type(flags_of):
    assert flags_of("here") == {"place": "here"}
    assert flags_of("here", "--units", "7", "--share", "1") == {"place": "here", "units": 7, "share": 1.0}
    assert flags_of("here", "--both")["both"] is True
    assert flags_of("here", "--no-both")["both"] is False
    assert flags_of("here", "--names", "a, b,c")["names"] == ("a", "b", "c")


def test_a_flag_of_the_wrong_type_or_of_no_option_is_refused(flags_of):
    for words in (["--units", "many"], ["--share", "x"], ["--hidden", "y"]):
        with pytest.raises(TyperException) as caught:
            flags_of("here", *words)
        assert words[0] in caught.value.format_message()


def test_an_empty_part_of_a_list_is_refused():
    assert comma_list("a") == ("a",)
    with pytest.raises(UsageError, match="'a,,b' is not a list of names with commas between them"):
        comma_list("a,,b")


def test_values_override_the_file_which_overrides_the_defaults(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text('units = 5\nkind = "b"\n')
    assert build_config(Small, file, {"units": 6}, task="small") == Small(units=6, kind="b")
    assert build_config(Small, None, {"share": 0.25}, task="small") == Small(share=0.25)
    with pytest.raises(UsageError, match=r"options: units is 12; it must be in \[1, 9\]"):
        build_config(Small, file, {"units": 12}, task="small")


@pytest.mark.parametrize(
    ("config", "own"),  # what is said in another way: DATA, --valid, --from, …
    [
        (ClassifyConfig, {"data", "validation_data", "language_model"}),
        (GenerateConfig, {"data", "validation_data", "test_data"}),
        (TranslateConfig, {"data", "target_data", "validation_data", "validation_target_data"}),
        (
            CaptionConfig,
            {"pictures", "captions", "validation_pictures", "validation_captions", "video", "feature_size"},
        ),
    ],
)
def test_every_option_of_a_recipe_can_be_said_group_by_group(config, own):
    task = config.__name__.removesuffix("Config").lower()
    command = get_command(app).commands["train"].commands[task]  # type: ignore[attr-defined]
    said = {name: parameter for parameter in command.params for name in parameter.opts}
    wanted = [item for item in in_order(config) if item.name not in own]
    names = ["--" + item.name.replace("_", "-") for item in wanted]
    assert [name for name in said if name in names] == names
    assert [said[name].rich_help_panel for name in names] == [
        f"Options: {rule(item).group}" for item in wanted
    ]
    shared = {"--out", "--valid", "--config", "--overwrite", "--resume", "--tensorboard", "--json"}
    assert shared <= said.keys()
