"""An engine that is replaced once when it fails: a graphics device that goes away must not cost a night's images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from c6seg import runtime
from c6seg.errors import BundleError, EngineError
from c6seg.inference.engine import Engine, EngineAround


class GuardedEngine(EngineAround):
    """An engine and what takes its place when it fails.

    ``name``, ``device`` and ``precision`` are those of the engine that runs now; ``notes`` say in words what was
    replaced, and why.

    Parameters
    ----------
    engine
        Runs first.
    spare
        Opens OpenVINO in f32 on the processor.
    notes
        What there is to say so far.
    """

    def __init__(self, engine: Engine, spare: Callable[[], Engine], notes: Sequence[str] = ()) -> None:
        super().__init__(engine)
        self._spare = spare
        self._lock = threading.Lock()
        self._last = _label(engine) == "openvino on cpu in f32"  # nothing is left to take its place
        self.notes = list(notes)

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give probabilities (N, 1, H, W) for network inputs (N, 3, H, W).

        Raises
        ------
        EngineError
            What took the failed engine's place failed too.
        MemoryError
            The batch does not fit into the memory of the processor.
        """
        engine = self._engine
        try:
            return _run(engine, batch)
        except EngineError as error:
            return _run(self._replace(engine, error), batch)

    def _replace(self, failed: Engine, error: EngineError) -> Engine:
        with self._lock:
            if self._engine is not failed:  # another thread was faster
                return self._engine
            if self._last:
                raise error
            try:
                engine = self._spare()
            except (BundleError, EngineError, MemoryError) as other:
                raise EngineError(f"{error} Nothing can take its place: {other}") from error
            note = f"{_label(failed)} was replaced by {_label(engine)} during the run. {error}"
            runtime.logger.warning("%s", note)
            self.notes.append(note)
            self._engine, self._last = engine, True
            return engine


def _run(engine: Engine, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run, and count values that are no numbers as a failure: half precision on a graphics device may overflow."""
    found = engine.run(batch)
    if not np.isfinite(found).all() and np.isfinite(batch).all():
        raise EngineError(f"The engine {engine.name} on {engine.device} failed: it gave values that are no numbers")
    return found


def _label(engine: Engine) -> str:
    return f"{engine.name} on {engine.device} in {engine.precision}"
