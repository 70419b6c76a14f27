"""Open a PyTorch model that somebody else wrote, and ask its LSTM what it remembers.

    python examples/open_a_torch_model.py

Nothing in the model is changed: `gw.record` reads the gates from what the layer puts out.
"""

import torch
from torch import Tensor, nn

import gatewise as gw


class SensorModel(nn.Module):
    """Somebody's model: a table of sensor values in, one number out."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.lstm = nn.LSTM(6, 32, num_layers=2, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.lstm(self.norm(x))
        return self.head(output[:, -1])[:, 0]


def main() -> None:
    torch.manual_seed(0)
    model = SensorModel().eval()
    x = torch.randn(4, 60, 6)  # [B, T, I]

    with torch.no_grad(), gw.record(model) as trace:
        answer = model(x)  # [B]
    print(trace)

    top = trace["lstm"][1]
    print(f"\nmean forget gate of the top layer: {top.f.mean():.3f}")

    # Which steps wrote what is in the memory at the end? The sum is exact up to rounding.
    book = gw.memory.ledger(top)
    from_last_ten = book.contributions[-10:].abs().sum() / book.contributions.abs().sum()
    print(f"the last ten of {len(top.f)} steps wrote {from_last_ten:.0%} of the memory at the end")
    print(f"all contributions sum to the cell state up to {book.residual:.1e}")

    # How far did each step of row 0 move the answer?
    sums = gw.memory.push_ledger(top, None, model.head.weight[0].detach())
    strongest = sums.push[:, 0].abs().topk(3).indices.tolist()
    for step in sorted(strongest):
        print(f"step {step:2d} pushed the answer by {sums.push[step, 0]:+.4f}")
    total = sums.push[:, 0].sum() + sums.initial[0] + model.head.bias[0]
    print(f"all pushes + initial state + bias = {total:.4f}; the model answered {answer[0]:.4f}")


if __name__ == "__main__":
    main()
