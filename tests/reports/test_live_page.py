"""The part of a page that runs the model: what its reader types and changes, and what is shown of it."""

import dataclasses

import pytest
from live_cases import TEXT, TEXTS, fitted, tokenizer_of
from tabs import PAINTED, PHONE, Tab

import gatewise
from gatewise.memory import Erase, Hold
from gatewise.reports.html import render
from gatewise.tasks.classify.deletion import contrast
from gatewise.tasks.classify.explanation import explain
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.opened import open_input, sums

WORDS = [
    "A",
    "fine",
    "film",
    ".",
    "The",
    "music",
    "was",
    "lovely",
    ",",
    "and",
    "it",
    "had",
    "no",
    "dull",
    "minute",
    "!",
]


class LivePage(Tab):
    """A page with its live part brought into view."""

    def __init__(self, browser, path, model: FittedClassifier, text: str = TEXT, **options):
        html = explain(model, text, evidence=False).to_html(live=True)
        super().__init__(browser, path, html, **options)
        if options.get("java_script_enabled", True):
            self.part("text").scroll_into_view_if_needed()
            self.settle()

    def part(self, name: str):
        return self.tab.locator(f"[data-live={name}]")

    def settle(self) -> None:
        """Wait until the model has read what stands there."""
        self.tab.locator("#live[aria-busy=false]").wait_for()
        self.frames()

    def type(self, text: str) -> None:
        self.part("text").fill(text)
        self.settle()

    def choose(self, word: int) -> None:
        self.part("words").locator(f"[data-word='{word}']").click()
        self.frames()

    def hold(self, gate: str, value: int, unit: str = "", when: str = "first") -> None:
        for name, option in {"gate": gate, "value": str(value), "unit": unit, "from": when}.items():
            self.part(name).select_option(option)
        self.part("hold").click()
        self.frames()

    def shown(self, column: str = "now") -> list[str]:
        return self.part("answers").locator(f".{column}").all_inner_texts()


@pytest.fixture
def page(browser, tmp_path):
    opened = []

    def make(model: FittedClassifier | None = None, text: str = TEXT, **options) -> LivePage:
        path = tmp_path / f"live{len(opened)}.html"
        opened.append(LivePage(browser, path, model or fitted(pooling="last", seed=4), text, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.context.close()


def percents(model: FittedClassifier, text: str, *interventions) -> list[str]:
    """What the page is to show: Python's probabilities, rounded as the page rounds."""
    with gatewise.intervene(model.network.recurrent, *interventions):
        (shares,) = model.probabilities([text])
    return [
        f"{100 * share:.{1 if share < 0.0995 else 0}f}%" if share >= 0.0005 else "under 0.1%"
        for share in shares
    ]


def pushes(model: FittedClassifier, text: str, label: int, *interventions) -> list[float]:
    with gatewise.intervene(model.network.recurrent, *interventions):
        opened = open_input(model, text)
    _, found, _ = sums(opened, contrast(model.network.output.weight.detach().double(), label))
    return opened.over_all(sum(found))


def test_the_explained_text_is_read_again_and_found_equal(page):
    model = fitted(pooling="attention", bidirectional=True, seed=4)
    live = page(model)
    assert live.is_quiet(), live.faults
    assert live.part("text").input_value() == TEXT
    assert live.part("words").locator("[data-word]").all_inner_texts() == WORDS
    assert live.shown() == percents(model, TEXT)
    assert "Checked in this browser" in live.part("checked").inner_text()
    assert live.part("words").inner_text() == TEXT


def test_a_browser_that_computes_otherwise_says_so(browser, tmp_path):
    found = explain(fitted(), TEXT, evidence=False).page(live=True)
    assert found.live is not None
    probabilities = [found.live.probabilities[0] + 2e-5, *found.live.probabilities[1:]]
    changed = dataclasses.replace(found, live=dataclasses.replace(found.live, probabilities=probabilities))
    tab = Tab(browser, tmp_path / "other.html", render(changed))
    tab.tab.locator("[data-live=text]").scroll_into_view_if_needed()
    tab.tab.locator("#live[aria-busy=false]").wait_for()
    assert "Do not trust" in tab.text("[data-live=checked]") and "2.0e−5" in tab.text("[data-live=checked]")
    tab.context.close()


def test_what_is_typed_is_answered_and_started_again(page):
    model = fitted(pooling="last", seed=4, labels=3)
    live = page(model)
    for text in (TEXTS["unknown words"], TEXTS["line breaks"], TEXTS["long"], "", "dull"):
        live.type(text)
        assert live.shown() == percents(model, text), text
        tokens = tokenizer_of(model).encode(text)
        assert live.part("words").locator("[data-word]").count() == len(tokens)
        assert live.part("words").locator(".unknown").count() == sum(tokens.unknown)
    live.part("reset").click()
    live.frames()
    assert live.shown() == percents(model, TEXT) and live.part("text").input_value() == TEXT
    assert live.is_quiet(), live.faults


def test_words_that_are_not_read_are_called_so(page):
    live = page(fitted(max_length=6, truncate="head"))
    assert live.part("words").locator(".cut").all_inner_texts() == WORDS[6:]
    assert live.part("read").inner_text() == "The text is too long: 10 of its 16 words are not read."
    live.choose(10)
    assert live.part("told").inner_text() == "“it” is not read." and live.part("erase").is_disabled()


def test_a_gate_is_held_and_let_go(page):
    model = fitted(pooling="last", seed=4)
    live = page(model)
    plain = percents(model, TEXT)
    live.hold("f", 0)
    assert live.shown() == percents(model, TEXT, Hold("f", 0.0)) != plain
    assert live.shown("plainly") == plain
    live.choose(7)
    live.hold("i", 1, unit="3", when="chosen")
    both = Hold("f", 0.0), Hold("i", 1.0, units=3, steps=slice(7, None))
    assert live.shown() == percents(model, TEXT, *both)
    assert live.part("list").locator("li").all_inner_texts() == [
        "forget gate held shut in all units, at every word Remove",
        "input gate held open in unit 3, from “lovely” on Remove",
    ]
    live.hold("f", 1)  # in the place of the first
    assert live.shown() == percents(model, TEXT, Hold("f", 1.0), both[1])
    for left in (1, 0):
        live.part("list").locator("button").first.click()
        live.frames()
        assert live.part("list").locator("li").count() == left
    assert live.shown() == plain and live.is_quiet(), live.faults


def test_a_words_write_is_erased_and_put_back(page):
    model = fitted(pooling="last", seed=4)
    live = page(model)
    live.choose(13)
    assert live.part("erase").inner_text() == "Erase what “dull” wrote"
    live.part("erase").click()
    live.frames()
    assert live.shown() == percents(model, TEXT, Erase(steps=13))
    expected = pushes(model, TEXT, int(model.logits([TEXT]).argmax()), Erase(steps=13))
    live.choose(7)
    assert f"push {expected[7]:+.3f}".replace("-", "−") in live.part("told").inner_text()
    live.choose(13)
    assert "held 0.0%, push 0.000" in live.part("told").inner_text()
    assert live.part("words").locator(".erased").all_inner_texts() == ["dull"]
    assert "“dull” wrote 0.00" in live.text("#live .belt .readout")
    live.part("erase").click()
    live.frames()
    assert live.shown() == percents(model, TEXT) and live.part("list").locator("li").count() == 0


def test_another_text_forgets_what_hung_on_a_word(page):
    model = fitted(pooling="last", seed=4)
    live = page(model)
    live.choose(2)
    live.part("erase").click()
    live.hold("i", 1, when="chosen")
    live.hold("o", 0, unit="1")
    live.type("dull film")
    (left,) = live.part("list").locator("li").all_inner_texts()
    assert left == "output gate held shut in unit 1, at every word Remove"
    assert live.shown() == percents(model, "dull film", Hold("o", 0.0, units=1))


def test_every_layer_can_be_changed_and_has_its_belt(page):
    model = fitted(cell="gru+lstm", bidirectional=True, pooling="mean", seed=4)
    live = page(model)
    assert live.part("layer").locator("option").all_inner_texts() == [
        "gru, layer 0",
        "gru, layer 0, reverse",
        "lstm, layer 1",
        "lstm, layer 1, reverse",
    ]
    for k, gate in [(1, "z"), (3, "f")]:
        live.part("layer").select_option(str(k))
        live.frames()
        belt = live.tab.locator("#live .belt >> visible=true")
        assert belt.count() == 1 and belt.locator("canvas").first.evaluate(PAINTED) > 2
        live.hold(gate, 0)
    place = [{"path": "layers.0", "layer": (0, "reverse")}, {"path": "layers.1", "layer": (0, "reverse")}]
    assert live.shown() == percents(model, TEXT, Hold("z", 0.0, **place[0]), Hold("f", 0.0, **place[1]))
    assert "lstm, layer 1, reverse: forget gate held shut" in live.part("list").inner_text()
    assert live.is_quiet(), live.faults


def test_a_plain_rnn_has_nothing_to_hold_or_erase(page):
    live = page(fitted(cell="rnn"))
    assert live.part("hold").count() == live.part("erase").count() == 0
    assert "no gate to hold and no write to erase" in live.tab.locator("#live").inner_text()
    live.type("dull dull")
    assert live.part("words").locator("[data-word]").count() == 2 and live.is_quiet(), live.faults


def test_pushes_go_toward_the_label_that_is_asked_for(page):
    model = fitted(labels=3, pooling="last", seed=4)
    live = page(model)
    live.choose(15)
    for k, label in enumerate(["neg", "pos", "mixed"]):
        live.part("label").select_option(label=label)
        live.frames()
        value = f"{pushes(model, TEXT, k)[15]:+.3f}".replace("-", "−")
        assert live.part("told").inner_text().endswith(f"push {value} toward {label}.")


def test_what_is_chosen_here_is_not_chosen_in_the_explained_text(page):
    live = page()
    before = live.tab.locator("#kept .words .chosen").first.inner_text()
    live.type("dull music film")
    live.part("words").locator("[tabindex='0']").focus()
    for key, at in {"Home": 0, "ArrowRight": 1, "End": 2, "ArrowLeft": 1}.items():
        live.tab.keyboard.press(key)
        live.frames()
        assert live.tab.evaluate("document.activeElement.dataset.word") == str(at)
        assert live.part("words").locator(".chosen").get_attribute("data-word") == str(at)
    assert live.tab.locator("#kept .words .chosen").first.inner_text() == before
    assert "“music” wrote" in live.text("#live .belt .readout")


def test_every_control_has_a_name(page):
    live = page(fitted(cell="gru+lstm"))
    unnamed = live.tab.locator("#live").evaluate(
        """section => Array.from(section.querySelectorAll("button, select, textarea, [role=listbox]"))
          .filter(one => !one.labels?.length && !one.getAttribute("aria-label") && !one.textContent.trim())
          .map(one => one.outerHTML)"""
    )
    assert unnamed == []
    assert live.part("answer").get_attribute("role") == "status"


def test_hostile_text_stays_text(page):
    hostile = (
        '<img src=x onerror=alert(1)> <script>alert(2)</script> "><svg onload=alert(3)> \u202eevil\u0000'
    )
    model = fitted(texts=[hostile, "<b>film</b> constructor __proto__"], pooling="last")
    live = page(dataclasses.replace(model, labels=["<img src=x onerror=alert(5)>", '"><b>']), hostile)
    for text in (hostile, "</textarea><script>alert(6)</script>", "${alert(7)} {{ 7 * 7 }}"):
        live.type(text)
        live.choose(1)
        live.part("erase").click()
        live.hold("f", 1, when="chosen")
    live.type("film")
    assert live.tab.locator("#live img, #live script, #live b, #live svg:not(.bin)").count() == 0
    assert live.is_quiet(), (live.faults, live.dialogs, live.requests)
    live.type("a\u202eb \u2066 c")
    assert "\u202e" not in live.part("words").inner_text()


def test_it_fits_on_a_phone(page):
    live = page(viewport=PHONE, color_scheme="dark")
    live.choose(3)
    live.part("erase").click()
    live.hold("i", 1, when="chosen")
    assert live.tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert live.tab.locator("#live .belt canvas").first.evaluate(PAINTED) > 2


def test_without_a_script_everything_else_is_there(page):
    live = page(java_script_enabled=False)
    text = live.tab.locator("#live").inner_text()
    assert "needs the page’s script" in text and "Your text" not in text
    assert live.tab.locator("#kept .words").first.inner_text().split() == TEXT.split()
