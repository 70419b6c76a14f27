"""The model of a run as a page can run it by itself, or why it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from gatewise.data.tokenizer import Tokenizer
from gatewise.errors import UsageError
from gatewise.layers import Recurrent, Stack
from gatewise.reports.live import Linear, LiveModel, LivePart, LiveTokenizer
from gatewise.reports.page import Floats
from gatewise.tasks.classify.encode import TextEncoder
from gatewise.tasks.classify.fitted import FittedClassifier
from gatewise.tasks.classify.pooling import AttentionPooling

if TYPE_CHECKING:
    from gatewise.tasks.classify.explanation import Explanation

MOST_BYTES = 4_000_000
"""Of weights, that a page holds unless it is asked to hold more."""
CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
"""What the page's script runs."""


def live_model(
    explanation: Explanation, fitted: FittedClassifier, wanted: bool | None
) -> tuple[LiveModel | None, list[str]]:
    """The model for the page, and what the page says of its absence.

    Args:
        wanted: False: never; None: up to 4 MB of weights; True: whatever its size.

    Raises:
        UsageError: it is wanted, and the page's script cannot run it.
    """
    if wanted is False or (wanted is None and not isinstance(fitted.encoder, TextEncoder)):
        return None, []
    missing = why_not(fitted)
    if missing and wanted:
        raise UsageError(f"the page cannot run this model itself: {missing}")
    if missing:
        return None, [f"The page does not run the model on other texts: {missing}."]
    found = _model(explanation, fitted)
    if wanted or found.size <= MOST_BYTES:
        return found, []
    return None, [
        f"The page does not run the model on other texts: its weights take {found.size / 1e6:.1f} MB, and without "
        f"--live a page holds {MOST_BYTES / 1e6:g} MB at most."
    ]


def why_not(fitted: FittedClassifier) -> str:
    """What the page's script does not have of this model, as a clause; "" where it has everything."""
    if not isinstance(fitted.encoder, TextEncoder):
        return "it reads numeric sequences, and what is typed is a text"
    for depth, layer in enumerate(_layers(fitted)):
        if layer.cell not in CELLS:
            return f"layer {depth} is a {layer.cell}, and the script has {', '.join(CELLS)}"
        if layer.proj_size:
            return f"layer {depth} has proj_size={layer.proj_size}, and the script has no projection"
    tokenizer = fitted.encoder.tokenizer
    lacking = sum(token is None for token in tokenizer.byte_tokens()) if tokenizer.kind == "bpe" else 0
    return f"its tokenizer lacks {lacking} of the 256 bytes" if lacking else ""


def _model(explanation: Explanation, fitted: FittedClassifier) -> LiveModel:
    network, encoder = fitted.network, fitted.encoder
    assert isinstance(encoder, TextEncoder) and network.embedding is not None
    embedding, pooling = network.embedding, network.pooling
    names = [str(label) for label in fitted.labels]
    return LiveModel(
        tokenizer=_tokenizer(encoder),
        embedding=_floats(embedding.words.weight),
        pair_keys=embedding.pairs.cpu().numpy().astype(np.float64),
        pair_vectors=_floats(embedding.pair_words.weight) if embedding.pair_words else None,
        parts=_parts(fitted),
        directions=_layers(fitted)[0].num_directions,
        pooling=fitted.config.pooling,
        attention=_linear(pooling.score) if isinstance(pooling, AttentionPooling) else None,
        output=_linear(network.output),
        labels=names,
        temperature=fitted.temperature,
        text=explanation.text,
        label=names.index(explanation.label),
        probabilities=[explanation.probabilities[name] for name in names],
        push=explanation.push if explanation.initial is not None else None,
    )


def _tokenizer(encoder: TextEncoder) -> LiveTokenizer:
    tokenizer: Tokenizer = encoder.tokenizer
    is_bpe = tokenizer.kind == "bpe"
    return LiveTokenizer(
        kind=tokenizer.kind,
        vocabulary=[] if is_bpe else tokenizer.vocabulary,
        byte_tokens=[token or 0 for token in tokenizer.byte_tokens()] if is_bpe else [],
        merges=np.array(tokenizer.merges() if is_bpe else [], np.int32).reshape(-1, 3),
        most=encoder.max_length,
        where=encoder.where,
    )


def _layers(fitted: FittedClassifier) -> list[Recurrent]:
    """Modules of the network, the bottom one first; each may be several layers deep."""
    recurrent = fitted.network.recurrent
    modules = recurrent.layers if isinstance(recurrent, Stack) else [recurrent]
    return [module for module in modules if isinstance(module, Recurrent)]


def _parts(fitted: FittedClassifier) -> list[LivePart]:
    found: list[LivePart] = []
    depth = 0
    for module in _layers(fitted):
        for k in range(module.num_layers):
            for reverse in (False, True)[: module.num_directions]:
                name = f"{module.cell.split('_')[0]}, layer {depth}" + (", reverse" if reverse else "")
                found.append(_part(module, name, f"_l{k}", reverse))
            depth += 1
    return found


def _part(module: Recurrent, name: str, suffix: str, reverse: bool) -> LivePart:
    suffix += "_reverse" * reverse
    weight_ih, weight_hh = (_floats(getattr(module, f"weight_{of}{suffix}")) for of in ("ih", "hh"))
    biases = [_floats(getattr(module, f"bias_{of}{suffix}")) if module.bias else None for of in ("ih", "hh")]
    return LivePart(name, module.cell, reverse, weight_ih, weight_hh, *biases)


def _linear(linear: nn.Linear) -> Linear:
    return Linear(_floats(linear.weight), _floats(linear.bias))


def _floats(tensor: Tensor) -> Floats:
    return tensor.detach().to("cpu", torch.float32).numpy()
