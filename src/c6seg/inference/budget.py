"""How much memory the network may take where the user gives no budget: decided once for all images of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from c6seg import machine

USUAL_MB = 900
"""Budget for the network where none is given, MB."""

MOST_MB = 2000
"""Most that it takes unasked, where less would make it slow and this much is free, MB."""

FREE_SHARE = 0.25
"""Share of the free memory that all workers of a machine together may take beyond the usual."""

_fixed: ContextVar[int | None] = ContextVar("_fixed", default=None)


def decide_mb(*, workers: int = 1) -> int:
    """Most memory for a network, by what is free now: from :data:`USUAL_MB` to :data:`MOST_MB`.

    Parameters
    ----------
    workers
        Processes that share the memory of a machine.
    """
    free_mb = machine.available_memory_mb()
    share_mb = 0 if free_mb is None else int(FREE_SHARE * free_mb / max(1, workers))
    return max(USUAL_MB, min(MOST_MB, share_mb))


def most_mb() -> int:
    """Most memory for a network where none is given: what the run has fixed, or, outside of one, by what is free."""
    fixed = _fixed.get()
    return decide_mb() if fixed is None else fixed


@contextlib.contextmanager
def fixed_budget(most: int) -> Iterator[None]:
    """Let :func:`most_mb` say the same in the whole block, whatever other programs do meanwhile.

    Parameters
    ----------
    most
        What it says, MB.
    """
    token = _fixed.set(most)
    try:
        yield
    finally:
        _fixed.reset(token)


def fix(most: int) -> None:
    """Change what :func:`fixed_budget` fixed, up to the end of its block; for a run that learns later who shares it."""
    _fixed.set(most)
