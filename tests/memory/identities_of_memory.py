"""What is in memory and who wrote it: retention, the ledger, the shares that sum to one, mean age, time constants."""

import math

import numpy as np
import torch
from identity_cases import B, H, Seen
from identity_list import PARTS, identity, kinds

from gatewise.memory import half_life, ledger, memory_age, retention, saturation, time_constants

PART = PARTS[1]
WITH_A_LEDGER = kinds(start="LSTM") + kinds(start="GRU")
WEIGHTED = (
    "GRU",
    "GRU, reset before",
    "torch.nn.GRU",
    "LSTM, coupled",
)  # the shares of what is kept sum to one


def targets(seen: Seen):
    """Target steps, as `at` and as a time index for each row: the last, the first, one in the middle."""
    middle = [-1 if n == 0 else n // 2 for n in seen.lengths]
    first = [-1 if n == 0 else n - 1 if seen.reverse else 0 for n in seen.lengths]
    yield -1, seen.last
    yield torch.tensor(middle), middle
    yield torch.tensor(first), first


def at_rows(values: np.ndarray, steps: list[int], initial: np.ndarray) -> np.ndarray:
    """values[t, ..., row, :] at each row's step, `initial` where it has none. The row is the last axis but one."""
    return np.stack(
        [initial[..., row, :] if t < 0 else values[t, ..., row, :] for row, t in enumerate(steps)], axis=-2
    )


def shares_at(seen: Seen, steps: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """R[at, s] [T, B, H] and R[at, 0] [B, H]."""
    shares, start = seen.kept
    return at_rows(shares, steps, np.zeros(shares.shape[1:])), at_rows(start, steps, np.ones((B, H)))


@identity(
    PART,
    "retention",
    "R[t,s] = Π_{r=s+1..t} f_r; z of a GRU, m + (1-m)⊙f under zoneout on c",
    "memory.retention",
    WITH_A_LEDGER,
    also=["memory/test_ledger.py", "memory/test_memory_of_variants.py"],
)
def retained(case):
    for lt, seen in case.pairs():
        for at, steps in targets(seen):
            yield retention(lt, at), shares_at(seen, steps)[0]


@identity(
    PART,
    "ledger of an LSTM",
    "c_t = Σ_s R[t,s]⊙i_s⊙g_s + R[t,0]⊙c_0, term by term and in sum; under zoneout on c with (1-m)⊙i",
    "memory.ledger",
    kinds(start="LSTM"),
    also=["memory/test_ledger.py", "memory/test_memory_of_variants.py"],
)
def ledger_of_lstm(case):
    yield from _ledger(case)


@identity(
    PART,
    "ledger of a GRU",
    "h_t = Σ_s R[t,s]⊙(1-z_s)⊙n_s + R[t,0]⊙h_0, term by term and in sum",
    "memory.ledger",
    kinds(start="GRU"),
    also=["memory/test_ledger.py"],
)
def ledger_of_gru(case):
    yield from _ledger(case)


def _ledger(case):
    for lt, seen in case.pairs():
        for at, steps in targets(seen):
            shares, start = shares_at(seen, steps)
            book = ledger(lt, at)
            content = at_rows(seen.memory, steps, seen.initial)
            yield book.contributions, shares * seen.written
            yield book.initial, start * seen.initial
            yield book.contributions.double().sum(0) + book.initial.double(), content


@identity(
    PART,
    "shares that sum to one",
    "w_s = (1-z_s)⊙Π_{r>s} z_r, w_0 = Π z_r: Σ w = 1, all w ≥ 0; f of a coupled LSTM in place of z",
    "memory.retention",
    WEIGHTED,
    also=["memory/test_ledger.py"],
)
def weights_sum_to_one(case):
    for lt, seen in case.pairs():
        keep = lt.f if seen.cell == "lstm" else lt.z
        weights = (retention(lt) * (1 - keep)).double().numpy()
        assert (weights >= 0).all()
        _, start = shares_at(seen, seen.last)
        yield weights.sum(0) + start, np.ones((B, H))


@identity(
    PART,
    "mean age of memory",
    "Σ_s (T-s) w_s, the initial state one step older than the first write",
    "memory.memory_age",
    WEIGHTED,
    also=["memory/test_ledger.py"],
)
def age(case):
    for lt, seen in case.pairs():
        shares, start = shares_at(seen, seen.last)
        weights, expected = shares * (1 - seen.keep), np.zeros((B, H))
        for row in range(B):
            order = seen.order(row)
            for back, t in enumerate(reversed(order)):
                expected[row] += back * weights[t, row]
            expected[row] += len(order) * start[row]
        yield memory_age(lt), expected


def _logs(seen: Seen) -> np.ndarray:
    return np.log(seen.keep[seen.valid()])  # [N, H]


@identity(
    PART,
    "time constants",
    "τ = -1/mean log f, half-life = ln ½/mean log f",
    "memory.time_constants, half_life",
    WITH_A_LEDGER,
    also=["memory/test_time_constants.py"],
)
def constants(case):
    for lt, seen in case.pairs():
        mean = _logs(seen).mean(0)
        yield time_constants(lt), -1 / mean
        yield half_life(lt), math.log(0.5) / mean


@identity(
    PART,
    "saturation",
    "per unit, the share of steps with a gate < 0.1 and > 0.9",
    "memory.saturation",
    WITH_A_LEDGER,
    also=["memory/test_time_constants.py"],
)
def saturated(case):
    for lt, seen in case.pairs():
        for name, (left, right) in saturation(lt).items():
            steps = seen.gates[name][seen.valid()]
            yield left, (steps < 0.1).mean(0)
            yield right, (steps > 0.9).mean(0)
