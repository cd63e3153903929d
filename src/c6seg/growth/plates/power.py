"""What a comparison of groups of wells can find: corrected p-values, effect size, power, detectable difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np

# Power that a design is asked for.
POWER = 0.8
MOST_WELLS = 1000
# Points at which a distribution is averaged over.
NODES = 200


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm, Scandinavian Journal of Statistics 6 (1979) 65).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    number, running = len(p_values), 0.0
    found = [1.0] * number
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        running = max(running, min(1.0, (number - rank) * p_values[index]))
        found[index] = running
    return found


def hedges_g(
    difference: float, deviation: float, wells: int, control_wells: int, *, freedom: int, confidence: float
) -> tuple[float, float, float]:
    """Difference in standard deviations, corrected for small samples, with its interval.

    The interval turns the noncentral t distribution round (Steiger and Fouladi 1997; Cumming and Finch, Educational
    and Psychological Measurement 61 (2001) 532); the correction is Hedges' (Journal of Educational Statistics 6 (1981)
    107).

    Parameters
    ----------
    difference
        Treatment minus control.
    deviation
        Standard deviation between wells treated alike, pooled over both groups.
    wells, control_wells
        In each group.
    freedom
        Degrees of freedom of ``deviation``, at least 2.
    confidence
        Such as 0.95.
    """
    correction = small_sample(freedom)
    root = math.sqrt(1 / wells + 1 / control_wells)
    t = difference / deviation / root
    tail = (1 - confidence) / 2
    lower, upper = (_noncentrality(t, freedom, probability) for probability in (1 - tail, tail))
    return correction * t * root, correction * lower * root, correction * upper * root


def g_over_plates(
    difference: tuple[float, float, float], deviation: float, *, freedom: int, confidence: float
) -> tuple[float, float, float]:
    """Return a difference over plates in standard deviations of wells, corrected for small samples, with its interval.

    Difference and deviation have errors of their own, which are joined as the ends of their intervals are (MOVER: Zou
    and Donner, Statistics in Medicine 27 (2008) 1693).

    Parameters
    ----------
    difference
        Treatment minus control, and the ends of its interval.
    deviation
        Standard deviation between wells of one plate treated alike, pooled over both groups and all plates.
    freedom
        Degrees of freedom of ``deviation``, at least 2.
    confidence
        Such as 0.95.
    """
    from scipy import stats

    value, lower, upper = (small_sample(freedom) * each / deviation for each in difference)
    tail = (1 - confidence) / 2
    # how far the true deviation may lie below and above the estimate
    less, more = (math.sqrt(freedom / float(stats.chi2.ppf(q, freedom))) for q in (1 - tail, tail))
    wide, narrow = abs(value) * (1 / less - 1), abs(value) * (1 - 1 / more)
    down, up = (narrow, wide) if value >= 0 else (wide, narrow)
    return value, value - math.hypot(value - lower, down), value + math.hypot(upper - value, up)


def small_sample(freedom: float) -> float:
    """Return the factor that takes the bias off a difference in estimated standard deviations (Hedges' J).

    Dividing by an estimated deviation makes differences too large on average, as the deviation is now and then far too
    small.

    Examples
    --------
    >>> round(small_sample(10), 3)
    0.923
    """
    from scipy.special import gammaln

    half = freedom / 2
    return math.exp(float(gammaln(half) - gammaln(half - 0.5))) / math.sqrt(half)


def _noncentrality(t: float, freedom: float, probability: float) -> float:
    """Noncentrality at which values up to ``t`` have the given probability."""
    from scipy import stats
    from scipy.optimize import brentq

    if t < 0:  # SciPy's distribution keeps more digits on this side
        return -_noncentrality(-t, freedom, 1 - probability)

    def off(shift: float) -> float:
        below = float(stats.nct.cdf(t, freedom, shift))  # not a number where it is next to 0 or 1
        return (below if math.isfinite(below) else float(shift < t)) - probability

    reach = 10 * math.sqrt(1 + t * t / (2 * freedom))  # ten times as far as t scatters about the noncentrality
    with np.errstate(all="ignore"):
        return float(brentq(off, t - reach, t + reach, xtol=1e-9))


def power(difference: float, error: float, freedom: float, alpha: float) -> float:
    """Probability that a two-sided t-test finds a difference whose estimate has this standard error."""
    from scipy import stats

    limit = float(stats.t.ppf(1 - alpha / 2, freedom))
    shift = abs(difference) / error
    with np.errstate(all="ignore"):
        wrong_side = float(stats.nct.cdf(-limit, freedom, shift))  # not a number where it is next to nothing
        return float(stats.nct.sf(limit, freedom, shift)) + (wrong_side if math.isfinite(wrong_side) else 0.0)


def detectable(error: float, freedom: float, alpha: float, *, wanted: float = POWER) -> float:
    """Smallest difference that is found with the wanted power."""
    from scipy import stats
    from scipy.optimize import brentq

    limit = float(stats.t.ppf(1 - alpha / 2, freedom))
    short = partial(power, error=1.0, freedom=freedom, alpha=alpha)
    return error * float(brentq(lambda shift: short(shift) - wanted, 0.0, 3 * limit + 10, xtol=1e-6))


def promised(error: float, freedom: float, alpha: float, *, wanted: float = POWER) -> float:
    """Smallest difference that a repeated experiment finds with the wanted power, where the scatter is an estimate.

    :func:`detectable` takes the standard error for the true one. An estimated one is now and then far too small, and
    what it promises is then rarely found: with 4 degrees of freedom in 68 % of experiments, not 80 %. Here the power is
    the mean over what the true error may be (assurance: O'Hagan, Stevens and Campbell, Pharmaceutical Statistics 4
    (2005) 187).

    Examples
    --------
    >>> round(promised(1.0, 4, 0.05), 2), round(detectable(1.0, 4, 0.05), 2)
    (4.68, 3.76)
    """
    return error * _promised(float(freedom), float(alpha), wanted)


@lru_cache(maxsize=256)
def _promised(freedom: float, alpha: float, wanted: float) -> float:
    from scipy import stats
    from scipy.optimize import brentq

    # estimated over true error, by equal parts of its distribution
    ratio = np.sqrt(stats.chi2.ppf((np.arange(NODES) + 0.5) / NODES, freedom) / freedom)
    limit = float(stats.t.ppf(1 - alpha / 2, freedom))

    def off(log_shift: float) -> float:
        with np.errstate(all="ignore"):
            found = stats.nct.sf(limit, freedom, math.exp(log_shift) * ratio)
        return float(np.nan_to_num(found, nan=1.0).mean()) - wanted

    return math.exp(float(brentq(off, 0.0, math.log(100 * limit + 100), xtol=1e-5)))


def wells_needed(
    difference: float, deviation: float, alpha: float, *, groups: int = 2, wanted: float = POWER
) -> int | None:
    """Fewest wells in each group that find a difference with the wanted power; None where a thousand would not.

    Parameters
    ----------
    difference
        Between two groups.
    deviation
        Standard deviation between wells treated alike.
    alpha
        Level of the test, after correction.
    groups
        Groups on the plate, control included; all of them tell the deviation.
    wanted
        Probability to find it.
    """

    def enough(wells: int) -> bool:
        return power(difference, deviation * math.sqrt(2 / wells), groups * (wells - 1), alpha) >= wanted

    if not enough(MOST_WELLS):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
