"""The random masks in plain Python integers.

The functions are the finalisers of SplitMix64 and of a 32-bit hash ("lowbias32"), chained: a key for the seed, the
stream, the step and the row, and from it 32 bits for the unit.
"""

import numpy as np

from oracle.parameters import Array

ZONEOUT_C, ZONEOUT_H, DROPOUT_G, DROPOUT_H, WEIGHTS = range(5)

WORD = 2**64
HALF = 2**32


def mix(z: int) -> int:
    z ^= z >> 30
    z = z * 0xBF58476D1CE4E5B9 % WORD
    z ^= z >> 27
    z = z * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def low(x: int) -> int:
    x ^= x >> 16
    x = x * 0x7FEB352D % HALF
    x ^= x >> 15
    x = x * 0x846CA68B % HALF
    return x ^ (x >> 16)


def bits(seed: int, stream: int, t: int, b: int, j: int) -> int:
    """32 bits for one unit."""
    of_stream = mix((seed + (stream + 1) * 0x9E3779B97F4A7C15) % WORD)
    key = mix((of_stream + t * 0xD1B54A32D192ED03 + b * 0x8CB92BA72F3D8DD7) % WORD)
    return low(low((j + key) % HALF) ^ (key // HALF))


def happens(p: float, seed: int, stream: int, t: int, rows: Array, units: int) -> Array:
    """1.0 where an event of probability p happens, else 0.0: [len(rows), units]."""
    threshold = int(p * HALF)
    drawn = [[bits(seed, stream, t, int(b), j) < threshold for j in range(units)] for b in rows]
    return np.array(drawn, dtype=np.float64).reshape(len(rows), units)


def dropout(p: float, seed: int, stream: int, t: int, rows: Array, units: int) -> Array:
    """0 for what is dropped, else 1 / (1 - p): [len(rows), units]."""
    return (1 - happens(p, seed, stream, t, rows, units)) / (1 - p)
