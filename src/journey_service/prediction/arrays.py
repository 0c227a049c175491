"""Types of arrays, and the hash that samples customers."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def scattered_order(count: int) -> Ints:
    """Returns the numbers below `count` in a fixed pseudo-random order, the same with every version of numpy."""
    hashed = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * _SEED
    hashed = (hashed ^ (hashed >> np.uint64(30))) * _MIX[0]
    hashed = (hashed ^ (hashed >> np.uint64(27))) * _MIX[1]
    return np.argsort(hashed ^ (hashed >> np.uint64(31)), kind="stable").astype(np.int64)
