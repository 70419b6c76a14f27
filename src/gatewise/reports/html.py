"""The page of an explanation or a recorded layer as one HTML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gatewise.reports import bars, captions, charts, payload, word_marks
from gatewise.reports.live import live_values
from gatewise.reports.page import Page
from gatewise.reports.rendering import render_document
from gatewise.reports.sentences import gate_sentences

SCRIPTS = (
    "bytes",
    "state",
    "wording",
    "pen",
    "plot",
    "words",
    "belt",
    "strips",
    "step",
    "variables",
    "start",
)
"""Parts of the page's script, in the order in which they are joined."""

LIVE_MODEL_SCRIPTS = (
    "live/characters",
    "live/alphabet",
    "live/words_tokenizer",
    "live/bpe_tokenizer",
    "live/truncation",
    "live/cells",
    "live/recurrence",
    "live/poolings",
    "live/model",
    "live/ledger",
    "live/readout",
)
"""The model that a page runs: it needs nothing of the page but "bytes"."""

LIVE_SCRIPTS = (*LIVE_MODEL_SCRIPTS, "live/layer_shown", "live/changes", "live/words_shown", "live/live")
"""Further parts, where the page runs the model."""

STYLES = ("base", "words", "ramp", "drawings", "step", "tables", "print")


def render(page: Page) -> str:
    """One self-contained HTML file of a page; see `render_document`.

    Without its script the page still says all its text and tables.
    """
    live = page.live
    return render_document(
        "page.html.j2",
        page.title,
        styles=[f"page/{name}" for name in (*STYLES, *(["live/live"] if live else []))],
        scripts=[f"page/{name}" for name in (*SCRIPTS, *(LIVE_SCRIPTS if live else []))],
        page=page,
        live_values=payload.to_json(live_values(live)) if live else None,
        values=payload.to_json(payload.page_values(page)),
        layer_values=[payload.to_json(payload.layer_values(layer)) for layer in page.layers],
        download=payload.to_json(page.download) if page.download else None,
        **_words(page),
        **_layers(page),
        **_judgement(page),
    )


def _words(page: Page) -> Mapping[str, Any]:
    """What the sections on single words need."""
    return {
        "start": payload.starting_word(page),
        "marks": word_marks.word_marks(page.words),
        "tail": word_marks.on_one_line(page.tail),
        "rows": word_marks.word_rows(page),
        "kept": [word.text for word in page.words if word.kept],
        "has_held": any(math.isfinite(word.held) for word in page.words),
        "has_push": any(math.isfinite(word.push) for word in page.words),
        "kept_sentence": captions.kept_sentence(page),
        "target": page.answer.label if page.answer else "the target",
    }


def _layers(page: Page) -> Mapping[str, Any]:
    """What the sections on layers and gradients need."""
    return {
        "no_belt": captions.NO_BELT.format(unit=page.unit),
        "shows_rnn": any(captions.family(layer) == "rnn" for layer in page.layers),
        "gate_questions": captions.GATE_QUESTIONS,
        "gate_sentences": [gate_sentences(layer, page.words, page.unit) for layer in page.layers],
        "half_lives": [
            (layer, bars.half_life_bars(layer.half_lives, layer.half_lives_before)) for layer in page.layers
        ],
        "flow_chart": charts.flow_chart(page.flows, page.unit),
        "flow_sentences": captions.flow_sentences(page.flows, page.unit),
    }


def _judgement(page: Page) -> Mapping[str, Any]:
    """What the sections on the explanation's and the model's worth need."""
    check, quality = page.check, page.quality
    return {
        "verdict": captions.verdict(check, page.unit) if check else "",
        "check_tracks": bars.check_tracks(page, check) if check else [],
        "curve_charts": charts.curve_charts(quality.curves) if quality else [],
        "baseline_tracks": bars.baseline_tracks(quality) if quality else [],
        "confusion": bars.confusion_rows(quality) if quality else [],
    }
