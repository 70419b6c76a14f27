"""The flat list of a layer's weights that the operator takes."""

import numpy as np
import pytest
import torch
from oracle import random_params

from gatewise.cells import Variant
from gatewise.kernels import Weights


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("projection", [0, 2])
def test_the_list_of_weights_says_which_they_are(layer_norm, peephole, coupled, bias, projection):
    if layer_norm and peephole:
        return
    params = random_params(
        np.random.default_rng(0), 4 - coupled, 3, 5, bias=bias, projection=projection,
        peephole=peephole, layer_norm=layer_norm,
    )  # fmt: skip
    weights = Weights(*(None if p is None else torch.from_numpy(p) for p in params))
    variant = Variant(layer_norm, peephole, coupled, recurrent_dropout=0.1)
    again = Weights.from_tensors(weights.tensors(), variant)
    assert all(a is b for a, b in zip(again, weights, strict=True))
    assert weights.hidden_size == again.hidden_size == 5
