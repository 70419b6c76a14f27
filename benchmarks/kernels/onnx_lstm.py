"""A one-layer nn.LSTM in onnxruntime: the LSTM operator, whose rows stand in the order i, o, f, c.

Source: ONNX operators, LSTM-14.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.kernels.rows import NoFigureError

_OPSET, _IR = 14, 8


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as missing:
        raise NoFigureError(f"{missing.name} is not installed (pip install 'gatewise[bench]')") from None
    return onnx, onnxruntime


def _rows(weight: Tensor) -> Tensor:
    """Rows i, f, g, o of torch as i, o, f, c, with the direction in front."""
    i, f, g, o = weight.chunk(4)
    return torch.cat((i, o, f, g))[None]


def model(layer: nn.LSTM) -> bytes:
    """The ONNX model: x [T, B, I], h0, c0 [1, B, H] -> y [T, 1, B, H], hn, cn [1, B, H]."""
    onnx, _ = _packages()
    make, inputs, units = onnx.helper, layer.input_size, layer.hidden_size
    w_ih, w_hh, b_ih, b_hh = (_rows(weight) for weight in layer.state_dict().values())
    weights = {"w": w_ih, "r": w_hh, "b": torch.cat((b_ih, b_hh), dim=1)}
    node = make.make_node("LSTM", ["x", "w", "r", "b", "", "h0", "c0"], ["y", "hn", "cn"], hidden_size=units)

    def values(**shapes: list[int | str]) -> list[Any]:
        return [make.make_tensor_value_info(k, onnx.TensorProto.FLOAT, v) for k, v in shapes.items()]

    state: list[int | str] = [1, "B", units]
    graph = make.make_graph(
        [node],
        "lstm",
        values(x=["T", "B", inputs], h0=state, c0=state),
        values(y=["T", 1, "B", units], hn=state, cn=state),
        [onnx.numpy_helper.from_array(weight.numpy(), name) for name, weight in weights.items()],
    )
    proto = make.make_model(graph, opset_imports=[make.make_opsetid("", _OPSET)], ir_version=_IR)
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def session(layer: nn.LSTM) -> Any:
    """An inference session with as many threads as torch has."""
    blob = model(layer)
    _, runtime = _packages()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    return runtime.InferenceSession(blob, options, providers=["CPUExecutionProvider"])


def whole(layer: nn.LSTM, x: Tensor) -> Callable[[], list[Tensor]]:
    """A whole sequence [T, B, I] from zero states: output [T, B, H], h_n and c_n [1, B, H]."""
    running = session(layer)
    zeros = np.zeros((1, x.shape[1], layer.hidden_size), np.float32)
    feed = {"x": x.detach().numpy(), "h0": zeros, "c0": zeros}

    def run() -> list[Tensor]:
        y, hn, cn = running.run(None, feed)
        return [torch.from_numpy(y[:, 0]), torch.from_numpy(hn), torch.from_numpy(cn)]

    return run


def stepping(layer: nn.LSTM, x_t: Tensor, steps: int) -> Callable[[], list[Tensor]]:
    """`steps` single steps on the same frame x_t [B, I], the state carried over; h and c [B, H] at the end.

    The fastest way that onnxruntime has: inputs and outputs bound once, two sets of states that take turns.
    """
    running = session(layer)
    _, runtime = _packages()
    zeros = np.zeros((1, len(x_t), layer.hidden_size), np.float32)
    frame = runtime.OrtValue.ortvalue_from_numpy(x_t.detach().numpy()[None])
    states = [
        {name: runtime.OrtValue.ortvalue_from_numpy(zeros.copy()) for name in ("h", "c")} for _ in range(2)
    ]

    def bound(source: dict[str, Any], target: dict[str, Any]) -> Any:
        binding = running.io_binding()
        binding.bind_ortvalue_input("x", frame)
        for name in ("h", "c"):
            binding.bind_ortvalue_input(f"{name}0", source[name])
            binding.bind_ortvalue_output(f"{name}n", target[name])
        return binding

    turns = [bound(*states), bound(*states[::-1])]

    def run() -> list[Tensor]:
        for state in states[0].values():
            state.update_inplace(zeros)
        for k in range(steps):
            running.run_with_iobinding(turns[k % 2])
        return [torch.from_numpy(state.numpy()[0].copy()) for state in states[steps % 2].values()]

    return run
