"""A page as one HTML file that needs nothing else: no network, no other file, no library."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gatewise.reports import bars, captions, charts, payload, word_marks
from gatewise.reports.page import Page
from gatewise.reports.sentences import gate_sentences
from gatewise.reports.view import printable

SCRIPTS = ("state", "wording", "plot", "words", "belt", "strips", "step", "variables", "start")
"""Parts of the page's script, in the order in which they are joined."""

STYLES = ("base", "words", "drawings", "step", "tables", "print")


def render(page: Page) -> str:
    """One self-contained HTML file of a page, to be written as UTF-8.

    Everything that comes from outside is escaped, and characters that no font shows are replaced. The content
    security policy allows the page's own style and script, by hash, and nothing else: no request leaves the page.
    Without its script the page still says all its text and tables.
    """
    style, script = _joined("css", STYLES), f'(() => {{\n"use strict";\n{_joined("js", SCRIPTS)}}})();\n'
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            style=Markup(style),  # ours, not the user's
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
            values=payload.to_json(payload.page_values(page)),
            layer_values=[payload.to_json(payload.layer_values(layer)) for layer in page.layers],
            download=payload.to_json(page.download) if page.download else None,
            **_words(page),
            **_layers(page),
            **_judgement(page),
        )
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


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gatewise.reports"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": captions.share,
        "family": captions.family,
        "count": captions.count,
        "tiny": lambda value: f"{value:.1e}".replace("-", "\N{MINUS SIGN}"),
        "signed": word_marks.signed,
        "px": lambda value: f"{value:.2f}",
    }
    return environment


def _shown(value: Any) -> Any:
    """Every text without control characters, wherever it comes from; escaping follows."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _joined(kind: str, names: tuple[str, ...]) -> str:
    """Files of the templates, one after the other."""
    environment = _environment()
    assert environment.loader is not None
    return "\n".join(environment.loader.get_source(environment, f"page/{name}.{kind}")[0] for name in names)


def _hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"
