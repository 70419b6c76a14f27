"""Small language models in float64, and the same arithmetic written out in NumPy, one token at a time."""

from itertools import pairwise

import numpy as np
import torch

from gatewise.tasks.generate.config import GenerateConfig
from gatewise.tasks.generate.model import LanguageModel

SMALL = {"embedding_size": 5, "hidden_size": 6, "num_layers": 2, "streams": 3, "steps": 4}


def language_model(vocabulary: int = 7, seed: int = 0, **options) -> LanguageModel:
    """A float64 model whose weights are large enough for the past to matter."""
    torch.manual_seed(seed)
    model = LanguageModel(GenerateConfig(**SMALL | options), vocabulary).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7)
    return model.eval()


def random_tokens(n: int, vocabulary: int = 7, seed: int = 1) -> torch.Tensor:
    return torch.randint(vocabulary, (n,), generator=torch.Generator().manual_seed(seed))


class WrittenOut:
    """The LSTM language model of the equations, on arrays of float64."""

    def __init__(self, model: LanguageModel):
        w = {name: value.double().numpy() for name, value in model.state_dict().items()}
        self.embedding, self.bias = w["embedding"], w["output_bias"]
        self.output = w.get("output_weight", self.embedding)
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        self.layers = [
            [w[f"recurrent.layers.{k}.{name}"] for name in names] for k in range(len(model.config.sizes))
        ]

    def zero(self):
        return [(np.zeros(hh.shape[1]), np.zeros(hh.shape[1])) for _, hh, _, _ in self.layers]

    def read(self, token: int, state):
        """Logits after a token, and the new state."""
        x, new = self.embedding[token], []
        for (ih, hh, b_ih, b_hh), (h, c) in zip(self.layers, state, strict=True):
            i, f, g, o = np.split(ih @ x + b_ih + hh @ h + b_hh, 4)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            x = np.tanh(c) / (1 + np.exp(-o))
            new.append((x, c))
        return self.output @ x + self.bias, new

    def nll(self, tokens, state=None) -> list[float]:
        """-log p of each token but the first."""
        tokens, state, found = [int(t) for t in tokens], state or self.zero(), []
        for token, following in pairwise(tokens):
            logits, state = self.read(token, state)
            found.append(float(np.log(np.exp(logits).sum()) - logits[following]))
        return found
