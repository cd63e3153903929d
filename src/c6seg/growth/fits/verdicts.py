"""What a series says in words: the reasons why there is no number, and what to do about them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from c6seg.config import GrowthConfig
from c6seg.growth.fits.advice import MIN_FOLD, fewer_cells, first_times, more_times
from c6seg.growth.fits.laws import Floats, R, confluence_at, specific_rate
from c6seg.growth.fits.selection import Bools, Candidate

# Growth that has fallen below this part of its rate has ended; where it ends below this confluence, it must have
# risen by this factor to be more than attaching and spreading.
ENDED, LEVEL, LEVEL_FOLD = 0.25, 0.5, 2.0
# Confluence below which a field counts as empty.
EMPTY = 0.005


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted curve for drawing: confluence and its interval at ``time_h``, all (N,)."""

    time_h: Floats
    confluence: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class GrowthFit:
    """What a series says about growth. Where it cannot carry a number, the numbers are None and ``verdict`` says why.

    Parameters
    ----------
    verdict
        In words: the result, or why there is none and what to do.
    kind
        ``"growing"`` where there is a number, else the reason in one word.
    model
        Law that AICc chose; None where no number is given.
    growth_rate_per_h, doubling_time_h
        Rate r of unhindered growth, and ln 2 / r.
    lower, upper
        Interval of the doubling time, h.
    rate_lower, rate_upper
        Interval of the rate, 1/h; also where it was too uncertain to be given as a number.
    lag_h
        Time after the first one before growth starts; None where the data show no lag.
    lag_lower, lag_upper
        Its interval, h.
    plateau
        Confluence at which the culture levels off; None where the data do not show it.
    plateau_lower, plateau_upper
        Its interval.
    phase_h
        First and last time of the exponential phase that was found, h.
    estimate_per_h, error_per_h
        Rate and its standard error, also where they are no number to publish: for comparing wells, among which those
        that do not grow must count. The error of the masks, which wells share, is not in it. None where nothing could
        be fitted.
    next_experiment
        The shortest extra experiment that would give a number, in words; empty where there is one.
    aicc
        Of the chosen law, on the times before saturation.
    curve
        For drawing.
    """

    verdict: str
    kind: Literal["growing", "excluded", "few", "empty", "full", "flat", "shrinking", "slight", "uncertain"]
    model: str | None = None
    growth_rate_per_h: float | None = None
    doubling_time_h: float | None = None
    lower: float | None = None
    upper: float | None = None
    rate_lower: float | None = None
    rate_upper: float | None = None
    lag_h: float | None = None
    lag_lower: float | None = None
    lag_upper: float | None = None
    plateau: float | None = None
    plateau_lower: float | None = None
    plateau_upper: float | None = None
    phase_h: tuple[float, float] | None = None
    estimate_per_h: float | None = None
    error_per_h: float | None = None
    next_experiment: str = ""
    aicc: float | None = None
    curve: Curve | None = None


def excluded(number: int, flags: list[str]) -> GrowthFit:
    """Say that quality flags left nothing to fit."""
    words = ", ".join(flag.replace("_", " ") for flag in flags)
    help_ = "Look at the overlays; keep the images with --exclude-flags none, or take better ones."
    return GrowthFit(
        f"No number: {_count(number)} excluded by quality flags ({words}). {help_}", "excluded", next_experiment=help_
    )


def refuse_before(time: Floats, values: Floats, early: Bools, options: GrowthConfig) -> GrowthFit | None:
    """Say why no law can be fitted at all, or return None."""
    need = options.min_times
    spacing = float(np.median(np.diff(time))) if time.size > 1 else None
    if time.size < need:
        help_ = first_times(need - time.size, spacing, float(values[-1]) if values.size else 0.0)
        return GrowthFit(
            f"No number: {_count(time.size)} cannot show a growth rate ({'a coarse curve only; ' * (time.size > 1)}"
            f"at least {need} are needed). {help_}",
            "few",
            next_experiment=help_,
        )
    if values.max() < EMPTY:
        help_ = "Check focus and seeding, or look at a field with cells."
        return GrowthFit(
            f"No number: hardly any cells, never more than {percent(values.max())} of the field. {help_}",
            "empty",
            next_experiment=help_,
        )
    below = int(early.sum())
    if below < need:
        begin = f"after {time[early][-1] - time[0]:.3g} h" if early[0] else "from the start"
        help_ = fewer_cells(float(values[0]), need, spacing or 1.0, saturation=options.saturation)
        return GrowthFit(
            f"No number: the field is full {begin} ({percent(values[~early].max())} covered): growth cannot be seen; "
            f"{_count(below)} below {percent(options.saturation)}, {need} are needed. {help_}",
            "full",
            next_experiment=help_,
        )
    return None


def refuse_after(
    hours: Floats, values: Floats, early: Bools, chosen: Candidate, rates: tuple[float, float], options: GrowthConfig
) -> GrowthFit | None:
    """Say why the fitted rate is no number to publish, or return None."""
    lower, upper = rates
    rate = float(chosen.fit.parameters[R])
    span = float(hours[early][-1] - hours[early][0])
    begin, end = confluence_at(chosen.fit.law, chosen.fit.parameters, hours[early][[0, -1]])
    sure = f"{percent(options.confidence)} interval"
    help_ = more_times(hours[early], float(end), rates, rate, saturation=options.saturation)
    no_number = partial(GrowthFit, rate_lower=lower, rate_upper=upper, estimate_per_h=rate)
    if upper < 0:
        change = f"{percent(values[early][0])} to {percent(values[early][-1])}"
        help_ = "Look at the overlays: cells may die, detach, round up or retract."
        return no_number(
            f"No number, and no growth: the covered area shrinks ({change} in {span:.3g} h). {help_}", "shrinking"
        )
    if lower <= 0:
        bound = f"; if it grows at all, doubling takes more than {hours_text(math.log(2) / upper)} ({sure})"
        words = f"it cannot be told from zero over {span:.3g} h{bound if upper > 0 else ''}"
        return no_number(
            f"No number, as no growth was seen: {words}. {help_}",
            "flat",
            next_experiment=help_,
        )
    ended = specific_rate(chosen.fit.law, chosen.fit.parameters, hours[early][[-1]])[0] < ENDED * rate
    if ended and end < min(LEVEL_FOLD * begin, LEVEL):
        help_ = "Look at the overlays; begin to observe when the cells have spread, or observe for longer."
        return no_number(
            f"No number: the covered area rose by {percent(end / begin - 1)} and then stayed near {percent(end)} of "
            f"the field, as cells do that attach, spread or come into focus without dividing. {help_}",
            "slight",
            next_experiment=help_,
        )
    if end < MIN_FOLD * begin:
        return no_number(
            f"No number: the covered area rose by only {percent(end / begin - 1)} in {span:.3g} h, which spreading or "
            f"moving cells can do without dividing; at this rate it doubles in about {hours_text(math.log(2) / rate)}. "
            f"{help_}",
            "slight",
            next_experiment=help_,
        )
    value, low, high = math.log(2) / rate, math.log(2) / upper, math.log(2) / lower
    if high - low > value:
        return no_number(
            f"No number: the doubling time lies between {hours_text(low)} and {hours_text(high)} ({sure}), a range "
            f"wider than the value itself. {help_}",
            "uncertain",
            next_experiment=help_,
        )
    return None


def error_of(rates: tuple[float, float], options: GrowthConfig) -> float:
    """Return the standard error that an interval of the rate amounts to, 1/h."""
    from scipy.special import ndtri

    return float((rates[1] - rates[0]) / (2 * ndtri(0.5 + options.confidence / 2)))


def _count(number: int) -> str:
    return {0: "no usable time", 1: "a single time"}.get(number, f"{number} times")


def percent(value: float) -> str:
    """Write a fraction as percent, three digits."""
    return f"{100 * value:.3g} %"


def hours_text(value: float) -> str:
    """Write hours, three digits, never in powers of ten."""
    return f"{value:.3g} h" if value < 1000 else f"{round(value, -2):.0f} h"
