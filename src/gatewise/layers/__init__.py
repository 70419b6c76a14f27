"""Recurrent layers: drop-ins for torch.nn's, and stacks of mixed kinds."""

from gatewise.layers.base import Recurrent, explain_backend
from gatewise.layers.gru import GRU
from gatewise.layers.lstm import LSTM
from gatewise.layers.rnn import RNN
from gatewise.layers.stack import Stack

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "Stack", "explain_backend"]
