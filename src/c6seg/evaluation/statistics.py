"""Means, spreads and bootstrap intervals of scores; unknown values (NaN) are counted, never averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from c6seg.errors import UsageError

LEVEL = 0.95
RESAMPLES = 9999


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list of scores says.

    Parameters
    ----------
    n
        Known values.
    missing
        Unknown values (NaN); they are in nothing below.
    mean, std
        Mean and sample standard deviation (divisor n - 1); NaN where there are too few values.
    low, high
        Bootstrap interval of the mean.
    minimum, median, maximum
        Of the known values.
    """

    n: int
    missing: int
    mean: float
    std: float
    low: float
    high: float
    minimum: float
    median: float
    maximum: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON, with None where a value is unknown."""
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }


def summarise(values: Sequence[float], *, level: float = LEVEL, seed: int = 0) -> Summary:
    """Describe scores: mean, standard deviation, bootstrap interval of the mean, range.

    Parameters
    ----------
    values
        One score per image; NaN = unknown.
    level
        Coverage of the interval.
    seed
        Seed of the bootstrap.

    Examples
    --------
    >>> summary = summarise([0.8, 0.9, float("nan")])
    >>> summary.n, summary.missing, round(summary.mean, 3)
    (2, 1, 0.85)
    """
    array = np.asarray(values, dtype=np.float64)
    known = array[~np.isnan(array)]
    low, high = bootstrap_interval(known.tolist(), level=level, seed=seed)
    nothing = math.nan
    return Summary(
        n=int(known.size),
        missing=int(array.size - known.size),
        mean=float(known.mean()) if known.size else nothing,
        std=float(known.std(ddof=1)) if known.size > 1 else nothing,
        low=low,
        high=high,
        minimum=float(known.min()) if known.size else nothing,
        median=float(np.median(known)) if known.size else nothing,
        maximum=float(known.max()) if known.size else nothing,
    )


def bootstrap_interval(
    values: Sequence[float], *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean by the bias-corrected and accelerated bootstrap (BCa; Efron, J. Am. Stat. Assoc. 1987).

    Parameters
    ----------
    values
        Independent scores, such as one per image.
    level
        Coverage, between 0 and 1.
    resamples
        Bootstrap samples.
    seed
        The same seed gives the same interval.

    Returns
    -------
    tuple[float, float]
        Lower and upper end; NaN for fewer than two values, which say nothing about their spread. Equal values give
        that value twice.

    Raises
    ------
    UsageError
        ``level`` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise UsageError(f"level = {level} is not between 0 and 1, such as 0.95.")
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2:
        return math.nan, math.nan
    if float(np.ptp(array)) == 0.0:
        return float(array[0]), float(array[0])
    from scipy.stats import bootstrap

    # few values resampled in batches: one batch holds resamples x values numbers
    batch = max(1, min(resamples, 4_000_000 // array.size))
    interval = bootstrap(
        (array,),
        np.mean,
        n_resamples=resamples,
        confidence_level=level,
        method="BCa",
        batch=batch,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)
