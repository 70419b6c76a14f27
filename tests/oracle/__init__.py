"""An independent definition of the recurrent cells in float64 NumPy, with gradients written by hand.

Written from the papers; it imports nothing from the package under test and no PyTorch. Its own tests check the
gradients by central differences.
"""

from oracle.parameters import Params, random_params
from oracle.sequence import Gradients, Run, run, run_backward
from oracle.stack import StackGradients, StackRun, stack, stack_backward
from oracle.steps import CELLS
from oracle.variation import Variation

__all__ = [
    "CELLS",
    "Gradients",
    "Params",
    "Run",
    "StackGradients",
    "StackRun",
    "Variation",
    "random_params",
    "run",
    "run_backward",
    "stack",
    "stack_backward",
]
