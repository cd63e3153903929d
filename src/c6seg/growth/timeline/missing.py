"""Mean of the fields of a well: it must not jump where a dense field has no image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Rounds of taking fields and times in turn; the last ones change nothing that is printed.
ROUNDS = 50


def mean_of_fields(fields: Floats, used: Bools) -> tuple[Floats, Floats, bool]:
    """Return the mean at each time, a missing field being taken to have gone like the others.

    On the arcsine scale a confluence is that of its time plus what its field always differs by. Where no times join
    two fields, nothing tells how they differ, and the plain mean is returned.

    Parameters
    ----------
    fields
        (F, T) confluence, 0..1; NaN where missing, at no time in all.
    used
        (T,) bool, times that count; the others get the plain mean.

    Returns
    -------
    tuple
        Mean (T,); ``fields`` moved so that the mean of those present is that of all, for the interval (F, T); and
        whether anything was taken for missing.
    """
    plain = np.asarray(np.nanmean(fields, axis=0), dtype=np.float64)
    seen = ~np.isnan(fields[:, used]).all(axis=1)
    known = ~np.isnan(fields[seen])
    short = used & ~known.all(axis=0)
    if not short.any() or not _joined(known[:, used]):
        return plain, fields, False
    scale = np.arcsin(np.sqrt(fields[seen]))
    off = _offsets(scale[:, used])
    course = _mean(scale - off[:, None])
    filled = np.clip(np.where(known, scale, course + off[:, None]), 0, np.pi / 2)
    mean = np.where(short, (np.sin(filled) ** 2).mean(axis=0), plain)
    moved = fields.copy()
    level = np.clip(scale + (filled.mean(axis=0) - _mean(scale)), 0, np.pi / 2)
    moved[seen] = np.where(short, np.sin(level) ** 2, fields[seen])
    return np.asarray(mean), moved, True


def _mean(values: Floats) -> Floats:
    """Mean over the fields (T,); 0 where there is none."""
    return np.asarray(np.nansum(values, axis=0) / np.maximum((~np.isnan(values)).sum(axis=0), 1))


def _offsets(scale: Floats) -> Floats:
    """Return what each field differs by from the mean of all, (F,), by least squares."""
    off = np.zeros(len(scale))
    for _ in range(ROUNDS):
        course = np.nanmean(scale - off[:, None], axis=0)
        off = np.nanmean(scale - course, axis=1)
        off -= off.mean()
    return off


def _joined(known: Bools) -> bool:
    """Whether every field can be compared with every other one through times that they share with others."""
    reached = known[0].copy()
    for _ in range(len(known)):
        reached |= known[(known & reached).any(axis=1)].any(axis=0)
    return bool((known & reached).any(axis=1).all())
