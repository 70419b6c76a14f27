"""Contextual decomposition of an LSTM over one sequence.

Written from Murdoch, Liu & Yu 2018, section 3: an activation of a sum is shared out over its terms by the mean over the
orders in which they can be added, the bias always first; every product of two split gates is expanded term by term.
"""

from collections.abc import Callable
from itertools import permutations

import numpy as np

from oracle.lstm import sigmoid
from oracle.parameters import Array, Params

PHRASE, REST, BIAS = "phrase", "rest", "bias"


def shared_out(terms: dict[str, Array], act: Callable[[Array], Array]) -> dict[str, Array]:
    """What each term adds to act(sum of all), the mean over all orders in which a bias comes first."""
    orders = [o for o in permutations(terms) if BIAS not in terms or o[0] == BIAS]
    found = {name: np.zeros_like(next(iter(terms.values()))) for name in terms}
    for names in orders:
        before = np.zeros_like(found[names[0]])
        for name in names:
            after = before + terms[name]
            # The activation of an empty sum counts for the first term, so that all add up to the whole.
            found[name] += (act(after) - (0 if name == names[0] else act(before))) / len(orders)
            before = after
    return found


def decompose(x: Array, h0: Array, c0: Array, p: Params, phrase: set[int]) -> tuple[Array, Array]:
    """The phrase's and the rest's part of h, each [T, H]; they sum to h."""
    w, u = (
        dict(zip("ifgo", np.split(p.w_ih, 4), strict=True)),
        dict(zip("ifgo", np.split(p.w_hh, 4), strict=True)),
    )
    b = dict(zip("ifgo", np.split(p.b_ih + p.b_hh, 4), strict=True))
    h = {PHRASE: np.zeros_like(h0), REST: h0}
    c = {PHRASE: np.zeros_like(c0), REST: c0}
    steps: dict[str, list[Array]] = {PHRASE: [], REST: []}
    for t, x_t in enumerate(x):
        own = PHRASE if t in phrase else REST
        split = {}
        for name in "ifg":
            terms = {
                part: u[name] @ h[part] + (w[name] @ x_t if part == own else 0.0) for part in (PHRASE, REST)
            }
            split[name] = shared_out(terms | {BIAS: b[name]}, np.tanh if name == "g" else sigmoid)
        new = {PHRASE: np.zeros_like(c0), REST: np.zeros_like(c0)}
        for gate, of_gate in split["i"].items():
            for signal, of_signal in split["g"].items():
                new[owner(gate, signal, own)] += of_gate * of_signal
        for gate, of_gate in split["f"].items():
            for part, of_c in c.items():
                new[owner(gate, part, own)] += of_gate * of_c
        o = sigmoid(w["o"] @ x_t + u["o"] @ (h[PHRASE] + h[REST]) + b["o"])
        c = new
        h = {part: o * read for part, read in shared_out(c, np.tanh).items()}
        for part, of_h in h.items():
            steps[part].append(of_h)
    return np.array(steps[PHRASE]), np.array(steps[REST])


def owner(one: str, other: str, own: str) -> str:
    """Whose a product is: the rest's as soon as it touches the rest; the product of two biases the step's own."""
    if REST in (one, other):
        return REST
    return own if one == other == BIAS else PHRASE
