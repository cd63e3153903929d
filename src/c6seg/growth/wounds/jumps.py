"""Whether a gap jumps once, between two times, and does neither close nor open before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from c6seg.growth.fits.fitting import HUBER, best_jump
from c6seg.growth.wounds.law import Closing, Floats, aicc

# Part of the level before a jump below which the gap counts as closed after it: then it closed too fast to be seen.
GONE = 0.05
# Residuals below this part of the gap are rounding.
EXACT = 1e-4
# Times at which a gap must be seen to close. A step that is worse than a course with fewer by no more than this (AICc)
# is as good a description (Burnham and Anderson, Model Selection and Multimodel Inference, 2002, section 2.6).
SEEN, CLOSE = 3, 2.0


@dataclass(frozen=True, slots=True)
class Jump:
    """One step: index of the last time before it, and the mean gap before and after."""

    last: int
    before: float
    after: float


def find_jump(time_h: Floats, values: Floats, scale: Floats, fit: Closing) -> Jump | None:
    """Return the step that describes a gap better than a steady course does, by AICc; None where none does.

    A change of focus, light or place moves the gap from one image to the next. Closing takes time, and where it is seen
    at no time between its begin and its end nothing tells the two apart.

    Parameters
    ----------
    time_h
        (T,) hours since the first time.
    values
        (T,) gap.
    scale
        (T,) standard deviation of its noise, up to a factor.
    fit
        Of the same values.
    """
    weight = scale**-2.0
    last = best_jump(values, weight)
    before, after = (
        float(np.average(values[part], weights=weight[part])) for part in (slice(last + 1), slice(last + 1, None))
    )
    if after <= GONE * before or values[-1] <= GONE * before:
        return None
    steps = np.where(np.arange(values.size) <= last, before, after)
    off = [np.abs(values - course) / scale for course in (steps, fit.fitted)]
    # outliers count less, alike in both
    limit = HUBER * 1.4826 * min(float(np.median(each)) for each in off)
    limit = max(limit, EXACT * before / float(np.median(scale)))
    squares = [float((np.minimum(each, limit) ** 2).sum()) + values.size * (0.01 * limit) ** 2 for each in off]
    scores = [aicc(square, values.size, free) for square, free in zip(squares, (3, fit.free), strict=True)]
    # a course that closes between two times is a step, too
    rest = CLOSE if int(fit.closing(time_h).sum()) < SEEN else 0.0
    return Jump(last, before, after) if scores[0] < scores[1] + rest else None
