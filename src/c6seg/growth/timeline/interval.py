"""Interval of the confluence at each time: what sampling leaves open, and by how much the masks may be off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Two fields that differ for good leave one degree of freedom, by which an interval would be the whole field. With two
# it holds the truth in 85 to 95 % of such wells, by how lasting the difference is.
LEAST_FREEDOM = 2.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """By how much a model's confluence is off, measured on annotated images that it was not trained on.

    Errors are measured minus true, both as arcsin(sqrt(confluence)), where they hardly depend on the confluence.

    Parameters
    ----------
    sd
        Standard deviation of the errors.
    bias
        Their mean. It is reported, and corrected nowhere: on other images it may be another one.
    images
        Number of images it was measured on, at least two.
    source
        The data, in words.
    mae
        Mean absolute error of the confluence itself, 0..1; None where unknown.
    """

    sd: float
    bias: float
    images: int
    source: str
    mae: float | None = None

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Calibration | None:
        """Read the calibration of the model that made the masks.

        Parameters
        ----------
        manifest
            ``manifest.json`` of a segmentation; the calibration is its ``model.calibration``.

        Returns
        -------
        Calibration | None
            None where there is none, or not enough of it for an interval: no standard deviation, or fewer than two
            images.
        """
        model = manifest.get("model")
        values = model.get("calibration") if isinstance(model, Mapping) else None
        if not isinstance(values, Mapping):
            return None
        sd, bias, mae, images = (
            _number(values.get(key))
            for key in ("confluence_sd_arcsine", "confluence_bias_arcsine", "confluence_mae", "images")
        )
        if sd is None or sd < 0 or images is None or images < 2:
            return None
        data = values.get("data")
        names = [str(item) for item in data] if isinstance(data, list | tuple) else [str(data)] if data else []
        return cls(sd, bias or 0.0, int(images), ", ".join(names), mae)


@dataclass(frozen=True, slots=True)
class Interval:
    """Interval of a confluence at each time.

    Parameters
    ----------
    lower, upper
        (T,) with the error of the masks; NaN where nothing can be said.
    noise_lower, noise_upper
        (T,) from sampling alone; NaN where the images cannot tell.
    """

    lower: Floats
    upper: Floats
    noise_lower: Floats
    noise_upper: Floats


def confluence_interval(
    time_h: Floats,
    fields: Floats,
    *,
    confidence: float = 0.95,
    used: Bools | None = None,
    calibration: Calibration | None = None,
) -> Interval:
    """Interval of the confluence of a well at each time, from the spread of its fields and the error of the masks.

    On the arcsine scale the half-width is the root of the sum of two squares, (t sd / sqrt(fields))^2 of sampling, see
    :func:`field_interval`, and (t' sd')^2 of the masks, with t' of one degree of freedom less than images in the
    calibration. The error of the masks is not divided by the number of fields: the fields of a well show the same
    cells through the same optics, so their masks are off in the same direction.

    Parameters
    ----------
    time_h
        (T,) hours.
    fields
        (F, T) confluence, 0..1; NaN where missing.
    confidence
        Such as 0.95.
    used
        (T,) bool, times from which the spread is estimated; None = all. All times get an interval.
    calibration
        Error of the masks; None = they are exact, as masks drawn by hand.

    Returns
    -------
    Interval
        Where the images alone say nothing about their spread, ``lower`` and ``upper`` hold the error of the masks.
    """
    from scipy import stats

    centre, noise = _sampling(time_h, fields, confidence, used)
    masks = 0.0
    if calibration is not None:
        masks = float(stats.t.ppf((1 + confidence) / 2, calibration.images - 1)) * calibration.sd
    total = np.hypot(noise, masks)
    if calibration is not None:
        total = np.where(np.isnan(noise), masks, total)
    return Interval(*_ends(centre, total), *_ends(centre, noise))


def field_interval(
    time_h: Floats, fields: Floats, *, confidence: float = 0.95, used: Bools | None = None
) -> tuple[Floats, Floats]:
    """Interval of the mean confluence at each time, from the spread of the fields.

    The spread is pooled over all times on the arcsine scale, where the variance of a fraction hardly depends on its
    size. It has two parts: what a field has more or less than the others at all times, and what comes and goes. However
    many times there are, F fields tell of the first only as F - 1 numbers do; the degrees of freedom of the sum are
    Satterthwaite's (Biometrics Bulletin 2 (1946) 110), and two at least. With a single field the scatter of a point
    about the line through its two neighbours takes its place (Gasser, Sroka and Jennen-Steinmetz, Biometrika 73 (1986)
    625).

    Parameters
    ----------
    time_h
        (T,) hours.
    fields
        (F, T) confluence, 0..1; NaN where missing.
    confidence
        Such as 0.95.
    used
        (T,) bool, times from which the spread is estimated; None = all.

    Returns
    -------
    tuple
        Lower and upper end, (T,); NaN where there is one field and fewer than four times, or no field at all.
    """
    return _ends(*_sampling(time_h, fields, confidence, used))


def _sampling(time_h: Floats, fields: Floats, confidence: float, used: Bools | None) -> tuple[Floats, Floats]:
    """Mean and half-width of its interval at each time, both (T,) on the arcsine scale."""
    from scipy import stats

    scale = np.arcsin(np.sqrt(fields))
    number = np.sum(~np.isnan(scale), axis=0)
    known = number > 0
    centre = np.where(known, np.nansum(scale, axis=0) / np.maximum(number, 1), np.nan)
    kept = known if used is None else known & used
    between = int(np.sum(number[kept] - 1))
    if between >= 2:
        sd, freedom = _spread((scale - centre)[:, kept])
    elif np.count_nonzero(kept) >= 4:
        left, right = np.diff(time_h[kept])[:-1], np.diff(time_h[kept])[1:]
        a, b = right / (left + right), left / (left + right)
        middle = centre[kept]
        off = a * middle[:-2] + b * middle[2:] - middle[1:-1]
        freedom = float(off.size)
        sd = math.sqrt(float(np.mean(off**2 / (a**2 + b**2 + 1))))
    else:
        return centre, np.full(time_h.size, np.nan)
    return centre, np.asarray(float(stats.t.ppf((1 + confidence) / 2, freedom)) * sd / np.sqrt(np.maximum(number, 1)))


def _spread(off: Floats) -> tuple[float, float]:
    """Return the standard deviation of a field about the mean of its time, (F, T), and its degrees of freedom."""
    known = ~np.isnan(off)
    each = known.sum(axis=1)
    off, each = off[each > 0], each[each > 0]
    lasting = np.nanmean(off, axis=1)
    fields, times = each.size, int(np.count_nonzero(known.any(axis=0)))
    left = int(each.sum()) - fields - times + 1
    if left < 1:
        freedom = max(1, int(each.sum()) - times)
        return math.sqrt(float(np.nansum(off**2)) / freedom), float(max(LEAST_FREEDOM, freedom))
    coming = float(np.nansum((off - lasting[:, None]) ** 2)) / left
    of_fields = float(each @ lasting**2) / (fields - 1)
    # of_fields = coming + T lasting variance; their sum for one time
    length = float(each.mean())
    first, second = of_fields / length, coming * (1 - 1 / length)
    total = first + second
    if total <= 0:
        return 0.0, float(left)
    freedom = total**2 / (first**2 / (fields - 1) + second**2 / left)
    return math.sqrt(total), max(LEAST_FREEDOM, freedom)


def _ends(centre: Floats, half: Floats) -> tuple[Floats, Floats]:
    lower = np.sin(np.clip(centre - half, 0, np.pi / 2)) ** 2
    upper = np.sin(np.clip(centre + half, 0, np.pi / 2)) ** 2
    return np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
