"""Treatments against control: a mixed model over wells, Holm's correction, effect sizes, power, and words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from c6seg.errors import DataError
from c6seg.growth.plates.groups import Grouped, reasons
from c6seg.growth.plates.mixed import Contrast, MixedFit, contrast, fit_mixed
from c6seg.growth.plates.power import detectable, hedges_g, holm, power, small_sample, wells_needed
from c6seg.growth.plates.results import Comparison, Design, Floats, Group, PlateWell
from c6seg.growth.words import confidence_text, counted, number, p_value, signed_percent

# The difference that a design is judged by, as a part of the control's rate.
SOUGHT = 0.2
# Groups scatter differently where chance would do it less often than this.
DIFFERENT = 0.01


@dataclass(frozen=True, slots=True)
class RateModel:
    """The mixed model of the wells that are compared.

    Parameters
    ----------
    wells
        Those wells.
    labels
        Of the groups, in the order of the model's effects.
    plates
        (N,) number of the plate of each well.
    rates, errors
        (N,) 1/h.
    fit
        None where there are not more wells than groups.
    """

    wells: tuple[PlateWell, ...]
    labels: tuple[str, ...]
    plates: tuple[int, ...]
    rates: Floats
    errors: Floats
    fit: MixedFit | None

    def rate(self, group: str) -> Contrast:
        """Return the mean rate of a group."""
        if self.fit is None:
            raise DataError(f"The rate of '{group}' has no error: there are not more wells than groups.")
        return contrast(self.fit, np.array([float(label == group) for label in self.labels]))

    def difference(self, group: str, control: str) -> Contrast:
        """Return how far the rate of a group lies above that of the control.

        By the mixed model, whose scatter all groups share; on one plate, where groups clearly scatter differently, by
        the two groups alone: wells that a drug stops hardly differ, and would make the error of all others too small.
        """
        if self.fit is None:
            raise DataError(f"The rate of '{group}' has no error: there are not more wells than groups.")
        if len(set(self.plates)) == 1 and _scatters_differ([self._of(label) for label in self.labels]):
            return _apart(self._of(group), self._of(control))
        weights = [float(label == group) - float(label == control) for label in self.labels]
        return contrast(self.fit, np.array(weights))

    def _of(self, label: str) -> Floats:
        return np.asarray(self.rates[[well.group == label for well in self.wells]])


def _scatters_differ(groups: Sequence[Floats]) -> bool:
    """Whether the variances of the groups differ beyond chance (Bartlett)."""
    from scipy import stats

    several = [rates for rates in groups if rates.size > 1 and float(np.ptp(rates)) > 0]
    return len(several) > 1 and float(stats.bartlett(*several).pvalue) < DIFFERENT


def _apart(one: Floats, other: Floats) -> Contrast:
    """Difference of two means with variances of their own; as free as the smaller group is.

    Welch's degrees of freedom are estimates too, and far too many where a few wells happen to lie close together.
    """
    from scipy import stats

    parts = [float(np.var(rates, ddof=1)) / rates.size for rates in (one, other)]
    error = math.sqrt(sum(parts))
    estimate, freedom = float(one.mean() - other.mean()), float(min(one.size, other.size) - 1)
    if error <= 1e-12 * max(abs(estimate), float(np.abs(other).max())):
        return Contrast(estimate, 0.0, freedom, None)
    return Contrast(estimate, error, freedom, float(2 * stats.t.sf(abs(estimate) / error, freedom)))


def fit_rates(wells: Sequence[PlateWell]) -> RateModel:
    """Fit the rates of all wells that are compared: an effect for each group, a random one for each plate."""
    used = tuple(well for well in wells if well.compared and well.group)
    labels = tuple(dict.fromkeys(well.group for well in used))
    names = sorted({well.info.plate or "" for well in used})
    plates = tuple(names.index(well.info.plate or "") for well in used)
    rates = np.array([well.estimate_per_h for well in used], dtype=np.float64)
    errors = np.array([well.error_per_h for well in used], dtype=np.float64)
    fit = None
    if len(used) > len(labels) > 0:
        design = np.eye(len(labels))[[labels.index(well.group) for well in used]]
        fit = fit_mixed(rates, design, errors, plates)
    return RateModel(used, labels, plates, rates, errors, fit)


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
        comparisons.append(replace(one, verdict=words))
    return tuple(comparisons), _design(tested, others, control, model, confidence)


def _obstacle(group: Group, control: Group, wells: Sequence[PlateWell], model: RateModel) -> str:
    """Say why a group cannot be compared with the control; empty where it can."""
    for one in (group, control):
        if not one.wells:
            members = [well for well in wells if well.group == one.label]
            return f"none of the {counted(len(members), 'well')} of {one.label} carries a rate ({reasons(members)})"
    places = [
        {plate for plate, well in zip(model.plates, model.wells, strict=True) if well.group == one.label}
        for one in (group, control)
    ]
    if not places[0] & places[1]:
        return f"it shares no plate with {control.label}, and plates differ. Put controls on every plate"
    single = [one.label for one in (group, control) if len(one.wells) < 2]
    if single:
        return (
            f"{' and '.join(single)} {'has' if len(single) == 1 else 'have'} one well only, and a single well cannot "
            "tell an effect from a difference between wells, however many fields were imaged. "
            "Treat at least three wells alike"
        )
    return "" if model.fit is not None else "no wells were treated alike. Treat at least three wells alike"


def _compared(
    group: Group, control: Group, model: RateModel, difference: Contrast, *, confidence: float, alpha: float
) -> Comparison:
    lower, upper = difference.interval(confidence)
    sizes = len(group.wells), len(control.wells)
    base = _growing(control)
    deviation, freedom = _scatter(group, control, model)
    effect: tuple[float | None, float | None, float | None] = (None, None, None)
    if deviation > 0 and freedom >= 2:
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


def _growing(control: Group) -> float | None:
    """Rate of the control, where it surely grows."""
    return control.rate_per_h if control.lower is not None and control.lower > 0 else None


def _scatter(group: Group, control: Group, model: RateModel) -> tuple[float, int]:
    """Pool the standard deviation between wells of one plate treated alike over both groups; and its freedom."""
    square, freedom = 0.0, 0
    for label in (group.label, control.label):
        for plate in set(model.plates):
            here = [
                index for index, well in enumerate(model.wells) if well.group == label and model.plates[index] == plate
            ]
            if here:
                square += float(((model.rates[here] - model.rates[here].mean()) ** 2).sum())
                freedom += len(here) - 1
    return (math.sqrt(square / freedom) if freedom else 0.0), freedom


def _verdict(one: Comparison, group: Group, difference: Contrast, *, confidence: float, alpha: float) -> str:
    if one.p_holm is None:
        return f"{one.group}: no test is possible, as wells treated alike are equal to the last digit."
    lower, upper = difference.interval(confidence)
    sure, p = f"{confidence_text(confidence)} interval", f"p {_equals(one.p_holm)} after Holm's correction"
    if one.p_holm >= 1 - confidence:
        least = detectable(difference.error, difference.freedom, alpha)
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


def _design(
    tested: Sequence[Group], others: Sequence[Group], control: Group, model: RateModel, confidence: float
) -> Design:
    """Say what these wells can find, at the level that Holm's correction asks of the smallest p."""
    sizes = [len(group.wells) for group in (tested or others) if group.wells]
    wells = float(median(sizes)) if sizes else 0.0
    fit = model.fit
    scatters = [_scatter(group, control, model)[0] for group in tested]
    deviation = float(median(scatters)) if scatters else 0.0
    if fit is None or not tested or deviation == 0:
        text = "What this design can find is unknown, as no treatment could be compared with the control."
        return Design(deviation or None, wells, len(control.wells), None, None, None, text)
    alpha = (1 - confidence) / len(tested)
    least = detectable(deviation * math.sqrt(1 / wells + 1 / len(control.wells)), fit.freedom, alpha)
    base = _growing(control)
    needed = None if base is None else wells_needed(SOUGHT * base, deviation, alpha, groups=len(tested) + 1)
    part = f" ({number(100 * least / base, 2)} % of the control's rate)" if base else ""
    text = (
        f"Growth rates of wells treated alike differ by {number(deviation, 2)} per h (standard deviation). With "
        f"{wells:g} wells of each treatment, {counted(len(control.wells), 'control well')} and "
        f"{counted(len(tested), 'comparison')}, a difference of {number(least, 2)} per h{part} is found with a "
        f"probability of 80 %. {_needed(base, needed)} Wells of one plate repeat the treatment, not the experiment: "
        "whether an effect returns, other plates on other days must show."
    )
    return Design(deviation, wells, len(control.wells), least, least / base if base else None, needed, text)


def _needed(base: float | None, needed: int | None) -> str:
    if base is None:
        return "The control itself does not surely grow, so that nothing can be said in parts of its rate."
    if needed is None:
        return f"A difference of {100 * SOUGHT:g} % would need more than a thousand wells in each group."
    return f"A difference of {100 * SOUGHT:g} % needs {counted(needed, 'well')} in each group."
