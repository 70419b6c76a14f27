"""Write a page on what somebody's PyTorch model remembered of one sequence, and how that made its answer.

    python examples/report_on_a_torch_model.py

The page is report.html in the current folder: one file that opens without a network.
"""

import torch
from torch import Tensor, nn

import gatewise as gw

SENSORS = ["temperature", "pressure", "wind"]


class StormModel(nn.Module):
    """Somebody's model: an hour of three sensors in, the log odds of a storm out."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 24, batch_first=True)
        self.head = nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.gru(x)
        return self.head(output[:, -1])[:, 0]


def main() -> None:
    torch.manual_seed(0)
    model = StormModel().eval()
    x = torch.randn(4, 60, 3).cumsum(1) / 5  # [B, T, 3]

    # How does the answer read the GRU? A function from what the model returns to one number a row.
    readout = gw.memory.readout(model, x, lambda log_odds: log_odds)
    minutes = [f"12:{minute:02d}" for minute in range(60)]
    report = gw.report(readout, times=minutes, features=SENSORS, row=2, title="Storm or calm?")

    strongest = max(report.page.words, key=lambda step: abs(step.push))
    print(f"the strongest push came at {strongest.text}: {strongest.push:+.4f}")
    for name, value in report.page.terms:
        print(f"{value:+.4f}  {name}")
    print(f"left open by the sum: {report.page.residual:.1e}; the model answered {model(x)[2].item():+.4f}")
    print(f"wrote {report.save('report.html', overwrite=True)}")


if __name__ == "__main__":
    main()
