"""What is found of a closing wound (scratch assay)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WoundFit:
    """How the gap in a layer of cells closes. Where the data cannot say, the numbers are None and ``verdict`` says why.

    Parameters
    ----------
    name
        Of the series.
    time_h
        (T,) hours.
    gap
        (T,) part of the analysed area that is gap, 0..1, mean over the fields; NaN where it is unknown.
    lower, upper
        (T,) its interval, from the spread of the fields; NaN where there is one field only.
    gap_um2
        (T,) area of the gap in one field, um2; None where the scale is unknown.
    verdict
        In words: the result, or why there is none.
    kind
        ``"closing"`` where there are numbers, else the reason in one word.
    closure_per_h, closure_lower, closure_upper
        Part of the first gap that closes per hour, 1/h, with its interval; of a round gap, whose area shrinks ever more
        slowly, at first.
    front_um_per_h, front_lower, front_upper
        Speed of each of the two fronts, um/h; None where scale or length of the gap is unknown.
    half_h, half_lower, half_upper
        Time until half of the first gap is closed, h after the first time; None where it was not reached.
    curve_time_h, curve_gap
        (M,) fitted curve for drawing; empty where refused.
    notes
        What a reader should know, in words.
    curve_lower, curve_upper
        (M,) interval of the curve; None where refused.
    closed
        (T,) part of the first measured gap that is closed, as 1 - gap / first gap; below 0 where it is wider than at
        first. None where there is no wound.
    density
        (T,) how densely the first gap is covered, compared with the layer beside it (relative wound density), 0 at the
        start, 1 where they are alike; None where it was not measured.
    width_um
        (T,) mean width of a strip, um; None where scale or length of the gap is unknown.
    shape
        ``"strip"``, ``"round"``, ``"edge"`` (one front in the image) or ``"other"``; empty where there is no wound.
    lag_h
        Time before closing sets in, h after the first time; None where the data show none.
    stop
        Part of the first gap that stays open where closing stops; None where the data show no stop.
    fields
        Number of fields with a wound.
    """

    name: str
    time_h: Floats
    gap: Floats
    lower: Floats
    upper: Floats
    gap_um2: Floats | None
    verdict: str
    kind: Literal["closing", "few", "none", "still", "opening", "uncertain"]
    closure_per_h: float | None = None
    closure_lower: float | None = None
    closure_upper: float | None = None
    front_um_per_h: float | None = None
    front_lower: float | None = None
    front_upper: float | None = None
    half_h: float | None = None
    half_lower: float | None = None
    half_upper: float | None = None
    curve_time_h: Floats | None = None
    curve_gap: Floats | None = None
    notes: tuple[str, ...] = ()
    curve_lower: Floats | None = None
    curve_upper: Floats | None = None
    closed: Floats | None = None
    density: Floats | None = None
    width_um: Floats | None = None
    shape: str = ""
    lag_h: float | None = None
    stop: float | None = None
    fields: int = 0
