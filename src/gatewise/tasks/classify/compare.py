"""Recurrent cells side by side, equally tuned, beside two baselines, at several sizes of the training data."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.data.texts import Texts
from gatewise.errors import UsageError
from gatewise.tasks.classify.baselines import BagOfWords, majority_logits
from gatewise.tasks.classify.comparison import BAGS, MAJORITY, Comparison, Trial, best_trial, percent
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.fitted import FittedClassifier, label_indices
from gatewise.tasks.classify.recipe import divide, train_texts
from gatewise.tasks.classify.trial_log import TrialLog
from gatewise.training.metrics import ClassCounts
from gatewise.training.progress import Reporter, reporter

Answer = Callable[[Sequence[str]], NDArray[np.float64]]
_NOT_COMPARED = {"data", "validation_data", "cell", "learning_rate", "seed", "threads", "device"}


def compare(
    train: Texts,
    test: Texts | None = None,
    *,
    config: ClassifyConfig | None = None,
    cells: Sequence[str] = ("rnn", "gru", "lstm"),
    sizes: Sequence[int] | None = None,
    learning_rates: Sequence[float] | None = None,
    seeds: Sequence[int] = (0,),
    log: str | Path | None = None,
    progress: str | Reporter | None = "auto",
) -> Comparison:
    """Train every cell with every learning rate of one grid, and two baselines, on nested parts of the data.

    The learning rate of a cell at a size is chosen by validation accuracy (ties: loss) with the first seed; the
    other seeds train with it.

    Args:
        test: measured for the chosen learning rate alone; nothing is chosen by it.
        config: every other option; the same for all cells.
        sizes: how many training texts, validation included; stratified, and each part holds the smaller ones.
            None: all.
        learning_rates: the grid; None: half, once and twice `config.learning_rate`.
        log: a file to which each finished trial is appended as a JSON line; what it holds is not trained again.

    Raises:
        UsageError: a size that the data does not have, no validation, a log of another comparison.
    """
    config = config or ClassifyConfig()
    sizes = sorted(set(sizes or [len(train)]))
    rates = list(learning_rates or [config.learning_rate * factor for factor in (0.5, 1.0, 2.0)])
    if config.validation == 0:
        raise UsageError("validation is 0; a comparison needs a validation part to choose by")
    if sizes[0] < 2 or sizes[-1] > len(train):
        raise UsageError(
            f"sizes go from {sizes[0]:,} to {sizes[-1]:,}; there are {len(train):,} training texts"
        )
    for cell in cells:
        replace(config, cell=cell)  # refuses an unknown one before hours have gone by
    work = _Comparison(train, test, config, TrialLog(log, _setup(train, test, config)), progress)
    for size in sizes:
        for seed in seeds:
            work.baselines(size, seed)
        for cell in cells:
            work.tuned_cell(cell, size, seeds, rates)
    return Comparison(work.trials)


def nested_order(labels: Sequence[str], seed: int) -> NDArray[np.int64]:
    """An order of which every beginning has the labels' shares, as closely as its length allows; [N]."""
    names, numbers = np.unique(labels, return_inverse=True)
    random = np.random.default_rng(seed)
    place = np.zeros(len(labels))
    for k in range(len(names)):
        own = np.flatnonzero(numbers == k)
        place[random.permutation(own)] = (np.arange(len(own)) + 0.5) / len(own)
    return np.lexsort((numbers, place))


class _Comparison:
    """The data, and the trials so far."""

    def __init__(
        self, train: Texts, test: Texts | None, config: ClassifyConfig, log: TrialLog, progress: Any
    ):
        self.train, self.test, self.config, self.log, self.progress = train, test, config, log, progress
        self.order = nested_order(train.labels or [], config.seed)
        self.trials: list[Trial] = []

    def part(self, size: int) -> Texts:
        return self.train.subset(sorted(self.order[:size].tolist()))

    def tuned_cell(self, cell: str, size: int, seeds: Sequence[int], rates: Sequence[float]) -> None:
        """Choose the rate with the first seed, train the other seeds with it, and measure those on the test set."""
        models: dict[Trial, FittedClassifier] = {}
        best = best_trial([self.cell(cell, size, seeds[0], rate, models) for rate in rates])
        for trial in [best, *(self.cell(cell, size, seed, best.tuned, models) for seed in seeds[1:])]:
            if self.test is not None and trial.test_accuracy is None:
                self.measure(trial, models.get(trial) or self.fit(trial), self.test)

    def cell(
        self, cell: str, size: int, seed: int, rate: float, models: dict[Trial, FittedClassifier]
    ) -> Trial:
        """A trained cell, without a look at the test set; its model goes into `models` unless the log had it."""

        def work() -> Trial:
            unmeasured = Trial(cell, size, seed, rate, 0.0, 0.0, None, None, 0, 0.0)
            fitted = self.fit(unmeasured)
            found, training = fitted.metrics["validation"], fitted.metrics["training"]
            trial = replace(
                unmeasured,
                validation_accuracy=found["accuracy"],
                validation_loss=found["uncalibrated"]["loss"],
                parameters=training["parameters"],
                seconds=training["seconds"],
            )
            models[trial] = fitted
            return trial

        return self.keep(work, cell, size, seed, rate)

    def fit(self, trial: Trial) -> FittedClassifier:
        config = replace(self.config, cell=trial.model, seed=trial.seed, learning_rate=trial.tuned)
        return train_texts(self.part(trial.size), config, progress=self.progress, baselines=False)

    def measure(self, trial: Trial, fitted: FittedClassifier, test: Texts) -> None:
        """Put the trial's figures on the test set into the log and in its place among the trials."""
        figures = fitted.evaluate(test)
        measured = replace(trial, test_accuracy=figures["accuracy"], test_macro_f1=figures["macro_f1"])
        self.log.add(measured)
        self.trials[self.trials.index(trial)] = measured
        self.say(measured)

    def baselines(self, size: int, seed: int) -> None:
        train, validation = divide(self.part(size), None, replace(self.config, seed=seed))
        assert validation is not None
        labels = sorted(set(train.labels or []))
        targets, held_out = label_indices(train, labels), label_indices(validation, labels)

        def trial(model: str, tuned: float, answer: Answer, parameters: int, begun: float) -> Trial:
            seconds = time.monotonic() - begun
            found = ClassCounts.of(answer(validation.texts), held_out)
            test = None
            if self.test:
                test = ClassCounts.of(answer(self.test.texts), label_indices(self.test, labels))
            return Trial(
                model,
                size,
                seed,
                tuned,
                found.accuracy,
                found.loss,
                test.accuracy if test else None,
                test.macro_f1 if test else None,
                parameters,
                seconds,
            )

        def majority() -> Trial:
            def answer(texts: Sequence[str]) -> NDArray[np.float64]:
                return majority_logits(targets, len(labels), len(texts))

            return trial(MAJORITY, 0.0, answer, len(labels), time.monotonic())

        def bags() -> Trial:
            begun = time.monotonic()
            model = BagOfWords.train(train.texts, targets, len(labels), (validation.texts, held_out))
            return trial(BAGS, model.strength, model.logits, model.weight.numel() + len(labels), begun)

        self.keep(majority, MAJORITY, size, seed)
        self.keep(bags, BAGS, size, seed)

    def keep(
        self, work: Callable[[], Trial], model: str, size: int, seed: int, tuned: float | None = None
    ) -> Trial:
        """The logged trial of that name, or a new one, which is logged."""
        trial = self.log.find(model, size, seed, tuned)
        if trial is None:
            trial = work()
            self.log.add(trial)
            self.say(trial)
        self.trials.append(trial)
        return trial

    def say(self, trial: Trial) -> None:
        test = f", test {percent(trial.test_accuracy)}" if trial.test_accuracy is not None else ""
        reporter(self.progress).note(
            f"{trial.model}, {trial.size:,} texts, seed {trial.seed}, {trial.tuned:g}: "
            f"validation {percent(trial.validation_accuracy)}{test}"
        )


def _setup(train: Texts, test: Texts | None, config: ClassifyConfig) -> str:
    options = {item.name: getattr(config, item.name) for item in fields(config)}
    kept = {name: value for name, value in options.items() if name not in _NOT_COMPARED}
    parts = [kept, config.seed, train.sha256, len(train), test.sha256 if test else None]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
