"""From memory to an answer: held and push, the sums of beta and gamma, and how far the other methods are from it."""

from functools import cache

import numpy as np
import torch
from identities_of_memory import WITH_A_LEDGER
from identity_cases import B, Case, H, Seen, T, World
from identity_list import PARTS, identity
from oracle import stack
from oracle.phrases import decompose
from oracle.relevance import gru_relevance, lstm_relevance

from gatewise.memory import attribute, decompose_phrase, held, push, push_ledger, readout

PART = PARTS[2]
POOLINGS = ("last", "mean", "max", "attention")
READ = tuple(name for name in WITH_A_LEDGER if "and h" not in name)  # zoneout on h is refused by name
LSTMS = ("LSTM", "LSTM of one layer", "LSTM, projected", "torch.nn.LSTM", "torch.nn.LSTM, projected")
EPSILON = 1e-3  # of lrp
AMPLIFIED = float(np.finfo(np.float32).eps) / EPSILON  # lrp divides by numbers that may be as small as ε


def one_direction(seen: Seen) -> np.ndarray:
    """A row of a linear layer for one direction alone, [P]."""
    return np.random.default_rng(7).uniform(-2, 2, seen.h.shape[2])


def pooled_weights(seen: Seen, pooling: str, scores: np.ndarray | None = None) -> np.ndarray:
    """How a pooling reads h, [T, B, P]: 1 at the last step, 1/n, 1 at each unit's largest h, a softmax of scores."""
    a = np.zeros(seen.h.shape)
    for row, n in enumerate(seen.lengths):
        if n == 0:
            continue
        inside = seen.h[:n, row]  # [n, P]
        if pooling == "last":
            a[seen.last[row], row] = 1
        elif pooling == "mean":
            a[:n, row] = 1 / n
        elif pooling == "max":
            a[inside.argmax(0), row, np.arange(inside.shape[1])] = 1
        else:
            of_row = inside @ one_direction(seen) if scores is None else scores[:n, row]
            e = np.exp(of_row - of_row.max())
            a[:n, row] = (e / e.sum())[:, None]
    return a


def of_memory(seen: Seen, reading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """q [T, B, H]: a reading [T, B, P] of h as one of the memory, and [B] what is read of no write (LN's own bias)."""
    nothing = np.zeros(B)
    if seen.cell != "lstm":
        return reading, nothing
    p = seen.params
    reading = (reading if p.w_hr is None else reading @ p.w_hr) * seen.gates["o"]
    if not seen.variation.layer_norm:
        return reading * ratio(seen.c), nothing
    inverse = 1 / np.sqrt(seen.c.var(-1, keepdims=True) + 1e-5)
    u = p.norm_c * (seen.c - seen.c.mean(-1, keepdims=True)) * inverse + p.norm_c_bias
    scaled = reading * ratio(u) * p.norm_c
    bias = (reading * ratio(u) * p.norm_c_bias).sum((0, 2))
    return (scaled - scaled.mean(-1, keepdims=True)) * inverse, bias


def ratio(c: np.ndarray) -> np.ndarray:
    """tanh(c)/c, 1 at 0."""
    return np.divide(np.tanh(c), c, out=np.ones_like(c), where=c != 0)


def reached(seen: Seen, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ_{t≥s} q_t⊙R[t,s] [T, B, H], and Σ_t q_t⊙R[t,0] [B, H]: sums over products, no sweep."""
    shares, start = seen.kept
    return np.einsum("tbh,tsbh->sbh", q, shares), (q * start).sum(0)


def pushes(seen: Seen, reading: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """push_s [T, B], and what the initial state and LN's bias push [B]."""
    q, bias = of_memory(seen, reading)
    worth, of_initial = reached(seen, q)
    return (worth * seen.written).sum(-1), (of_initial * seen.initial).sum(-1) + bias


def tensor(values: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype)


def held_by(pooling: str):
    def check(case: Case):
        for lt, seen in case.pairs():
            a = pooled_weights(seen, pooling)
            of_cells = a if seen.params.w_hr is None else np.repeat(a.mean(-1, keepdims=True), H, axis=-1)
            mass = np.abs(reached(seen, of_cells)[0] * seen.written).sum(-1)  # [T, B]
            expected = mass / np.where(mass.sum(0) > 0, mass.sum(0), 1.0)
            got = held(lt, tensor(a, lt.h))
            yield got, expected
            yield got.double().sum(0), [float(n > 0) for n in seen.lengths]

    return check


def pushed_by(pooling: str):
    def check(case: Case):
        for lt, seen in case.pairs():
            v, a = one_direction(seen), pooled_weights(seen, pooling)
            steps, rest = pushes(seen, a * v)
            book = push_ledger(lt, tensor(a, lt.h), tensor(v, lt.h))
            terms = a * v * seen.h
            answer, size = terms.sum((0, 2)), float(np.abs(terms).sum((0, 2)).max())
            yield book.push, steps, size
            yield book.initial + book.bias, rest, size
            yield book.push.double().sum(0) + (book.initial + book.bias).double(), answer, size
            yield book.readout, answer, size

    return check


for _pooling, _reads in (
    ("last", "a_T = 1"),
    ("mean", "a_t = 1/n"),
    ("max", "a_t = 1 at each unit's largest h"),
    ("attention", "a_t = softmax(k·h_t)"),
):
    identity(
        PART,
        f"held, {_pooling} pooling",
        f"held_s = Σ_j |A_s⊙written_s|_j / Σ_s …, A_s = Σ_t a_t R[t,s], {_reads}; shares sum to 1",
        "memory.held",
        READ,
        also=["memory/test_push.py"],
    )(held_by(_pooling))
    identity(
        PART,
        f"push, {_pooling} pooling",
        f"push_s = Σ_j written_s⊙Σ_t q_t⊙R[t,s], q_t = a_t⊙v⊙o_t⊙tanh(c_t)/c_t (GRU: a_t⊙v), {_reads}; "
        "Σ push + initial = Σ_t a_t⊙v·h_t",
        "memory.push_ledger",
        READ,
        also=["memory/test_push.py", "memory/test_memory_of_variants.py"],
    )(pushed_by(_pooling))


@identity(
    PART,
    "the logit",
    "Σ_s push_s + initial + bias = logit of the whole model, over both directions, for all four poolings",
    "memory.readout, push_ledger",
    READ,
    also=["memory/test_readout.py", "tasks/test_classify_explanation.py"],
)
def logit(case: Case):
    world = case.world
    both = np.concatenate([seen.h for seen in world.top], axis=-1)
    scores = both @ np.concatenate(world.v)
    for pooling in POOLINGS:
        parts = [
            (pooled_weights(seen, pooling, scores), v) for seen, v in zip(world.top, world.v, strict=True)
        ]
        answer = world.bias + sum(
            (a * v * seen.h).sum((0, 2)) for (a, v), seen in zip(parts, world.top, strict=True)
        )
        model = case.with_pooling(pooling)
        torch.manual_seed(5)
        with torch.no_grad():
            yield model(*case.inputs)[:, 0], answer
        total = torch.full((B,), world.bias, dtype=torch.float64)
        for (lt, _), (a, v) in zip(case.pairs()[-2:], parts, strict=True):
            book = push_ledger(lt, tensor(a, lt.h), tensor(v, lt.h))
            total += (book.push.sum(0) + book.initial + book.bias).double()
        yield total, answer


@identity(
    PART,
    "a head that is not linear",
    "attention linearised at the point: ∂y/∂h_t = a_t v + a_t (u_t - Σ a u) k; Σ push + initial + constant = y",
    "memory.readout",
    ["LSTM", "LSTM, projected", "GRU", "GRU, reset before"],
    also=["memory/test_readout.py"],
)
def not_linear(case: Case):
    world, model = case.world, case.with_pooling("attention")
    row = np.concatenate(world.v)
    both = np.concatenate([seen.h for seen in world.top], axis=-1)
    u = both @ row  # the score is the head's own row, so k = v
    a = np.concatenate([pooled_weights(seen, "attention", u) for seen in world.top], axis=-1)
    a_t = a[..., :1]
    expected = a_t * row + a_t * (u - (a_t[..., 0] * u).sum(0))[..., None] * row
    found = readout(model, case.inputs, 0)
    total = found.constant
    yield from zip(found.weights.values(), np.split(expected, 2, axis=-1), strict=True)
    for key, weights in found.weights.items():
        book = push_ledger(found.traces[key], weights, torch.ones(weights.shape[2]))
        total = total + book.push.sum(0).double() + book.initial.double()
    yield total, world.bias + (a_t[..., 0] * u).sum(0)


@identity(
    PART,
    "a readout of a projection",
    "a readout v of W_hr(o⊙tanh c) is the readout W_hrᵀv of o⊙tanh c",
    "memory.push",
    ["LSTM, projected", "torch.nn.LSTM, projected"],
    also=["memory/test_push.py"],
)
def projected(case: Case):
    for lt, seen in case.pairs():
        v = one_direction(seen)
        a = pooled_weights(seen, "mean")
        direction = np.broadcast_to(a[..., :1], (T, B, H)) * (v @ seen.params.w_hr)
        yield push(lt, tensor(a, lt.h), tensor(v, lt.h)), pushes_unprojected(seen, direction)


def pushes_unprojected(seen: Seen, direction: np.ndarray) -> np.ndarray:
    q = direction * seen.gates["o"] * ratio(seen.c)
    return (reached(seen, q)[0] * seen.written).sum(-1)


def _telescope(case: Case, method: str):
    """β_s or γ_s by their sums over the readings, the remainder of the initial cell state, and the answer."""
    for pooling in ("last", "mean"):
        model, world = case.with_pooling(pooling), case.world
        scores, remainder, answer = np.zeros((T, B)), np.zeros(B), np.full(B, world.bias)
        for seen, v in zip(world.top, world.v, strict=True):
            a = pooled_weights(seen, pooling)
            answer = answer + (a * v * seen.h).sum((0, 2))
            of_read = a * v if seen.params.w_hr is None else (a * v) @ seen.params.w_hr
            of_steps, of_initial = _differences(seen, of_read * seen.gates["o"], method)
            scores, remainder = scores + of_steps, remainder + of_initial
        got = attribute(model, case.inputs, 0, method)
        size = float(np.abs(scores).sum(0).max())
        yield got.scores, scores
        yield got.rest - world.bias, remainder, size
        yield got.scores.sum(0) + got.rest, answer, size
        yield got.value, answer, size


def _differences(seen: Seen, read: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    shares, start = seen.kept
    scores, remainder = np.zeros((T, B)), np.zeros(B)
    for row in range(B):
        order = seen.order(row)
        for k, t in enumerate(order):
            if not read[t, row].any():
                continue
            kept = [start[t, row], *(shares[t, s, row] for s in order[: k + 1])]
            states = [seen.c0[row], *(seen.c[s, row] for s in order[: k + 1])]
            shown = [np.tanh(c if method == "beta" else r * c) for r, c in zip(kept, states, strict=True)]
            remainder[row] += read[t, row] @ shown[0]
            for s, old, new in zip(order, shown, shown[1:], strict=False):
                scores[s, row] += read[t, row] @ (new - old)
    return scores, remainder


@identity(
    PART,
    "beta",
    "β_s = v·[o_T⊙(tanh c_s - tanh c_{s-1})]; Σ β + v·[o_T⊙tanh c_0] = v·h_T",
    'memory.attribute(method="beta")',
    LSTMS,
    also=["memory/test_attribution.py"],
)
def beta(case: Case):
    return _telescope(case, "beta")


@identity(
    PART,
    "gamma",
    "γ_s the same with R[T,s]⊙c_s in place of c_s; Σ γ + v·[o_T⊙tanh(R[T,0]⊙c_0)] = v·h_T",
    'memory.attribute(method="gamma")',
    LSTMS,
    also=["memory/test_attribution.py"],
)
def gamma(case: Case):
    return _telescope(case, "gamma")


PHRASE = (2, 3, 4, 8)


@cache
def decomposed(world: World) -> tuple[np.ndarray, np.ndarray]:
    """What a phrase and its rest add to the answer by the oracle's contextual decomposition, [B] each."""
    parts = np.zeros((2, B))
    for seen, v in zip(world.top, world.v, strict=True):
        for row, n in enumerate(seen.lengths):
            order = seen.order(row)
            marked = {k for k, t in enumerate(order) if t in PHRASE}
            if n:
                found = decompose(seen.x[order, row], seen.h0[row], seen.c0[row], seen.params, marked)
                parts[:, row] += [float((part @ v).sum()) / n for part in found]
    return parts[0], parts[1]


@identity(
    PART,
    "contextual decomposition",
    "a phrase's share + the rest's + bias = answer; activations split by the mean over orders",
    "memory.decompose_phrase",
    ["LSTM of one layer"],
    also=["memory/test_attribution.py"],
)
def contextual(case: Case):
    of_phrase, of_rest = decomposed(case.world)
    marked = torch.zeros(T, dtype=torch.bool)
    marked[list(PHRASE)] = True
    got = decompose_phrase(case.model, case.inputs, 0, marked)
    yield got.phrase, of_phrase
    yield got.rest, of_rest
    yield got.phrase + got.rest + got.constant, answer_to(case.world, at_zero=False)


@cache
def relevances(world: World) -> tuple[np.ndarray, np.ndarray]:
    """The oracle's relevance of every input [T, B, I], layer after layer, and of all initial states [B]."""
    initial = np.zeros(B)
    reads = zip(world.top, world.v, strict=True)
    of_h = [pooled_weights(seen, "mean") * v * seen.h for seen, v in reads]
    of_x = np.zeros(0)
    for layer in reversed(range(world.layers)):
        below = [world.seen[layer, bool(d)] for d in (0, 1)]
        of_x = np.zeros(below[0].x.shape)
        for d, seen in enumerate(below):
            for row in range(B):
                order = seen.order(row)
                if not order:
                    continue
                found, rest = _relevance(world, seen, row, of_h[d][order, row])
                of_x[order, row] += found
                initial[row] += rest
        of_h = np.split(of_x, 2, axis=-1)
    return of_x, initial


def _relevance(world: World, seen: Seen, row: int, of_h: np.ndarray) -> tuple[np.ndarray, float]:
    x, p = seen.x[seen.order(row), row], seen.params
    if seen.cell == "lstm":
        return lstm_relevance(x, seen.h0[row], seen.c0[row], p, of_h, EPSILON)
    return gru_relevance(x, seen.h0[row], p, of_h, EPSILON, reset_after=seen.cell == "gru")


@identity(
    PART,
    "layer-wise relevance",
    "R_{i←j} = z_i w_ij / (z_j + ε sign z_j) R_j, of a product all to the source; the rest is the biases' and ε's",
    'memory.attribute(method="lrp")',
    ["LSTM", "LSTM of one layer", "GRU", "GRU, reset before"],
    also=["memory/test_attribution.py"],
    float32=AMPLIFIED,
)
def relevance(case: Case):
    of_x, initial = relevances(case.world)
    got, answer = attribute(case.model, case.inputs, 0, "lrp"), answer_to(case.world, at_zero=False)
    size = float(np.abs(of_x).sum((0, 2)).max())
    yield got.by_variable, of_x
    yield got.rest - case.world.bias, initial, size
    yield got.residual, answer - case.world.bias - initial - of_x.sum((0, 2)), size


@cache
def answer_to(world: World, *, at_zero: bool) -> np.ndarray:
    """The model's answer [B] by the oracle, to its input or to zeros."""
    run = world.run
    if at_zero:
        hx = world.hx if isinstance(world.hx, tuple) else (world.hx, None)
        h0, c0 = (None if s is None else s.double().numpy() for s in hx)
        params = [made.tape.params for made in run.runs]
        cell = world.top[0].cell
        run = stack(
            cell, np.zeros(world.x.shape), h0, c0, params, world.lengths.numpy(), directions=2,
            variation=world.top[0].variation,
        )  # fmt: skip
    n = np.maximum(world.lengths.numpy(), 1)
    return world.bias + (run.output.sum(0) / n[:, None]) @ np.concatenate(world.v)


@identity(
    PART,
    "integrated gradients",
    "Σ (x - x')⊙∫∂y/∂x = y(x) - y(x'), by quadrature",
    'memory.attribute(method="ig")',
    ["LSTM", "LSTM, projected", "LSTM, coupled", "GRU", "RNN"],
    also=["memory/test_attribution.py"],
)
def integrated(case: Case):
    got = attribute(case.model, case.inputs, 0, "ig", points=24)
    yield got.scores.sum(0), answer_to(case.world, at_zero=False) - answer_to(case.world, at_zero=True)
