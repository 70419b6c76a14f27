"""Frames come one at a time: was that a double knock? An LSTM that listens frame by frame, a few microseconds each.

    python examples/streaming.py

A frame is the loudness of 20 milliseconds. A knock counts as double when it follows another within half a second, so
the answer needs a memory. The model is trained on whole recordings for a few seconds, then it hears a new one live.
"""

import time
from statistics import median

import torch
from torch import Tensor, nn

import gatewise as gw

FRAMES, BATCH, UPDATES, UNITS = 80, 32, 180, 24
NEAR, FAR = 4, 25  # frames between the knocks of a pair, at least and at most
ANSWER = 5  # frames that a double knock is answered with "yes"


def recordings(count: int) -> tuple[Tensor, Tensor]:
    """Loudness [FRAMES, count, 1] and the right answers [FRAMES, count], 1 for the frames after a double knock."""
    knocks = torch.rand(FRAMES, count) < 0.04
    silence = torch.full((count,), FAR + 1)
    double = torch.zeros(FRAMES, count)
    for t in range(FRAMES):
        knocks[t] &= silence >= NEAR
        yes = knocks[t] & (silence <= FAR)
        double[t : t + ANSWER] += yes
        silence = torch.where(knocks[t], 0, silence + 1)
    return (knocks + 0.1 * torch.randn(FRAMES, count))[..., None], double.clamp(max=1)


class Listener(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = gw.LSTM(1, UNITS, chrono=FAR), nn.Linear(UNITS, 1)

    def forward(self, loudness: Tensor) -> Tensor:
        return self.head(self.lstm(loudness)[0])[..., 0]  # [T, B]


def train(model: Listener) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(UPDATES):
        loudness, double = recordings(BATCH)
        loss = nn.functional.binary_cross_entropy_with_logits(model(loudness), double)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def listen(model: Listener, microphone: Tensor, double: Tensor) -> None:
    """Hear the frames [T, 1] as they come, and say when a double knock was heard."""
    stream = model.lstm.streaming()  # a snapshot of the weights; its state begins with zeros
    h = torch.empty(UNITS)
    answers, times = [], []
    for frame in microphone:
        start = time.perf_counter()
        stream.step(frame, out=h)
        times.append(time.perf_counter() - start)
        answers.append(bool(model.head(h) > 0))
    for name, values in (("heard", answers), ("right", double.bool().tolist())):
        print(f"{name}: " + "".join("|" if yes else "." for yes in values))
    print(f"{1e6 * median(times):.1f} microseconds a frame ({stream.backend}); a frame lasts 20,000")

    # The whole recording at once gives the same, and so does a second stream that takes over in the middle.
    whole, (h_n, _) = model.lstm(microphone[:, None])
    first = model.lstm.streaming()
    first.run(microphone[:40])
    second = model.lstm.streaming()
    second.state = first.state
    second.run(microphone[40:])
    print(f"difference to the whole recording at once: {(h - whole[-1, 0]).abs().max():.0e}")
    print(f"difference after a change of streams at frame 40: {(second.state[0] - h_n).abs().max():.0e}")


def main() -> None:
    torch.manual_seed(0)
    model = Listener()
    train(model)
    loudness, double = recordings(200)
    with torch.no_grad():
        right = ((model(loudness) > 0) == double.bool()).float().mean()
    print(f"{right:.1%} of the frames of 200 new recordings answered right; {1 - double.mean():.1%} are 'no'")
    row = int(double.sum(0).argmax())
    listen(model, loudness[:, row], double[:, row])


if __name__ == "__main__":
    main()
