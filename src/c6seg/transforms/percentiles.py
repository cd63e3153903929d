"""Percentiles of values that arrive in pieces, exactly as of all of them at once.

The values are sorted into 65536 buckets by the upper half of a key that has their order; where the key is longer, a
second pass sorts those of the few buckets that matter by the lower half. No value is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Percentiles"]

_BUCKETS = 65536


class Percentiles:
    """Percentiles, interpolated linearly as by ``numpy.percentile``.

    Show all values to :meth:`add`, piece by piece; then, if :meth:`again` says so, all once more.

    Parameters
    ----------
    wanted
        Percentiles, 0 to 100.
    count
        Number of all values.

    Examples
    --------
    >>> found = Percentiles((50, 100), count=5)
    >>> for piece in ([1, 9, 5], [3, 7]):
    ...     found.add(np.array(piece, np.uint8))
    >>> found.again(), found.values()
    (False, [5.0, 9.0])
    """

    def __init__(self, wanted: Sequence[float], *, count: int) -> None:
        self._places = [percentile / 100 * (count - 1) for percentile in wanted]
        below = {math.floor(place) for place in self._places}
        self._ranks = sorted(below | {min(rank + 1, count - 1) for rank in below})
        self._counts = np.zeros(_BUCKETS, np.int64)
        self._float = False
        self._fine: dict[int, NDArray[np.int64]] = {}
        self._rest: dict[int, tuple[int, int]] = {}
        self._found: dict[int, float] = {}

    def add(self, values: NDArray[np.generic]) -> None:
        """Count values: uint8 or uint16, else float32."""
        if values.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}:
            self._counts += np.bincount(values.reshape(-1), minlength=_BUCKETS)
            return
        self._float = True
        keys = _keys(np.asarray(values, np.float32).reshape(-1))
        upper = (keys >> 16).astype(np.uint16)
        if not self._fine:
            self._counts += np.bincount(upper, minlength=_BUCKETS)
            return
        for bucket in self._fine:
            lower = (keys[upper == bucket] & 0xFFFF).astype(np.uint16)
            self._fine[bucket] += np.bincount(lower, minlength=_BUCKETS)

    def again(self) -> bool:
        """End a pass over all values, and say whether they must be shown once more."""
        if self._fine:
            for rank, (bucket, rest) in self._rest.items():
                lower = int(np.searchsorted(np.cumsum(self._fine[bucket]), rest, side="right"))
                self._found[rank] = _value((bucket << 16) | lower)
            return False
        sums = np.cumsum(self._counts)
        for rank in self._ranks:
            bucket = int(np.searchsorted(sums, rank, side="right"))
            self._rest[rank] = (bucket, rank - int(sums[bucket] - self._counts[bucket]))
            self._found[rank] = float(bucket)
        if self._float:
            self._fine = {bucket: np.zeros(_BUCKETS, np.int64) for bucket, _ in self._rest.values()}
        return self._float

    def values(self) -> list[float]:
        """Give the percentiles, after the last pass."""
        found = []
        for place in self._places:
            low = math.floor(place)
            left, right = self._found[low], self._found.get(low + 1, self._found[low])
            found.append(left + (right - left) * (place - low))
        return found


def _keys(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Whole numbers in the order of the values; both zeros get the same."""
    bits = (values + np.float32(0)).view(np.uint32)
    negative = (bits >> np.uint32(31)).astype(bool)
    return np.where(negative, ~bits, bits | np.uint32(0x80000000))


def _value(key: int) -> float:
    bits = key & 0x7FFFFFFF if key & 0x80000000 else ~key & 0xFFFFFFFF
    return float(np.array([bits], np.uint32).view(np.float32)[0])
