"""A long lag: the label is the first of 40 symbols, the other 39 are noise. Can an LSTM carry it, and how does it?

    python examples/remember_the_first_symbol.py

Two LSTMs are trained for about a second each: one starts as torch.nn's does, one with memories of up to 40 steps
(`chrono`). Then the answer of the second is split by the step that wrote what it reads.
"""

import torch
from torch import Tensor, nn

import gatewise as gw

STEPS, SYMBOLS, BATCH, UPDATES = 40, 4, 64, 150


def batch() -> tuple[Tensor, Tensor]:
    """One-hot symbols [T, B, 2 * SYMBOLS] and labels [B]; the noise has an alphabet of its own."""
    labels = torch.randint(SYMBOLS, (BATCH,))
    symbols = torch.randint(SYMBOLS, 2 * SYMBOLS, (STEPS, BATCH))
    symbols[0] = labels
    return nn.functional.one_hot(symbols, 2 * SYMBOLS).float(), labels


class Model(nn.Module):
    def __init__(self, chrono: int | None) -> None:
        super().__init__()
        self.lstm = gw.LSTM(2 * SYMBOLS, 24, chrono=chrono)
        self.head = nn.Linear(24, SYMBOLS)

    def forward(self, x: Tensor) -> Tensor:
        _, (h_n, _) = self.lstm(x)
        return self.head(h_n[0])


def train(model: Model) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(UPDATES):
        x, labels = batch()
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def show(name: str, model: Model) -> None:
    x, labels = batch()
    with torch.no_grad(), gw.record(model) as trace:
        correct = int((model(x).argmax(1) == labels).sum())
    layer = trace["lstm"][0]
    lives = gw.memory.half_life(layer)  # [H]
    print(f"{name}: {correct} of {BATCH} correct; half-lives {lives.min():.1f} to {lives.max():.1f} steps")

    # The score of the right label against the mean of the others, split by the step that wrote.
    rows = model.head.weight.detach()  # [SYMBOLS, H]
    direction = rows[labels] - (rows.sum(0) - rows[labels]) / (SYMBOLS - 1)  # [B, H]
    sums = gw.memory.push_ledger(layer, None, direction)
    push = sums.push.mean(1)  # [T]
    print(f"  pushes of step 1: {push[0]:+.2f}, of steps 2 to {STEPS} together: {push[1:].sum():+.2f}")
    print(f"  they sum to the score up to {sums.residual:.0e}")


def main() -> None:
    for name, chrono in (("torch's start", None), (f"chrono={STEPS}", STEPS)):
        torch.manual_seed(0)
        model = Model(chrono)
        train(model)
        show(name, model)
    print(
        "The label stands at step 1 alone, so what the later steps push came to them through h: an LSTM may renew\n"
        "a memory at every step instead of holding one write. Push belongs to the step that wrote."
    )


if __name__ == "__main__":
    main()
