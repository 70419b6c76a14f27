"""What a run of the benchmarks is told."""

from dataclasses import dataclass
from pathlib import Path

# The folder of data sets that may lie beside the project.
IMDB = Path(__file__).resolve().parents[3] / "shared" / "data" / "sentiment" / "imdb" / "train.jsonl.gz"


@dataclass(frozen=True)
class Settings:
    """
    Attributes:
        seconds: for the pairs of one shape.
        imdb: the training part of IMDB.
        share: of an epoch's batches that `epoch` runs.
        compiled: whether the compiled loop is measured, which takes a minute to compile.
    """

    seconds: float = 1.5
    imdb: Path = IMDB
    share: float = 0.1
    compiled: bool = False
