"""One step of each kind of cell."""

from gatewise.cells.catalogue import CELLS, Cell
from gatewise.cells.gru import GRUCell, GRUStep, gru_step
from gatewise.cells.layer_norm import Norms
from gatewise.cells.lstm import LSTMCell, LSTMStep, lstm_step
from gatewise.cells.rnn import RNNCell, RNNStep, rnn_step
from gatewise.cells.variant import PLAIN, Variant

__all__ = [
    "CELLS",
    "PLAIN",
    "Cell",
    "GRUCell",
    "GRUStep",
    "LSTMCell",
    "LSTMStep",
    "Norms",
    "RNNCell",
    "RNNStep",
    "Variant",
    "gru_step",
    "lstm_step",
    "rnn_step",
]
