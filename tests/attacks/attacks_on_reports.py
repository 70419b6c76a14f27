"""Reports of texts that are made to run in a browser, or to speak to a terminal."""

import dataclasses
import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from attack import Attack
from attack_files import copy_of, in_json, text_run, trace_file
from rich.table import Table
from rich.text import Text

from gatewise.cli import run
from gatewise.cli.output import SafeConsole
from gatewise.memory import Trace
from gatewise.reports.explorer import Exploration, explore
from gatewise.reports.html import render
from gatewise.reports.live import Linear, LiveModel, LivePart, LiveTokenizer
from gatewise.reports.page import Answer, Curve, FlowCurve, Page, Quality, Variables, Word
from gatewise.reports.report import report
from gatewise.tasks.classify.card import model_card
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.fitted import load_fitted

PLAIN = "good"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")
"""Nothing of this stands in any file of ours: control characters, turns of the direction, ends of lines in scripts."""


class Elements(HTMLParser):
    """The page as a browser takes it apart: its elements with the names of their attributes, and its JSON."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[str] = []
        self.scripts: list[tuple[str, str]] = []
        self.kind: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "action", "srcdoc")
        ]
        self.kind = dict(attrs).get("type") or "code" if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self.kind is not None:
            self.scripts.append((self.kind, data))

    def handle_endtag(self, tag: str) -> None:
        self.kind = None

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", ()))


@cache
def recorded() -> Page:
    return report(Trace.load(trace_file()), labels=["a", "b", "c", "d", "e"]).page


def page_with(text: str) -> Page:
    """A page on which everything that can come from outside is `text`."""
    page = recorded()
    variables = Variables([text, text + "2"], page.layers[0].memory[:, :2].astype(float), None, 0.0)
    quality = Quality(
        part=text, figures=[(text, text)], curves=[Curve(text, [0.5, 0.25])], baselines=[(text, 0.5)],
        labels=[text, text + "2"], confusion=[[1, 2], [3, 4]], calibration=[(0.5, 0.5, 3)], training=[text],
    )  # fmt: skip
    return dataclasses.replace(
        page, title=text, heading=text, tail=text, variables=variables, quality=quality,
        words=[Word(text, text, 0.2, 0.1, kept=k == 0, unknown=k == 1) for k in range(5)],
        layers=[dataclasses.replace(layer, name=text) for layer in page.layers],
        answer=Answer(text, text, 0.75, {text: 0.75, text + "2": 0.25}),
        flows=[FlowCurve(text, [1.0, 0.5, 0.25, 0.1, 0.1], None)],
        cautions=[text], limits=[text], facts=[(text, text)], download={text: text, "title": text},
        live=model_with(text),
    )  # fmt: skip


def model_with(text: str) -> LiveModel:
    """A model for a page to run whose names, vocabulary and text are `text`."""
    tokenizer = LiveTokenizer("words", ["<pad>", "<unk>", text], [], np.zeros((0, 3), np.int32), 9, "head")
    weights = [np.ones(shape, np.float32) for shape in ((8, 1), (8, 2), 8, 8)]
    return LiveModel(
        tokenizer, np.ones((3, 1), np.float32), np.zeros(0), None, [LivePart(text, "lstm", False, *weights)] * 2, 1,
        "last", None, Linear(np.ones((2, 2), np.float32), np.ones(2, np.float32)), [text, text + "2"], 1.0,
        text, 0, [0.75, 0.25], [0.5],
    )  # fmt: skip


@cache
def plain() -> Elements:
    return Elements(render(page_with(PLAIN)))


def check_page(html: str) -> None:
    """The elements are those of a page with plain texts, the code is the same, and nothing is loaded."""
    found, wanted = Elements(html), plain()
    assert found.tags == wanted.tags
    assert [code for kind, code in found.scripts if kind == "code"] == [
        code for kind, code in wanted.scripts if kind == "code"
    ]
    for kind, text in found.scripts:
        if kind != "code":
            json.loads(text)
            assert not set("<>&") & set(text)
    assert found.addresses == wanted.addresses
    assert not FORBIDDEN.search(html.replace("\n", ""))


def _page(name: str, text: str, what: str, naive: str) -> Attack:
    def use(made: str) -> None:
        check_page(render(page_with(made)))

    return Attack(f"page of {name}", what, naive, lambda folder: plain() and text, use, None)


def _explorer(name: str, text: str, what: str, naive: str) -> Attack:
    """The same on the explorer's page, where `text` is every name, title, note and fact."""

    def use(made: str) -> None:
        found, wanted = Elements(explorer_with(made).html), Elements(explorer_with(PLAIN).html)
        assert found.tags == wanted.tags and found.addresses == wanted.addresses == []
        for (kind, code), (_, plain_code) in zip(found.scripts, wanted.scripts, strict=True):
            if kind == "code":
                assert code == plain_code
            else:
                json.loads(code)
                assert not set("<>&") & set(code)
        assert not FORBIDDEN.search(explorer_with(made).html.replace("\n", ""))

    return Attack(f"explorer of {name}", what, naive, lambda folder: text, use, None)


def explorer_with(text: str) -> Exploration:
    """The explorer of a recorded call, beside itself and with a corpus."""
    trace, names = Trace.load(trace_file()), [text] * 5
    made = explore(
        trace, trace, labels=names, names=[text, text], title=text, other_row=1, corpus=(trace, [names] * 2)
    )
    assert made.corpus is not None
    return dataclasses.replace(
        made, sides=[dataclasses.replace(side, note=text) for side in made.sides], facts=[(text, text)],
        corpus=dataclasses.replace(made.corpus, name=text, ids=[text, text]),
    )  # fmt: skip


def _explanation(name: str, text: str, what: str, naive: str) -> Attack:
    """The same through a run folder and a text that are both the stranger's."""

    def use(folder: Path) -> None:
        fitted = load_fitted(folder, device="cpu")
        html = explain(fitted, f"fine {text} film", evidence=False, command=text).to_html()
        assert not [tag for tag, names in Elements(html).tags if any(n.startswith("on") for n in names)]
        assert sum(tag == "script" for tag, _ in Elements(html).tags) == html.count("<script")
        assert "<img" not in html and not FORBIDDEN.search(html.replace("\n", ""))

    labels = in_json("labels.json", labels=[text, f"{text}2"])
    return Attack(f"explanation of {name}", what, naive, copy_of(text_run, labels), use, None)


def _terminal(
    name: str, use: Callable[[str], str], make: Callable[[Path], Any] = lambda folder: SEQUENCES
) -> Attack:
    def check(made: Any) -> None:
        said = use(made)
        assert said.strip() and not FORBIDDEN.search(said.replace("\n", ""))
        assert said.count("\n") < 40

    return Attack(f"terminal: {name}", "Escape sequences: clears the screen, sets the title, turns the writing.",
                  "Prints them.", make, check, None)  # fmt: skip


def _printed(*things: Any) -> str:
    stream = io.StringIO()
    console = SafeConsole(file=stream, force_terminal=False, width=100, markup=False)
    for thing in things:
        console.print(thing)
    return stream.getvalue()


def _in_a_table(text: str) -> str:
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    table.add_row(Text(text, style="bold"))
    return _printed(table)


def _called(*words: str) -> str:
    """What a call of the command line says, on both streams."""
    stream = io.StringIO()
    with redirect_stdout(stream), redirect_stderr(stream):
        run(list(words))
    return stream.getvalue()


def _predict(folder: Path) -> str:
    return _called("predict", str(folder), "fine film", "--all", "--device", "cpu")


def _explain_text(folder: Path) -> str:
    return _called("explain", str(folder), f"fine {SEQUENCES} film", "--device", "cpu")


def _card(text: str) -> None:
    """Everything from outside stands in code or is escaped: no line of the card is the text's own."""
    part = {"source": text, "sha256": text, "examples": 1, "labels": {text: 1}}
    card = model_card(ClassifyConfig(text="a|b`<b>"), [text, PLAIN], {"data": part, "notes": [text]})
    assert "\n# evil" not in card and "\n<script" not in card
    outside_code = re.sub("`[^`\n]*`", "", card)
    assert not re.search(r"(?<!\\)<|(?<!\\)\[|(?<!\\)\]\(", outside_code)


SEQUENCES = "\x1b[2J\x1b]0;title\x07\x9b31m\u202eevil\u2066\rok\x08\x7f"
TAG = "<script>alert(1)</script>"

ON_REPORTS = [
    _page("script elements", TAG, "A script element in every text.", "Runs it."),
    _page(
        "the end of a script",
        "</script><script>alert(1)</script><!--",
        "It closes the element that it stands in.",
        "Runs what follows.",
    ),
    _page(
        "comments in scripts",
        "<!--<script>",
        "The state in which a browser no longer sees the script's end.",
        "Swallows the page.",
    ),
    _page(
        "line separators",
        "\u2028alert(1)\u2029//",
        "Ends of lines in JavaScript, not in JSON.",
        "Runs what follows.",
    ),
    _page(
        "event handlers",
        '" onmouseover="alert(1)" x="',
        "It closes the attribute that it stands in.",
        "Runs it.",
    ),
    _page(
        "event handlers in single quotes",
        "' onfocus='alert(1)' autofocus='",
        "The same with the other quotes.",
        "Runs it.",
    ),
    _page("addresses of scripts", "javascript:alert(1)", "An address that runs.", "Makes a link of it."),
    _page(
        "pictures that fail", "<img src=x onerror=alert(1)>", "A picture whose fault runs code.", "Loads it."
    ),
    _page("drawings with code", "<svg/onload=alert(1)><foreignObject>", "SVG with a handler.", "Runs it."),
    _page(
        "templates",
        "{{ 7 * 7 }}{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
        "Jinja's own syntax.",
        "Renders it a second time.",
    ),
    _page("templates of scripts", "${alert(1)}`${7*7}`", "JavaScript's template literals.", "Runs it."),
    _page(
        "styles",
        "</style><style>*{background:url(//evil)}",
        "A style that loads from elsewhere.",
        "Loads it.",
    ),
    _page(
        "entities",
        "&lt;script&gt;&#60;script&#62;",
        "Text that is escaped already.",
        "Unescapes it once more.",
    ),
    _page("CDATA", "]]><script>alert(1)</script><![CDATA[", "The end of a CDATA section.", "Runs it."),
    _page(
        "control characters",
        "a\0b\x1b[2J\x85\u202ec\u2066",
        "NUL, escape, turns of the direction.",
        "Ends the text, or turns it round.",
    ),
    _page(
        "half a surrogate pair",
        "a\ud800b",
        "A character that cannot be written.",
        "UnicodeEncodeError: no page.",
    ),
    _page("a very long word", "x" * 20_000, "A word without a blank.", "A page of 100 MB, or a hung layout."),
    _page(
        "base and meta",
        '<base href="//evil"><meta http-equiv="refresh" content="0;url=//evil">',
        "Elements that lead elsewhere.",
        "Goes there.",
    ),
    _explorer("script elements", TAG, "A script element as every name.", "Runs it."),
    _explorer(
        "the end of a script",
        "</script><script>alert(1)</script><!--",
        "It closes the element that the numbers stand in.",
        "Runs what follows.",
    ),
    _explorer(
        "attributes", '"\' onfocus=alert(1) autofocus x="', "The end of an attribute.", "Runs the handler."
    ),
    _explorer(
        "templates", "{{ 7 * 7 }}${7*7}", "Jinja's and JavaScript's own syntax.", "Renders it a second time."
    ),
    _explorer(
        "control characters",
        "a\0\x1b[2J\u202e\u2028\ud800b",
        "Turns of the direction, ends of lines in scripts, half a surrogate pair.",
        "UnicodeEncodeError, or a text that is turned round.",
    ),
    _explorer("a very long word", "x" * 20_000, "A word without a blank.", "A hung layout."),
    _explanation("script elements", TAG, "A script element as label and in the text.", "Runs it."),
    _explanation("attributes", '"><img src=x onerror=alert(1)>', "The end of an attribute.", "Runs it."),
    _explanation(
        "control characters",
        "\x1b[2J\u202e\u2028",
        "Control characters as label and in the text.",
        "Shows them.",
    ),
    _terminal("notes", _printed),
    _terminal("tables", _in_a_table),
    _terminal(
        "labels of a run that answers",
        _predict,
        copy_of(text_run, in_json("labels.json", labels=[SEQUENCES, "b"])),
    ),
    _terminal(
        "a run that explains",
        _explain_text,
        copy_of(text_run, in_json("labels.json", labels=[SEQUENCES, "b"])),
    ),
    _terminal(
        "a run whose name moves the cursor",
        partial(_called, "predict"),
        lambda folder: str(folder / SEQUENCES),
    ),
    Attack(
        "model card of Markdown",
        "Headings, links, HTML and the end of code in labels and sources.",
        "A card that says something else.",
        lambda folder: f"a`\n# evil\n{TAG} [x](javascript:alert(1)) | b",
        _card,
        None,
    ),
]
