"""Series, fits, plates and wounds filled by hand, for tests of what is written about them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg.growth.fits.verdicts import Curve, GrowthFit
from c6seg.growth.plates.results import (
    Comparison,
    Design,
    DoseResponse,
    Group,
    PlateResult,
    PlateWell,
    WellInfo,
)
from c6seg.growth.series import Series
from c6seg.growth.wounds.results import WoundFit

Floats = NDArray[np.float64]
DESIGN = "With 4 wells in a group and 11 of the control, a difference of 0.0042 per h is found with a power of 80 %."


def series(
    name: str = "A1", *, rate: float = 0.028, start: float = 0.08, times: int = 25, step_h: float = 3.0, **more: Any
) -> Series:
    """Return a series that grows by a logistic law, with noise that its name decides."""
    rng = np.random.default_rng(sum(name.encode()))
    time = step_h * np.arange(times)
    values = 1 / (1 + (1 / start - 1) * np.exp(-rate * time))
    fields = np.clip(values * np.exp(0.03 * rng.standard_normal((4, times))), 0, 1)
    mean = fields.mean(axis=0)
    options: dict[str, Any] = {
        "lower": 0.93 * mean - 0.004,
        "upper": np.minimum(1.0, 1.07 * mean + 0.004),
        "noise_lower": 0.96 * mean,
        "noise_upper": np.minimum(1.0, 1.04 * mean),
        "cell_area_um2": 1.1e6 * mean,
        "cluster_fraction": 0.1 + 0.5 * mean,
        "object_count": np.round(900 * mean),
        "used": np.ones(times, bool),
        "well": name.rpartition(" ")[2],
        **more,
    }
    images = tuple(((f"{name}_{hour:g}h", 0),) for hour in time)
    flags = options.pop("flags", ((),) * times)
    return Series(
        name, time, mean, options.pop("lower"), options.pop("upper"), fields, images, flags, "the file names", **options
    )


def with_excluded(one: Series, *indices: int) -> Series:
    """Return a series of which some times were out of focus and excluded, and the next time has a flag only."""
    used = np.ones(one.time_h.size, bool)
    used[list(indices)] = False
    flags = tuple(("out_of_focus",) if not keep else () for keep in used)
    values = np.where(used, one.confluence, 0.6 * one.confluence)
    flags = (*flags[:-1], ("unlike_training",))
    return replace(one, used=used, flags=flags, confluence=values)


def growing(one: Series, rate: float = 0.028, **more: Any) -> GrowthFit:
    """Return the fit of a series that grows."""
    start = float(one.confluence[0])
    grid = np.linspace(one.time_h[0], one.time_h[-1], 120)
    curve = 1 / (1 + (1 / start - 1) * np.exp(-rate * (grid - grid[0])))
    options: dict[str, Any] = {
        "model": "logistic",
        "growth_rate_per_h": rate,
        "doubling_time_h": math.log(2) / rate,
        "lower": math.log(2) / (1.08 * rate),
        "upper": math.log(2) / (0.91 * rate),
        "rate_lower": 0.91 * rate,
        "rate_upper": 1.08 * rate,
        "estimate_per_h": rate,
        "error_per_h": 0.04 * rate,
        "aicc": -129.4,
        "phase_h": (0.0, float(one.time_h[-1]) / 2),
        "curve": Curve(grid, curve, 0.95 * curve, np.minimum(1.0, 1.05 * curve)),
        **more,
    }
    value, lower, upper = (options[name] for name in ("doubling_time_h", "lower", "upper"))
    verdict = f"Logistic growth, doubling every {value:.3g} h (95 % interval {lower:.3g} to {upper:.3g})."
    return GrowthFit(options.pop("verdict", verdict), "growing", **options)


def still(kind: Any = "flat") -> GrowthFit:
    """Return the fit of a series that carries no number."""
    return GrowthFit(
        "No number: growth cannot be told from zero over 72 h; if it grows at all, doubling takes more than 310 h.",
        kind,
        rate_lower=-0.0011,
        rate_upper=0.0022,
        estimate_per_h=0.0005,
        error_per_h=0.0008,
        next_experiment="two more time points 12 h apart, or four fields of the well instead of one",
    )


def plate(
    rows: int = 8, columns: int = 12, *, plates: tuple[str, ...] = ("",), times: int = 25, step_h: float = 3.0
) -> tuple[list[Series], list[GrowthFit], PlateResult]:
    """Return a plate with a control, two drugs at six concentrations, blanks, and wells that do not grow."""
    rng = np.random.default_rng(1)
    found: list[tuple[Series, GrowthFit, PlateWell]] = []
    missing: list[PlateWell] = []
    doses = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0]
    for plate_name in plates:
        for row in range(rows):
            for column in range(columns):
                well = f"{'ABCDEFGHIJKLMNOP'[row]}{column + 1}"
                info = _info(well, plate_name or None, row, column, columns, doses)
                rate = _rate(info) * float(np.exp(0.06 * rng.standard_normal()))
                edge = row in {0, rows - 1} or column in {0, columns - 1}
                name = f"{plate_name} {well}".strip()
                if (row, column) == (rows - 1, columns - 1):
                    missing.append(PlateWell(info, None, edge, reason="there are no images of it"))
                    continue
                one = series(name, rate=rate, times=times, step_h=step_h, plate=plate_name or None)
                if info.role == "blank":
                    one, fit = replace(one, confluence=0.001 + 0 * one.confluence), still("empty")
                elif rate < 0.004:
                    fit = still("flat" if row % 2 else "slight")
                else:
                    fit = growing(one, rate)
                compared = info.role != "blank" and not edge
                found.append(
                    (
                        one,
                        fit,
                        PlateWell(
                            info,
                            name,
                            edge,
                            fit.kind,
                            fit.doubling_time_h,
                            fit.lower,
                            fit.upper,
                            fit.estimate_per_h,
                            fit.error_per_h,
                            float(one.confluence[0]),
                            float(one.confluence[-1]),
                            compared,
                            "" if compared else "it is an edge well" if edge else "it is a blank",
                            _label(info),
                        ),
                    )
                )
    wells = [*(well for _, _, well in found), *missing]
    result = _result((rows, columns), plates, wells, doses)
    return [one for one, _, _ in found], [fit for _, fit, _ in found], result


def _label(info: WellInfo) -> str:
    if info.role == "blank":
        return ""
    return f"{info.treatment} {info.concentration:g} uM" if info.concentration is not None else info.treatment


def _info(well: str, plate_name: str | None, row: int, column: int, columns: int, doses: list[float]) -> WellInfo:
    if column == columns - 1:
        return WellInfo(well, plate_name, "blank")
    if column == 0 or row == 3:
        return WellInfo(well, plate_name, "control", "DMSO")
    drug = "temozolomide" if row % 2 else "NSC-23766 & co"
    return WellInfo(well, plate_name, "sample", drug, doses[(column - 1) * len(doses) // (columns - 2)], "uM", str(row))


def _rate(info: WellInfo) -> float:
    if info.role == "blank":
        return 0.0
    amount, middle = info.concentration or 0.0, 2.0 if info.treatment == "temozolomide" else 300.0
    return 0.031 / (1 + (amount / middle) ** 1.4)


def _result(size: tuple[int, int], plates: tuple[str, ...], wells: list[PlateWell], doses: list[float]) -> PlateResult:
    compared = [well for well in wells if well.compared]
    kinds = dict.fromkeys((well.info.role, well.info.treatment, well.info.concentration) for well in compared)
    groups, comparisons = [], []
    for role, treatment, amount in kinds:
        same = [
            w for w in compared if (w.info.role, w.info.treatment, w.info.concentration) == (role, treatment, amount)
        ]
        rate = float(np.mean([w.estimate_per_h or 0.0 for w in same]))
        unit = "uM" if amount is not None else ""
        label = f"{treatment} {amount:g} uM" if amount is not None else treatment
        names = tuple(well.info.well for well in same)
        groups.append(Group(label, role, treatment, amount, unit, names, rate, rate - 0.0015, rate + 0.0015))
        if role == "control":
            continue
        off = rate - 0.031
        comparisons.append(
            Comparison(
                label, "DMSO", len(same), 11, off, off - 0.0024, off + 0.0024, off / 0.031, math.exp(-1500 * abs(off)),
                min(1.0, 8 * math.exp(-1500 * abs(off))), off / 0.002, off / 0.002 - 0.9, off / 0.002 + 0.9, 0.93,
                f"{label}: {'slower' if off < 0 else 'faster'} than DMSO by {abs(off):.2g} per h.",
            )
        )  # fmt: skip
    return PlateResult(
        size,
        plates,
        tuple(wells),
        tuple(groups),
        tuple(comparisons),
        (dose("temozolomide", compared), refused_dose(compared)),
        Design(0.0019, 4.0, 11, 0.0042, 0.14, 6, DESIGN),
        0.0012,
        ("wells of the outer ring grow 9 % slower than the others (p = 0.03) and were left out of the comparisons",),
    )  # fmt: skip


def dose(treatment: str, wells: list[PlateWell]) -> DoseResponse:
    """Return a dose response with an IC50."""
    amounts, rates = _doses(treatment, wells)
    grid = np.geomspace(0.1, 30, 60)
    curve = 0.031 / (1 + (grid / 2.0) ** 1.4)
    return DoseResponse(
        treatment, "uM", amounts, rates, 0.031, 0.0, 1.4, 2.0, 1.7, 2.4, 2.1,
        "Half of the effect at 2 uM (95 % interval 1.7 to 2.4).", grid, curve, curve - 0.001, curve + 0.001,
    )  # fmt: skip


def refused_dose(wells: list[PlateWell]) -> DoseResponse:
    """Return a dose response without a number."""
    amounts, rates = _doses("NSC-23766 & co", wells)
    none = np.array([])
    return DoseResponse(
        "NSC-23766 & co", "uM", amounts, rates, None, None, None, None, None, None, None,
        "No IC50: the rate falls by less than half up to 30 uM; test higher concentrations.", none, none, none, none,
    )  # fmt: skip


def _doses(treatment: str, wells: list[PlateWell]) -> tuple[Floats, Floats]:
    some = [well for well in wells if well.info.treatment == treatment or well.info.role == "control"]
    return (
        np.array([well.info.concentration or 0.0 for well in some]),
        np.array([well.estimate_per_h or 0.0 for well in some]),
    )


def wound(name: str = "B2") -> WoundFit:
    """Return a wound that closes."""
    time = 2.0 * np.arange(13)
    gap = np.clip(0.42 * (1 - 0.035 * time) + 0.004 * np.cos(7 * time), 0, 1)
    grid = np.linspace(0, 24, 60)
    return WoundFit(
        name, time, gap, gap - 0.015, gap + 0.015, gap * 2.2e6, "The gap closes by 3.5 % of its first area per hour.",
        "closing", 0.035, 0.031, 0.039, 11.2, 9.9, 12.6, 14.3, 13.1, 15.6, grid, 0.42 * (1 - 0.035 * grid),
        ("a few cells float in the gap",),
    )  # fmt: skip


def open_wound(name: str = "B3") -> WoundFit:
    """Return a wound that does not close; its errors are unknown, as with one field."""
    time = 2.0 * np.arange(13)
    none = np.full(13, np.nan)
    return WoundFit(name, time, 0.4 + 0 * time, none, none, None, "No number: the gap does not change.", "still")
