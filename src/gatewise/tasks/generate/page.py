"""From the explanation of a language model to its page."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from gatewise.reports.layer_view import layer_view, place
from gatewise.reports.page import Answer, Page, Word
from gatewise.tasks.generate.explanation import TextExplanation

NAN = float("nan")
SIGNS = str.maketrans({" ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍"})
LIMITS = (
    "Held and push belong to the step at which the layer wrote, with its gates as they were: the gates themselves also "
    "depend on what came before.",
    "What is shown is what the model expected, not what is true or well written.",
)


def shown_token(token: str) -> str:
    """A token with signs for blanks and line ends; nothing else of it is changed."""
    return token.translate(SIGNS)


def page_of(explanation: TextExplanation) -> Page:
    """Everything that a page shows of an explanation, the layer that the answer reads first."""
    label, top = shown_token(explanation.target), explanation.layers[-1]
    nothing = [NAN] * len(explanation.tokens)
    columns = (explanation.tokens, explanation.held or nothing, explanation.push or nothing)
    return Page(
        title=f"Gatewise: why {label}",
        heading="",
        unit=explanation.unit,
        words=[
            Word(shown_token(token), " " if explanation.unit == "word" else "", share, pushed)
            for token, share, pushed in zip(*columns, strict=True)
        ],
        layers=[
            layer_view(
                lt,
                name=place(lt)
                if len(explanation.layers) == 1
                else f"{lt.cell.split('_')[0]}, layer {number}",
                is_read=lt is top,
                push=np.array(explanation.push) if lt is top and explanation.push else None,
            )
            for number, lt in reversed(list(enumerate(explanation.layers)))
        ],
        answer=Answer(
            label,
            shown_token(explanation.candidates[0].token),
            explanation.probability,
            {shown_token(one.token): one.probability for one in explanation.candidates},
        ),
        terms=sum_terms(explanation),
        residual=explanation.residual or 0.0,
        facts=[
            *explanation.facts,
            ("versions of this page", ", ".join(f"{name} {version(name)}" for name in ("gatewise", "torch"))),
        ],
        limits=[*explanation.notes, *LIMITS],
        download=explanation.to_dict(),
    )


def sum_terms(explanation: TextExplanation) -> list[tuple[str, float]]:
    """The terms of the margin in their order, the margin last; none for a plain RNN."""
    if explanation.residual is None:
        return []
    target, rival = shown_token(explanation.target), shown_token(explanation.rival)
    return [
        (f"pushes of all {explanation.unit}s", sum(explanation.push)),
        ("initial state", explanation.initial),
        ("bias", explanation.bias),
        (f"logit of {target} over its strongest rival, {rival}", explanation.margin),
    ]
