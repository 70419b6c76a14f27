"""The kinds of cell, by name. A new kind is one more line here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gatewise.cells import gru, lstm, rnn


@dataclass(frozen=True)
class Cell:
    """A kind of cell.

    Attributes:
        name: its name in the catalogue.
        gates: what each step computes, in the row order of the weights; each gate has H rows.
        has_c: whether a cell state c is carried beside h.
        step: the functional step; called as step(x, h, [c,] w_ih, w_hh, b_ih, b_hh[, w_hr]), with its
            variants by keyword.
    """

    name: str
    gates: tuple[str, ...]
    has_c: bool
    step: Callable[..., Any]


CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        Cell("lstm", lstm.GATES, True, lstm.lstm_step),
        Cell("gru", gru.GATES, False, gru.gru_step),
        Cell("gru_reset_before", gru.GATES, False, partial(gru.gru_step, reset_after=False)),
        Cell("rnn_tanh", rnn.GATES, False, rnn.rnn_step),
        Cell("rnn_relu", rnn.GATES, False, partial(rnn.rnn_step, nonlinearity="relu")),
    )
}
