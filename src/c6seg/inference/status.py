"""What a watch tells of itself; light, so that interfaces can name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from c6seg.inference.live import Added

__all__ = ["LiveStatus"]


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """Where a watch stands.

    Parameters
    ----------
    out
        The output folder.
    state
        ``waiting`` for images, ``working``, ``problem`` (see there), ``stopped``.
    images
        Images whose results are in the tables, those of earlier watches included.
    made
        How many images this watch segmented.
    queue
        Files that wait for their turn.
    last
        What became of the newest file; None before the first.
    seconds
        From the last change of that file, by the clock of its folder, to its masks, tables and report.
    unfinished
        Files that are not whole yet, and why.
    failures
        Files that cannot be used, and why.
    notes
        The newest things that a reader should know, in words.
    problem
        What keeps the watch from going on; empty if nothing does.
    """

    out: Path
    state: Literal["waiting", "working", "problem", "stopped"] = "waiting"
    images: int = 0
    made: int = 0
    queue: int = 0
    last: Added | None = None
    seconds: float | None = None
    unfinished: Mapping[Path, str] = field(default_factory=dict)
    failures: Mapping[Path, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str = ""
