"""On a GPU: gates of cuDNN's layers, read by replay, with TF32 off and on."""

import pytest
import torch
from compare import GRADIENTS

from contract.cases import build
from contract.catalogue import BACKENDS, CELLS
from gatewise.kernels import backend, replay

# TF32 keeps 10 bits of a product's factors: its errors are those of bfloat16's 7 bits, divided by 8.
ALLOWED = {False: GRADIENTS[torch.float32], True: GRADIENTS[torch.bfloat16] / 8}


@pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk")
@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("lengths", ["none", "unsorted"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", [name for name, line in CELLS.items() if BACKENDS["aten"].has(line)])
def test_replayed_gates_are_those_that_cudnn_used(cell, reverse, lengths, tf32, needs):
    needs("aten", "cuda")
    case = {"cell": cell, "T": 33, "B": 9, "H": 64, "I": 19, "gain": 0.5, "dtype": torch.float32}
    made = build(case | {"lengths": lengths, "reverse": reverse}, 7, "cuda")
    with torch.no_grad(), backend("aten"), torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32):
        result = made.run()
        seen = replay(
            made.cell, made.x, result.h_seq, made.h0, made.c0, made.weights, made.lengths, reverse=reverse
        )
    assert float(seen.residual) <= ALLOWED[tf32]
    names = {"lstm": "ifgo", "gru": "rzn"}.get(made.cell, "h")
    expected = torch.zeros(seen.gates.shape, dtype=torch.float64)
    for t, rows, happened in made.expected.tape.steps:
        expected[t, rows] = torch.cat([torch.from_numpy(happened[name]) for name in names], dim=-1)
    error = (seen.gates.cpu().double() - expected).norm() / expected.norm()
    assert error <= ALLOWED[tf32]
