"""The page in a real browser: what it shows, how it is moved through, and that hostile text stays text."""

import dataclasses
import json

import numpy as np
import page_cases
import pytest
from tabs import DESK, IN_BROWSER, PAINTED, PHONE, Tab

from gatewise.reports.html import render
from gatewise.reports.page import Answer, Curve, FlowCurve, Page, Quality, Variables, Word

pytestmark = IN_BROWSER

COUNT_REPAINTS = """
  window.repaints = 0;
  const width = Object.getOwnPropertyDescriptor(HTMLCanvasElement.prototype, "width");
  Object.defineProperty(HTMLCanvasElement.prototype, "width", {
    ...width, set(value) { window.repaints++; width.set.call(this, value); },
  });
"""
"""A canvas is emptied, and so painted anew, when its width is set."""


class Opened(Tab):
    """A page of an explanation or a recorded layer."""

    def __init__(self, browser, path, page: Page, **options):
        super().__init__(browser, path, render(page), **options)

    def chosen(self) -> str:
        """The word that the first text marks as chosen."""
        return self.tab.locator(".words .chosen").first.inner_text()


@pytest.fixture
def opened(browser, tmp_path):
    all_opened = []

    def make(page: Page, **options) -> Opened:
        all_opened.append(Opened(browser, tmp_path / f"page{len(all_opened)}.html", page, **options))
        return all_opened[-1]

    yield make
    for one in all_opened:
        one.context.close()


CASES = {
    "lstm": page_cases.review,
    "gru": lambda: page_cases.review("gru"),
    "rnn": lambda: page_cases.review("rnn_tanh"),
    "relu": lambda: page_cases.review("rnn_relu"),
    "series": page_cases.series,
    "trace": page_cases.trace_only,
}


@pytest.mark.parametrize("name", CASES)
def test_every_drawing_is_drawn_and_nothing_is_asked_for(opened, name):
    shown = opened(CASES[name]())
    assert shown.is_quiet(), (shown.faults, shown.requests)
    plots = shown.tab.locator(".plot >> visible=true")
    assert plots.count() >= 1
    for k in range(plots.count()):
        plots.nth(k).scroll_into_view_if_needed()
        canvas = plots.nth(k).locator("canvas").first
        assert canvas.evaluate(PAINTED) > 2, plots.nth(k).get_attribute("aria-label")
    for section in shown.tab.locator("main > *").all():
        assert section.inner_text().strip(), section.get_attribute("id")


def edges() -> dict[str, Page]:
    """Pages of little or odd content."""
    review = page_cases.review()
    mixed = [page_cases.layer(30, units, cell=cell, name=cell) for cell, units in (("gru", 8), ("lstm", 4))]
    faded = page_cases.layer(4, 2)
    faded = dataclasses.replace(
        faded,
        belt=np.zeros((4, 4), np.float32),
        edge=np.zeros(4, np.float32),
        half_lives=np.float32([np.inf, np.nan]),
    )
    odd = Variables(["missing", "vast"], np.array([[np.nan, 1e300]] * 48), np.full((48, 2), np.nan), 0.0)
    return {
        "one word of one unit": Page("t", "t", "word", [Word("a", "")], [page_cases.layer(1, 1)]),
        "nothing held": Page("t", "t", "word", [Word(str(k), held=0.0, push=0.0) for k in range(4)], [faded]),
        "no layers": Page("t", "t", "word", [Word("a"), Word("b")], []),
        "nothing at all": Page("t", "t", "step", [], []),
        "mixed cells": dataclasses.replace(review, layers=mixed),
        "right to left": dataclasses.replace(review, words=[Word("שלום")] * 30),
        "odd variables": dataclasses.replace(page_cases.series(), variables=odd),
    }


@pytest.mark.parametrize("name", edges())
def test_pages_of_little_or_odd_content_work(opened, name):
    page = edges()[name]
    shown = opened(page)
    shown.tab.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    for k in range(len(page.layers) if len(page.layers) > 1 else 0):
        shown.tab.locator("#belt select[name=layer]").select_option(str(k))
        shown.frames()
    for canvas in shown.tab.locator(".moving >> visible=true").all():
        canvas.hover()
    shown.frames()
    assert shown.is_quiet(), shown.faults
    text = shown.tab.locator("main").inner_text()
    assert "NaN" not in text and "undefined" not in text


def test_pointing_at_a_word_anywhere_chooses_it_everywhere(opened):
    shown = opened(page_cases.review())
    tab = shown.tab
    at = page_cases.REVIEW.index("hold")
    tab.locator(f".words.again [data-word='{at}']").hover()
    shown.frames()
    assert shown.chosen() == "hold"
    assert "“hold” wrote" in shown.text(".belt .readout")
    assert tab.locator("select[name=word] >> visible=true").input_value() == str(at)
    tab.locator("#experts summary").first.click()
    tab.locator("tr[data-word='3'] th").hover()
    shown.frames()
    assert shown.chosen() == "Movie"
    assert tab.locator("tr.chosen th").inner_text() == "Movie"


def test_pointing_at_a_band_lights_it_and_leaving_puts_it_out(opened):
    shown = opened(page_cases.review())
    tab = shown.tab
    belt = tab.locator("#belt .plot >> visible=true")
    belt.scroll_into_view_if_needed()
    moving = belt.locator("canvas").nth(1)
    before = moving.evaluate(PAINTED)
    shown.tab.locator("#belt .moving >> visible=true").hover(position={"x": 700, "y": 330})
    shown.frames()
    assert "Amazing" in shown.text(".belt .readout"), "the lowest band is that of the first word"
    assert belt.locator("canvas.back").count() == 1
    assert moving.evaluate(PAINTED) > before
    tab.locator("h1").hover()
    shown.frames()
    assert belt.locator("canvas.back").count() == 0


def test_pointing_at_a_strip_chooses_the_word_of_its_column(opened):
    shown = opened(page_cases.review())
    strip = shown.tab.locator(".strip .moving >> visible=true").first
    box = strip.bounding_box()
    column = (box["width"] - 36 - 156) / len(page_cases.REVIEW)
    for word in (0, 8, 29):
        strip.hover(position={"x": 36 + column * (word + 0.5), "y": 40})
        shown.frames()
        assert shown.chosen() == page_cases.REVIEW[word]


def test_the_map_of_units_chooses_word_and_unit(opened):
    page = page_cases.review()
    shown = opened(page)
    shown.tab.locator(".gate summary >> visible=true").first.click()
    shown.frames()
    shown.tab.locator(".unit-map .moving >> visible=true").first.hover(position={"x": 400, "y": 6})
    shown.frames()
    longest = int(np.argmax(page.layers[0].half_lives))
    assert shown.tab.locator("select[name=unit] >> visible=true").input_value() == str(longest)


def numbers(shown: Opened) -> dict[str, float]:
    """What the boxes of the step say, by name."""
    cells = shown.tab.locator(".boxes >> visible=true").locator("[data-number]").all()
    return {cell.get_attribute("data-number"): float(cell.inner_text().replace("−", "-")) for cell in cells}


@pytest.mark.parametrize("index", [0, 1], ids=["forward", "reverse"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_the_opened_step_is_the_cells_arithmetic(opened, cell, index):
    page = page_cases.review(cell)
    layer = page.layers[index]
    shown = opened(page)
    shown.tab.locator("#step select[name=layer]").select_option(str(index))
    shown.frames()
    for t, j in [(0, 3), (8, 31), (29, 0)]:
        shown.tab.locator("select[name=word] >> visible=true").select_option(str(t))
        shown.tab.locator("select[name=unit] >> visible=true").select_option(str(j))
        shown.frames()
        found = numbers(shown)
        before = t + 1 if layer.reverse else t - 1
        old = float(layer.memory[before, j]) if 0 <= before < 30 else float(layer.initial[j])
        gate = {name: float(values[t, j]) for name, values in layer.gates.items()}
        expected = {"before": old, "memory": float(layer.memory[t, j])}
        if cell == "lstm":
            expected |= gate | {
                "kept": gate["f"] * old,
                "added": gate["i"] * gate["g"],
                "tanh": np.tanh(expected["memory"]),
                "shown": float(layer.hidden[t, j]),
            }
        if cell == "gru":
            expected |= gate | {
                "rest": 1 - gate["z"],
                "kept": gate["z"] * old,
                "added": (1 - gate["z"]) * gate["n"],
            }
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=6e-5), name


def test_next_and_previous_walk_and_stop_at_the_ends(opened):
    shown = opened(page_cases.review())
    button = shown.tab.locator("button >> visible=true")
    word, unit = (shown.tab.locator(f"select[name={name}] >> visible=true") for name in ("word", "unit"))
    start = int(word.input_value())
    button.and_(shown.tab.get_by_label("next word")).click()
    shown.frames()
    assert word.input_value() == str(start + 1)
    for _ in range(3):
        button.and_(shown.tab.get_by_label("previous word")).click()
        shown.frames()
    assert word.input_value() == str(start - 2)
    assert shown.chosen() == page_cases.REVIEW[start - 2]
    unit.select_option("0")
    shown.frames()
    button.and_(shown.tab.get_by_label("previous unit")).click()
    shown.frames()
    assert unit.input_value() == "0"


def test_the_layer_is_chosen_for_all_sections_at_once(opened):
    page = page_cases.review()
    shown = opened(page)
    shown.tab.locator("#experts select[name=layer]").select_option("1")
    shown.frames()
    assert (
        shown.tab.locator("select[name=layer]").evaluate_all("all => all.map(one => one.value)") == ["1"] * 4
    )
    assert "right to left" in shown.text("#belt [data-layer='1'] > .quiet")
    assert shown.tab.locator("[data-layer='0'] >> visible=true").count() == 0
    gates = page.layers[1].gates
    size = float(np.linalg.norm(gates["i"][4] * gates["g"][4]))
    cell = shown.tab.locator("tr[data-word='4'] .written")
    assert float(cell.text_content() or "") == pytest.approx(size, abs=6e-5)


def test_words_are_one_widget_for_the_keyboard(opened):
    shown = opened(page_cases.review())
    tab = shown.tab
    assert tab.locator(".words [tabindex='0']").count() == 1
    tab.locator(".words [tabindex='0']").focus()
    moves = {
        "Home": 0,
        "ArrowRight": 1,
        "ArrowDown": 2,
        "ArrowLeft": 1,
        "PageDown": 11,
        "PageUp": 1,
        "End": 29,
    }
    for key, word in moves.items():
        tab.keyboard.press(key)
        shown.frames()
        assert tab.evaluate("document.activeElement.dataset.word") == str(word), key
        assert tab.locator("[aria-selected=true]").get_attribute("data-word") == str(word)
        assert tab.locator(".words [tabindex='0']").count() == 1
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.dataset.word ?? ''") == "", "one tab leaves the words"


def test_steps_in_time_are_moved_through_by_keyboard(opened):
    page = page_cases.series()
    shown = opened(page)
    line = shown.tab.locator(".timeline")
    line.focus()
    for key, at in {"Home": 0, "ArrowRight": 1, "End": 47, "ArrowLeft": 46}.items():
        shown.tab.keyboard.press(key)
        shown.frames()
        assert line.get_attribute("aria-valuenow") == str(at + 1)
        assert (line.get_attribute("aria-valuetext") or "").startswith(page.words[at].text)


def test_the_push_of_a_variable_is_told_with_its_sign(opened):
    page = page_cases.series()
    assert page.variables is not None and page.variables.push is not None
    shown = opened(page)
    canvas = shown.tab.locator(".push-map .moving")
    column = (canvas.bounding_box()["width"] - 36 - 156) / 48
    for word, row in [(5, 0), (29, 1), (47, 2)]:
        canvas.hover(position={"x": 36 + column * (word + 0.5), "y": 4 + 30 * (row + 0.5)})
        shown.frames()
        value = f"{page.variables.push[word, row]:+.4f}".replace("-", "−")
        name = page.variables.names[row]
        assert shown.text(".push-readout") == f"{page.words[word].text}: {name} pushed {value}"


def test_a_word_that_a_layer_did_not_read_is_called_so(opened):
    shown_layer = page_cases.layer(3, 4, positions=np.array([0, 1, 3]))
    words = [Word("one"), Word("two", " "), Word("three", " ", cut=True), Word("four", " ")]
    shown = opened(Page("t", "t", "word", words, [shown_layer]))
    shown.tab.locator("select[name=word] >> visible=true").select_option("2")
    shown.frames()
    assert "did not read" in shown.text(".step .unread")
    assert shown.text(".belt .readout") == "“three” was not read."
    assert shown.tab.locator(".boxes >> visible=true").count() == 0


def test_scrubbing_moves_the_choice_and_paints_no_drawing_anew(opened):
    page = page_cases.large()
    shown = opened(page, before=COUNT_REPAINTS)
    strip = shown.tab.locator(".strip .moving >> visible=true").first
    strip.scroll_into_view_if_needed()
    shown.frames()
    box = strip.bounding_box()
    before = shown.tab.evaluate("window.repaints")
    column = (box["width"] - 36 - 156) / 400
    seen = set()
    for word in range(0, 400, 20):
        shown.tab.mouse.move(box["x"] + 36 + column * (word + 0.5), box["y"] + 30)
        shown.frames()
        seen.add(shown.tab.locator("select[name=word] >> visible=true").input_value())
    assert seen == {str(word) for word in range(0, 400, 20)}
    assert shown.tab.evaluate("window.repaints") == before
    assert shown.is_quiet()


@pytest.mark.parametrize("name", [*CASES, "large"])
def test_a_phone_scrolls_down_and_never_sideways(opened, name):
    page = page_cases.large(400, 8) if name == "large" else CASES[name]()
    shown = opened(page, viewport=PHONE)
    shown.tab.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    shown.frames()
    assert shown.tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert shown.tab.evaluate("document.documentElement.scrollHeight") > PHONE["height"]


def test_dark_and_light_follow_the_readers_choice(opened):
    shown = opened(page_cases.review(), color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = shown.tab.evaluate(colour)
    canvas = shown.tab.locator(".strip canvas >> visible=true").first
    dark_line = canvas.screenshot()
    shown.tab.emulate_media(color_scheme="light")
    shown.frames()
    assert (
        sum(map(int, dark[4:-1].split(", ")))
        < 150
        < sum(map(int, shown.tab.evaluate(colour)[4:-1].split(", ")))
    )
    assert canvas.screenshot() != dark_line


def test_paper_is_light_and_has_everything_unfolded(opened):
    shown = opened(page_cases.review(), color_scheme="dark")
    shown.tab.emulate_media(media="print", color_scheme="dark")
    shown.frames()
    assert shown.tab.locator("details:not([open])").count() == 0
    for plot in shown.tab.locator("[data-layer='0'] .unit-map").all():
        assert plot.locator("canvas").first.evaluate(PAINTED) > 2
    assert shown.tab.evaluate("getComputedStyle(document.body).color") == "rgb(29, 31, 35)"
    assert shown.tab.pdf()[:4] == b"%PDF"
    shown.tab.emulate_media(media="screen")
    shown.frames()
    assert shown.tab.locator("details[open]").count() == 0


def test_without_its_script_the_page_says_all_that_is_text(opened):
    page = page_cases.review()
    shown = opened(page, java_script_enabled=False)
    text = shown.tab.locator("main").inner_text()
    for part in (
        *page.cautions,
        *page.limits,
        "It holds up.",
        "needs the page’s script",
        "lstm, layer 0, reverse",
    ):
        assert part in text
    assert "Amazing movie" in text
    assert shown.tab.locator("tr[data-word]").count() == len(page.words)
    assert shown.tab.locator("select >> visible=true").count() == 0


def test_the_numbers_are_saved_as_they_are(opened, tmp_path):
    page = dataclasses.replace(
        page_cases.review(), download={"label": "</script>é", "held": [0.25, float("nan")]}
    )
    shown = opened(page)
    with shown.tab.expect_download() as waiting:
        shown.tab.get_by_text("Save these numbers as JSON").click()
    waiting.value.save_as(tmp_path / "saved.json")
    assert waiting.value.suggested_filename == "explanation.json"
    saved = json.loads((tmp_path / "saved.json").read_text(encoding="utf-8"))
    assert saved == {"label": "</script>é", "held": [0.25, None]}


OWN = "document.title='owned'"
HOSTILE = [
    f"<script>{OWN}</script>",
    f"</script><script>{OWN}</script>",
    f"</title><script>{OWN}</script>",
    f"</style><script>{OWN}</script>",
    f"</textarea></noscript></select></svg></table><script>{OWN}</script>",
    "<!--",
    "--><b>bold</b>",
    "<!--<script>",
    "]]><i>x</i>",
    f'<img src="http://127.0.0.1:9/x" onerror="{OWN}">',
    f"<img src=x onerror={OWN}>",
    f'"><svg onload="{OWN}">',
    f"'><svg/onload={OWN}>",
    f'" onmouseover="{OWN}" x="',
    f"' onfocus='{OWN}' autofocus='",
    '" style="background:url(http://127.0.0.1:9/y)" x="',
    "<style>*{display:none}</style>",
    "} * { display: none } /*",
    "@import url(http://127.0.0.1:9/z);",
    f"javascript:{OWN}",
    f'<a href="javascript:{OWN}">x</a>',
    f"<iframe srcdoc='<script>parent.{OWN}</script>'>",
    '<base href="http://127.0.0.1:9/">',
    '<meta http-equiv="refresh" content="0;url=http://127.0.0.1:9/">',
    '<link rel="stylesheet" href="http://127.0.0.1:9/s.css">',
    '<form action="http://127.0.0.1:9/"><input autofocus></form>',
    f"<details open ontoggle={OWN}>",
    "<template><b>x</b></template>",
    "{{7*7}}",
    "{% raw %}{{ page }}{% endraw %}",
    "${7*7}`${7*7}`",
    f"');{OWN};('",
    f'\\";{OWN};//',
    "line\u2028separator\u2029paragraph",
    "\u202egnp.exe\u202c",
    "\u2066isolated\u2069",
    "nul\x00bell\x07escape\x1b[31m",
    "\ufeff\u200b\u200dzero",
    "\ud800 lone",
    "&lt;b&gt;&amp;&#x3c;",
    "__proto__",
    "constructor",
    "x" * 3000,
    "W\u0301\u0323" * 200,
    "🏴\u200d☠️" * 50,
    "%s%n{0}{}",
]


def everywhere(texts: list[str]) -> Page:
    """A page with these texts wherever a page has a text."""
    count = len(texts)
    first = texts[0]
    shown = page_cases.layer(count, 4, name=" ".join(texts))
    words = [
        dataclasses.replace(word, space=text, unknown=True)
        for word, text in zip(page_cases.sequence(shown, texts), texts, strict=True)
    ]
    numbers = np.random.default_rng(0).standard_normal((count, count))
    return Page(
        title=" ".join(texts),
        heading=first,
        unit="word",
        words=words,
        layers=[shown, dataclasses.replace(shown, name=first)],
        tail=" ".join(texts),
        answer=Answer(first, first, 0.9, dict.fromkeys(texts, 1 / count)),
        check=page_cases.check(),
        flows=[FlowCurve(text, [1.0, 0.5, 0.1], [0.5, 0.2, 0.05]) for text in texts],
        quality=Quality(
            part=" ".join(texts),
            figures=[(text, text) for text in texts],
            curves=[Curve(text, [1.0, 0.5]) for text in texts],
            baselines=[(text, 0.5) for text in texts],
            labels=texts,
            confusion=np.eye(count, dtype=int).tolist(),
            training=texts,
        ),
        variables=Variables(texts, numbers, numbers, 0.1),
        terms=[(text, 1.0) for text in texts],
        cautions=texts,
        limits=texts,
        facts=[(text, text) for text in texts],
        download=dict.fromkeys(texts, texts),
    )


TAGS = """() => {
  const found = {};
  for (const { tagName } of document.querySelectorAll("*")) found[tagName] = (found[tagName] ?? 0) + 1;
  return found;
}"""


@pytest.mark.parametrize("unit", ["word", "step"])
def test_hostile_text_stays_text(opened, unit):
    assert len(set(HOSTILE)) >= 30
    harmless = [f"text{k} a" for k in range(len(HOSTILE))]
    hostile = opened(dataclasses.replace(everywhere(HOSTILE), unit=unit))
    plain = opened(dataclasses.replace(everywhere(harmless), unit=unit))
    hostile.tab.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    for word in range(0, len(HOSTILE), 5):
        hostile.tab.locator("select[name=word] >> visible=true").select_option(str(word))
        hostile.frames()
    hostile.tab.locator("#belt select[name=layer]").select_option("1")
    hostile.frames()
    plain.tab.locator("#belt select[name=layer]").select_option("1")
    plain.frames()
    charts = ("text", "polyline", "line")  # curves share a chart by their last word, which differs here

    def tags(shown: Opened) -> dict[str, int]:
        found = shown.tab.evaluate(TAGS)
        return {tag: number for tag, number in found.items() if tag.lower() not in (*charts, "svg")}

    assert tags(hostile) == tags(plain)
    assert hostile.is_quiet(), (hostile.faults, hostile.requests, hostile.dialogs)
    assert hostile.tab.title().startswith(HOSTILE[0])
    text = hostile.tab.locator("#limits").inner_text()
    for part in (
        "<script>document.title='owned'</script>",
        "{{7*7}}",
        "&lt;b&gt;&amp;&#x3c;",
        "javascript:document",
    ):
        assert part in text
    assert not set(text) & set("\u202e\u2028\u2029\x00\x1b\u2066")
    assert hostile.tab.evaluate("document.documentElement.scrollWidth") <= DESK["width"]


def test_hostile_text_does_not_widen_a_phone(opened):
    shown = opened(everywhere(HOSTILE), viewport=PHONE)
    shown.tab.evaluate("document.querySelectorAll('details').forEach(one => (one.open = true))")
    shown.frames()
    assert shown.tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_the_policy_stops_what_would_be_slipped_in(opened):
    shown = opened(page_cases.review())
    failed = []
    shown.tab.on("requestfailed", lambda request: failed.append(request.failure))
    shown.tab.evaluate(
        """() => {
          window.stopped = [];
          addEventListener("securitypolicyviolation", (event) => window.stopped.push(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "window.owned = true";
          const image = new Image();
          image.src = "http://127.0.0.1:9/x";
          document.body.append(script, image);
          document.body.setAttribute("onclick", "window.owned = true");
          document.body.click();
        }"""
    )
    shown.tab.wait_for_function("window.stopped.length >= 3")
    assert shown.tab.evaluate("window.owned") is None
    found = shown.tab.evaluate("window.stopped")
    assert {"script-src-elem", "img-src", "script-src-attr"} <= set(found)
    assert failed == ["csp"]
