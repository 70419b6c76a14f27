"""The explorer in a real browser: what its maps show, how it is moved through, and which states it finds."""

from itertools import pairwise

import explorer_cases as cases
import numpy as np
import pytest
import torch
from tabs import IN_BROWSER, PAINTED, PHONE, Tab

from gatewise.memory import CallTrace
from gatewise.reports.explorer import explore

pytestmark = IN_BROWSER

SHADES = """(canvas, points) => {
  const ratio = canvas.width / canvas.clientWidth;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return points.map(([x, y]) => {
    const at = 4 * (Math.floor(y * ratio) * canvas.width + Math.floor(x * ratio));
    return data[at] + data[at + 1] + data[at + 2];
  });
}"""


class Explored(Tab):
    def __init__(self, browser, path, made, **options):
        super().__init__(browser, path, made.html, **options)
        if options.get("java_script_enabled", True):
            self.tab.wait_for_selector("html[data-ready]", state="attached")

    def side(self, k=0):
        return self.tab.locator(f"[data-side='{k}']")

    def where(self, k=0) -> str:
        self.frames()
        return self.side(k).locator(".where").inner_text()

    def middle(self, step: int, row: int, k=0) -> tuple[float, float]:
        """Of a cell of the map, on the page."""
        box = self.side(k).locator(".room").bounding_box()
        wide, tall = self.cell(k)
        return box["x"] + wide * (step + 0.5), box["y"] + tall * (row + 0.5)

    def cell(self, k=0) -> tuple[float, float]:
        """Width and height of a cell of a map of 12 units, of which the longer side has 40 steps."""
        box = self.side(k).locator(".room").bounding_box()
        return box["width"] / 40, box["height"] / 12

    def shades(self, cells: list[tuple[int, int]], k=0) -> list[int]:
        """Of each (step, row) the sum of red, green and blue."""
        wide, tall = self.cell(k)
        points = [[wide * (step + 0.5), tall * (row + 0.5)] for step, row in cells]
        return self.side(k).locator(".still").evaluate(SHADES, points)

    def drag(self, first: int, last: int, k=0):
        self.side(k).locator(".moving").scroll_into_view_if_needed()
        self.tab.mouse.move(*self.middle(first, 4, k))
        self.tab.mouse.down()
        self.tab.mouse.move(*self.middle(last, 5, k), steps=3)
        self.tab.mouse.up()
        self.found()

    def found(self):
        self.frames()
        self.tab.wait_for_timeout(50)

    def hits(self, place) -> list[tuple[int, float]]:
        items = self.tab.locator(f"[data-place='{place}'] li")
        return items.evaluate_all(
            "all => all.map(one => [Number(one.dataset.step), Number(one.dataset.value)])"
        )


@pytest.fixture
def explored(browser, tmp_path):
    made = []

    def make(exploration, **options) -> Explored:
        made.append(Explored(browser, tmp_path / f"page{len(made)}.html", exploration, **options))
        return made[-1]

    yield make
    for one in made:
        one.context.close()


def two():
    return explore(
        cases.call(seed=0), cases.call(T=25, seed=1), labels=cases.words(40), other_labels=cases.words(25, "v"),
        corpus=(cases.call(B=3, lengths=[40, 9, 30], seed=2), [cases.words(n, f"t{n}-") for n in (40, 9, 30)]),
        names=["the first", "the second"],
    )  # fmt: skip


def values_of(made, name="f", k=0):
    return made.sides[k].layers[0].maps[name].values.values()


def test_every_map_is_drawn_and_nothing_is_asked_for(explored):
    shown = explored(two())
    pictures = set()
    for name in "ifgoch":
        shown.tab.locator(f"[data-map='{name}']").click()
        shown.frames()
        assert shown.tab.locator("[aria-pressed=true]").all_inner_texts() == [name]
        pictures |= {shown.side(k).locator(".still").evaluate("one => one.toDataURL()") for k in (0, 1)}
    assert len(pictures) == 12, "no two maps look the same"
    assert shown.is_quiet(), (shown.faults, shown.requests)
    for k in (0, 1):
        assert shown.side(k).locator(".still").evaluate(PAINTED) > 10
        assert shown.side(k).locator(".lives").evaluate(PAINTED) >= 1
        assert shown.side(k).locator(".steps").evaluate(PAINTED) > 2


def test_rows_stand_by_time_constant_and_a_shade_follows_the_value(explored):
    made = explore(cases.call())
    shown = explored(made)
    order = np.argsort(-made.sides[0].layers[0].time_constants, kind="stable")
    values = values_of(made)
    at = [(step, row) for step in range(40) for row in range(12)]
    ranked = sorted(at, key=lambda place: values[order[place[1]], place[0]])
    assert all(a >= b - 2 for a, b in pairwise(shown.shades(ranked))), "larger is darker, in the light theme"
    for step, row in [(0, 0), (17, 5), (39, 11)]:
        shown.tab.mouse.move(*shown.middle(step, row))
        unit = int(order[row])
        said = shown.where()
        assert f"word {step + 1} of 40" in said or f"step {step + 1} of 40" in said
        assert f"unit {unit} " in said
        assert f"f = {values[unit, step]:.3f}" in said
        assert f"τ {made.sides[0].layers[0].time_constants[unit]:.1f}" in said


@pytest.mark.parametrize("order", ["index", "contributions", "marked"])
def test_rows_can_stand_in_other_orders(explored, order):
    made = explore(cases.call())
    layer, values = made.sides[0].layers[0], values_of(made)
    shown = explored(made)
    if order == "marked":
        shown.drag(10, 14)
    shown.tab.locator("select[name=order]").select_option(order)
    keys = {
        "index": -np.arange(12.0),
        "contributions": np.abs(layer.contributions),
        "marked": values[:, 10:15].mean(1),
    }[order]
    units = []
    for row in range(12):
        shown.tab.mouse.move(*shown.middle(30, row))
        units.append(int(shown.where().split("unit ")[1].split(" ")[0]))
    assert units == np.argsort(-keys, kind="stable").tolist()


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
@pytest.mark.parametrize("span", [(3, 3), (10, 14), (0, 39)], ids=str)
def test_the_nearest_states_are_those_of_brute_force(explored, measure, span):
    made = two()
    shown = explored(made)
    shown.tab.locator("select[name=measure]").select_option(measure)
    shown.drag(*span)
    first, last = span
    h = [cases.numbers(made.html, one) for one in _described(made)]
    query = h[0][:, first : last + 1].mean(1)
    expected = {
        0: cases.nearest(h[0].T, query, measure, [0, 40], span),
        1: cases.nearest(h[1].T, query, measure, [0, 25]),
        "corpus": cases.nearest(h[2].T, query, measure, [0, 40, 49, 79]),
    }
    for place, hits in expected.items():
        found = shown.hits(place)
        assert [step for step, _ in found] == [step for step, _ in hits], place
        assert [value for _, value in found] == pytest.approx([value for _, value in hits], abs=1e-9), place
    assert shown.is_quiet(), shown.faults


def _described(made):
    values = cases.embedded(made.html, "explorer-values")
    return [side["layers"][0]["maps"]["h"] for side in values["sides"]] + [
        values["corpus"]["states"]["layer 0"]
    ]


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_a_planted_state_is_found_first(explored, measure):
    """By the states as they were recorded, not as the page rounds them."""
    batch = cases.call(B=2, seed=5)[0]
    mean = cases.call()[0].h[20:24, 0].mean(0)
    batch.h[31, 1] = mean + 0.01 * torch.randn(12)
    made = explore(
        cases.call(),
        labels=cases.words(40),
        corpus=(CallTrace([batch]), [cases.words(40, f"t{n}-") for n in (0, 1)]),
    )
    shown = explored(made)
    shown.tab.locator("select[name=measure]").select_option(measure)
    shown.drag(20, 23)
    assert shown.hits("corpus")[0][0] == 40 + 31
    first = shown.tab.locator("[data-place=corpus] li").first
    assert first.locator("b").inner_text() == "t1-31"
    assert "text 2, word 32" in first.inner_text() and "t1-25" in first.inner_text()


def test_two_models_are_each_asked_with_their_own_mean_state(explored):
    made = explore(cases.call("lstm"), cases.call("gru", H=7, seed=3), labels=cases.words(40))
    shown = explored(made)
    shown.drag(10, 12)
    values = cases.embedded(made.html, "explorer-values")
    for k in (0, 1):
        h = cases.numbers(made.html, values["sides"][k]["layers"][0]["maps"]["h"])
        hits = cases.nearest(h.T, h[:, 10:13].mean(1), "cosine", [0, 40], (10, 12))
        assert [step for step, _ in shown.hits(k)] == [step for step, _ in hits]
    shown.tab.locator("[data-map='z']").click()
    assert sorted(shown.tab.locator("[aria-pressed=true]").all_inner_texts()) == ["f", "z"], (
        "each shows what it has"
    )


def test_models_that_read_other_steps_are_not_compared(explored):
    shown = explored(explore(cases.call("lstm"), cases.call("gru", T=9)))
    shown.drag(3, 5)
    assert shown.hits(0) and not shown.hits(1)
    assert "cannot be compared" in shown.text("[data-place='1'] p")


def test_keys_move_mark_and_clear(explored):
    made = explore(cases.call(), labels=cases.words(40))
    shown = explored(made)
    scroller = shown.side().locator(".scroller")
    scroller.focus()
    for key in ("ArrowRight", "PageDown", "ArrowDown"):
        scroller.press(key)
    order = np.argsort(-made.sides[0].layers[0].time_constants, kind="stable")
    assert f"word 12 of 40 · unit {order[1]} ·" in shown.where()
    assert "w11:" in shown.side().locator(".spoken").inner_text()
    for _ in range(3):
        scroller.press("Shift+ArrowRight")
    shown.found()
    assert "words 12 to 15" in shown.text(".marked")
    assert shown.tab.locator(".marked b").inner_text() == "w11 w12 w13 w14"
    scroller.press("Shift+ArrowLeft")
    shown.found()
    assert "words 12 to 14" in shown.text(".marked") and shown.hits(0)
    scroller.press("Escape")
    shown.found()
    assert not shown.tab.locator(".marked").is_visible() and not shown.hits(0)
    scroller.press("End")
    assert "word 40 of 40" in shown.where()
    for _ in range(6):
        scroller.press("+")
    shown.frames()
    assert shown.side().locator(".room").bounding_box()["width"] == 40 * 48, "as wide as it goes"
    scroller.press("Home")
    assert "word 1 of 40" in shown.where() and scroller.evaluate("one => one.scrollLeft") == 0
    scroller.press("0")
    shown.frames()
    assert scroller.evaluate("one => one.scrollWidth - one.clientWidth") == 0


def test_a_hit_is_a_button_that_leads_to_its_step(explored):
    shown = explored(two())
    shown.drag(10, 12)
    step = shown.hits(1)[2][0]
    shown.tab.locator("[data-place='1'] li button").nth(2).click()
    assert f"word {step + 1} of 25" in shown.where(1)


def test_both_sides_scroll_and_zoom_together_when_wanted(explored):
    shown = explored(two())
    left, right = (shown.side(k).locator(".scroller") for k in (0, 1))
    scrolled = "one => one.scrollLeft"
    for _ in range(3):
        shown.tab.locator("[data-zoom=in]").click()
    left.evaluate("one => { one.scrollLeft = 200; }")
    shown.frames()
    assert right.evaluate(scrolled) == left.evaluate(scrolled) == 200
    right.evaluate("one => { one.scrollLeft = 90; }")
    shown.frames()
    assert left.evaluate(scrolled) == 90
    shown.tab.locator("input[name=together]").uncheck()
    left.evaluate("one => { one.scrollLeft = 300; }")
    shown.frames()
    assert left.evaluate(scrolled) == 300 and right.evaluate(scrolled) == 90
    shown.tab.locator("input[name=together]").check()
    shown.frames()
    assert right.evaluate(scrolled) == 300


def test_the_same_unit_is_pointed_at_on_both_sides_of_one_model(explored):
    shown = explored(two())
    shown.tab.mouse.move(*shown.middle(7, 3))
    unit = shown.where(0).split("unit ")[1].split(" ")[0]
    assert f"unit {unit} " in shown.where(1) and "word" not in shown.where(1).split(" · ")[0]


def test_a_finger_marks_on_the_words_and_points_on_the_map(explored):
    shown = explored(two(), viewport=PHONE, has_touch=True, is_mobile=True)
    tab = shown.tab
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    names = shown.side().locator(".steps")
    names.scroll_into_view_if_needed()
    box = names.bounding_box()
    touch = shown.context.new_cdp_session(tab)
    points = [
        {"x": box["x"] + box["width"] * share, "y": box["y"] + 20} for share in (12.5 / 40, 0.4, 20.5 / 40)
    ]
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [points[0]]})
    for one in points[1:]:
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [one]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    shown.found()
    assert "words 13 to 21" in shown.text(".marked")
    assert shown.hits("corpus")
    moving = shown.side().locator(".moving")
    moving.scroll_into_view_if_needed()
    moving.tap(position={"x": 5, "y": 5})
    assert "word 1 of 40" in shown.where()
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert shown.is_quiet(), shown.faults


ODD = {
    "one step of one unit": lambda: explore(cases.call(T=1, H=1)),
    "a plain RNN beside an LSTM": lambda: explore(_rnn(), cases.call(T=6)),
    "a long narrow one": lambda: explore(cases.call(T=5000, H=2)),
    "one that does not change": lambda: explore(_still()),
}


def _rnn():
    import gatewise as gw

    layer = gw.RNN(3, 4, nonlinearity="relu")
    with torch.no_grad(), gw.record(layer) as trace:
        layer(torch.randn(6, 1, 3))
    return trace


def _still():
    lt = cases.call(T=8, H=3)[0]
    for tensor in (*lt.gates.values(), lt.c, lt.h):
        assert tensor is not None
        tensor.zero_()
    return CallTrace([lt])


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_little_or_odd_content_work(explored, name, scheme):
    shown = explored(ODD[name](), color_scheme=scheme)
    for button in shown.tab.locator("[data-map]").all():
        button.click()
        shown.frames()
    for key in ("End", "ArrowDown", "Shift+Home"):
        shown.side().locator(".scroller").press(key)
        shown.found()
    for order in shown.tab.locator("select[name=order] option").all():
        shown.tab.locator("select[name=order]").select_option(order.get_attribute("value"))
        shown.frames()
    assert shown.is_quiet(), shown.faults
    text = shown.tab.locator("main").inner_text()
    assert "NaN" not in text and "undefined" not in text and "Infinity" not in text


def test_without_its_script_the_page_says_so(explored):
    shown = explored(two(), java_script_enabled=False)
    text = shown.tab.locator("main").inner_text()
    assert "switched off here" in text and "lstm, 12 units; 40 words" in text
    assert not shown.tab.locator(".tools").is_visible()


def test_hostile_texts_stay_texts(explored):
    text = "</script><img src=x onerror=alert(1)>\u202e\u2028"
    made = explore(
        cases.call(), cases.call(T=25, seed=1), labels=[text] * 40, other_labels=[text] * 25, names=[text, text],
        corpus=(cases.call(), [[text] * 40]), title=text,
    )  # fmt: skip
    shown = explored(made)
    shown.drag(3, 6)
    assert shown.hits("corpus") and shown.tab.locator("main img").count() == 0
    assert "</script><img" in shown.text("[data-place=corpus]")
    assert "\u202e" not in shown.tab.locator("body").inner_text()
    assert shown.is_quiet(), (shown.faults, shown.dialogs)
