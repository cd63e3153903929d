"""The images of one time together: which belong to one time, and which of them count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from c6seg.growth.timeline.samples import Sample
from c6seg.growth.timeline.times import Timed
from c6seg.growth.words import counted, few

Floats = NDArray[np.float64]
Bin = Sequence[tuple[Sample, float]]
# Fields of a well that are taken within this part of the interval between frames belong to one time.
SAME_TIME = 0.25


def bins_of(timed: Timed, units: Mapping[str, int]) -> list[list[tuple[Sample, float]]]:
    """Put samples of one time together, in time order."""
    times: dict[str, set[float]] = defaultdict(set)
    for sample, time in zip(timed.samples, timed.time_h, strict=True):
        times[sample.unit].add(time)
    steps = [step for of_unit in times.values() for step in np.diff(sorted(of_unit))]
    tolerance = SAME_TIME * float(np.median(steps)) if steps else 1e-6
    pairs = zip(timed.samples, timed.time_h, strict=True)
    bins: list[list[tuple[Sample, float]]] = []
    seen: set[str] = set()
    for sample, time in sorted(pairs, key=lambda pair: (pair[1], units[pair[0].unit], pair[0].measurement.image)):
        first = bins[-1][0][1] if bins else None
        if first is not None and time - first <= tolerance and (sample.unit not in seen or time == first):
            bins[-1].append((sample, time))
        else:
            bins.append([(sample, time)])
            seen = set()
        seen.add(sample.unit)
    return bins


def counting(group: Bin, sizes: Mapping[str, int]) -> list[Sample]:
    """Return the samples of one time that count: the good ones, or all where none is good; each picture once.

    Of a picture that lies in two fields, the one in the field with more images (``sizes``) counts.
    """
    samples = sorted((sample for sample, _ in group), key=lambda sample: -sizes[sample.unit])
    found: list[Sample] = []
    pictures: set[tuple[str, int]] = set()
    for sample in [sample for sample in samples if not sample.reasons] or samples:
        row = sample.measurement
        if row.sha256 is None or (row.sha256, row.frame) not in pictures:
            found.append(sample)
            pictures.add((row.sha256 or "", row.frame))
    return found


def cell_notes(
    bins: Sequence[Bin], cells: Mapping[tuple[int, int], Sequence[Sample]], units: int, *, levelled: bool
) -> tuple[str, ...]:
    """Say which images share field and time, and how many are missing.

    Parameters
    ----------
    bins
        Of :func:`bins_of`.
    cells
        (row, column) of the table of fields and times to the images that count there.
    units
        Number of fields.
    levelled
        Whether missing fields were taken to have gone like the others.
    """
    notes: tuple[str, ...] = ()
    doubled = [sample.measurement.image for of_cell in cells.values() for sample in of_cell[1:]]
    if doubled:
        images = counted(len(doubled), "image shares", "images share")
        notes = (f"{images} field and time with another one, and the mean was taken ({few(doubled)})",)
    missing = units * len(bins) - sum(len({sample.unit for sample, _ in group}) for group in bins)
    if missing:
        are = counted(missing, "is missing", "are missing")
        how = (
            "; missing fields were taken to have gone like the others, so that the mean does not jump"
            if levelled
            else ""
        )
        notes = (*notes, f"not every field has an image at every time ({are}){how}")
    return notes


def mean_of(groups: Sequence[Sequence[Sample]], column: str) -> Floats | None:
    """Mean of a column over the images of each time, (T,); None where it is unknown at all times."""
    values = [[getattr(sample.measurement, column) for sample in group] for group in groups]
    known = [[value for value in of_time if value is not None] for of_time in values]
    if not any(known):
        return None
    return np.array([sum(of_time) / len(of_time) if of_time else np.nan for of_time in known], dtype=np.float64)
