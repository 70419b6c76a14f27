"""From torch.nn's recurrent layers, weights copied; the way back is `layer.to_torch()`."""

from typing import Any

from torch import nn

from gatewise.errors import UsageError
from gatewise.layers import GRU, LSTM, RNN

_OPTIONS = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")


def from_torch(module: nn.RNNBase) -> LSTM | GRU | RNN:
    """A gatewise layer with the options, weights (copied), device, dtype and mode of a torch.nn layer.

    Args:
        module: a torch.nn.LSTM, GRU or RNN.

    Raises:
        UsageError: the module is something else.
    """
    if type(module) not in (nn.LSTM, nn.GRU, nn.RNN):
        raise UsageError(f"from_torch takes a torch.nn.LSTM, GRU or RNN; this is a {type(module).__name__}")
    layer = without_weights(module)
    layer.to_empty(device=next(module.parameters()).device).load_state_dict(module.state_dict())
    return layer.train(module.training)


def without_weights(module: nn.RNNBase) -> LSTM | GRU | RNN:
    """A gatewise layer with the options of a torch.nn layer; its parameters, of the same dtype, hold no memory."""
    options: dict[str, Any] = {name: getattr(module, name) for name in _OPTIONS}
    # By way of the meta device: nothing is drawn from the random generators for weights that are replaced.
    options |= {"device": "meta", "dtype": module.weight_ih_l0.dtype}
    if isinstance(module, nn.LSTM):
        return LSTM(**options, proj_size=module.proj_size)
    if isinstance(module, nn.GRU):
        return GRU(**options)
    return RNN(**options, nonlinearity=str(module.nonlinearity))
