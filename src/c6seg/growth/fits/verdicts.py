"""What a series says in words: the reasons why there is no number, and what to do about them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from c6seg.config import GrowthConfig
from c6seg.growth.fits.advice import MIN_FOLD, fewer_cells, first_times, more_times
from c6seg.growth.fits.fitting import EMPTY
from c6seg.growth.fits.laws import Floats, R, confluence_at, specific_rate
from c6seg.growth.fits.selection import Bools, Candidate

# Growth that has fallen below this part of its rate has ended; where it ends below this confluence, it must have
# risen by this factor to be more than attaching and spreading, which take a cell to two to four times its area.
ENDED, LEVEL, LEVEL_FOLD = 0.25, 0.5, 5.0


Refusal = Literal["excluded", "few", "empty", "full", "flat", "shrinking", "slight", "uncertain"]


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
        Law that AICc chose, the one that is drawn; None where no number is given.
    growth_rate_per_h, doubling_time_h
        Rate r of unhindered growth, where the culture starts crowded averaged over the laws, and ln 2 / r.
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
    kind: Literal["growing"] | Refusal
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
    seen = int(np.count_nonzero(values >= EMPTY))
    if seen < need:
        help_ = first_times(need - seen, spacing, float(values[-1]))
        return GrowthFit(
            f"No number: cells cover {percent(EMPTY)} of the field or more at {_count(seen)} only; {need} are needed. "
            f"{help_}",
            "few",
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


@dataclass(frozen=True, slots=True)
class Found:
    """What the fits of a series say, before it is decided whether that is a number to publish.

    Parameters
    ----------
    chosen
        The law that is shown.
    rate
        Of the chosen law or averaged, see :func:`~c6seg.growth.fits.selection.best_rate`, 1/h.
    rates
        Its interval.
    jump
        First and last confluence of a single jump, and the hours of the times around it, where a jump describes the
        data as well as growth does; else None.
    """

    chosen: Candidate
    rate: float
    rates: tuple[float, float]
    jump: tuple[float, float, float, float] | None = None


def refuse_after(hours: Floats, values: Floats, early: Bools, found: Found, options: GrowthConfig) -> GrowthFit | None:
    """Say why the fitted rate is no number to publish, or return None."""
    times, seen = hours[early], values[early]
    law, parameters = found.chosen.fit.law, found.chosen.fit.parameters
    begin, end = (float(one) for one in np.maximum(EMPTY, confluence_at(law, parameters, times[[0, -1]])))
    help_ = more_times(times, end, found.rates, found.rate, saturation=options.saturation)
    if found.rates[0] <= 0:
        return _not_growing(times, seen, found, help_, options)
    refusal = _not_dividing(times, (begin, end), found, help_, options)
    if refusal is not None:
        return refusal
    low, high = math.log(2) / found.rates[1], math.log(2) / found.rates[0]
    if high - low > math.log(2) / found.rate:
        words = (
            f": the doubling time lies between {hours_text(low)} and {hours_text(high)} ({_sure(options)}), a range "
            "wider than the value itself"
        )
        return _no_number(words, "uncertain", found, help_)
    return None


def _not_growing(times: Floats, seen: Floats, found: Found, help_: str, options: GrowthConfig) -> GrowthFit:
    """Refusal where the rate may be zero or less."""
    upper, span = found.rates[1], float(times[-1] - times[0])
    if upper < 0:
        words = f", and no growth: the covered area shrinks ({percent(seen[0])} to {percent(seen[-1])} in {span:.3g} h)"
        look = "Look at the overlays: cells may die, detach, round up or retract."
        return replace(_no_number(words, "shrinking", found, look), next_experiment="")
    if found.jump is not None:
        return _no_number(_jumped(found.jump), "flat", found, _LOOK_AT_JUMP)
    bound = f"; if it grows at all, doubling takes more than {hours_text(math.log(2) / upper)} ({_sure(options)})"
    words = f", as no growth was seen: it cannot be told from zero over {span:.3g} h{bound if upper > 0 else ''}"
    return _no_number(words, "flat", found, help_)


def _not_dividing(
    times: Floats, ends: tuple[float, float], found: Found, help_: str, options: GrowthConfig
) -> GrowthFit | None:
    """Refusal where the covered area grows as cells make it grow that do not divide, or None."""
    (begin, end), span = ends, float(times[-1] - times[0])
    law, parameters = found.chosen.fit.law, found.chosen.fit.parameters
    ended = specific_rate(law, parameters, times[[-1]])[0] < ENDED * parameters[R]
    value = math.log(2) / found.rate
    if ended and end < min(LEVEL_FOLD * begin, LEVEL):
        words = (
            f": the covered area rose by {percent(end / begin - 1)} and then stayed near {percent(end)} of the field, "
            "as cells do that attach, spread or come into focus without dividing"
        )
        help_ = "Look at the overlays; begin to observe when the cells have spread, or observe for longer."
    elif end < MIN_FOLD * begin:
        words = (
            f": the covered area rose by only {percent(end / begin - 1)} in {span:.3g} h, which spreading or moving "
            "cells, or drifting light or focus, can do without a division; at this rate it doubles in about "
            f"{hours_text(value)}"
        )
    elif value < options.fastest_doubling_h:
        words = (
            f": the covered area doubles in {hours_text(value)}, faster than cells divide (the limit is "
            f"{hours_text(options.fastest_doubling_h)}): they attach, spread, or come into focus or into the field"
        )
        help_ = "Look at the overlays; begin to observe when the cells have spread."
    else:
        return None
    return _no_number(words, "slight", found, help_)


def _no_number(words: str, kind: Refusal, found: Found, help_: str) -> GrowthFit:
    lower, upper = found.rates
    return GrowthFit(
        f"No number{words}. {help_}", kind, rate_lower=lower, rate_upper=upper, estimate_per_h=found.rate,
        next_experiment=help_,
    )  # fmt: skip


def _sure(options: GrowthConfig) -> str:
    return f"{percent(options.confidence)} interval"


_LOOK_AT_JUMP = "Look at the overlays around it: focus, medium, stage and light can do that, and dividing cells do not."


def _jumped(jump: tuple[float, float, float, float]) -> str:
    before, after, first, last = jump
    return (
        f", as no growth was seen: a single jump, from {percent(before)} to {percent(after)} between {first:.3g} and "
        f"{hours_text(last)}, describes the covered area as well as growth does"
    )


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
