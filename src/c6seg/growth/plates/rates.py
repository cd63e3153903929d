"""Growth rates of groups of wells, and how far two groups differ, on one plate and over several.

On several plates the effect of a treatment may differ from plate to plate, and the wells of a plate share it.
Differences are therefore judged by how far they vary between plates: plates are fixed blocks, and each treatment has a
random effect on each plate. Their degrees of freedom are those of that stratum, (groups - 1)(plates - 1) where all
groups are on all plates (containment: Schluchter and Elashoff, Journal of Statistical Computation and Simulation 37
(1990) 69; Pinheiro and Bates, Mixed-Effects Models in S and S-PLUS, 2000, section 2.4.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from c6seg.errors import DataError
from c6seg.growth.plates.mixed import Contrast, MixedFit, contrast, fit_mixed
from c6seg.growth.plates.results import Floats, PlateWell

# Groups scatter differently where chance would do it less often than this.
DIFFERENT = 0.01
# On several plates, groups that scatter so much less than the two that are compared as chance would have it less often
# than this tell nothing of these two. The two are judged by themselves where chance would let them vary between plates
# so much more than the others less often than that; with two plates more rarely, as two differences of their own show
# next to nothing. Chosen by simulation (benchmarks/bench_comparisons.py).
CALMER = 0.2
LIVELIER, LIVELIER_OF_TWO = 0.3, 0.1


@dataclass(frozen=True, slots=True)
class RateModel:
    """The wells that are compared, and the mixed model of their rates.

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
        An effect for each group, a random one for each plate; None where there are not more wells than groups.
    """

    wells: tuple[PlateWell, ...]
    labels: tuple[str, ...]
    plates: tuple[int, ...]
    rates: Floats
    errors: Floats
    fit: MixedFit | None
    _over: dict[tuple[tuple[str, ...], tuple[int, ...]], tuple[MixedFit, Floats, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of(self, label: str) -> Floats:
        """Return the rates of a group."""
        return np.asarray(self.rates[self.rows([label])])

    def rows(self, labels: Sequence[str], plates: Sequence[int] | None = None) -> list[int]:
        """Return which wells belong to these groups and lie on these plates; None = any."""
        return [
            index
            for index, (well, plate) in enumerate(zip(self.wells, self.plates, strict=True))
            if well.group in labels and (plates is None or plate in plates)
        ]

    def shared(self, one: str, other: str) -> list[int]:
        """Return the plates that two groups share."""
        return sorted({self.plates[row] for row in self.rows([one])} & {self.plates[row] for row in self.rows([other])})

    def scatter(self, labels: Sequence[str], plates: Sequence[int] | None = None) -> tuple[float, int]:
        """Return the sum of squares between wells of one plate treated alike, and its degrees of freedom."""
        square, freedom = 0.0, 0
        for label in labels:
            for plate in sorted(set(self.plates) if plates is None else set(plates)):
                here = self.rates[self.rows([label], [plate])]
                if here.size:
                    square += float(((here - here.mean()) ** 2).sum())
                    freedom += here.size - 1
        return square, freedom

    def rate(self, group: str) -> Contrast:
        """Return the mean rate of a group: by the scatter that all share, or by its own wells if groups differ."""
        if self.fit is None:
            raise DataError(f"The rate of '{group}' has no error: there are not more wells than groups.")
        rows, several = self.rows([group]), len(set(self.plates))
        own = sorted({self.plates[row] for row in rows})
        if len(rows) > 1 and (several == 1 or len(own) > 1) and _scatters_differ(self._left(self.labels)):
            units = None if len(own) == len(rows) else [own.index(self.plates[row]) for row in rows]
            alone = fit_mixed(self.rates[rows], np.ones((len(rows), 1)), self.errors[rows], units)
            return contrast(alone, np.ones(1), least=len(own) - 1)
        weights = np.array([float(label == group) for label in self.labels])
        return contrast(self.fit, weights, least=several - 1)

    def difference(self, group: str, control: str) -> Contrast:
        """Return how far the rate of a group lies above that of the control.

        On one plate by the scatter of wells, which all groups share; where groups clearly scatter differently, by the
        two groups alone: wells that a drug stops hardly differ, and would make the error of all others too small. On
        several plates by how far effects vary between plates (see above), which groups share unless some are calmer;
        where the two vary more than the others, by the two alone (the paired t-test of the plates where wells are
        balanced).
        """
        if self.fit is None:
            raise DataError(f"The rate of '{group}' has no error: there are not more wells than groups.")
        shared = self.shared(group, control)
        if len(shared) < 2:
            return self.within(group, control)
        pair = [group, control]
        alone, alone_freedom = self._over_plates(pair, shared, pair)
        alike = self._alike(pair, shared)
        if len(alike) == 2:
            return alone
        together, freedom = self._over_plates(alike, shared, pair)
        return alone if _livelier(alone, alone_freedom, together, freedom) else together

    def within(self, group: str, control: str) -> Contrast:
        """Return the difference on the shared plates as they are, by the scatter of wells: others may differ."""
        shared = self.shared(group, control)
        labels = [label for label in self.labels if self.rows([label], shared)]
        if len(shared) == 1 and _scatters_differ(self._left(labels, shared)):
            return _apart(*(self.rates[self.rows([label], shared)] for label in (group, control)))
        rows = self.rows(labels, shared)
        design = self._design(rows, labels, shared)
        fit = fit_mixed(self.rates[rows], design, self.errors[rows])
        return contrast(fit, _weights(design, labels, [group, control]))

    def _left(self, labels: Sequence[str], plates: Sequence[int] | None = None) -> list[Floats]:
        """Return what lies between the wells of each group and the mean of those of the same plate."""
        found = []
        for label in labels:
            rows = self.rows([label], plates)
            here = np.array([self.plates[row] for row in rows])
            left = self.rates[rows].copy()
            for plate in set(here.tolist()):
                left[here == plate] -= left[here == plate].mean()
            found.append(left)
        return found

    def _alike(self, pair: Sequence[str], plates: Sequence[int]) -> list[str]:
        """Return the two groups and those that scatter no less than they do."""
        from scipy import stats

        square, freedom = self.scatter(pair, plates)
        kept = list(pair)
        for label in self.labels:
            if label in pair or not self.rows([label], plates):
                continue
            other, others = self.scatter([label], plates)
            if freedom and others and square > 0:
                ratio = square / freedom / (other / others) if other > 0 else math.inf
                if float(stats.f.sf(ratio, freedom, others)) < CALMER:
                    continue
            kept.append(label)
        return kept

    def _over_plates(self, labels: Sequence[str], plates: Sequence[int], pair: Sequence[str]) -> tuple[Contrast, int]:
        """Return the difference of two groups by the scatter of these groups between plates, and its freedom."""
        labels = [label for label in self.labels if label in labels]
        key = tuple(labels), tuple(plates)
        if key not in self._over:  # most pairs are judged by the same groups
            rows = self.rows(labels, plates)
            design = self._design(rows, labels, plates)
            cells = sorted({(self.wells[row].group, self.plates[row]) for row in rows})
            cell = [cells.index((self.wells[row].group, self.plates[row])) for row in rows]
            single = len(cells) == len(rows)  # a well's scatter and that of its cell are one
            fit = fit_mixed(self.rates[rows], design, self.errors[rows], None if single else cell)
            self._over[key] = fit, design, len(cells) - int(np.linalg.matrix_rank(design))
        fit, design, freedom = self._over[key]
        return contrast(fit, _weights(design, labels, pair), freedom=float(freedom)), freedom

    def _design(self, rows: Sequence[int], labels: Sequence[str], plates: Sequence[int]) -> Floats:
        """Return a column for each group, and one for each plate but the first."""
        groups = [[self.wells[row].group == label for label in labels] for row in rows]
        blocks = [[self.plates[row] == plate for plate in list(plates)[1:]] for row in rows]
        return np.hstack(
            [np.array(groups, dtype=np.float64), np.array(blocks, dtype=np.float64).reshape(len(rows), -1)]
        )


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


def _weights(design: Floats, labels: Sequence[str], pair: Sequence[str]) -> Floats:
    weights = np.zeros(design.shape[1])
    weights[labels.index(pair[0])], weights[labels.index(pair[1])] = 1.0, -1.0
    return weights


def _livelier(alone: Contrast, alone_freedom: int, together: Contrast, freedom: int) -> bool:
    """Whether two groups vary more between plates than the rest of all groups does (F test, one side)."""
    from scipy import stats

    spare = freedom - alone_freedom
    if spare < 1:
        return False
    rest = (freedom * together.error**2 - alone_freedom * alone.error**2) / spare
    level = LIVELIER if alone_freedom > 1 else LIVELIER_OF_TWO
    return rest <= 0 or float(stats.f.sf(alone.error**2 / rest, alone_freedom, spare)) < level


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
