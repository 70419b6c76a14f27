"""Subclasses of torch.nn layers whose forward goes round torch's own, as libraries of forecasts have them."""

import pytest
import torch
from record_cases import Nest, assert_call, expected_layers
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gatewise.errors import UsageError
from gatewise.memory import Clamp, gradient_flow, intervene, push_ledger, readout, record

F64 = {"dtype": torch.float64}


class TakesLengths:
    """Packs what it gets, batch first; a batch without a step never reaches torch's layer."""

    def forward(self, x, hx=None, *, lengths=None):
        if lengths is None:
            return super().forward(x, hx=hx)
        if max(lengths) == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), None
        packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
        out, state = super().forward(packed, hx)
        return pad_packed_sequence(out, batch_first=True)[0], state


class RaggedLSTM(TakesLengths, nn.LSTM):
    """An LSTM that takes lengths."""


class RaggedGRU(TakesLengths, nn.GRU):
    """A GRU that takes lengths."""


class RaggedRNN(TakesLengths, nn.RNN):
    """A plain RNN that takes lengths."""


KINDS = [RaggedLSTM, RaggedGRU, RaggedRNN]


def ragged(kind=RaggedLSTM, layers=2):
    return Nest(kind(3, 4, layers, bidirectional=True, batch_first=True, **F64))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [None, [6, 2, 4]])
def test_its_inner_calls_are_what_the_oracle_says(kind, lengths):
    model, x = ragged(kind), torch.randn(3, 6, 3, **F64)
    plain, state = model(x, lengths=lengths)
    with record(model) as trace:
        seen, state_seen = model(x, lengths=lengths)
    assert torch.equal(plain, seen)
    for a, b in zip(state, state_seen, strict=True):
        assert torch.equal(a, b)
    expected = expected_layers(model.body["rnn"], x.transpose(0, 1), lengths=lengths)
    assert_call(trace["body.rnn"].calls[0], expected)


def test_it_is_the_same_object_of_the_same_class_after_the_block():
    model = ragged()
    layer = model.body["rnn"]
    weights = dict(layer.named_parameters())
    with pytest.raises(ZeroDivisionError), record(model), record(model):
        assert isinstance(layer, RaggedLSTM) and repr(layer).startswith("RaggedLSTM(")
        raise ZeroDivisionError
    assert type(layer) is RaggedLSTM and not layer._forward_hooks and "forward" not in vars(layer)
    assert all(weights[name] is w for name, w in layer.named_parameters())


def test_recordings_within_each_other_see_the_same_call_once_each():
    model, x = ragged(), torch.randn(3, 6, 3, **F64)
    with record(model) as outer, record(model) as inner:
        model(x, lengths=[6, 2, 4])
    assert len(outer["body.rnn"].calls) == len(inner["body.rnn"].calls) == 1
    assert torch.equal(outer["body.rnn"][1].c, inner["body.rnn"][1].c)


def test_only_the_recorded_object_is_watched():
    recorded, other, x = ragged(), ragged(), torch.randn(3, 6, 3, **F64)
    with record(recorded) as trace:
        other(x)
        recorded(x)
    assert len(trace["body.rnn"].calls) == 1


def test_dropout_between_its_layers_is_drawn_again():
    model, x = Nest(RaggedLSTM(3, 4, 3, dropout=0.4, batch_first=True, **F64)), torch.randn(3, 6, 3, **F64)
    torch.manual_seed(3)
    plain = model(x, lengths=[6, 2, 4])[0]
    torch.manual_seed(3)
    with record(model) as trace:
        assert torch.equal(model(x, lengths=[6, 2, 4])[0], plain)
    assert max(lt.residual for lt in trace.layers()) <= 1e-14


def test_a_call_that_does_not_reach_torchs_forward_is_not_in_the_trace():
    model, x = ragged(), torch.randn(3, 6, 3, **F64)
    with record(model) as trace:
        model(x, lengths=[0, 0, 0])
        model(x, lengths=[6, 2, 4])
    assert len(trace["body.rnn"].calls) == 1


class Own(nn.GRU):
    """A forward of its own equations."""

    def forward(self, x):
        return x @ self.weight_ih_l0.T, None


def test_a_forward_that_never_reaches_torchs_is_refused_when_the_block_ends():
    model = Nest(Own(3, 4))
    says = r"^body.rnn is a Own, whose forward ran 2 times without that of torch.nn.GRU, so its gates cannot be read$"
    with pytest.raises(UsageError, match=says), record(model):
        model(torch.randn(5, 2, 3))
        model(torch.randn(5, 2, 3))
    assert type(model.body["rnn"]) is Own
    with record(model):  # not called: nothing to complain of
        pass
    with pytest.raises(UsageError, match="ran 1 times without that"):
        readout(model, torch.randn(5, 2, 3), lambda out: out[0][-1, :, 0])


class Answers(nn.Module):
    """One number a row from the last step that each row has."""

    def __init__(self, kind):
        super().__init__()
        self.rnn, self.head = kind(3, 4, batch_first=True, **F64), nn.Linear(4, 2, **F64)

    def forward(self, x, lengths):
        out, _ = self.rnn(x, lengths=lengths)
        return self.head(out[torch.arange(len(x)), torch.tensor(lengths) - 1])


@pytest.mark.parametrize("kind", [RaggedLSTM, RaggedGRU])
def test_its_readout_adds_up_and_its_gradient_is_autograds(kind):
    model, x = Answers(kind), torch.randn(3, 6, 3, **F64)
    read = readout(model, (x, [6, 2, 4]), 1)
    pushed = push_ledger(read.traces[0], read.weights[0], torch.ones(4, **F64))
    total = pushed.push.sum(0) + pushed.initial + read.constant
    torch.testing.assert_close(total, model(x, [6, 2, 4])[:, 1].detach(), atol=1e-13, rtol=0)
    torch.testing.assert_close(read.constant, model.head.bias[1].detach().expand(3), atol=1e-13, rtol=0)
    flow = gradient_flow(model, (x, [6, 2, 4]), lambda y: y[:, 1].sum())
    # The first state's gradient, which autograd knows: it reads h_0 as a given state.
    h0 = torch.zeros(1, 3, 4, **F64).requires_grad_()
    given = (h0, torch.zeros(1, 3, 4, **F64)) if kind is RaggedLSTM else h0
    first = model.rnn(x[:, :1], given)[1]
    h1 = (first[0] if kind is RaggedLSTM else first).detach().requires_grad_()
    state = (h1, first[1].detach()) if kind is RaggedLSTM else h1
    out, _ = model.rnn(x[:1, 1:6], tuple(s[:, :1] for s in state) if kind is RaggedLSTM else state[:, :1])
    (expected,) = torch.autograd.grad(model.head(out[:, -1])[0, 1], h1)
    torch.testing.assert_close(flow["rnn"][0].dh[0, 0], expected[0, 0], atol=1e-13, rtol=0)


def test_interventions_refuse_it():
    says = "is a RaggedLSTM, whose forward is not that of"
    with pytest.raises(UsageError, match=says), intervene(ragged(), Clamp("c", 0.0)):
        pytest.fail("the block must not run")
