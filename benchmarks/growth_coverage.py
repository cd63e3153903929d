"""How often the 95 % interval of the growth rate holds the truth, on simulated series.

    python benchmarks/growth_coverage.py [NUMBER]

Prints one line for each kind of culture: coverage (92 to 98 % is the aim), median of the doubling time over the true
one, median width of the interval over the value, and how many series got a number. Cultures that do not grow must get
none.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from c6seg.config import GrowthConfig
from c6seg.growth.curves import fit_growth

#        name                       times hours rate  plateau noise  kind     correlation
KINDS = (
    ("exponential, 6 times", 6, 54, 0.030, None, 0.04, "relative", 0.0),
    ("exponential, 8 times", 8, 54, 0.030, None, 0.04, "relative", 0.0),
    ("exponential, 10 times", 10, 54, 0.030, None, 0.04, "relative", 0.0),
    ("exponential, 24 times", 24, 54, 0.030, None, 0.04, "relative", 0.0),
    ("constant noise, 10 times", 10, 54, 0.030, None, 0.015, "constant", 0.0),
    ("errors alike, 10 times", 10, 54, 0.030, None, 0.04, "relative", 0.5),
    ("errors alike, 24 times", 24, 54, 0.030, None, 0.04, "relative", 0.5),
    ("logistic to 90 %, 10 times", 10, 72, 0.050, 0.9, 0.04, "relative", 0.0),
    ("logistic to 90 %, 24 times", 24, 72, 0.050, 0.9, 0.04, "relative", 0.0),
    ("early logistic, 10 times", 10, 54, 0.030, 1.0, 0.04, "relative", 0.0),
    ("no growth, 10 times", 10, 54, 0.0, None, 0.04, "relative", 0.0),
    ("no growth, errors alike, 24 times", 24, 72, 0.0, None, 0.04, "relative", 0.6),
)


def main(number: int) -> None:
    """Simulate and print."""
    print(f"{'':34} coverage  estimate/true  width/value  with a number   ({number} series each)")
    for seed, (name, times, hours, rate, plateau, sd, kind, correlation) in enumerate(KINDS):
        rng = np.random.default_rng(seed)
        time_h = np.linspace(0, hours, times)
        true = 0.08 * np.exp(rate * time_h)
        if plateau is not None:
            true /= 1 + 0.08 / plateau * (np.exp(rate * time_h) - 1)
        hits, ratios, widths = 0, [], []
        for index in range(number):
            noise = rng.standard_normal(times)
            for step in range(1, times):
                noise[step] = correlation * noise[step - 1] + math.sqrt(1 - correlation**2) * noise[step]
            values = true * np.exp(sd * noise) if kind == "relative" else true + sd * noise
            fit = fit_growth(time_h, np.clip(values, 0, 1), config=GrowthConfig(bootstrap=400), seed_name=str(index))
            hits += fit.rate_lower is not None and fit.rate_lower <= rate <= (fit.rate_upper or 0)
            if fit.doubling_time_h is not None and fit.lower is not None and fit.upper is not None:
                widths.append((fit.upper - fit.lower) / fit.doubling_time_h)
                ratios.append(fit.doubling_time_h * rate / math.log(2))
        middle = f"{np.median(ratios):9.3f}      {np.median(widths):9.2f}" if ratios else f"{'-':>9}      {'-':>9}"
        print(f"{name:34} {hits / number:7.1%}  {middle}     {len(ratios):6d}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
