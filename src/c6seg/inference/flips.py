"""Mean over mirror images: the network sees a picture four times, and its errors partly cancel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from c6seg.inference.engine import Engine, EngineAround

FLIPS: tuple[tuple[int, ...], ...] = ((), (2,), (3,), (2, 3))
"""Axes that are turned round, of (N, C, H, W)."""


class FlippingEngine(EngineAround):
    """An engine that gives the mean of its probabilities over the four flips of what it sees.

    Parameters
    ----------
    engine
        Runs each of them.
    """

    @property
    def beneath(self) -> Engine:
        """The engine that runs each of them."""
        return self._engine

    @property
    def notes(self) -> Sequence[str]:
        """Of the engine beneath."""
        return list(getattr(self._engine, "notes", ()))

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give probabilities (N, 1, H, W) for network inputs (N, 3, H, W)."""
        total = np.zeros((batch.shape[0], 1, *batch.shape[2:]), np.float32)
        for axes in FLIPS:
            found = self._engine.run(np.ascontiguousarray(np.flip(batch, axes)))
            total += np.flip(found, axes)
        total /= len(FLIPS)
        return total
