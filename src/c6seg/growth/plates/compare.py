"""Treatments against control: a mixed model over wells, Holm's correction, effect sizes, power, and words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from c6seg.growth.plates.groups import Grouped, reasons
from c6seg.growth.plates.mixed import Contrast
from c6seg.growth.plates.power import (
    POWER,
    detectable,
    g_over_plates,
    hedges_g,
    holm,
    power,
    promised,
    small_sample,
    wells_needed,
)
from c6seg.growth.plates.rates import RateModel
from c6seg.growth.plates.results import Comparison, Design, Group, PlateWell
from c6seg.growth.words import confidence_text, counted, number, p_value, signed_percent

# The difference that a design is judged by, as a part of the control's rate.
SOUGHT = 0.2
# Power asked of the scatter that groups share on several plates, so that it is 80 % in all: some comparisons will be
# judged by their two groups alone, and hardly find anything (by simulation, benchmarks/bench_comparisons.py).
SHARED_POWER = 0.9
ONE_PLATE = (
    "Wells of one plate repeat the treatment, not the experiment: whether an effect returns, other plates on other "
    "days must show."
)
OVER_PLATES = (
    "Treatments on several plates were judged by how far their effects vary between the plates; more plates help more "
    "than more wells on each."
)


def group_rates(groups: Sequence[Group], model: RateModel, *, confidence: float) -> tuple[Group, ...]:
    """Give each group its mean rate with an interval, where the scatter between wells is known."""
    found = []
    for group in groups:
        if model.fit is None or not group.wells:
            found.append(group)
            continue
        mean = model.rate(group.label)
        lower, upper = mean.interval(confidence)
        found.append(replace(group, rate_per_h=mean.estimate, lower=lower, upper=upper))
    return tuple(found)


def compare_groups(
    grouped: Grouped, model: RateModel, groups: Sequence[Group], *, confidence: float
) -> tuple[tuple[Comparison, ...], Design | None]:
    """Compare every group with the control.

    Parameters
    ----------
    grouped
        All wells and the label of the control.
    model
        Of :func:`fit_rates`.
    groups
        Of :func:`group_rates`.
    confidence
        Of the intervals; a difference is claimed where p after Holm's correction is below one minus it.

    Returns
    -------
    tuple
        A comparison for each group but the control, and what the design can find; none without a control.
    """
    control = next((group for group in groups if group.label == grouped.control), None)
    if control is None:
        return (), None
    others = [group for group in groups if group.label != control.label]
    obstacles = {group.label: _obstacle(group, control, grouped.wells, model) for group in others}
    tested = [group for group in others if not obstacles[group.label]]
    alpha = (1 - confidence) / max(1, len(tested))
    differences = {group.label: model.difference(group.label, control.label) for group in tested}
    known = [label for label, difference in differences.items() if difference.p is not None]
    corrected = dict(zip(known, holm([differences[label].p or 0.0 for label in known]), strict=True))
    comparisons = []
    for group in others:
        sizes = len(group.wells), len(control.wells)
        if group.label not in differences:
            words = f"{group.label} cannot be compared: {obstacles[group.label]}."
            comparisons.append(Comparison(group.label, control.label, *sizes, verdict=words))
            continue
        difference = differences[group.label]
        one = _compared(group, control, model, difference, confidence=confidence, alpha=alpha)
        one = replace(one, p_holm=corrected.get(group.label))
        words = _verdict(one, group, difference, confidence=confidence, alpha=alpha)
        words += _of_plates(one, model, confidence=confidence, alpha=alpha)
        comparisons.append(replace(one, verdict=words))
    return tuple(comparisons), _design(differences, others, control, model, confidence)


def _obstacle(group: Group, control: Group, wells: Sequence[PlateWell], model: RateModel) -> str:
    """Say why a group cannot be compared with the control; empty where it can."""
    for one in (group, control):
        if not one.wells:
            members = [well for well in wells if well.group == one.label]
            return f"none of the {counted(len(members), 'well')} of {one.label} carries a rate ({reasons(members)})"
    shared = model.shared(group.label, control.label)
    if not shared:
        return f"it shares no plate with {control.label}, and plates differ. Put controls on every plate"
    single = [one.label for one in (group, control) if len(model.rows([one.label], shared)) < 2]
    if single:
        there = " on the plate that they share" if len(set(model.plates)) > 1 else ""
        return (
            f"{' and '.join(single)} {'has' if len(single) == 1 else 'have'} one well only{there}, and a single well "
            "cannot tell an effect from a difference between wells, however many fields were imaged. "
            "Treat at least three wells alike"
        )
    return "" if model.fit is not None else "no wells were treated alike. Treat at least three wells alike"


def _compared(
    group: Group, control: Group, model: RateModel, difference: Contrast, *, confidence: float, alpha: float
) -> Comparison:
    lower, upper = difference.interval(confidence)
    sizes = len(group.wells), len(control.wells)
    base = _growing(control, model)
    deviation, freedom = _scatter(group, control, model)
    effect: tuple[float | None, float | None, float | None] = (None, None, None)
    if deviation > 0 and freedom >= 2:
        if len(model.shared(group.label, control.label)) > 1:
            ends = difference.estimate, lower, upper
            effect = g_over_plates(ends, deviation, freedom=freedom, confidence=confidence)
        else:
            effect = hedges_g(difference.estimate, deviation, *sizes, freedom=freedom, confidence=confidence)
    chance = None
    if base is not None and difference.error > 0:
        sought = SOUGHT * base * (small_sample(difference.freedom) if difference.freedom > 1 else 1.0)
        chance = power(sought, difference.error, difference.freedom, alpha)
    return Comparison(
        group.label,
        control.label,
        *sizes,
        difference_per_h=difference.estimate,
        lower=lower,
        upper=upper,
        change=None if base is None else difference.estimate / base,
        p=difference.p,
        effect_size=effect[0],
        effect_lower=effect[1],
        effect_upper=effect[2],
        power=chance,
    )


def _growing(control: Group, model: RateModel) -> float | None:
    """Rate of the control, where it surely grows: by its interval, or on each of several plates."""
    if control.lower is not None and control.lower > 0:
        return control.rate_per_h
    plates = sorted(set(model.plates))
    rates = model.rates[model.rows([control.label])]
    return control.rate_per_h if len(plates) > 1 and rates.size > 1 and _surely_positive(control.label, model) else None


def _surely_positive(label: str, model: RateModel) -> bool:
    """Whether the mean of a group on every plate lies four standard deviations of a well above 0."""
    square, freedom = model.scatter(model.labels)
    least = min(
        (float(model.rates[rows].mean()) for plate in set(model.plates) if (rows := model.rows([label], [plate]))),
        default=0.0,
    )
    return freedom > 0 and least > 4 * math.sqrt(square / freedom)


def _scatter(group: Group, control: Group, model: RateModel) -> tuple[float, int]:
    """Pool the standard deviation between wells of one plate treated alike over both groups; and its freedom."""
    square, freedom = model.scatter([group.label, control.label], model.shared(group.label, control.label))
    return (math.sqrt(square / freedom) if freedom else 0.0), freedom


def _verdict(one: Comparison, group: Group, difference: Contrast, *, confidence: float, alpha: float) -> str:
    if one.p_holm is None:
        return f"{one.group}: no test is possible, as wells treated alike are equal to the last digit."
    lower, upper = difference.interval(confidence)
    sure, p = f"{confidence_text(confidence)} interval", f"p {_equals(one.p_holm)} after Holm's correction"
    if one.p_holm >= 1 - confidence:
        least = promised(difference.error, difference.freedom, alpha)
        return (
            f"{one.group}: no difference from {one.control} can be claimed (difference "
            f"{number(difference.estimate, 2)} per h, {sure} {number(lower, 2)} to {number(upper, 2)}; {p}; with these "
            f"wells only differences above {number(least, 2)} per h would be found)."
        )
    slower = difference.estimate < 0
    ends = (-upper, -lower) if slower else (lower, upper)
    change = f"{signed_percent(one.change)}; " if one.change is not None else ""
    numbers = f"{sure} {number(ends[0], 2)} to {number(ends[1], 2)}; {change}{p}"
    by = f"{number(abs(difference.estimate), 2)} per h ({numbers})"
    if group.upper is not None and group.upper < 0:
        return f"{one.group} shrinks: its growth rate lies below that of {one.control} by {by}."
    return f"{one.group} grows {'slower' if slower else 'faster'} than {one.control} by {by}."


def _equals(p: float) -> str:
    text = p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _of_plates(one: Comparison, model: RateModel, *, confidence: float, alpha: float) -> str:
    """Say what the number of plates does to a comparison; nothing where there is one plate only."""
    if len(set(model.plates)) == 1 or one.p_holm is None:
        return ""
    shared = len(model.shared(one.group, one.control))
    if shared == 1:
        return f" {one.group} and {one.control} share one plate: whether this returns, no other plate shows."
    if one.p_holm < 1 - confidence:
        return ""
    here = model.within(one.group, one.control)
    if here.p is None or here.p >= alpha:
        return ""
    return (
        f" On these {shared} plates as they are the wells differ clearly (by {number(here.estimate, 2)} per h), but "
        "the difference varies between plates, or the plates are too few to show that it does not: add plates."
    )


def _design(
    differences: Mapping[str, Contrast], others: Sequence[Group], control: Group, model: RateModel, confidence: float
) -> Design:
    """Say what these wells can find, at the level that Holm's correction asks of the smallest p."""
    tested = [group for group in others if group.label in differences]
    sizes = [len(group.wells) for group in (tested or others) if group.wells]
    wells = float(median(sizes)) if sizes else 0.0
    scatters = [_scatter(group, control, model) for group in tested]
    deviation = float(median(each for each, _ in scatters)) if scatters else 0.0
    known = [one for one in differences.values() if one.error > 0]
    plates = len(set(model.plates))
    if model.fit is None or not known or (deviation == 0 and plates == 1):
        text = "What this design can find is unknown, as no treatment could be compared with the control."
        return Design(deviation or None, wells, len(control.wells), None, None, None, text)
    alpha = (1 - confidence) / len(tested)
    wanted = SHARED_POWER if plates > 1 and len(tested) > 1 else POWER
    least = float(median(promised(one.error, one.freedom, alpha, wanted=wanted) for one in known))
    base = _growing(control, model)
    needed = None
    if base is not None and plates == 1:
        freedom = float(median(one.freedom for one in known))
        # the scatter is an estimate, as in `promised`
        doubt = promised(1.0, freedom, alpha) / detectable(1.0, freedom, alpha)
        needed = wells_needed(SOUGHT * base, doubt * deviation, alpha, groups=len(tested) + 1)
    part = f" ({number(100 * least / base, 2)} % of the control's rate)" if base else ""
    scatter = (
        f"Growth rates of wells treated alike differ by {number(deviation, 2)} per h (standard deviation). "
        if deviation
        else ""
    )
    text = (
        f"{scatter}With {wells:g} wells of each treatment, {counted(len(control.wells), 'control well')}"
        f"{f' on {plates} plates' if plates > 1 else ''} and "
        f"{counted(len(tested), 'comparison')}, a difference of {number(least, 2)} per h{part} is found with a "
        f"probability of 80 %. {_needed(base, needed) if plates == 1 else OVER_PLATES}"
    )
    return Design(deviation or None, wells, len(control.wells), least, least / base if base else None, needed, text)


def _needed(base: float | None, needed: int | None) -> str:
    if base is None:
        words = "The control itself does not surely grow, so that nothing can be said in parts of its rate."
    elif needed is None:
        words = f"A difference of {100 * SOUGHT:g} % would need more than a thousand wells in each group."
    else:
        words = f"A difference of {100 * SOUGHT:g} % needs {counted(needed, 'well')} in each group."
    return f"{words} {ONE_PLATE}"
