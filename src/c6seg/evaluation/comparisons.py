"""Means over repeated divisions of the same images, and differences of configurations, with honest intervals.

Equation (3) of the paper averages K x N scores, which are far from K x N independent ones: an image is a test image in
several divisions, and the training sets of two divisions have images in common. So a score is taken as

    score(division, image) = mean + division + image + rest,

with random effects of divisions (their training) and of images (some are hard). Their variances are found by
Henderson's third method, for any pattern of images in divisions. The variance of the mean is then that of

- **images**: each counts as often as it was tested, so that testing it again brings nothing new;
- **divisions**: two training sets that share the part ``overlap`` of their images vary together, which the scatter
  between divisions does not show. It is enlarged from 1 / K to 1 / K + overlap / (1 - overlap), as Nadeau and Bengio do
  for all of the variance (Machine Learning 52 (2003) 239);
- the **rest**, divided by the number of scores.

The degrees of freedom are Satterthwaite's. The intervals speak of the same procedure on other images of the same kind.
How often they hold the truth is simulated in ``benchmarks/bench_intervals.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from c6seg.errors import UsageError
from c6seg.evaluation.statistics import LEVEL
from c6seg.growth.plates.power import holm

Scored = Mapping[tuple[str, str], float]
"""Score of each (division, image)."""
Floats = NDArray[np.float64]
Whole = NDArray[np.intp]

OVERLAP = 0.5
"""Of the paper: two random training sets of 15 out of 30 images share half of their images on average."""
MIN_DIVISIONS, MIN_IMAGES = 3, 5
"""With fewer the scatter between divisions or images is a guess: no interval is given."""
FIXED_OVERLAP = 0.999
"""From here on training sets count as one and the same: nothing can be said of other training sets."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of scores or of paired differences.

    Parameters
    ----------
    mean
        Of all scores; NaN without any.
    divisions, images, scores
        How many there are; an image that is tested several times is one image.
    spread
        Standard deviation of the means of the divisions; None below two.
    low, high
        Ends of the interval; None where ``reason`` says why.
    error, freedom
        Standard error of the mean and its degrees of freedom; None likewise.
    p
        Probability of a mean at least as far from 0, were the true one 0; two-sided.
    reason
        Why there is no interval; empty where there is one.
    images_low, images_high
        Where too few divisions are the only reason: ends of the interval for *these* networks on other images. It says
        nothing of what another training would give.
    """

    mean: float
    divisions: int
    images: int
    scores: int
    spread: float | None = None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    freedom: float | None = None
    p: float | None = None
    reason: str = ""
    images_low: float | None = None
    images_high: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """First less second configuration on the same test images of the same divisions.

    Parameters
    ----------
    difference
        Of the pairs; a positive mean is in favour of the first.
    unpaired
        Scores of either that have no counterpart and were left out.
    better, worse
        Images on which the first is better, or worse, on average.
    p_holm
        ``difference.p`` after Holm's correction over the family that it belongs to.
    family
        Number of tests in that family.
    """

    difference: Estimate
    unpaired: int = 0
    better: int = 0
    worse: int = 0
    p_holm: float | None = None
    family: int = 1


@dataclass(frozen=True, slots=True)
class Variances:
    """Variances of the random effects, and the degrees of freedom of each."""

    image: float
    division: float
    rest: float
    freedom: tuple[int, int, int]


def estimate_mean(scores: Scored, *, overlap: float = OVERLAP, level: float = LEVEL) -> Estimate:
    """Average scores as in equation (3), with an interval that knows that images and training sets repeat.

    Parameters
    ----------
    scores
        Score of each (division, image). Unequal numbers of images are allowed: each score counts alike.
    overlap
        Part of its images that one training set shares with another on average, 0 to 1: the number of training images
        divided by that of all images for random divisions. At 1 the interval is for this training set only.
    level
        Coverage of the interval.

    Raises
    ------
    UsageError
        ``overlap`` or ``level`` is out of range, or a score is no finite number.

    Examples
    --------
    >>> found = estimate_mean({(d, i): d == "1" and 0.9 or 0.8 for d in "12" for i in "abcde"})
    >>> round(found.mean, 3), round(found.spread, 3), found.reason
    (0.85, 0.071, '2 divisions, at least 3 are needed')
    """
    _check(scores, overlap, level)
    divisions = sorted({division for division, _ in scores})
    images = sorted({image for _, image in scores})
    keys = sorted(scores)  # a sum that does not depend on the order in which runs ended
    values = np.array([scores[key] for key in keys], dtype=np.float64)
    mean = math.fsum(values) / len(keys) if keys else math.nan
    found = Estimate(mean, len(divisions), len(images), len(keys))
    where = (
        {name: number for number, name in enumerate(divisions)},
        {name: number for number, name in enumerate(images)},
    )
    division = np.array([where[0][name] for name, _ in keys])
    image = np.array([where[1][name] for _, name in keys])
    if len(divisions) > 1:
        means = np.bincount(division, values) / np.bincount(division)
        found = replace(found, spread=float(means.std(ddof=1)))
    if reason := _too_few(found):
        found = replace(found, reason=reason)
        return found if len(images) < MIN_IMAGES else _with_images(found, values, image, level)
    if float(np.ptp(values)) < 1e-12:  # the rounding of a difference
        return replace(found, reason="all values are equal to the last digit")
    error, freedom = standard_error(values, division, image, overlap=overlap)
    return _with_interval(found, error, freedom, level)


def compare(first: Scored, second: Scored, *, overlap: float = OVERLAP, level: float = LEVEL) -> Comparison:
    """Compare two configurations on the test images of the divisions that both have.

    Parameters
    ----------
    first, second
        Score of each (division, image).
    overlap
        As in :func:`estimate_mean`; for two sizes of training set, that of the larger.
    level
        Coverage of the interval.
    """
    both = sorted(first.keys() & second.keys())
    differences = {key: first[key] - second[key] for key in both}
    found = estimate_mean(differences, overlap=overlap, level=level)
    by_image: dict[str, list[float]] = {}
    for (_, image), value in differences.items():
        by_image.setdefault(image, []).append(value)
    sums = [math.fsum(values) for values in by_image.values()]
    return Comparison(
        found,
        unpaired=len(first) + len(second) - 2 * len(both),
        better=sum(value > 0 for value in sums),
        worse=sum(value < 0 for value in sums),
    )


def correct(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Correct the p-values of a family of comparisons for their number (Holm 1979); those without one do not count."""
    values = [one.difference.p for one in comparisons]
    corrected = iter(holm([p for p in values if p is not None]))
    family = sum(p is not None for p in values)
    return [
        replace(one, p_holm=None if p is None else next(corrected), family=family)
        for one, p in zip(comparisons, values, strict=True)
    ]


def standard_error(values: Floats, division: Whole, image: Whole, *, overlap: float) -> tuple[float, float]:
    """Return the standard error of the mean of crossed scores, and its degrees of freedom (Satterthwaite 1946).

    Parameters
    ----------
    values
        (S,) scores.
    division, image
        (S,) number of the division and of the image of each, from 0, no pair twice.
    overlap
        As in :func:`estimate_mean`; from :data:`FIXED_OVERLAP` on nothing is added for training sets.
    """
    found = variances(values, division, image)
    total = values.size
    tested, sizes = np.bincount(image), np.bincount(division)
    enlarged = 0.0 if overlap >= FIXED_OVERLAP else overlap / (1 - overlap)
    parts = (
        found.image * float((tested**2).sum()) / total**2,
        found.division * (float((sizes**2).sum()) / total**2 + enlarged),
        found.rest / total,
    )
    variance = math.fsum(parts)
    below = math.fsum(part**2 / freedom for part, freedom in zip(parts, found.freedom, strict=True) if part)
    return math.sqrt(variance), max(1.0, variance**2 / below) if below else 1.0


def variances(values: Floats, division: Whole, image: Whole) -> Variances:
    """Variances of images, divisions and the rest by Henderson's third method (Biometrics 9 (1953) 226).

    For a balanced table these are the estimates of the two-way analysis of variance. Negative ones become 0. Where no
    image is tested twice, the rest cannot be told from images and is counted with them; where a table has too few
    repeats to know the rest, it is counted with both. Where no division tests two images, the rest cannot be told from
    divisions and is counted with them; where each image is tested once besides, all of the scatter is. So the interval
    is too wide rather than too narrow: divisions are the part that shared training images enlarge.

    Parameters
    ----------
    values, division, image
        As in :func:`standard_error`.
    """
    tested = np.bincount(image).astype(np.float64)
    sizes = np.bincount(division).astype(np.float64)
    total, many_images, many_divisions = values.size, tested.size, sizes.size
    centred = values - values.mean()
    within_images = centred - (np.bincount(image, centred) / tested)[image]
    within_divisions = centred - (np.bincount(division, centred) / sizes)[division]
    squares_images, squares_divisions = float(within_images @ within_images), float(within_divisions @ within_divisions)
    if many_images == many_divisions == total:
        return Variances(0.0, float(centred @ centred) / (total - 1), 0.0, (1, total - 1, 1))
    if many_divisions == total:
        of_division, of_image = _one_way(centred, squares_images, image)
        return Variances(of_image, of_division, 0.0, (many_images - 1, total - many_images, 1))
    if many_images == total:
        of_image, of_division = _one_way(centred, squares_divisions, division)
        return Variances(of_image, of_division, 0.0, (total - many_divisions, many_divisions - 1, 1))
    # both effects removed: those of divisions solve the equations that remain when images are eliminated
    table = np.zeros((many_images, many_divisions))
    table[image, division] = 1.0
    left = np.diag(sizes) - table.T @ (table / tested[:, None])
    right = np.bincount(division, within_images)
    effect, _, rank, _ = np.linalg.lstsq(left, right, rcond=1e-10)
    free = total - many_images - int(rank)
    rest = max(0.0, squares_images - float(effect @ right)) / free if free > 0 else 0.0
    of_division = squares_images / (total - many_images) - rest
    of_image = squares_divisions / (total - many_divisions) - rest
    # neither is known better than the scatter within the other, from which it comes, tells
    of_images, of_divisions = min(many_images - 1, total - many_divisions), min(many_divisions - 1, total - many_images)
    freedom = (of_images, of_divisions, max(1, free))
    return Variances(max(0.0, of_image), max(0.0, of_division), rest, freedom)


def _one_way(centred: Floats, squares: float, group: Whole) -> tuple[float, float]:
    """Variances within and between groups, from the squares within; the latter is 0 where it would be negative."""
    sizes = np.bincount(group).astype(np.float64)
    total, many = centred.size, sizes.size
    within = squares / (total - many)
    squares_between = float((np.bincount(group, centred) ** 2 / sizes).sum())
    between = (squares_between - (many - 1) * within) / (total - float((sizes**2).sum()) / total)
    return within, max(0.0, between)


def _with_interval(found: Estimate, error: float, freedom: float, level: float) -> Estimate:
    from scipy.special import stdtr, stdtrit

    if error == 0.0:
        return replace(found, reason="no scatter is left to judge the mean by")
    reach = float(stdtrit(freedom, (1 + level) / 2)) * error
    p = min(1.0, 2 * float(stdtr(freedom, -abs(found.mean) / error)))
    return replace(found, low=found.mean - reach, high=found.mean + reach, error=error, freedom=freedom, p=p)


def _with_images(found: Estimate, values: Floats, image: Whole, level: float) -> Estimate:
    """Add the t interval over images, each with its mean: networks are fixed, and images independent of each other."""
    means = np.bincount(image, values) / np.bincount(image)
    judged = _with_interval(found, float(means.std(ddof=1)) / math.sqrt(means.size), means.size - 1, level)
    return replace(found, images_low=judged.low, images_high=judged.high)


def _too_few(found: Estimate) -> str:
    if not found.scores:
        return "there is no score"
    few = []
    if found.divisions < MIN_DIVISIONS:
        few.append(f"{found.divisions} division{'s' * (found.divisions != 1)}, at least {MIN_DIVISIONS} are needed")
    if found.images < MIN_IMAGES:
        few.append(f"{found.images} image{'s' * (found.images != 1)}, at least {MIN_IMAGES} are needed")
    return "; ".join(few)


def _check(scores: Scored, overlap: float, level: float) -> None:
    if not 0 <= overlap <= 1:
        raise UsageError(f"overlap = {overlap} is not between 0 and 1: it is a part of a training set, such as 0.5.")
    if not 0 < level < 1:
        raise UsageError(f"level = {level} is not between 0 and 1, such as 0.95.")
    for (division, image), value in scores.items():
        if not math.isfinite(value):
            raise UsageError(f"The score of '{image}' in {division} is {value}; leave out what has no score.")
