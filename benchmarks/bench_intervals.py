"""How often intervals over repeated divisions of the same images hold the truth, and how often a difference is claimed.

Simulated studies as in the paper: 30 images, K random divisions into 15 training, 5 validation and 10 test images. The
scores come from effects of images, training images and seeds in several proportions, or from a real learner: a ridge
classifier of pixels, trained on the training images and scored by Dice on the test images, so that nothing about how
scores depend on each other is assumed. The truth is the mean score on new images after training on new images.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from c6seg.evaluation.comparisons import Comparison, Estimate, compare, correct, estimate_mean, standard_error
from common import Report, parser

Floats = np.ndarray
LEVEL = 0.95


@dataclass(frozen=True)
class Design:
    """Numbers of images and of divisions."""

    divisions: int = 10
    images: int = 30
    train: int = 15
    test: int = 10

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Draw (K, train) and (K, test) numbers of images."""
        orders = np.array([rng.permutation(self.images) for _ in range(self.divisions)])
        return orders[:, -self.train :], orders[:, : self.test]


DESIGNS = (
    Design(),
    Design(divisions=5),
    Design(divisions=3),
    Design(train=5),
    Design(divisions=5, images=13, train=6, test=4),
)

# Standard deviations of images, training images, seeds and the rest; "skewed" images are hard in a few cases.
EFFECTS = {
    "images differ": (1.0, 0.1, 0.1, 0.3, False),
    "images differ, skewed": (1.0, 0.1, 0.1, 0.3, True),
    "training sets differ": (0.5, 1.0, 0.0, 0.3, False),
    "seeds differ": (0.5, 0.0, 1.0, 0.3, False),
    "all alike": (1.0, 0.5, 0.5, 0.5, False),
    "mostly noise": (0.1, 0.1, 0.1, 1.0, False),
}


def effects(kind: str, train: Floats, test: Floats, rng: np.random.Generator) -> Floats:
    """Draw scores (K, test) of one study from additive effects; their true mean is 0."""
    of_image, of_train, of_seed, rest, skewed = EFFECTS[kind]
    images = 1 + max(train.max(), test.max())
    image = 1 - rng.exponential(size=images) if skewed else rng.standard_normal(images)
    use = math.sqrt(train.shape[1]) * rng.standard_normal(images)
    training = of_train * use[train].mean(axis=1) + of_seed * rng.standard_normal(len(train))
    return of_image * image[test] + training[:, None] + rest * rng.standard_normal(test.shape)


@dataclass(frozen=True)
class Learner:
    """A ridge classifier of pixels: how strongly it is drawn to weights that it starts from, and what it sees."""

    pull: float = 0.01
    start: float = 0.0
    pixels: int = 0  # drawn from each image at random; 0 = all: no effect of the seed


PLAIN = Learner()
SEEDED = Learner(pixels=15)
STARTED = Learner(pull=2.0, start=0.8)
SIGNS = np.array([0.6, 0.4, 0.2, 0.1, 0.1, 0.05, -0.7])
PIXELS = 150


def photographs(number: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw images as (n, pixels, features) and the truth (n, pixels); contrast and covered part differ between them."""
    covered = 0.1 + 0.8 * rng.beta(3, 3, size=(number, 1))
    true = rng.random((number, PIXELS)) < covered
    shift = 0.5 * rng.standard_normal((number, 1, 6))
    contrast = np.array([1.2, 0.8, 0.5, 0.3, 0.2, 0.1]) * (1 + 0.25 * rng.standard_normal((number, 1, 6)))
    values = rng.standard_normal((number, PIXELS, 6)) + shift + true[..., None] * contrast
    return np.concatenate([values, np.ones((number, PIXELS, 1))], axis=2), true


def learn(
    images: Floats, true: Floats, train: Floats, test: Floats, learner: Learner, rng: np.random.Generator
) -> Floats:
    """Train on each division and return the Dice scores (K, test)."""
    scores = np.empty(test.shape)
    for k, (chosen, judged) in enumerate(zip(train, test, strict=True)):
        x, y = images[chosen], 2.0 * true[chosen] - 1
        if learner.pixels:
            seen = np.arange(len(chosen))[:, None], rng.integers(PIXELS, size=(len(chosen), learner.pixels))
            x, y = x[seen], y[seen]
        x, y = x.reshape(-1, x.shape[-1]), y.reshape(-1)
        pull = learner.pull * len(y) / len(chosen)
        weights = np.linalg.solve(x.T @ x + pull * np.eye(x.shape[1]), x.T @ y + pull * learner.start * SIGNS)
        found = images[judged] @ weights > 0
        scores[k] = 2 * (found & true[judged]).sum(1) / (found.sum(1) + true[judged].sum(1))
    return scores


def true_scores(learners: tuple[Learner, Learner], train: int, number: int) -> tuple[float, float]:
    """Mean score of two learners over new images after training on new images, the same ones for both."""
    rng = np.random.default_rng(12345)
    sums = np.zeros(2)
    for _ in range(number):
        images, true = photographs(train + 40, rng)
        parts = np.arange(train)[None], np.arange(train, train + 40)[None]
        sums += [learn(images, true, *parts, one, rng).mean() for one in learners]
    first, second = sums / number
    return (first, first) if learners[0] == learners[1] else (first, second)


Interval = tuple[float, float]
Method = Callable[[Floats, Floats, Design, np.random.Generator], Interval]


def _t(mean: float, variance: float, freedom: float) -> Interval:
    from scipy.special import stdtrit

    reach = float(stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(variance)
    return mean - reach, mean + reach


def all_scores(scores: Floats, test: Floats, design: Design, rng: np.random.Generator) -> Interval:
    """Take all K x N scores as if they were independent."""
    return _t(scores.mean(), scores.var(ddof=1) / scores.size, scores.size - 1)


def division_means(scores: Floats, test: Floats, design: Design, rng: np.random.Generator) -> Interval:
    """Take the means of the divisions as if they were independent."""
    return _t(scores.mean(), scores.mean(1).var(ddof=1) / len(scores), len(scores) - 1)


def corrected_t(scores: Floats, test: Floats, design: Design, rng: np.random.Generator) -> Interval:
    """Nadeau and Bengio's corrected resampled t."""
    enlarged = 1 / len(scores) + design.test / design.train
    return _t(scores.mean(), enlarged * scores.mean(1).var(ddof=1), len(scores) - 1)


def _bootstrap(scores: Floats, test: Floats, design: Design, rng: np.random.Generator, *, divisions: bool) -> Interval:
    table, present = np.zeros((len(scores), design.images)), np.zeros((len(scores), design.images))
    np.put_along_axis(table, test, scores, axis=1)
    np.put_along_axis(present, test, 1.0, axis=1)
    number = 500
    images = rng.multinomial(design.images, np.full(design.images, 1 / design.images), size=number)
    k = len(scores)
    rows = rng.multinomial(k, np.full(k, 1 / k), size=number) if divisions else np.ones((number, k))
    tested = np.sum((rows @ present) * images, axis=1)
    means = (np.sum((rows @ table) * images, axis=1) / np.maximum(tested, 1))[tested > 0]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def image_bootstrap(scores: Floats, test: Floats, design: Design, rng: np.random.Generator) -> Interval:
    """Bootstrap that draws images with all their scores."""
    return _bootstrap(scores, test, design, rng, divisions=False)


def crossed_bootstrap(scores: Floats, test: Floats, design: Design, rng: np.random.Generator) -> Interval:
    """Bootstrap that draws images and divisions."""
    return _bootstrap(scores, test, design, rng, divisions=True)


def _codes(scores: Floats, test: Floats) -> tuple[Floats, Floats, Floats]:
    division = np.repeat(np.arange(len(scores)), scores.shape[1])
    return scores.ravel(), division, np.unique(test, return_inverse=True)[1].ravel()


def crossed_effects(scores: Floats, test: Floats, design: Design, rng: np.random.Generator) -> Interval:
    """Random effects of images and divisions, training sets taken as independent."""
    error, freedom = standard_error(*_codes(scores, test), overlap=0.0)
    return _t(scores.mean(), error**2, freedom)


def ours(scores: Floats, test: Floats, design: Design, rng: np.random.Generator) -> Interval:
    """Enlarge crossed effects for training images that divisions share: what c6seg does."""
    error, freedom = standard_error(*_codes(scores, test), overlap=design.train / design.images)
    return _t(scores.mean(), error**2, freedom)


METHODS: dict[str, Method] = {
    "K x N scores": all_scores,
    "division means": division_means,
    "corrected t": corrected_t,
    "bootstrap of images": image_bootstrap,
    "of images and divisions": crossed_bootstrap,
    "crossed effects": crossed_effects,
    "c6seg": ours,
}
PAIRS = {
    "plain": (PLAIN, None),
    "with seeds": (SEEDED, None),
    "started less plain": (STARTED, PLAIN),
    "started less seeded": (STARTED, SEEDED),
    "same learner, other seeds": (SEEDED, SEEDED),
}


def main() -> None:
    """Simulate and print."""
    options = parser(__doc__, model=False)
    options.add_argument("--number", type=int, default=400, metavar="N", help="studies of each kind; default 400")
    options.add_argument(
        "--part",
        choices=("effects", "learner", "family", "partial", "pretraining"),
        action="append",
        help="only this one",
    )
    given = options.parse_args()
    number = 20 if given.quick else given.number
    report = Report("Intervals over repeated divisions")
    report.say(
        f"Share of {number} simulated studies whose 95 % interval holds the truth (aim 95 %), and in brackets its half "
        "width in standard deviations of the mean over studies (1.96 would do if that were known).\n"
    )
    parts = {
        "effects": additive_part,
        "learner": learner_part,
        "family": family_part,
        "partial": partial_part,
        "pretraining": pretraining_part,
    }
    for name in given.part or parts:
        parts[name](report, number)
    report.save(given.out)


def _words(design: Design) -> str:
    return f"{design.divisions} x {design.test} of {design.images}, {design.train} train"


def _row(name: str, design: Design, studies: list[tuple[Floats, Floats]], truth: float) -> tuple[object, ...]:
    rng = np.random.default_rng(1)
    deviation = np.std([scores.mean() for scores, _ in studies], ddof=1)
    cells = []
    for method in METHODS.values():
        ends = np.array([method(scores, test, design, rng) for scores, test in studies])
        held = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
        cells.append(f"{held:.0%} ({np.mean(ends[:, 1] - ends[:, 0]) / 2 / deviation:.1f})")
    return name, _words(design), *cells


def additive_part(report: Report, number: int) -> None:
    """Scores from effects."""
    rows = []
    for design in DESIGNS:
        for kind in EFFECTS:
            rng = np.random.default_rng((DESIGNS.index(design), list(EFFECTS).index(kind)))
            drawn = [design.draw(rng) for _ in range(number)]
            studies = [(effects(kind, train, test, rng), test) for train, test in drawn]
            rows.append(_row(kind, design, studies, 0.0))
    report.table(("scores from effects", "divisions", *METHODS), rows)


def learner_part(report: Report, number: int) -> None:
    """Scores of a real learner: its mean, and paired differences of two."""
    rows = []
    for design in DESIGNS[:4]:
        for name, (first, second) in PAIRS.items():
            truth = true_scores((first, second or first), design.train, max(200, 10 * number))
            wanted = truth[0] if second is None else truth[0] - truth[1]
            rng = np.random.default_rng((7, DESIGNS.index(design), list(PAIRS).index(name)))
            studies = []
            for _ in range(number):
                images, true = photographs(design.images, rng)
                train, test = design.draw(rng)
                scores = learn(images, true, train, test, first, rng)
                if second is not None:
                    scores = scores - learn(images, true, train, test, second, rng)
                studies.append((scores, test))
            rows.append(_row(name, design, studies, wanted))
    report.table(("scores of a learner", "divisions", *METHODS), rows)


def family_part(report: Report, number: int) -> None:
    """Four configurations that are equally good: six comparisons, none of which is to be claimed."""
    rows = []
    for kind in EFFECTS:
        rng = np.random.default_rng((9, list(EFFECTS).index(kind)))
        claims = np.array([_claims(Design(), kind, rng) for _ in range(number)])
        rows.append((kind, *(f"{share:.1%}" for share in claims.mean(axis=0))))
    report.say("Four equal configurations on the same divisions: false claims (aim: at most 5 %).\n")
    titles = ("one comparison", "any of six", "any of six after Holm", "any of six, t of K x N pairs, after Holm")
    report.table(("scores from effects", *titles), rows)


def partial_part(report: Report, number: int) -> None:
    """Studies at work: some scores are missing at random, and the last division has two only."""
    rows = []
    for kind in EFFECTS:
        rng = np.random.default_rng((11, list(EFFECTS).index(kind)))
        shares = []
        for kept in (1.0, 0.7, 0.4):
            held = [_partial(Design(), kind, kept, rng) for _ in range(number)]
            shares.append(f"{np.mean(held):.0%}")
        rows.append((kind, *shares))
    report.say("Partial studies: share of the intervals of c6seg that hold the truth.\n")
    report.table(("scores from effects", "complete", "70 % of the scores", "40 % of the scores"), rows)


def pretraining_part(report: Report, number: int) -> None:
    """Two recipes of pre-training that are equally good, each carried out once for all divisions."""
    rows = []
    for deviation in (0.0, 0.001, 0.002, 0.004):
        cells = []
        for divisions in (10, 5):
            rng = np.random.default_rng((13, round(1000 * deviation), divisions))
            claims = [_pretrained(Design(divisions=divisions), deviation, rng) for _ in range(number)]
            cells.append(f"{np.mean(claims):.1%}")
        rows.append((f"{deviation:.3f}", *cells))
    report.say(
        "Two equally good pre-trainings, each done once; their networks differ by luck with this standard deviation of "
        "Dice. Studies with p below 0.05 (aim 5 %); images differ by 0.01, divisions by 0.01, trainings by 0.002, the "
        "rest by 0.005.\n"
    )
    report.table(("pre-trainings differ by", "10 divisions", "5 divisions"), rows)


def _pretrained(design: Design, deviation: float, rng: np.random.Generator) -> bool:
    _, test = design.draw(rng)
    common = 0.94 + 0.01 * rng.standard_normal(design.images)[test] + 0.01 * rng.standard_normal((len(test), 1))
    keyed = []
    for _ in range(2):
        lucky = deviation * rng.standard_normal()
        training = 0.002 * rng.standard_normal((len(test), 1))
        scores = common + lucky + training + 0.005 * rng.standard_normal(test.shape)
        keyed.append({(str(k), str(image)): scores[k, i] for (k, i), image in np.ndenumerate(test)})
    found = compare(*keyed, overlap=design.train / design.images)
    return (found.difference.p or 1) < 0.05


def _partial(design: Design, kind: str, kept: float, rng: np.random.Generator) -> bool:
    train, test = design.draw(rng)
    scores = effects(kind, train, test, rng)
    there = rng.random(test.shape) < kept
    if kept < 1:
        there[-1] = np.arange(design.test) < 2
    places = np.argwhere(there)
    keyed = {(str(k), str(test[k, i])): scores[k, i] for k, i in places}
    found = estimate_mean(keyed, overlap=design.train / design.images)
    return found.low is not None and found.high is not None and found.low <= 0 <= found.high


def _claims(design: Design, kind: str, rng: np.random.Generator) -> tuple[bool, ...]:
    from scipy.stats import ttest_1samp

    train, test = design.draw(rng)
    scores = [effects(kind, train, test, rng) for _ in range(4)]
    differences = [first - second for first, second in itertools.combinations(scores, 2)]
    keyed = [
        {(str(k), str(image)): value for k, row in enumerate(test) for image, value in zip(row, table[k], strict=True)}
        for table in differences
    ]
    found = correct([Comparison(estimate_mean(one, overlap=design.train / design.images)) for one in keyed])
    plain = correct([Comparison(Estimate(0, 9, 9, 9, p=ttest_1samp(one.ravel(), 0).pvalue)) for one in differences])
    return (
        (found[0].difference.p or 1) < 0.05,
        any((one.difference.p or 1) < 0.05 for one in found),
        any((one.p_holm or 1) < 0.05 for one in found),
        any((one.p_holm or 1) < 0.05 for one in plain),
    )


if __name__ == "__main__":
    main()
