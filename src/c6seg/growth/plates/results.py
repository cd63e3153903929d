"""What is known and found of a plate: its map, its wells, comparisons of treatments, dose responses, the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Role = Literal["sample", "control", "blank"]


def _nothing() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class WellInfo:
    """What the plate map says of one well.

    Parameters
    ----------
    well
        Short form, ``"C7"``.
    plate
        Name of the plate; None where the map names none.
    role
        ``control`` = what treatments are compared with; ``blank`` = no cells.
    treatment
        What was added; empty where the map does not say.
    concentration
        Amount of the treatment, in ``unit``; None where the map does not say.
    unit
        Unit of the concentration as written in the map, such as ``"uM"``.
    replicate
        Label of the replicate, as written in the map; None where it does not say.
    extra
        Further columns of the map.
    problem
        Why the well cannot be compared, in words: its rows contradict each other, or its concentration is no number.
    """

    well: str
    plate: str | None = None
    role: Role = "sample"
    treatment: str = ""
    concentration: float | None = None
    unit: str = ""
    replicate: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PlateMap:
    """A plate map as it was read.

    Parameters
    ----------
    wells
        In reading order: plate, row, column.
    size
        Rows and columns of the plate format, ``(8, 12)`` for 96 wells.
    notes
        What is strange about the map, in words.
    """

    wells: tuple[WellInfo, ...]
    size: tuple[int, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlateWell:
    """A well of the map with what was measured in it.

    Parameters
    ----------
    info
        What the map says.
    series
        Name of its series; None where there are no images of it.
    edge
        Whether it lies in the outer ring of the plate, where medium evaporates.
    kind
        Of :class:`~c6seg.growth.fits.verdicts.GrowthFit`; None where there are no images.
    doubling_time_h, lower, upper
        With its interval; None where the well carries none.
    estimate_per_h, error_per_h
        Growth rate and its standard error, also of wells that do not grow; None where nothing could be fitted.
    first, last
        Confluence at the first and last time, 0..1.
    compared
        Whether the well enters the comparisons.
    reason
        Why not, in words; empty where it does.
    group
        Label of the :class:`Group` that it belongs to, compared or not; empty for blanks and wells outside the map.
    """

    info: WellInfo
    series: str | None
    edge: bool
    kind: str | None = None
    doubling_time_h: float | None = None
    lower: float | None = None
    upper: float | None = None
    estimate_per_h: float | None = None
    error_per_h: float | None = None
    first: float | None = None
    last: float | None = None
    compared: bool = False
    reason: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Wells of one treatment at one concentration: the mean growth rate and its interval.

    Parameters
    ----------
    label
        ``"drug 1 uM"``.
    role, treatment, concentration, unit
        As in :class:`WellInfo`.
    wells
        Names of the wells that were compared, such as ``"C7"`` (with the plate where there are several).
    rate_per_h, lower, upper
        Mean rate of the group by the mixed model, and its interval; None where it cannot be had.
    """

    label: str
    role: Role
    treatment: str
    concentration: float | None
    unit: str
    wells: tuple[str, ...]
    rate_per_h: float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A treatment against control.

    Parameters
    ----------
    group, control
        Labels of the two groups.
    wells, control_wells
        How many wells each has.
    difference_per_h, lower, upper
        Difference of the mean rates (treatment minus control) by the mixed model, and its interval.
    change
        Difference as a part of the control's rate, -0.3 = 30 % slower; None where the control does not grow.
    p, p_holm
        Of the difference, alone and corrected for all comparisons of the plate (Holm).
    effect_size, effect_lower, effect_upper
        Hedges' g and its interval; None with fewer than two wells in a group.
    power
        Probability to find a difference of 20 % of the control's rate with these wells; None where unknown.
    verdict
        In words.
    """

    group: str
    control: str
    wells: int
    control_wells: int
    difference_per_h: float | None = None
    lower: float | None = None
    upper: float | None = None
    change: float | None = None
    p: float | None = None
    p_holm: float | None = None
    effect_size: float | None = None
    effect_lower: float | None = None
    effect_upper: float | None = None
    power: float | None = None
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """Growth rate against concentration: a four-parameter logistic, or words that say why there is none.

    Parameters
    ----------
    treatment, unit
        As in the map.
    concentrations, rates
        (N,) of every well that entered, with 0 for controls.
    top, bottom, hill
        Of the curve: rate without and at endless treatment, 1/h, and the Hill slope; None where refused.
    ic50, lower, upper
        Concentration at the middle between top and bottom, and its interval; None where the data do not bracket it.
    gi50
        Concentration at which the rate is half the control's; None where it is not reached within the tested range. It
        may be known where the IC50 is not, as it needs no lower end of the curve.
    verdict
        In words.
    curve_concentration, curve_rate, curve_lower, curve_upper
        (M,) for drawing, within the tested range; empty where there is no effect or too little data.
    top_lower, top_upper, bottom_lower, bottom_upper, hill_lower, hill_upper, gi50_lower, gi50_upper
        Intervals; None where the data give no end.
    """

    treatment: str
    unit: str
    concentrations: Floats
    rates: Floats
    top: float | None = None
    bottom: float | None = None
    hill: float | None = None
    ic50: float | None = None
    lower: float | None = None
    upper: float | None = None
    gi50: float | None = None
    verdict: str = ""
    curve_concentration: Floats = field(default_factory=_nothing)
    curve_rate: Floats = field(default_factory=_nothing)
    curve_lower: Floats = field(default_factory=_nothing)
    curve_upper: Floats = field(default_factory=_nothing)
    top_lower: float | None = None
    top_upper: float | None = None
    bottom_lower: float | None = None
    bottom_upper: float | None = None
    hill_lower: float | None = None
    hill_upper: float | None = None
    gi50_lower: float | None = None
    gi50_upper: float | None = None


@dataclass(frozen=True, slots=True)
class Design:
    """What the plate's design can and cannot find.

    Parameters
    ----------
    between_wells_per_h
        Standard deviation of the rate between wells treated alike, 1/h; None where no group has two wells.
    wells
        Wells in a typical (median) treatment group.
    control_wells
        Wells of the control.
    detectable_per_h
        Smallest difference of rates that is found with a power of 80 % after Holm's correction; None where unknown.
    detectable
        The same as a part of the control's rate.
    wells_needed
        Wells in each group to find a difference of 20 %; None where unknown.
    text
        In words.
    """

    between_wells_per_h: float | None
    wells: float
    control_wells: int
    detectable_per_h: float | None
    detectable: float | None
    wells_needed: int | None
    text: str


@dataclass(frozen=True, slots=True)
class PlateResult:
    """All that a plate says.

    Parameters
    ----------
    size
        Rows and columns of the plate format.
    plates
        Names of the plates; one empty name where the map has one plate only.
    wells
        Every well of the map, and wells with images that the map lacks (their treatment is empty, and a note says it).
    groups, comparisons, doses
        In the order of the map.
    design
        None where there is no control.
    blank
        Mean confluence of the blanks, which hold no cells; None where the map has none.
    notes
        What a reader should know, in words: unknown and doubled wells, edge effects, blanks that are not empty.
    """

    size: tuple[int, int]
    plates: tuple[str, ...]
    wells: tuple[PlateWell, ...]
    groups: tuple[Group, ...]
    comparisons: tuple[Comparison, ...]
    doses: tuple[DoseResponse, ...]
    design: Design | None
    blank: float | None
    notes: tuple[str, ...] = ()
