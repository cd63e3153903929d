"""Wound closure (scratch assay): from the masks of every field to closure rate, front speed and half-closure time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from c6seg.growth.series import Floats, Series
from c6seg.growth.words import few
from c6seg.growth.wounds.draws import mean_of_fields
from c6seg.growth.wounds.fields import FieldCourse, MaskOf, PixelSizeOf, excluded, follow_field, tracks
from c6seg.growth.wounds.fit import fit_wound
from c6seg.growth.wounds.results import WoundFit

__all__ = ["analyse_wounds", "fit_wound"]


def analyse_wounds(
    series: Sequence[Series],
    mask_of: MaskOf,
    pixel_size_of: PixelSizeOf,
    *,
    confidence: float = 0.95,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Callable[[float, int, str], None] | None = None,
) -> list[WoundFit]:
    """Follow the wound in every field of every series, and fit each series.

    Masks are read one at a time. A mask that is missing or does not fit costs itself only, and a field without a wound
    leaves the others.

    Parameters
    ----------
    series
        As :func:`~c6seg.growth.series.group_series` gives them.
    mask_of
        Mask (Y, X) bool, True = cell, for an image name and a frame; None where there is none.
    pixel_size_of
        Edge of a pixel in um for an image name and a frame; None where it is unknown.
    confidence, bootstrap, seed
        As for :func:`fit_wound`.
    progress
        Called after each series with the number done, the number of all, and the name.
    """
    found = []
    for done, one in enumerate(series, start=1):
        skip = excluded(one)
        courses = [
            follow_field(track, [row in rows for rows in skip], mask_of, pixel_size_of)
            for row, track in enumerate(tracks(one))
        ]
        found.append(fit_courses(one, courses, confidence=confidence, bootstrap=bootstrap, seed=seed))
        if progress is not None:
            progress(done, len(series), one.name)
    return found


def fit_courses(
    series: Series, courses: Sequence[FieldCourse], *, confidence: float, bootstrap: int, seed: int
) -> WoundFit:
    """Fit what was followed in the fields of one series."""
    good, notes = _alike([course for course in courses if course.wound is not None])
    notes = (*_left_out(courses), *notes, *_lost(courses))
    if not good:
        nothing = np.full(series.time_h.size, np.nan)
        reasons = Counter(course.reason for course in courses)
        why = reasons.most_common(1)[0][0] if reasons else "there are no images"
        words = f"No number: no wound was found; {why}."
        return WoundFit(series.name, series.time_h, nothing, nothing, nothing, None, words, "none", notes=notes)
    gaps = np.stack([course.gap for course in good])
    area, fronts = _area_um2(good), _fronts_um(good)
    shape = Counter(course.wound.shape for course in good if course.wound is not None).most_common(1)[0][0]
    notes = (*notes, *_about(good, shape, scaled=area is not None))
    fit = fit_wound(
        series.name,
        series.time_h,
        gaps,
        gap_um2=None if area is None else area * mean_of_fields(gaps),
        front_length_um=fronts,
        shape=shape,
        confidence=confidence,
        bootstrap=bootstrap,
        seed=seed,
        notes=notes,
    )
    return replace(fit, density=_mean(np.stack([course.density for course in good])))


def _alike(courses: Sequence[FieldCourse]) -> tuple[list[FieldCourse], tuple[str, ...]]:
    """Return the fields whose gaps close by one law: from all sides, or not."""
    round_ones = [course for course in courses if course.wound is not None and course.wound.shape == "round"]
    others = [course for course in courses if course.wound is not None and course.wound.shape != "round"]
    more, fewer = (round_ones, others) if len(round_ones) > len(others) else (others, round_ones)
    if not fewer:
        return more, ()
    kinds = "not round, unlike the others" if more is round_ones else "round, unlike the others"
    return more, (f"{len(fewer)} of {len(courses)} fields have a gap that is {kinds}, and were left out",)


def _left_out(courses: Sequence[FieldCourse]) -> tuple[str, ...]:
    reasons = Counter(course.reason for course in courses if course.wound is None)
    return tuple(
        f"no wound in {number} of {len(courses)} {'fields' if len(courses) > 1 else 'field'}: {reason}"
        for reason, number in reasons.items()
    )


def _lost(courses: Sequence[FieldCourse]) -> tuple[str, ...]:
    images: dict[str, list[str]] = defaultdict(list)
    for course in courses:
        for reason, names in course.lost.items():
            images[reason].extend(names)
    return tuple(f"{len(names)} images {reason} ({few(names)})" for reason, names in images.items())


def _about(courses: Sequence[FieldCourse], shape: str, *, scaled: bool) -> tuple[str, ...]:
    """Say what the numbers mean for gaps that are no plain strip."""
    notes = []
    if shape == "round":
        notes.append(
            "the gap is round: its radius shrinks steadily, its area ever more slowly; the rate is that at first"
        )
    elif shape == "edge":
        notes.append(
            "only one front is in the image: the gap goes on beyond its edge, and rate and half-closure time are"
        )
        notes[-1] += " those of the part that is in the image"
    elif _fronts_um(courses) is None and scaled:
        notes.append("the fronts are not straight, so that their speed is unknown")
    if not scaled:
        notes.append("the scale is unknown or changes, so that there are no um")
    late = sum(course.begins != min(one.begins or 0 for one in courses) for course in courses)
    if late:
        notes.append(f"{late} fields begin later than the others; their gap is followed from their first mask on")
    if len(courses) == 1:
        notes.append("one field only: the intervals do not say how other parts of the wound close")
    shift = max(course.shift_px for course in courses)
    if shift > 0:
        notes.append(f"images are shifted against the first by up to {shift:.0f} px; the gap was followed there")
    return tuple(notes)


def _area_um2(courses: Sequence[FieldCourse]) -> float | None:
    """Mean area of a field, um2."""
    known = [course.area_um2 for course in courses if course.area_um2 is not None]
    return sum(known) / len(known) if len(known) == len(courses) else None


def _fronts_um(courses: Sequence[FieldCourse]) -> float | None:
    """Mean of half the length of all fronts, um."""
    known = [
        course.pixel_um * course.wound.front_length_px
        for course in courses
        if course.wound is not None and course.wound.front_length_px and course.pixel_um
    ]
    return sum(known) / len(known) if len(known) == len(courses) else None


def _mean(fields: Floats) -> Floats:
    known = ~np.isnan(fields)
    number = known.sum(axis=0)
    total = np.where(known, fields, 0.0).sum(axis=0)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
