"""How often comparisons of treatments, dose responses and wounds claim what is not there, and find what is.

False alarms of inert treatments on one plate and on several, where their effects vary between plates and where groups
scatter differently (5 % is the aim); how often a difference is found that the design says it finds with a probability
of 80 %; how often the 95 % interval of an IC50 holds the truth; closure rates claimed of gaps that jump once and do not
close.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from c6seg.growth.plates.compare import compare_groups, group_rates
from c6seg.growth.plates.dose import respond
from c6seg.growth.plates.dose_fit import logistic
from c6seg.growth.plates.groups import group_wells
from c6seg.growth.plates.rates import fit_rates
from c6seg.growth.plates.results import Comparison, Design, PlateWell, WellInfo
from c6seg.growth.wound import fit_wound
from common import Report, parser

Floats = np.ndarray
RATE, SD = 0.03, 0.003


@dataclass(frozen=True)
class Layout:
    """Plates with a control and treatments in the same number of wells each.

    ``varies``: standard deviation of each effect between plates, in that of the wells; ``only_one``: of the first
    treatment alone; ``stopped``: treatments that stop all growth, whose wells hardly scatter.
    """

    name: str
    plates: int
    treatments: int = 1
    wells: int = 3
    varies: float = 0.0
    only_one: bool = False
    stopped: int = 0

    def draw(self, rng: np.random.Generator, effect: float = 0.0) -> list[PlateWell]:
        """Draw the wells of one experiment; ``effect`` is that of the first treatment."""
        found = []
        names = ["", *(f"drug{index}" for index in range(self.treatments + self.stopped))]
        for plate in range(self.plates):
            offset = 2 * SD * rng.standard_normal()
            for number, name in enumerate(names):
                stopped = number > self.treatments
                varies = (
                    self.varies * SD * rng.standard_normal() * (not stopped and not (self.only_one and number != 1))
                )
                mean = 0.0 if stopped else RATE + offset + varies + effect * (number == 1)
                for well in range(self.wells):
                    rate = mean + (0.1 if stopped else 1.0) * SD * rng.standard_normal()
                    role = "sample" if name else "control"
                    info = WellInfo(f"{chr(65 + well)}{number + 1}", f"P{plate}", role, name)  # type: ignore[arg-type]
                    found.append(PlateWell(info, "", False, estimate_per_h=rate, error_per_h=0.0, compared=True))
        return found


LAYOUTS = (
    Layout("one plate", 1, 1, 4),
    Layout("one plate, 5 stopped", 1, 1, 4, stopped=5),
    *(
        Layout(f"{plates} plates{name}", plates, **more)
        for plates in (2, 3, 4)
        for name, more in (
            (", effects alike", {"treatments": 1}),
            (", effects vary", {"treatments": 1, "varies": 1.0}),
            (", effects vary twice as much", {"treatments": 1, "varies": 2.0}),
            (", 6 treatments, effects vary", {"treatments": 6, "varies": 1.0}),
            (", 6 treatments, effect of one varies", {"treatments": 6, "varies": 2.0, "only_one": True}),
            (", 5 stopped", {"treatments": 1, "stopped": 5}),
            (", 5 stopped, effects vary", {"treatments": 1, "stopped": 5, "varies": 1.0}),
        )
    ),
)
DESIGNS = (
    Layout("one plate, 1 treatment", 1, 1, 3),
    Layout("one plate, 5 treatments", 1, 5, 3),
    Layout("3 plates, 1 treatment", 3, 1, 3),
    Layout("2 plates, 5 treatments", 2, 5, 3),
    Layout("3 plates, 5 treatments", 3, 5, 3),
    Layout("3 plates, 5 treatments, effects vary", 3, 5, 3, varies=1.0),
)


def main() -> None:
    """Simulate and print."""
    options = parser(__doc__, model=False)
    options.add_argument("--number", type=int, default=400, metavar="N", help="experiments of each kind; default 400")
    options.add_argument("--part", choices=PARTS, action="append", help="only this one; may be given again")
    given = options.parse_args()
    number = 20 if given.quick else given.number
    report = Report("Claims of comparisons, dose responses and wounds")
    for name, part in PARTS.items():
        if name in (given.part or PARTS):
            part(report, number)
    report.save(given.out)


def _alarms(report: Report, number: int) -> None:
    rows = []
    for layout in LAYOUTS:
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(partial(_alarm, layout), range(number), chunksize=10))
        claimed, first = np.mean(found, axis=0)
        rows.append((layout.name, number, f"{claimed:.1%}", f"{first:.1%}"))
    report.say("Inert treatments: experiments in which any is claimed to act, and p < 0.05 of the first one.\n")
    report.table(("plates", "n", "any claimed", "p < 0.05"), rows)


def _alarm(layout: Layout, index: int) -> tuple[bool, bool]:
    found, _ = compared(layout.draw(np.random.default_rng((LAYOUTS.index(layout), index))))
    inert = [found[f"drug{index}"] for index in range(layout.treatments)]
    return any((one.p_holm or 1) < 0.05 for one in inert), (inert[0].p or 1) < 0.05


def _powers(report: Report, number: int) -> None:
    rows = []
    for layout in DESIGNS:
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(partial(_power, layout), range(number), chunksize=10))
        rows.append(
            (
                layout.name,
                number,
                f"{100 * np.median([least for least, _ in found]):.0f} %",
                f"{np.mean([again for _, again in found]):.1%}",
            )
        )
    report.say(
        "A repeat of the experiment in which a treatment acts by the least difference that the first promised.\n"
    )
    report.table(("plates", "n", "promised (median)", "found (aim 80 %)"), rows)


def _power(layout: Layout, index: int) -> tuple[float, bool]:
    rng = np.random.default_rng((100 + DESIGNS.index(layout), index))
    _, design = compared(layout.draw(rng))
    least = design.detectable_per_h or 0.0
    again, _ = compared(layout.draw(rng, effect=-least))
    # at the level that is asked of the smallest p
    return least / RATE, (again["drug0"].p or 1) < 0.05 / layout.treatments


def _coverage(report: Report, number: int) -> None:
    doses = 10 * 3.0 ** -np.arange(8)
    concentration = np.concatenate([np.zeros(6), np.repeat(doses, 3)])
    true = logistic(concentration, 0.03, 0.001, 0.5, 1.3)
    scatters = {
        "equal": np.full(true.size, 0.002),
        "as the rate": 0.12 * true,
        "at high rates only": np.where(true > 0.015, 0.003, 0.0003),
        "most at the bend": 0.0007 + 0.016 * (true - 0.001) / 0.029 * (0.03 - true) / 0.029,
        "more where cells die": 0.0005 + 0.1 * (0.03 - true),
    }
    rows = []
    for name, sd in scatters.items():
        rng = np.random.default_rng(7)
        inside, widths = [], []
        for _ in range(number):
            rate = true + sd * rng.standard_normal(true.size)
            found = respond("drug", "uM", concentration, rate, np.ones_like(rate))
            if found.lower is not None and found.upper is not None:
                inside.append(found.lower <= 0.5 <= found.upper)
                widths.append(np.log10(found.upper / found.lower))
        rows.append((name, len(inside), f"{np.mean(inside):.1%}", f"{np.median(widths):.2f}"))
    report.say("95 % interval of an IC50; 8 concentrations in 3 wells each, 6 controls.\n")
    report.table(("scatter of wells", "n", "truth inside", "width (powers of ten)"), rows)


def _jumps(report: Report, number: int) -> None:
    time_h = np.arange(24.0)
    rows = []
    for name, size in (("no change", 0.0), ("one jump of 20 %", 0.2), ("one jump of 40 %", 0.4)):
        rng = np.random.default_rng(9)
        claimed = 0
        for index in range(number // 2):
            at = int(rng.integers(4, 20))
            gap = 0.4 * (1 - size * (time_h >= at)) * (1 + 0.01 * rng.standard_normal((1, 24)))
            claimed += fit_wound(f"{name} {index}", time_h, gap, bootstrap=100).closure_per_h is not None
        rows.append((name, number // 2, f"{claimed / (number // 2):.1%}"))
    report.say("Gaps that do not close, 24 frames.\n")
    report.table(("gap", "n", "closure rate claimed"), rows)


def compared(wells: list[PlateWell]) -> tuple[dict[str, Comparison], Design]:
    """Compare all treatments with the control."""
    grouped = group_wells(wells)
    model = fit_rates(grouped.wells)
    groups = group_rates(grouped.groups, model, confidence=0.95)
    found, design = compare_groups(grouped, model, groups, confidence=0.95)
    assert design is not None
    return {one.group: one for one in found}, design


PARTS: dict[str, Callable[[Report, int], None]] = {
    "alarms": _alarms,
    "power": _powers,
    "doses": _coverage,
    "wounds": _jumps,
}

if __name__ == "__main__":
    main()
