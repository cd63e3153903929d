"""How much wider the interval of an IC50 must be because wells scatter more at some concentrations than at others.

Least squares take one variance for all wells. Where the wells at the bend scatter more than the others, as where the
response is steep, the interval of the IC50 comes out too narrow. The sandwich estimator holds that (White, Econometrica
48 (1980) 817; Lim, Sen and Peddada, Technometrics 54 (2012) 150, for dose responses).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from c6seg.growth.plates.dose_fit import DoseFit, share
from c6seg.growth.plates.results import Floats

# The variance of a concentration counts with its own degrees of freedom, that of all wells with so many.
BORROWED = 0.5
IC50 = 2


def widened(fit: DoseFit, concentration: Floats, rate: Floats, weight: Floats) -> DoseFit:
    """Return the fit with the limit of its intervals raised as far as unequal scatter asks for; never lowered.

    Parameters
    ----------
    fit
        Of the same values.
    concentration
        (N,) of each well, 0 = control.
    rate
        (N,) growth rate, 1/h.
    weight
        (N,) 1 / variance, up to a factor.
    """
    _, index, number = np.unique(concentration, return_inverse=True, return_counts=True)
    own = (number - 1).astype(np.float64)
    means = np.bincount(index, weight * rate) / np.bincount(index, weight)
    square = np.bincount(index, weight * (rate - means[index]) ** 2)
    if own.sum() == 0 or square.sum() <= 0:
        return fit
    usual = float(square.sum() / own.sum())
    variance = ((square + BORROWED * usual) / (own + BORROWED) / usual)[index]
    part = share(concentration, np.log(fit.ic50), np.log(fit.hill))
    bent = (fit.bottom - fit.top) * part * (1 - part)
    with np.errstate(divide="ignore"):
        off = np.where(concentration > 0, np.log(concentration) - np.log(fit.ic50), 0.0)
    slopes = np.column_stack([1 - part, part, -bent * fit.hill, bent * off * fit.hill]) * np.sqrt(weight)[:, None]
    inverse = np.linalg.pinv(slopes.T @ slopes, hermitian=True)
    plain = float(inverse[IC50, IC50])
    real = float((inverse @ (slopes.T * variance) @ slopes @ inverse)[IC50, IC50])
    factor = max(1.0, real / plain) if plain > 0 else 1.0
    return replace(fit, limit=fit.square + factor * (fit.limit - fit.square))
