"""One step of each kind of cell."""

from gatewise.cells.catalogue import CELLS, Cell
from gatewise.cells.gru import GRUCell, GRUStep, gru_step
from gatewise.cells.lstm import LSTMCell, LSTMStep, lstm_step
from gatewise.cells.rnn import RNNCell, RNNStep, rnn_step

__all__ = [
    "CELLS",
    "Cell",
    "GRUCell",
    "GRUStep",
    "LSTMCell",
    "LSTMStep",
    "RNNCell",
    "RNNStep",
    "gru_step",
    "lstm_step",
    "rnn_step",
]
