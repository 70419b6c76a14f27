"""`python -m benchmarks.generation`: characters a second, ours beside a loop over nn.LSTM with one step a call.

Both have the same weights, read the same prompt and draw from the same distribution with the same seed, in turns; a
run writes `--length` characters, one row, the prompt included. Before anything is timed, both must have written the
same characters.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.language_model import Plain, Shape, copied
from benchmarks.measure import machine, paired
from gatewise.decoding.sampling import Sampling
from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.model import LanguageModel
from gatewise.tasks.generate.writing import write_tokens

SHAPES = {
    "2x512": Shape(98, 128, 512, 2, 0, 1),
    "1x256": Shape(98, 64, 256, 1, 0, 1),
    "3x1024": Shape(98, 128, 1024, 3, 0, 1),
}
"""Of models of characters."""
PROMPT = 32
NEVER = torch.tensor([0])
HOWS = {"greedy": 0.0, "drawn": 0.8}
"""Temperatures."""


def models(shape: Shape) -> tuple[LanguageModel, Plain]:
    """Ours and the plain one with the same weights, large enough for the characters to differ."""
    torch.manual_seed(0)
    config = GenerateConfig(embedding_size=shape.embedding, hidden_size=shape.hidden, num_layers=shape.layers)
    model, plain = LanguageModel(config, shape.vocabulary).eval(), Plain(shape, 0.0).eval()
    with torch.no_grad():
        for parameter in (model.embedding, model.output_weight):
            if parameter is not None:
                parameter.mul_(20)
    copied(model, plain)
    return model, plain


def by_ours(model: LanguageModel, prompt: Tensor, length: int, temperature: float) -> list[int]:
    """As `gatewise generate` writes."""
    tokens = write_tokens(model, prompt, length, Sampling(temperature), never=NEVER)
    return [int(token) for token in tokens]


@torch.inference_mode()
def by_loop(plain: Plain, prompt: Tensor, length: int, temperature: float) -> list[int]:
    """The loop that everybody writes: nn.LSTM called with one step."""
    generator, written = torch.Generator().manual_seed(0), []
    logits, state = plain(prompt[:, None], None)
    for step in range(length):
        last = logits[-1, 0]
        last[0] = -torch.inf
        if temperature:
            p = (last.double() / temperature).softmax(-1)
            token = torch.multinomial(p, 1, generator=generator)
        else:
            token = last.argmax()[None]
        written.append(int(token))
        if step + 1 < length:
            logits, state = plain(token[None], state)
    return written


def measured(name: str, how: str, length: int, pairs: int) -> dict[str, object]:
    """One row of the table; nothing is timed when the characters differ."""
    model, plain = models(SHAPES[name])
    prompt = torch.randint(1, SHAPES[name].vocabulary, (PROMPT,))

    def run(write: Callable[..., list[int]], network: nn.Module) -> Callable[[], list[int]]:
        return lambda: write(network, prompt, length, HOWS[how])

    peer, ours = run(by_loop, plain), run(by_ours, model)
    expected, found = peer(), ours()
    if expected != found:
        same = next(k for k, (a, b) in enumerate(zip(expected, found, strict=True)) if a != b)
        raise SystemExit(f"{name}, {how}: character {same + 1} of {length} differs; nothing was timed")
    ratio = paired(peer, ours, pairs=pairs)
    rates = [length / ms * 1e3 for ms in (ratio.peer_ms, ratio.ours_ms)]
    print(
        f"{name:8} {how:8} {ratio}   {rates[0]:,.0f} and {rates[1]:,.0f} characters/s   "
        f"{1 / ratio.ratio:.2f} times as fast   {len(set(found))} different ones",
        flush=True,
    )
    return {"shape": name, "how": how, "length": length, "per_second": rates} | asdict(ratio)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, action="append", help="only this one; may be repeated")
    parser.add_argument("--how", choices=HOWS, action="append", help="only this one")
    parser.add_argument("--length", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(f"{'':18} nn.LSTM     gatewise   ratio [95 %]   B = 1, threads {options.threads}")
    rows = [
        measured(shape, how, options.length, options.pairs)
        for shape in options.shape or ["2x512"]
        for how in options.how or HOWS
    ]
    if options.out:
        options.out.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
