"""How often the 95 % intervals of a growth curve hold the truth, on simulated series of known laws.

Coverage of rate, lag and plateau (92 to 98 % is the aim), median of the doubling time over the true one, its median
error, the median width of its interval, and how many series got a number. Cultures that do not grow must get none.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from c6seg.config import GrowthConfig
from c6seg.growth.curves import GrowthFit, fit_growth
from c6seg.growth.fits.laws import Law, confluence_at
from common import Report, parser


@dataclass(frozen=True)
class Kind:
    """A kind of culture: its law, how it is observed, and the noise."""

    name: str
    times: int
    hours: float
    rate: float
    plateau: float | None = None
    shape: float = 1.0
    lag_h: float = 0.0
    bend: Literal["richards", "gompertz", "overlap"] = "richards"
    sd: float = 0.04
    constant: bool = False
    correlation: float = 0.0

    def truth(self, time_h: np.ndarray) -> np.ndarray:
        """Confluence without noise."""
        fixed = np.array([0.0, 0.0, 0.0, 1.0, self.lag_h])
        law = Law("truth", (0, 1), fixed=fixed, shape=self.bend, softness_h=0.05)
        inverse = 0.0 if self.plateau is None else 1 / self.plateau
        return confluence_at(law, np.array([math.log(0.08), self.rate, inverse, self.shape, self.lag_h]), time_h)


KINDS = (
    Kind("exponential", 6, 54, 0.03),
    Kind("exponential", 8, 54, 0.03),
    Kind("exponential", 12, 66, 0.03),
    Kind("exponential, slow", 12, 66, 0.012, sd=0.03),
    Kind("exponential", 24, 54, 0.03),
    Kind("constant noise", 12, 54, 0.03, sd=0.012, constant=True),
    Kind("errors alike (0.5)", 12, 66, 0.03, correlation=0.5),
    Kind("errors alike (0.5)", 24, 54, 0.03, correlation=0.5),
    Kind("errors alike (0.9)", 24, 54, 0.03, correlation=0.9),
    Kind("logistic to 90 %", 12, 72, 0.05, plateau=0.9),
    Kind("logistic to 90 %", 24, 72, 0.05, plateau=0.9),
    Kind("logistic to 90 %, errors alike (0.3)", 72, 72, 0.05, plateau=0.9, correlation=0.3),
    Kind("begin of a logistic", 12, 54, 0.03, plateau=1.0),
    Kind("Richards, shape 2, to 95 %", 12, 72, 0.05, plateau=0.95, shape=2.0),
    Kind("Richards, shape 2, to 95 %", 24, 72, 0.05, plateau=0.95, shape=2.0),
    Kind("cells that overlap at random", 12, 72, 0.04, bend="overlap"),
    Kind("Gompertz to 90 %", 24, 96, 0.05, plateau=0.9, bend="gompertz", sd=0.03),
    Kind("exponential after 12 h", 12, 66, 0.03, lag_h=12.0),
    Kind("exponential after 12 h", 24, 66, 0.03, lag_h=12.0),
    Kind("logistic to 90 % after 12 h", 24, 96, 0.05, plateau=0.9, lag_h=12.0),
    Kind("no growth", 12, 66, 0.0),
    Kind("no growth, errors alike (0.6)", 24, 72, 0.0, correlation=0.6),
)


def main() -> None:
    """Simulate and print."""
    options = parser(__doc__, model=False)
    options.add_argument("--series", type=int, default=400, metavar="N", help="of each kind; default 400")
    options.add_argument("--still", type=int, default=500, metavar="N", help="that do not grow; default 500")
    given = options.parse_args()
    report = Report("Intervals of growth curves")
    rows = []
    for kind in KINDS:
        number = given.still if kind.rate == 0 else given.series
        number = 30 if given.quick else number
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            fits = list(pool.map(partial(_fit, kind), range(number), chunksize=10))
        rows.append(_row(kind, fits))
    titles = (
        "culture",
        "times",
        "n",
        "rate",
        "doubling time / true",
        "error",
        "width / value",
        "number",
        "lag",
        "plateau",
    )
    report.say("Coverage of the 95 % intervals of rate, lag and plateau; medians of the doubling time.\n")
    report.table(titles, rows)
    report.save(given.out)


def _fit(kind: Kind, index: int) -> GrowthFit:
    rng = np.random.default_rng((KINDS.index(kind), index))
    time_h = np.linspace(0, kind.hours, kind.times)
    noise = rng.standard_normal(kind.times)
    for step in range(1, kind.times):
        noise[step] = kind.correlation * noise[step - 1] + math.sqrt(1 - kind.correlation**2) * noise[step]
    true = kind.truth(time_h)
    values = true + kind.sd * noise if kind.constant else true * np.exp(kind.sd * noise)
    return fit_growth(time_h, np.clip(values, 0, 1), config=GrowthConfig(bootstrap=500), seed_name=str(index))


def _row(kind: Kind, fits: list[GrowthFit]) -> list[str]:
    known = [fit for fit in fits if fit.doubling_time_h is not None]
    held = np.mean([(fit.rate_lower or 0) <= kind.rate <= (fit.rate_upper or 0) for fit in fits])
    cells = [kind.name, str(kind.times), str(len(fits)), f"{held:.1%}"]
    if known and kind.rate > 0:
        ratios = np.array([(fit.doubling_time_h or 0) * kind.rate / math.log(2) for fit in known])
        widths = [((fit.upper or 0) - (fit.lower or 0)) / (fit.doubling_time_h or 1) for fit in known]
        cells += [f"{np.median(ratios):.3f}", f"{np.median(np.abs(ratios - 1)):.1%}", f"{np.median(widths):.2f}"]
    else:
        cells += ["", "", ""]
    lags = [(fit.lag_lower, fit.lag_upper) for fit in fits if fit.lag_h is not None]
    plateaus = [(fit.plateau_lower, fit.plateau_upper) for fit in fits if fit.plateau is not None]
    return [*cells, str(len(known)), _held(lags, kind.lag_h), _held(plateaus, kind.plateau)]


def _held(found: list[tuple[float | None, float | None]], true: float | None) -> str:
    if not true:
        return f"{len(found)} found" if found else ""
    if not found:
        return "none found"
    inside = np.mean([(lower or 0) <= true <= (upper or 0) for lower, upper in found])
    return f"{inside:.0%} of {len(found)}"


if __name__ == "__main__":
    main()
