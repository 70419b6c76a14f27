"""A trained classifier with everything that it needs to answer: network, encoder, labels, temperature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.data.batches import bucketed_batches
from gatewise.data.scaler import Scaler
from gatewise.data.series import Series
from gatewise.data.texts import Texts
from gatewise.data.tokenizer import Tokenizer
from gatewise.errors import DataError, RunError
from gatewise.tasks.classify.card import model_card
from gatewise.tasks.classify.config import TASK, ClassifyConfig
from gatewise.tasks.classify.embedding import TokenEmbedding
from gatewise.tasks.classify.encode import Arrays, Encoder, SeriesEncoder, TextEncoder, cut_note
from gatewise.tasks.classify.model import SequenceClassifier
from gatewise.training import run as runs
from gatewise.training.device import pick_device
from gatewise.training.fitted import Fitted, network_of, open_run
from gatewise.training.metrics import ClassCounts, log_softmax

BATCH = 256
STEPS_A_BATCH = 200_000
TOKENIZER = "tokenizer.json"
Label = str | int | float | bool


@dataclass
class FittedClassifier(Fitted[ClassifyConfig, SequenceClassifier]):
    """A trained classifier.

    Args:
        labels: in the order of the network's outputs.
        temperature: divides the logits before they become probabilities; fitted on the validation part.
        metrics: what `metrics.json` holds: figures, data, split, versions, notes.
        history: a row an epoch.
    """

    task: ClassVar[str] = TASK
    config: ClassifyConfig
    network: SequenceClassifier
    encoder: Encoder
    labels: list[Label]
    temperature: float = 1.0
    metrics: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def logits(self, inputs: Sequence[Any]) -> NDArray[np.float64]:
        """Scores of texts, or of arrays [T, F], before the temperature; [N, K]."""
        return network_logits(self.network, self.encoder, self.encoder.cut(self.encoder.full(inputs)))

    def probabilities(self, inputs: Sequence[Any]) -> NDArray[np.float64]:
        """Calibrated probabilities of the labels; [N, K]."""
        return np.exp(log_softmax(self.logits(inputs) / self.temperature))

    def evaluate(self, data: Texts | Series) -> dict[str, Any]:
        """Figures on labelled data, under their usual names (`ClassCounts.figures`), with the data's source.

        Raises:
            DataError: a label that was not in the training data.
        """
        targets = label_indices(data, self.labels)
        arrays = self.encoder.full(self.encoder.inputs(data))
        logits = network_logits(self.network, self.encoder, self.encoder.cut(arrays))
        figures = calibrated_figures(logits, targets, self.temperature, self.labels)
        source = {"source": data.source, "sha256": data.sha256}
        return figures | {"data": source, "notes": [*data.notes, *cut_note(self.encoder, arrays, "test")]}

    def card(self) -> str:
        return model_card(self.config, self.labels, self.metrics)

    def said(self) -> dict[str, Any]:
        return self.metrics | {"temperature": self.temperature}

    def write_parts(self, folder: Path) -> None:
        labels: dict[str, Any] = {"inputs": self.encoder.kind, "labels": self.labels}
        if isinstance(self.encoder, TextEncoder):
            self.encoder.tokenizer.save(folder / TOKENIZER)
        else:
            labels |= {"features": self.encoder.features, "scaling": self.encoder.scaler.to_dict()}
        runs.write_json(folder / runs.LABELS, labels)


def load_fitted(folder: str | Path, *, device: str = "auto") -> FittedClassifier:
    """Read a run folder of the classify recipe.

    Raises:
        RunError: a missing or broken file, another task, or a newer format; the sentence names the file.
    """
    run, config = open_run(folder, TASK, ClassifyConfig)
    described, metrics = run.json(runs.LABELS), run.json(runs.METRICS)
    history = run.json_lines(runs.LOG)
    labels, encoder = _labels(run, described), _encoder(run, described, config)
    network = _network(run, config, encoder, len(labels)).to(pick_device(device))
    temperature = metrics.get("temperature")
    if not isinstance(temperature, float) or not 0 < temperature < math.inf:
        raise RunError(
            f"{run.folder / runs.METRICS}: temperature is {temperature!r}; it must be a positive number"
        )
    return FittedClassifier(config, network, encoder, labels, temperature, metrics, history)


def text_embedding(
    config: ClassifyConfig, vocabulary: int, pairs: torch.Tensor, vectors: torch.Tensor | None = None
) -> TokenEmbedding:
    """The embedding that `config` describes."""
    return TokenEmbedding(
        vocabulary,
        config.embedding_size,
        pairs,
        word_dropout=config.word_dropout,
        pair_dropout=config.bigram_dropout,
        vectors=vectors,
    )


@torch.no_grad()
def network_logits(network: SequenceClassifier, encoder: Encoder, arrays: Arrays) -> NDArray[np.float64]:
    """Logits [N, K] of encoded inputs, in batches of similar lengths, in their own order."""
    device = next(network.parameters()).device
    lengths = [len(array) for array in arrays]
    size = max(1, min(BATCH, STEPS_A_BATCH // max([1, *lengths])))
    found: dict[int, NDArray[np.float64]] = {}
    for batch in bucketed_batches(lengths, size):
        x, sizes = encoder.collate([arrays[i] for i in batch])
        rows = network(x.to(device), sizes.to(device)).double().cpu().numpy()
        found.update(zip(batch, rows, strict=True))
    return np.array([found[i] for i in range(len(arrays))]).reshape(len(arrays), network.output.out_features)


def calibrated_figures(
    logits: NDArray[np.float64], targets: NDArray[np.int64], temperature: float, labels: Sequence[Label]
) -> dict[str, Any]:
    """All figures at this temperature, and loss and calibration error without it."""
    plain = ClassCounts.of(logits, targets)
    figures = ClassCounts.of(logits, targets, temperature).figures([str(label) for label in labels])
    return figures | {"uncalibrated": {"loss": plain.loss, "calibration_error": plain.calibration_error}}


def label_indices(data: Texts | Series, labels: Sequence[Label]) -> NDArray[np.int64]:
    """Each example's label as its place among `labels`; [N] int64."""
    if data.labels is None:
        raise DataError(f"{data.source}: there are no labels")
    places = {str(label): k for k, label in enumerate(labels)}
    for name, label in zip(data.ids, data.labels, strict=True):
        if label not in places:
            raise DataError(
                f"{data.source}, id {name}: the label {label!r} is not among those of the training data "
                f"({', '.join(places)})"
            )
    return np.array([places[label] for label in data.labels], np.int64)


def _labels(run: runs.Run, described: Mapping[str, Any]) -> list[Label]:
    labels = described.get("labels")
    if (
        not isinstance(labels, list)
        or not all(isinstance(label, str | int | float | bool) for label in labels)
        or len({str(label) for label in labels}) != len(labels)
        or len(labels) < 2
    ):
        raise RunError(f"{run.folder / runs.LABELS}: labels must be a list of two or more different names")
    return labels


def _network(run: runs.Run, config: ClassifyConfig, encoder: Encoder, classes: int) -> SequenceClassifier:
    """The network with the run's weights, on the CPU."""
    weights = run.weights()

    def make() -> SequenceClassifier:
        if isinstance(encoder, SeriesEncoder):
            return SequenceClassifier(config, classes, features=len(encoder.features))
        pairs = weights.get("embedding.pairs")
        if pairs is None or pairs.dim() != 1 or pairs.dtype != torch.int64:
            raise RunError(
                f"{run.path(runs.WEIGHTS)}: tensor 'embedding.pairs' is missing or no list of keys"
            )
        embedding = text_embedding(config, encoder.tokenizer.vocab_size, pairs)
        return SequenceClassifier(config, classes, embedding=embedding)

    return network_of(run, weights, make)


def _encoder(run: runs.Run, described: Mapping[str, Any], config: ClassifyConfig) -> Encoder:
    inputs = described.get("inputs")
    if inputs == "texts":
        tokenizer = Tokenizer.load(run.path(TOKENIZER))
        return TextEncoder(tokenizer, config.max_length, config.truncate)
    features, scaling = described.get("features"), described.get("scaling")
    if inputs != "series" or not isinstance(features, list) or not isinstance(scaling, dict):
        raise RunError(
            f"{run.folder / runs.LABELS}: inputs must be texts, or series with features and scaling"
        )
    scaler = Scaler.from_dict(scaling)
    if len(scaler.mean) != len(features):
        raise RunError(
            f"{run.folder / runs.LABELS}: {len(features)} features, and a scaling of {len(scaler.mean)}"
        )
    return SeriesEncoder(scaler, config.max_length, config.truncate, [str(name) for name in features])
