"""`python -m benchmarks.translation`: sentences a second of beam search, batched, one at a time, and with nn.LSTM.

The model has the translate recipe's default sizes and random weights; every target is as long as is allowed, so that
all do the same work. The plain loop is what a script does: nn.LSTM with T = 1, the beams of one sentence as its batch.
Before anything is timed, the targets of all three are compared.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measure import machine, paired
from gatewise.decoding.beam_search import Search
from gatewise.decoding.searching import search_decoder
from gatewise.tasks.translate.config import TranslateConfig
from gatewise.tasks.translate.model import Translator

VOCABULARY = 8_000
BEGIN, END = VOCABULARY, VOCABULARY + 1


def translator() -> Translator:
    """Random weights; the end is never likely."""
    network = Translator(TranslateConfig(), VOCABULARY, VOCABULARY + 2, shared=True).train(False)
    with torch.no_grad():
        network.decoder.output_bias[END] = -1e4
    return network


def batched(network: Translator, sources: Tensor, how: Search) -> list[list[int]]:
    """The best targets of sources [S, B], all searched together."""
    start = network.read(sources, torch.full((sources.shape[1],), len(sources)))
    found = search_decoder(network.decoder, start, how, begin=BEGIN, end=END, never=(0, BEGIN))
    return [row[0].tokens for row in found]


def one_at_a_time(network: Translator, sources: Tensor, how: Search) -> list[list[int]]:
    return [batched(network, source[:, None], how)[0] for source in sources.unbind(1)]


class Plain:
    """The same search as a script writes it, a sentence after the other."""

    def __init__(self, network: Translator) -> None:
        self.decoder = network.decoder
        self.encoder, self.recurrent = network.encoder.to_torch(), network.decoder.recurrent.to_torch()  # type: ignore[operator]

    def __call__(self, sources: Tensor, how: Search) -> list[list[int]]:
        return [self.search(source, how) for source in sources.unbind(1)]

    def search(self, source: Tensor, how: Search) -> list[int]:
        decoder, embedding = self.decoder, self.decoder.embedding
        states, _ = self.encoder(embedding(source)[:, None])
        values = states[:, 0]  # [S, M]
        keys = decoder.attention.key(values)
        first = torch.tanh(decoder.start(values.mean(0)))
        h, c = (part[None, None] for part in first.chunk(2))
        tokens, scores = torch.tensor([BEGIN]), torch.zeros(1)
        written = torch.empty(1, 0, dtype=torch.int64)
        for _ in range(how.longest):
            output, (h, c) = self.recurrent(embedding(tokens)[None], (h, c))
            context = (output[0] @ keys.t()).softmax(1) @ values
            read = torch.tanh(decoder.read(torch.cat((output[0], context), 1)))
            logits = decoder.logits(read)
            logits[:, [0, BEGIN]] = -torch.inf
            ways = (scores[:, None] + logits.log_softmax(1)).flatten()
            scores, places = ways.topk(how.beams)
            beams, tokens = places // logits.shape[1], places % logits.shape[1]
            written = torch.cat((written[beams], tokens[:, None]), 1)
            h, c = h[:, beams], c[:, beams]
        return written[0].tolist()


@torch.no_grad()
def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.translation", description=__doc__)
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--length", type=int, default=14, help="tokens of a source and of a target")
    parser.add_argument("--beams", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = translator()
    sources = torch.randint(2, VOCABULARY, (options.length, options.sentences))
    how, plain = Search(beams=options.beams, longest=options.length), Plain(network)
    found = batched(network, sources, how)
    peers = {
        "one at a time": lambda: one_at_a_time(network, sources, how),
        "nn.LSTM": lambda: plain(sources, how),
    }
    rows = []
    print(f"{'beside':16} {'peer':>11} {'batched':>11}   ratio [95 %]   sentences/s: peer, batched")
    for name, peer in peers.items():
        same = sum(one == other for one, other in zip(found, peer(), strict=True))
        if same < 0.98 * len(found):  # rounding may part two beams of one score
            raise SystemExit(f"{name}: {same} of {len(found)} targets are the same; nothing was timed")
        ratio = paired(peer, lambda: batched(network, sources, how), pairs=options.pairs, warm_up=1)
        rates = [1e3 * options.sentences / ms for ms in (ratio.peer_ms, ratio.ours_ms)]
        print(f"{name:16} {ratio}   {rates[0]:.1f}, {rates[1]:.1f}", flush=True)
        rows.append({"peer": name, "sentences_per_second": rates, "same_targets": same} | asdict(ratio))
    if options.out:
        settings = {name: value for name, value in vars(options).items() if name != "out"}
        options.out.write_text(
            json.dumps({"machine": machine(), "settings": settings, "rows": rows}, indent=2) + "\n", "utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
