"""Charts as SVG files of their own: well-formed, escaped, and with every line where its numbers say."""

from xml.etree import ElementTree

from gatewise.markdown import markdown_table
from gatewise.reports.charts import LineChart, Tick, labelled
from gatewise.reports.svg import COLOURS, chart, moved, svg

NAME = "{http://www.w3.org/2000/svg}"


def test_a_chart_is_well_formed_and_escapes_what_it_names():
    lines = labelled(
        [("<b>&", [(0, 90), (50, 10)], 0, False), ("flat", [(0, 80), (50, 80)], 1, True)], 10, 90
    )
    drawn = LineChart("a < b", 100, 100, 0, 50, 10, 90, [Tick(0, "1 %")], [Tick(90, "0")], "words", lines)
    root = ElementTree.fromstring(svg(200, 100, [moved(100, 0, chart(drawn))]))
    assert root.get("viewBox") == "0 0 200 100"
    (group,) = root.findall(f"{NAME}g")
    assert group.get("transform") == "translate(100 0)"
    said = [one.text for one in group.findall(f"{NAME}text")]
    assert said == ["a < b", "0", "1 %", "words", "<b>&", "flat"]
    found = group.findall(f"{NAME}polyline")
    assert [one.get("points") for one in found] == ["0.0,90.0 50.0,10.0", "0.0,80.0 50.0,80.0"]
    assert [one.get("stroke") for one in found] == list(COLOURS[:2])
    assert [one.get("stroke-dasharray") for one in found] == [None, "5 3"]
    names = group.findall(f"{NAME}text")[-2:]
    assert [float(one.get("y") or 0) for one in names] == [14, 84]  # beside the ends of the lines


def test_a_table_has_columns_of_one_width_and_numbers_at_the_right():
    table = markdown_table(("word", "n"), [("a", "1,000"), ("longer", "2")])
    assert table.splitlines() == [
        "| word   |     n |",
        "| ------ | ----: |",
        "| a      | 1,000 |",
        "| longer |     2 |",
    ]
    assert markdown_table(("word", "n"), [], left=0) == "| word |  n |\n| ---: | -: |\n"
