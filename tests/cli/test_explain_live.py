"""`gatewise explain --live`: which pages run the model."""

import pytest

TEXT = "There was hardly any boring moment."


@pytest.mark.parametrize("options, runs", [((), True), (("--live",), True), (("--no-live",), False)])
def test_a_page_runs_a_small_model_unless_it_is_told_not_to(gatewise, trained, tmp_path, options, runs):
    page = tmp_path / "why.html"
    assert gatewise("explain", trained, TEXT, "--html", page, *options).code == 0
    assert ('id="live-values"' in page.read_text(encoding="utf-8")) is runs


def test_live_without_a_page_is_refused(gatewise, trained):
    refused = gatewise("explain", trained, TEXT, "--live")
    assert refused.code == 2
    assert refused.error == "--live and --no-live say what the page holds: name one with --html FILE"
