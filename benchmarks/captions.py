"""What seeing is worth to a captioner: against one that sees nothing, and on clips whose sentences are known.

    python -m benchmarks.captions flickr FOLDER [--seeds N] [--epochs N] [--runs RUNS] [--json FILE]
    python -m benchmarks.captions clips [--seeds N] [--clips N] [--epochs N] [--runs RUNS] [--json FILE]

flickr: FOLDER holds `images` and `captions.txt` (image, caption). Of the pictures in the order of their names the first
80 % train, the next 10 % choose the epoch, the last 10 % are the test, measured once. Each seed trains the small
network and the same decoder with --blind; what is told is the difference of their test losses, its mean, and the
standard error of that mean over the seeds.

clips: shapes that move, drawn by `gatewise.synthetic.clips`; what is told is the share of sentences of 500 other clips
that is exact.

With --runs the trained models stay in that folder, and the same command goes on after an interruption.
"""

import argparse
import json
import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import machine
from gatewise.data.captions import Captions, read_captions
from gatewise.synthetic.clips import draw_clips, write_clips
from gatewise.tasks.caption.config import CaptionConfig
from gatewise.tasks.caption.fitted import FittedCaptioner, load_fitted
from gatewise.tasks.caption.recipe import train_captions

FLICKR: dict[str, Any] = {"epochs": 25}
CLIPS: dict[str, Any] = {
    "picture_size": 64, "channels": 64, "hidden_size": 96, "embedding_size": 32, "epochs": 24, "dropout": 0.1,
    "batch_size": 8, "learning_rate": 2e-3, "augment": 0.05,
}  # fmt: skip
"""Chosen on 200 clips of seed 7, but for the epochs: 12 gave 69 % on 500 clips of seed 1, which were the test until
then, and were doubled for it. So the test clips have another seed now. Of 32 pixels, where a shape has a radius of 5 to
7, colour and way were learned and the shape was not."""
TEST_CLIPS, TEST_SEED = 500, 2


def by_name(data: Captions) -> tuple[Captions, Captions, Captions]:
    """Training, validation and test: 80, 10 and 10 % of the pictures in the order of their names."""
    order = sorted(range(len(data)), key=data.names.__getitem__)
    first, second = round(0.8 * len(order)), round(0.9 * len(order))
    return data.subset(order[:first]), data.subset(order[first:second]), data.subset(order[second:])


def trained(train: Captions, config: CaptionConfig, run: Path | None, **options: Any) -> FittedCaptioner:
    """A model, from `run` where one with these options is there already."""
    if run is not None and run.is_dir():
        fitted = load_fitted(run)
        if (fitted.config.epochs, fitted.config.seed) != (config.epochs, config.seed):
            raise SystemExit(
                f"{run}: was trained for {fitted.config.epochs} epochs; {config.epochs} are asked for"
            )
        return fitted
    return train_captions(train, config, out=run, resume=run is not None, progress=None, **options)


def flickr(folder: Path, seeds: int, epochs: int | None, runs: Path | None) -> dict[str, Any]:
    train, validation, test = by_name(read_captions(folder / "images", folder / "captions.txt"))
    print(f"{len(train)} / {len(validation)} / {len(test)} pictures, {train.sentences} training sentences")
    rows = []
    for seed in range(seeds):
        row: dict[str, Any] = {"seed": seed}
        for name, blind in (("seeing", False), ("blind", True)):
            config = CaptionConfig(
                **FLICKR | ({"epochs": epochs} if epochs else {}), blind=blind, seed=seed, threads=1
            )
            run = runs and runs / f"flickr-{name}-{seed}"
            fitted = trained(train, config, run, validation=validation)
            figures = fitted.evaluate(test)
            row[name] = {
                key: figures[key] for key in ("loss", "perplexity", "accuracy", "bleu") if key in figures
            }
            row[name] |= {
                "best_epoch": fitted.metrics["training"]["best_epoch"],
                "seconds": fitted.metrics["training"]["seconds"],
            }
        row["difference"] = row["blind"]["loss"] - row["seeing"]["loss"]
        rows.append(row)
        print(json.dumps(row), flush=True)
    return {"seeds": rows} | difference([row["difference"] for row in rows])


def difference(found: list[float]) -> dict[str, float]:
    """Mean, standard error of the mean, and how many of these the mean is above 0."""
    mean = statistics.fmean(found)
    if len(found) < 2:
        return {"mean": mean}
    error = statistics.stdev(found) / math.sqrt(len(found))
    return {"mean": mean, "standard_error": error, "standard_errors": mean / error}


def clips(seeds: int, count: int, epochs: int | None, runs: Path | None) -> dict[str, Any]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        train = read_captions(
            *write_clips(draw_clips(count, size=CLIPS["picture_size"], seed=0), Path(folder) / "train")
        )
        test = read_captions(
            *write_clips(
                draw_clips(TEST_CLIPS, size=CLIPS["picture_size"], seed=TEST_SEED), Path(folder) / "test"
            )
        )
        for seed in range(seeds):
            config = CaptionConfig(**CLIPS | ({"epochs": epochs} if epochs else {}), seed=seed, threads=1)
            fitted = trained(train, config, runs and runs / f"clips-{seed}")
            figures = fitted.evaluate(test)
            rows.append({"seed": seed, "exact": figures["exact"], "loss": figures["loss"]})
            rows[-1]["seconds"] = fitted.metrics["training"]["seconds"]
            print(json.dumps(rows[-1]), flush=True)
    return {"seeds": rows, "exact": statistics.fmean(row["exact"] for row in rows)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("flickr", "clips"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=4000, help="to train on")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--runs", type=Path, metavar="RUNS", help="keep the trained models here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "flickr":
        if given.folder is None:
            parser.error("flickr needs the FOLDER with images and captions.txt")
        found = flickr(given.folder, given.seeds, given.epochs, given.runs)
    else:
        found = clips(given.seeds, given.clips, given.epochs, given.runs)
    found = {"what": given.what, "machine": machine(), "threads": 1} | found
    print(json.dumps({key: value for key, value in found.items() if key != "seeds"}, indent=2))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
