"""What a closing wound says in words: the result, or why there is no number and what to do about it."""

from __future__ import annotations

import math

import numpy as np

from c6seg.growth.fits.verdicts import hours_text, percent
from c6seg.growth.words import counted
from c6seg.growth.wounds.draws import Course, Estimate
from c6seg.growth.wounds.jumps import Jump
from c6seg.growth.wounds.law import Bools, Floats
from c6seg.growth.wounds.results import WoundFit

# A gap that stops below this part of the first one counts as closed: holes between cells stay open in any layer.
CLOSED = 0.05
FRONTS = {"round": "the front all round", "edge": "the front"}


def few(number: int, needed: int) -> str:
    """Say that there are too few times."""
    count = {0: "no usable time", 1: "a single time"}.get(number, f"{number} times")
    return (
        f"No number: {count} cannot show a closure rate, at least {needed} are needed. Add {needed - number} or more."
    )


def too_fast(hours: Floats, closing: Bools) -> str:
    """Say that the gap is closed before there are enough times."""
    where = np.flatnonzero(closing)
    first, last = (int(where[0]), int(where[-1])) if where.size else (0, 0)
    until = hours[min(last + 1, hours.size - 1)] - hours[first]
    times = counted(int(closing.sum()), "time")
    return (
        f"No number: the gap closes, or closing stops, within {until:.3g} h, {times} before that "
        "cannot show a rate. Image more often."
    )


def jumps(jump: Jump, hours: Floats) -> str:
    """Say that the gap changes between two times only."""
    change = abs(1 - jump.after / jump.before)
    narrower = "narrower" if jump.after < jump.before else "wider"
    return (
        f"No number: the gap gets {narrower} by {percent(round(change, 3))} from one time to the next (at "
        f"{hours[jump.last]:.3g} to {hours[jump.last + 1]:.3g} h) and does not change beyond noise before and after, "
        "as by another focus, light or place of the image. Look at these two images; if cells did move in between, "
        "image more often."
    )


def no_change(course: Course, change: float, span_h: float, confidence: float) -> str:
    """Say that the gap neither closes nor opens beyond noise."""
    rate = course.rate
    if rate.lower <= 0:
        bound = f"; it closes by less than {percent(rate.upper)} per hour" if rate.upper > 0 else ""
        return (
            f"No number: closing cannot be told from noise over {span_h:.3g} h{bound} ({percent(confidence)} interval)."
            " Observe for longer, or average more fields of the well."
        )
    half = f"; at this rate half would be closed after about {hours_text(course.half.value)} (extrapolated)"
    return (
        f"No number: only {percent(change)} of the gap closed in {span_h:.3g} h, which cells that move at its rims can "
        f"feign{half if math.isfinite(course.half.value) else ''}. Observe for longer."
    )


def not_sure(rate: Estimate, confidence: float) -> str:
    """Say that the interval is wider than the value."""
    return (
        f"No number: the gap closes, by {percent(rate.lower)} to {percent(rate.upper)} of its first area per hour "
        f"({percent(confidence)} interval), a range wider than the value itself. Add times or fields."
    )


def describe(fit: WoundFit, course: Course, hours: Floats, confidence: float) -> str:
    """Say the numbers, and what became of the gap."""
    span, rate = float(hours[-1]), course.rate
    closing = hours[course.fit.closing(hours)]
    basis = f"{closing.size} times while it closes over {closing[-1] - closing[0]:.3g} h"
    basis += f", {fit.fields} fields" if fit.fields > 1 else ", one field"
    words = (
        f"The gap closes by {percent(rate.value)} of its first area per hour{' at first' * (course.fit.power == 2)} "
        f"({percent(confidence)} interval {100 * rate.lower:.3g} to {percent(rate.upper)}; {basis})"
    )
    if fit.front_um_per_h is not None:
        speed = f"{fit.front_um_per_h:.3g} um/h ({fit.front_lower:.3g} to {fit.front_upper:.3g})"
        words += f"; {FRONTS.get(fit.shape, 'each front')} moves at {speed}"
    words += "."
    if fit.lag_h is not None and fit.lag_h > 0:
        words += f" Closing sets in after about {hours_text(fit.lag_h)}."
    return f"{words} {_half(fit, course, span)}{_end(fit)}"


def _half(fit: WoundFit, course: Course, span_h: float) -> str:
    half = course.half
    if fit.half_h is not None and fit.half_lower is not None and fit.half_upper is not None:
        return f"Half is closed after {hours_text(fit.half_h)} ({fit.half_lower:.3g} to {hours_text(fit.half_upper)})."
    if not math.isfinite(half.value):
        return "Half closure is not reached."
    if half.value > span_h:
        return (
            f"Half closure is not reached within the observed {span_h:.3g} h; at this rate it would be after about "
            f"{hours_text(half.value)} (extrapolated)."
        )
    return "The half-closure time is too uncertain to be given."


def _end(fit: WoundFit) -> str:
    if fit.stop is not None:
        return f" Closing stops with {percent(round(fit.stop, 2))} of the first gap still open."
    if fit.closed is None:
        return ""
    last = min(1.0, float(fit.closed[np.isfinite(fit.closed)][-1]))
    return f" At the last time {percent(round(last, 2))} is closed."
