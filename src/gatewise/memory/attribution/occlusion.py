"""Occlusion: how much the answer changes when one step's input is replaced by the baseline.

Source: Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", for pictures; Li, Monroe &
Jurafsky 2016, "Understanding neural networks through representation erasure", for words.
"""

import torch

from gatewise.memory.attribution.case import Case, Shares


def shares(case: Case) -> Shares:
    """`y(x) - y(x with x_t replaced)`, one run for each step; the answer at the baseline belongs to no step.

    The step stays in the sequence: its gates still work, on the baseline in place of x_t.
    """
    x, valid = case.call.x, case.valid()
    changes = []
    for t in range(len(x)):
        without = x.clone()
        without[t] = case.baseline[t]
        changes.append(case.readout.value - case.run(without).detach().double())
    scores = torch.stack(changes) if changes else x.new_zeros(valid.shape, dtype=torch.float64)
    return Shares(scores.masked_fill(~valid, 0), case.run(case.baseline).detach().double())
