"""PyTorch's own samples for its recurrent modules, run with our classes in place of theirs."""

import warnings

import pytest
import torch
from compare import assert_same
from layer_pairs import flat
from torch import nn

import gatewise as gw

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # PyTorch's test utilities warn of their own optional dependencies
    from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

CLASSES = {
    nn.RNN: gw.RNN, nn.LSTM: gw.LSTM, nn.GRU: gw.GRU,
    nn.RNNCell: gw.RNNCell, nn.LSTMCell: gw.LSTMCell, nn.GRUCell: gw.GRUCell,
}  # fmt: skip
ENTRIES = {info.module_cls: info for info in module_db if info.module_cls in CLASSES}
every_entry = pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)


def test_every_class_has_an_entry():
    assert set(ENTRIES) == set(CLASSES)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@every_entry
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("training", [True, pytest.param(False, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("with_packed", [False, True])
def test_samples(cls, dtype, training, with_packed):
    info = ENTRIES[cls]
    extra = {"with_packed_sequence": True} if with_packed and cls in (nn.RNN, nn.GRU) else {}
    samples = list(
        info.module_inputs_func(
            info, device="cpu", dtype=dtype, requires_grad=True, training=training, **extra
        )
    )
    assert len(samples) >= 2
    for sample in samples:
        args, kwargs = sample.constructor_input.args, sample.constructor_input.kwargs
        theirs = cls(*args, **kwargs, dtype=dtype).train(training)
        ours = CLASSES[cls](*args, **kwargs, dtype=dtype).train(training)
        ours.load_state_dict(theirs.state_dict(), strict=True)
        call = sample.forward_input
        results = [module(*call.args, **call.kwargs) for module in (ours, theirs)]
        tolerance = 1e-12 if dtype == torch.float64 else 2e-6
        grads = []
        for module, result in zip((ours, theirs), results, strict=True):
            outputs = flat(result)
            inputs = [t for a in call.args for t in flat(a)]
            seeds = [torch.linspace(-1, 2, o.numel(), dtype=dtype).reshape(o.shape) for o in outputs]
            grads.append(torch.autograd.grad(outputs, [*inputs, *module.parameters()], seeds))
        for got, expected in zip(flat(results[0]), flat(results[1]), strict=True):
            assert_same(got, expected, f"{sample.desc} {args} {kwargs}", tolerance)
        for got, expected in zip(*grads, strict=True):
            assert_same(
                got,
                expected,
                f"gradient, {args} {kwargs}",
                10 * tolerance if dtype != torch.float64 else tolerance,
            )


@every_entry
def test_error_samples_are_errors_here_too(cls):
    info = ENTRIES[cls]
    samples = info.module_error_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=False, training=True
    )
    assert samples
    for sample in samples:
        build, call = sample.module_error_input.constructor_input, sample.module_error_input.forward_input
        if sample.error_on == ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises((gw.UsageError, TypeError)):
                CLASSES[cls](*build.args, **build.kwargs)
        elif "nonlinearity" not in str(build) and build.args[2:] in (("relu",), ("tanh",)):
            continue  # torch passes a nonlinearity where its GRUCell has `bias`; nothing to compare
        else:
            module = CLASSES[cls](*build.args, **build.kwargs)
            with pytest.raises(gw.UsageError):
                module(*call.args, **call.kwargs)
