"""What we are measured against, besides nn.LSTM, nn.GRU and nn.RNN as they are.

A ragged peer gets its batch as it likes it best, packed or sorted before the clock starts, and may leave its output
packed; ours gets rows in any order and gives a padded output.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from benchmarks.kernels.work import Results, Work, training


def packed(layer: nn.RNNBase, x: Tensor, grad: Tensor, lengths: Tensor) -> Work:
    """A training step on a `PackedSequence`."""
    batch = pack_padded_sequence(x.detach(), lengths, enforce_sorted=False)
    batch.data.requires_grad_()
    grads = pack_padded_sequence(grad, lengths, enforce_sorted=False).data

    def padded(data: Tensor) -> Tensor:
        return pad_packed_sequence(batch._replace(data=data), total_length=len(x))[0]

    def seen(results: Results) -> Results:
        output, dx, *rest = results
        return [padded(output), padded(dx), *rest]

    return Work(training(layer, batch, grads).run, seen)


class PerLength(nn.Module):
    """One dense call for each distinct length, on the rows still running; rows sorted by falling length.

    Call: x [T, B, I], lengths [B] falling -> (output in the order of PackedSequence.data [N, H], (h_n, c_n)).
    """

    def __init__(self, layer: nn.LSTM) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        sizes = lengths.tolist()
        state: tuple[Tensor, Tensor] | None = None
        outputs: list[Tensor] = []
        ended: list[tuple[Tensor, Tensor]] = []  # states of the rows that have ended, the shortest first
        start, rows = 0, len(sizes)
        while rows:
            stop = sizes[rows - 1]
            output, (h, c) = self.layer(x[start:stop, :rows], state)
            outputs.append(output.flatten(0, 1))
            still = sum(size > stop for size in sizes[:rows])
            ended.append((h[:, still:], c[:, still:]))
            state = h[:, :still], c[:, :still]
            start, rows = stop, still
        h_n, c_n = (torch.cat(parts[::-1], dim=1) for parts in zip(*ended, strict=True))
        return torch.cat(outputs), (h_n, c_n)


def per_length(layer: nn.LSTM, x: Tensor, grad: Tensor, lengths: Tensor) -> Work:
    """A training step with `PerLength`."""
    falling, order = lengths.sort(descending=True, stable=True)
    back = order.argsort()
    batch = x.detach()[:, order].requires_grad_()
    template = pack_padded_sequence(batch.detach(), falling)
    grads = pack_padded_sequence(grad[:, order], falling).data

    def seen(results: Results) -> Results:
        output, dx, *rest = results
        padded, _ = pad_packed_sequence(PackedSequence(output, template.batch_sizes), total_length=len(x))
        return [padded[:, back], dx[:, back], *rest]

    return Work(training(PerLength(layer), batch, grads, lengths=falling).run, seen)


class CellLoop(nn.Module):
    """nn.LSTMCell, step by step, with the weights of a one-layer nn.LSTM; (output, None)."""

    def __init__(self, layer: nn.LSTM) -> None:
        super().__init__()
        self.cell = cell_of(layer)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        h = c = x.new_zeros(x.shape[1], self.cell.hidden_size)
        outputs = []
        for x_t in x.unbind(0):
            h, c = self.cell(x_t, (h, c))
            outputs.append(h)
        return torch.stack(outputs), None


def cell_of(layer: nn.LSTM) -> nn.LSTMCell:
    """An nn.LSTMCell with the weights of a one-layer nn.LSTM."""
    cell = nn.LSTMCell(layer.input_size, layer.hidden_size)
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in layer.state_dict().items()})
    return cell
