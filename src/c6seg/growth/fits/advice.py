"""The shortest extra experiment that would give a number, in words."""

from __future__ import annotations

import math

import numpy as np

from c6seg.growth.fits.laws import Floats

# Least rise of the covered area over the observed time: cells that attach, spread or drift into focus, and light that
# drifts, change it by a third without a division.
MIN_FOLD = 1.5
# Intervals that people use, h; no experiment longer than ten days is proposed.
SPACINGS_H = (0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0, 24.0)
MOST_TIMES, LONGEST_H = 24, 240.0
# Above this confluence more times of the same field would only show that it fills.
NEARLY_FULL = 0.6
# Below this confluence a field is not about to be full, whatever a rate says that hardly any times show.
CROWDED = 0.2
# A proposal should succeed more often than not: the interval that it aims at is this part of the widest allowed.
AIM = 0.8
# What a culture may be supposed to do where it did not show it, h.
USUAL_DOUBLING_H = 24.0
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def more_times(hours: Floats, last: float, rates: tuple[float, float], rate: float, *, saturation: float) -> str:
    """Say how many more times, how far apart, would narrow the interval of the rate enough.

    The interval narrows as the spread of the times grows, as for a straight line through the logarithm.

    Parameters
    ----------
    hours
        (T,) times that were fitted.
    last
        Confluence at the last of them.
    rates
        Interval of the rate, 1/h.
    rate
        The rate itself.
    saturation
        Confluence that must not be passed.
    """
    if rates[1] <= 0:
        return "More times would not help."
    if rate <= 0 or math.log(2) / rate > LONGEST_H:
        bound = math.log(2) / rates[1]
        if bound > LONGEST_H:
            return "Growth this slow, if there is any, takes weeks to show."
        return (
            f"Observe for {bound:.3g} h or longer: a culture that doubles as fast as these images still allow would "
            "have doubled by then."
        )
    found = _search(hours, last, rates, rate, saturation)
    if found is not None:
        number, spacing = found
        sure = "give one" if rates[0] > 0 else "show whether it grows"
        return f"{_times(number, 'more time')}{_apart(number, spacing)} would probably {sure}."
    return _no_experiment(last, rate, saturation)


def _no_experiment(last: float, rate: float, saturation: float) -> str:
    """Say what to do where no number of further times would help."""
    room_h = math.log(saturation / max(last, 1e-3)) / rate
    if room_h >= LONGEST_H / 4:
        return "Only more fields of the well, or a longer experiment, would give one."
    if last < CROWDED:
        return "Image more often while it grows: few hours are left at this rate."
    return "The field would be full before more times could help: seed fewer cells, and image more often."


def _search(
    hours: Floats, last: float, rates: tuple[float, float], rate: float, saturation: float
) -> tuple[int, float] | None:
    """Shortest experiment (number of times, spacing in h) that should do, or None."""
    noise = 0.5 * (rates[1] - rates[0]) * math.sqrt(_spread(hours))
    usual = float(np.median(np.diff(hours)))
    best: tuple[float, int, float] | None = None
    for spacing in sorted({usual, *(each for each in SPACINGS_H if each > usual)}):
        for number in range(1, MOST_TIMES + 1):
            extra = number * spacing
            if extra > LONGEST_H or last * math.exp(rate * extra) > saturation:
                break
            times = np.concatenate([hours, hours[-1] + spacing * np.arange(1, number + 1)])
            half = noise / math.sqrt(_spread(times))
            narrow = half < rate and rate * (1 / (rate - half) - 1 / (rate + half)) < AIM
            if narrow and rate * float(times[-1] - times[0]) > 1.1 * math.log(MIN_FOLD):
                if best is None or (extra, number) < best[:2]:
                    best = (extra, number, spacing)
                break
    return None if best is None else best[1:]


def first_times(number: int, spacing_h: float | None, last: float) -> str:
    """Say how many times are missing before anything can be fitted, or that the field is too full for more."""
    if last > NEARLY_FULL:
        return "The field is nearly full: seed fewer cells, and image more often from the start."
    spacing = spacing_h if spacing_h else 12.0
    return f"{_times(number, 'more time')}{_apart(number, spacing)} would do, if they span at least one doubling."


def fewer_cells(first: float, need: int, spacing_h: float, *, saturation: float) -> str:
    """Say how much thinner a culture must be seeded so that it can be seen to grow."""
    wanted = saturation * 2 ** (-(need * spacing_h) / USUAL_DOUBLING_H)
    part = wanted / max(first, 1e-3)
    if part >= 0.9:
        return "Image more often before the field is full."
    share = next((words for limit, words in _SHARES if part >= limit), "a tenth as many cells, or fewer")
    return (
        f"Seed about {share}, or image more often: {need} times {spacing_h:.3g} h apart then fit before the field "
        f"is full, if it doubles in {USUAL_DOUBLING_H:.0f} h."
    )


_SHARES = (
    (0.6, "two thirds as many cells"),
    (0.42, "half as many cells"),
    (0.29, "a third as many cells"),
    (0.18, "a quarter as many cells"),
    (0.11, "an eighth as many cells"),
)


def _spread(hours: Floats) -> float:
    return float(((hours - hours.mean()) ** 2).sum())


def _times(number: int, what: str) -> str:
    text = NUMBERS[number] if number < len(NUMBERS) else str(number)
    return f"{text.capitalize()} {what}{'s' * (number != 1)}"


def _apart(number: int, spacing_h: float) -> str:
    return f" {spacing_h:.3g} h apart" if number > 1 else f" {spacing_h:.3g} h after the last"
