"""An explanation as one HTML file that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache
from importlib.metadata import version

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gatewise.reports.view import (
    GATE_NAMES,
    LIMITS,
    Explained,
    answer,
    cautions,
    is_answer,
    other_answers,
    printable,
    shown_gates,
    sum_terms,
    word_rows,
)

LEVELS = 10
"""Steps of shade and of line, so that every drawing is a class of the style sheet and no style stands in an element."""


def render_html(explanation: Explained) -> str:
    """A self-contained HTML page; everything that comes from outside is escaped.

    Its content security policy allows its own style sheet, by hash, and nothing else.
    """
    style = _source("explanation.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("explanation.html.j2")
        .render(
            style=Markup(style),  # ours, not the user's
            style_hash=f"sha256-{digest}",
            text=printable(explanation.text),
            answer=answer(explanation),
            is_answer=is_answer(explanation),
            other_answers=other_answers(explanation),
            label=printable(explanation.label),
            cautions=cautions(explanation),
            limits=LIMITS,
            rows=word_rows(explanation),
            gates=shown_gates(explanation),
            gate_names=GATE_NAMES,
            terms=sum_terms(explanation),
            residual=explanation.residual,
            versions={name: version(name) for name in ("gatewise", "torch")},
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gatewise.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "level": lambda share: round(share * LEVELS) if math.isfinite(share) else 0,
        "percent": lambda share: f"{share:.1%}" if math.isfinite(share) else "",
        "signed": lambda value: f"{value:+.3f}".replace("-", "\N{MINUS SIGN}"),
        "signed4": lambda value: f"{value:+.4f}".replace("-", "\N{MINUS SIGN}"),
    }
    return environment


def _source(name: str) -> str:
    """A template's text as it stands."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
