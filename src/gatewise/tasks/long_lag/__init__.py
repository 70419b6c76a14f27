"""The long-lag study: what RNN, GRU and LSTM learn of tasks whose answer lies far behind the question."""

from gatewise.tasks.long_lag.experiments import EXPERIMENTS, QUICK, Experiment
from gatewise.tasks.long_lag.study import chosen, study
from gatewise.tasks.long_lag.table import Study
from gatewise.tasks.long_lag.trial import Trial

__all__ = ["EXPERIMENTS", "QUICK", "Experiment", "Study", "Trial", "chosen", "study"]
