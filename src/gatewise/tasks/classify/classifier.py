"""`gw.Classifier`: the classify recipe behind scikit-learn's conventions, without depending on it."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gatewise.data.series import Series
from gatewise.data.texts import Texts
from gatewise.errors import DataError, UsageError
from gatewise.tasks.classify.config import ClassifyConfig
from gatewise.tasks.classify.encode import as_steps
from gatewise.tasks.classify.explanation import Explanation, explain
from gatewise.tasks.classify.fitted import FittedClassifier, load_fitted
from gatewise.tasks.classify.recipe import ClassifyJob, train_series, train_texts
from gatewise.tasks.classify.units import Units, find_units
from gatewise.training.config import make_config, nearest
from gatewise.training.progress import Reporter


class NotFittedError(UsageError, AttributeError):
    """A classifier was asked before it was fitted."""


class Classifier:
    """A recurrent classifier of texts or numeric sequences.

    The keywords are the options of `ClassifyConfig`, which says range and meaning of each. X is a list of texts, or
    of arrays [T, F] with NaN for missing values; y one label each: texts, whole numbers or truth values.

    Attributes after `fit`:
        classes_: the labels in the order of `predict_proba`'s columns.
        metrics_: validation figures and where they come from, as in a run's `metrics.json`.
        notes_: what was cut, left out or interrupted, in sentences.
        history_: one row an epoch.

    Example:
        clf = gw.Classifier(cell="lstm", epochs=4).fit(texts, labels)
        clf.predict(["Hardly a dull minute."])
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        *,
        tokenizer: str = "words",
        vocab_size: int = 30000,
        bigrams: int = 0,
        max_length: int = 400,
        truncate: str = "middle",
        vectors: str = "",
        language_model: str = "",
        cell: str = "lstm",
        embedding_size: int = 128,
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        pooling: str = "attention",
        forget_bias: float = 1.0,
        chrono: int = 0,
        word_dropout: float = 0.1,
        bigram_dropout: float = 0.0,
        embedding_dropout: float = 0.3,
        layer_dropout: float = 0.0,
        dropout: float = 0.5,
        epochs: int = 6,
        batch_size: int = 64,
        accumulate: int = 1,
        optimizer: str = "adamw",
        learning_rate: float = 0.002,
        schedule: str = "linear",
        warmup: int = 200,
        decay: float = 0.8,
        decay_from: int = 0,
        weight_decay: float = 0.0,
        average: str = "ema",
        average_from: float = 0.75,
        patience_of_average: int = 5,
        ema: float = 0.995,
        clip: float = 1.0,
        patience: int = 0,
        validate_every: int = 0,
        save_every: int = 0,
        keep_checkpoints: int = 0,
        class_weights: str = "none",
        validation: float = 0.1,
        seed: int = 0,
        precision: str = "float32",
        device: str = "auto",
        threads: int = 0,
        workers: int = 0,
        minutes: float = 0.0,
    ):
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.bigrams = bigrams
        self.max_length = max_length
        self.truncate = truncate
        self.vectors = vectors
        self.language_model = language_model
        self.cell = cell
        self.embedding_size = embedding_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.forget_bias = forget_bias
        self.chrono = chrono
        self.word_dropout = word_dropout
        self.bigram_dropout = bigram_dropout
        self.embedding_dropout = embedding_dropout
        self.layer_dropout = layer_dropout
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warmup = warmup
        self.decay = decay
        self.decay_from = decay_from
        self.weight_decay = weight_decay
        self.average = average
        self.average_from = average_from
        self.patience_of_average = patience_of_average
        self.ema = ema
        self.clip = clip
        self.patience = patience
        self.validate_every = validate_every
        self.save_every = save_every
        self.keep_checkpoints = keep_checkpoints
        self.class_weights = class_weights
        self.validation = validation
        self.seed = seed
        self.precision = precision
        self.device = device
        self.threads = threads
        self.workers = workers
        self.minutes = minutes

    def fit(
        self,
        X: Sequence[Any],
        y: Sequence[Any],
        *,
        validation: tuple[Sequence[Any], Sequence[Any]] | None = None,
        out: str | Path | None = None,
        overwrite: bool = False,
        resume: bool = False,
        progress: str | Reporter | None = None,
    ) -> Self:
        """Train, and return self.

        Args:
            validation: (X, y) for validation; without it the share `validation` of the data is held out.
            out: a run folder to be written.
            resume: go on with a training to `out` that was killed.
            progress: auto, bar, lines or silent; None is silent.

        Raises:
            UsageError: an option that does not fit. DataError: data that do not. RunError: `out` is taken.
        """
        config = make_config(ClassifyConfig, self.get_params(), type(self).__name__)
        classes = np.unique(_label_array(y))
        train = _as_data(X, y)
        held_out = _as_data(*validation) if validation is not None else None
        job = ClassifyJob(
            out=out, overwrite=overwrite, resume=resume, progress=progress, labels=classes.tolist()
        )
        recipe: Any = train_texts if isinstance(train, Texts) else train_series
        return self._take(recipe(train, config, validation=held_out, job=job))

    def _take(self, fitted: FittedClassifier) -> Self:
        self.fitted_ = fitted
        self.classes_ = np.array(fitted.labels)
        self.metrics_, self.notes_, self.history_ = fitted.metrics, fitted.notes, fitted.history
        return self

    @classmethod
    def from_fitted(cls, fitted: FittedClassifier) -> Self:
        """A classifier around what a recipe returned."""
        options = asdict(fitted.config)
        return cls(**{name: options[name] for name in cls._names()})._take(fitted)

    @property
    def fitted(self) -> FittedClassifier:
        """Network, encoder, labels and temperature; NotFittedError before `fit`."""
        if "fitted_" not in self.__dict__:
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
        return self.fitted_

    def predict_proba(self, X: Sequence[Any]) -> NDArray[np.float64]:
        """Calibrated probabilities, one column a label; [N, K]."""
        return self.fitted.probabilities(_listed(X))

    def predict(self, X: Sequence[Any]) -> NDArray[Any]:
        """The most likely label of each; [N]."""
        best = self.fitted.logits(_listed(X)).argmax(1)
        return self.classes_[best]

    def score(
        self, X: Sequence[Any], y: Sequence[Any], sample_weight: Sequence[float] | None = None
    ) -> float:
        """Accuracy; weighted by `sample_weight` where given."""
        return float(np.average(self.predict(X) == np.asarray(y), weights=sample_weight))

    def explain(
        self,
        x: Any,
        target: Any = None,
        *,
        evidence: bool = True,
        times: Sequence[Any] | None = None,
        beside: Sequence[Classifier] = (),
    ) -> Explanation:
        """Why it answers as it does: words with held and push, and what was kept. See `Explanation`.

        Args:
            x: one text, or one array [T, F].
            target: the label to be explained; None: the predicted one.
            evidence: also find what it kept, test that, and leave out every word in turn; False is quicker.
            times: of an array, the time of each step.
            beside: classifiers of the same labels, whose gradients are shown beside this one's.
        """
        others = [classifier.fitted for classifier in beside]
        return explain(self.fitted, x, target, evidence=evidence, times=times, beside=others)

    def units(
        self,
        X: Sequence[Any],
        y: Sequence[Any],
        *,
        count: int = 5,
        words: int = 6,
        state: str | None = None,
        permutations: int = 1000,
        seed: int = 0,
    ) -> Units:
        """The units of the top layer that track the label, and the words that move them. See `find_units`.

        Use examples that it was not trained on.
        """
        options: dict[str, Any] = {"state": state, "permutations": permutations, "seed": seed}
        return find_units(self.fitted, _as_data(X, y), count=count, words=words, **options)

    def evaluate(self, X: Sequence[Any], y: Sequence[Any]) -> dict[str, Any]:
        """Accuracy, F1, confusion matrix, loss and calibration error on labelled data."""
        return self.fitted.evaluate(_as_data(X, y))

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write a run folder, which `gw.load` and every command read."""
        self.fitted.save(folder, overwrite=overwrite)

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The options by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Change options; they are checked at the next `fit`."""
        for name, value in params.items():
            if name not in self._names():
                raise UsageError(f"Classifier: unknown option {name!r}{nearest(name, self._names())}")
            setattr(self, name, value)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return "fitted_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn (1.6 and later) asks for this, so it is there to be imported.
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=False, string=True, allow_nan=True),
        )

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [f"{k}={v!r}" for k, v in self.get_params().items() if v != defaults[k].default]
        return f"{type(self).__name__}({', '.join(changed)})"


def load(folder: str | Path, *, device: str = "auto") -> Classifier:
    """Read a run folder of the classify recipe.

    Args:
        device: auto, cpu or cuda.

    Raises:
        RunError: a missing or broken file, or a newer format; the sentence names the file.
    """
    return Classifier.from_fitted(load_fitted(folder, device=device))


def _listed(X: Any) -> list[Any]:
    if isinstance(X, str | bytes):
        raise UsageError("X is one text; a list of texts is needed")
    return list(X)


def _as_data(X: Sequence[Any], y: Sequence[Any]) -> Texts | Series:
    """X and y as what the readers return."""
    inputs, labels = _listed(X), [str(label) for label in _label_array(y).tolist()]
    if len(inputs) != len(labels):
        raise UsageError(f"X has {len(inputs):,} examples and y has {len(labels):,} labels")
    if not inputs:
        raise DataError("X has no example")
    ids = [str(number) for number in range(1, len(inputs) + 1)]
    digest = hashlib.sha256()
    if isinstance(inputs[0], str):
        for text, label in zip(inputs, labels, strict=True):
            if not isinstance(text, str):
                raise UsageError(f"X holds texts and a {type(text).__name__}")
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0" + label.encode() + b"\0")
        return Texts(ids, inputs, labels, "X", digest.hexdigest())
    values = [as_steps(one, number) for number, one in enumerate(inputs, 1)]
    for one, label in zip(values, labels, strict=True):
        digest.update(one.tobytes() + b"\0" + label.encode() + b"\0")
    width = values[0].shape[1]
    wrong = next((n for n, one in enumerate(values, 1) if one.shape[1] != width), None)
    if wrong is not None:
        raise UsageError(
            f"X: example {wrong} has {values[wrong - 1].shape[1]} features; the first has {width}"
        )
    features = [f"x{k}" for k in range(width)]
    times = [np.arange(len(one), dtype=np.float64) for one in values]
    return Series(ids, values, times, labels, features, "X", digest.hexdigest())


def _label_array(y: Sequence[Any]) -> NDArray[Any]:
    """y as [N]; refused are other shapes, missing labels, and texts beside numbers, which have no order."""
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise UsageError(f"y has shape {labels.shape}; it holds one label an example")
    listed = labels.tolist()
    for number, label in enumerate(listed, 1):
        if not isinstance(label, str | int | float) or label != label:
            raise UsageError(f"y: the label of example {number} is {label!r}, neither a text nor a number")
        if isinstance(label, str) != isinstance(listed[0], str):
            raise UsageError(f"y holds texts and numbers: {listed[0]!r} and, as example {number}, {label!r}")
    return labels
