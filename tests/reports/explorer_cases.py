"""Recordings for the explorer, with random gates, and its nearest states found by brute force in NumPy."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import trace_cases
from numpy.typing import NDArray

from gatewise.memory import CallTrace

APART, LISTED = 2, 8


def call(
    cell: str = "lstm", T: int = 40, H: int = 12, *, B: int = 1, seed: int = 0, **options: Any
) -> CallTrace:
    return CallTrace([trace_cases.random(cell, T, B, H, seed=seed, **options)])


def words(T: int, name: str = "w") -> list[str]:
    return [f"{name}{t}" for t in range(T)]


def embedded(html: str, name: str) -> Any:
    """What stands in the page's element of JSON with this id."""
    found = re.search(
        rf'<script type="application/json" id="{re.escape(name)}">(.*?)</script>', html, re.DOTALL
    )
    assert found, name
    return json.loads(found[1])


def numbers(html: str, described: dict[str, Any]) -> NDArray[np.float64]:
    """The values [rows, columns] of an array of the page, as its script reads them."""
    raw = base64.b64decode(embedded(html, described["array"]))
    kind = np.int8 if described["signed"] else np.uint8
    return np.frombuffer(raw, kind).reshape(described["rows"], -1) * described["scale"]


def nearest(
    states: NDArray[np.float64],
    query: NDArray[np.float64],
    measure: str,
    starts: list[int],
    without: tuple[int, int] | None = None,
) -> list[tuple[int, float]]:
    """The LISTED nearest of N states [N, P]: step and value, by sorting all of them.

    Args:
        starts: of each text, and the end. without: steps that are left out, both ends included.
    """
    if measure == "cosine":
        values = states @ query / (np.linalg.norm(states, axis=1) * np.linalg.norm(query))
        order = np.argsort(-values, kind="stable")
    else:
        values = np.linalg.norm(states - query, axis=1)
        order = np.argsort(values, kind="stable")
    text = np.searchsorted(starts, np.arange(len(states)), side="right")
    chosen: list[int] = []
    for step in order.tolist():
        is_out = without is not None and without[0] <= step <= without[1]
        if not is_out and not any(abs(step - c) <= APART and text[step] == text[c] for c in chosen):
            chosen.append(step)
    return [(step, float(values[step])) for step in chosen[:LISTED]]
