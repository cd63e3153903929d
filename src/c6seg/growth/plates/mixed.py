"""Linear mixed model for the growth rates of wells, by restricted maximum likelihood (REML).

``y = X beta + u_plate + e_well + error``: ``u`` and ``e`` are normal with variances that are estimated, ``error`` is
the error of each well's own fit, which is known.

A well is one unit, however many fields and frames were taken of it. They show the same cells in the same medium after
one pipetting, so counting them as replicates would make intervals too narrow (pseudo-replication: Hurlbert, Ecological
Monographs 54 (1984) 187; Lazic, BMC Neuroscience 11 (2010) 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from c6seg.errors import DataError
from c6seg.growth.plates.reml import NOTHING, Model, best_variances, information, state_at
from c6seg.growth.plates.results import Floats

# No well counts as much more exact than the median one, whatever its own fit says: the likelihood has a pole where a
# few exact wells happen to agree. Beyond so many times the usual error a well says nothing, and numbers lose digits.
MOST_EXACT, LEAST_EXACT = 0.1, 1e4


@dataclass(frozen=True, slots=True)
class MixedFit:
    """A fitted mixed model.

    Parameters
    ----------
    effects
        (P,) coefficient of each column of the design.
    covariance
        (P, P) of the effects.
    well_variance, plate_variance
        Between wells treated alike, and between plates; the latter is 0 with one plate.
    plate_effects
        (K,) best prediction of how much each plate (or other unit that wells share) lies above the others.
    freedom
        Number of wells less the rank of the design: the most degrees of freedom that any contrast has.
    slopes
        (V, P, P) derivative of the covariance by each variance that is not 0.
    variance_covariance
        (V, V) covariance of the estimates of these variances.
    """

    effects: Floats
    covariance: Floats
    well_variance: float
    plate_variance: float
    plate_effects: Floats
    freedom: int
    slopes: Floats
    variance_covariance: Floats


@dataclass(frozen=True, slots=True)
class Contrast:
    """A weighted sum of effects: value, standard error, degrees of freedom, and p (None where the error is 0)."""

    estimate: float
    error: float
    freedom: float
    p: float | None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the lower and upper end."""
        from scipy import stats

        half = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return self.estimate - half, self.estimate + half


def fit_mixed(rates: Floats, design: Floats, errors: Floats, plates: Sequence[int] | None = None) -> MixedFit:
    """Fit the model.

    Parameters
    ----------
    rates
        (N,) one for each well.
    design
        (N, P) of full rank.
    errors
        (N,) standard error of each rate; 0 = exact.
    plates
        (N,) number of the plate of each well, from 0; None = one plate. Any other unit that has an effect of its own on
        all of its wells may stand in its place.

    Raises
    ------
    DataError
        There are not more wells than the design has columns, or columns depend on each other.
    """
    number, columns = design.shape
    if np.linalg.matrix_rank(design) < columns or number <= columns:
        raise DataError(f"{number} wells cannot tell {columns} effects and their scatter apart.")
    members = np.zeros((number, 0)) if plates is None else np.eye(max(plates) + 1)[list(plates)]
    if members.shape[1] < 2:
        members = np.zeros((number, 0))
    plain = np.asarray(np.linalg.lstsq(design, rates, rcond=None)[0], dtype=np.float64)
    left = rates - design @ plain
    scale = math.sqrt(float(left @ left) / (number - columns))
    if scale <= 1e-12 * float(np.abs(rates).max(initial=0.0)):
        scale = 0.0
    errors = _tamed(errors, scale)
    scale = max(scale, float(np.median(errors)))
    if scale == 0.0:  # wells treated alike are equal to the last digit, and no error is known
        nothing = np.zeros((columns, columns))
        empty = np.zeros((0, columns, columns))
        plate_effects = np.zeros(members.shape[1])
        return MixedFit(plain, nothing, 0.0, 0.0, plate_effects, number - columns, empty, np.zeros((0, 0)))
    model = Model(rates / scale, design, (errors / scale) ** 2, members)
    return _scaled(best_variances(model), model, scale)


def contrast(fit: MixedFit, weights: Floats, *, least: float = 1.0, freedom: float | None = None) -> Contrast:
    """Test a weighted sum of effects with Satterthwaite's degrees of freedom.

    They follow from how far the variance of the sum depends on the estimated variances (Giesbrecht and Burns,
    Biometrics 41 (1985) 477), and never exceed those of the design: where a variance is estimated as 0 the formula
    would take the errors for exactly known. In a balanced design they lie between those of the stratum with the fewest
    and those of all (Kuznetsova, Brockhoff and Christensen, Journal of Statistical Software 82 (2017) 13).

    Parameters
    ----------
    fit
        Of :func:`fit_mixed`.
    weights
        (P,) of the effects.
    least
        Degrees of freedom of the stratum with the fewest; Satterthwaite's never fall below.
    freedom
        Taken instead of Satterthwaite's: containment, of the stratum that the sum lies in.
    """
    from scipy import stats

    estimate = float(weights @ fit.effects)
    variance = float(weights @ fit.covariance @ weights)
    slopes = np.einsum("p,vpq,q->v", weights, fit.slopes, weights)
    spread = float(slopes @ fit.variance_covariance @ slopes)
    if freedom is None:
        freedom = float(fit.freedom)
        if spread > 0:
            freedom = float(np.clip(2 * variance**2 / spread, min(max(1.0, least), freedom), freedom))
    error = math.sqrt(max(variance, 0.0))
    p = float(2 * stats.t.sf(abs(estimate) / error, freedom)) if error > 0 else None
    return Contrast(estimate, error, freedom, p)


def _tamed(errors: Floats, scale: float) -> Floats:
    """Bring the errors of single wells that are far from the others' nearer, so that the likelihood has no pole."""
    positive = errors[errors > 0]
    if not positive.size:
        return errors
    middle = float(np.median(positive))
    return np.clip(errors, MOST_EXACT * middle, LEAST_EXACT * max(scale, middle))


def _scaled(variances: Floats, model: Model, scale: float) -> MixedFit:
    state = state_at(model, variances)
    inside = variances > NOTHING
    known = information(model, variances)[np.ix_(inside, inside)]
    spread = np.asarray(np.linalg.pinv(known, hermitian=True), dtype=np.float64)
    kept = np.where(inside, variances, 0.0) * scale**2
    return MixedFit(
        state.effects * scale,
        state.covariance * scale**2,
        float(kept[0]),
        float(kept[1]) if kept.size > 1 else 0.0,
        state.plate_effects * scale,
        model.design.shape[0] - model.design.shape[1],
        state.slopes[inside],
        spread * scale**4,
    )
