"""One HTML file that needs nothing else: no network, no other file, no library; what all pages have in common."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gatewise.reports import captions, word_marks
from gatewise.shown import printable


def render_document(
    template: str, title: str, *, styles: Sequence[str], scripts: Sequence[str], **values: Any
) -> str:
    """A page as text, to be written as UTF-8.

    Everything that comes from outside is escaped, and characters that no font shows are replaced. The content
    security policy allows the page's own style and script, by hash, and with `shows_pictures` those that stand in the
    page itself (data:), and nothing else: no request leaves the page.

    Args:
        template: extends `document.html.j2`.
        styles, scripts: files of the templates without their ending, such as "page/base", in the order in which they
            are joined; the scripts stand in one function.
        values: what the template takes.
    """
    style = _joined("css", styles)
    script = f'(() => {{\n"use strict";\n{_joined("js", scripts)}}})();\n'
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            style=Markup(style),  # ours, not the user's
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
            **values,
        )
    )


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


def _joined(kind: str, names: Sequence[str]) -> str:
    """Files of the templates, one after the other."""
    environment = _environment()
    assert environment.loader is not None
    return "\n".join(environment.loader.get_source(environment, f"{name}.{kind}")[0] for name in names)


def _hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"
