"""From the rows of a study to means with intervals and to the comparisons that its plan asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from c6seg.evaluation.comparisons import Comparison, Estimate, compare, correct, estimate_mean
from c6seg.studies.info import StudyInfo
from c6seg.studies.scores import Configuration, ScoreRow, Sizes, natural, sort_rows
from c6seg.studies.spec import TESTED_ON

INPUT_SIZE = "input_size"
"""In ``StudyInfo.compare`` beside the factors: the same networks at several input sizes R, scored at the same R2."""

Scores = dict[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Arm:
    """One configuration at one pair of sizes, over all images or over one group of them.

    Parameters
    ----------
    configuration
        Factor to value.
    sizes
        R and R2; empty for a configuration that is planned and has no score.
    group
        Empty = all images.
    scores
        Dice by (division, image), computed from the counts; images of two data sets are two, whatever their names.
    estimate
        DiceScore^AV of equation (3) with its interval.
    expected
        Scores that are planned; 0 = not known.
    """

    configuration: Mapping[str, str]
    sizes: Sizes
    group: str
    scores: Scores
    estimate: Estimate
    expected: int = 0

    @property
    def key(self) -> Configuration:
        """The configuration as sorted pairs."""
        return tuple(sorted(self.configuration.items()))

    @property
    def partial(self) -> bool:
        """Whether scores are missing that are planned."""
        return len(self.scores) < self.expected


@dataclass(frozen=True, slots=True)
class Judged:
    """A comparison of two arms that differ in one factor (or in the input size) only."""

    factor: str
    first: Arm
    second: Arm
    comparison: Comparison

    @property
    def apart(self) -> bool:
        """Whether they are tested on different data sets, so that there is never an image to compare them by."""
        return self.first.configuration.get(TESTED_ON) != self.second.configuration.get(TESTED_ON)


def summarise(rows: Iterable[ScoreRow], info: StudyInfo) -> list[Arm]:
    """Average the scores of every configuration at every pair of sizes, all images together and each group apart.

    Parameters
    ----------
    rows
        What there is.
    info
        The plan: order, what is missing, how much training sets overlap.

    Returns
    -------
    list[Arm]
        By group (all images first), sizes and configuration. A planned configuration without any score is there once
        for all images at each pair of sizes that ``info`` names, else once without sizes; none is invented for groups.
    """
    ordered = sort_rows(rows)
    found: dict[tuple[str, Sizes, Configuration], Scores] = {}
    for row in ordered:
        for group in dict.fromkeys(("", row.group)):
            found.setdefault((group, row.sizes, row.key), {})[row.split, row.picture] = row.dice
    configurations = _configurations(ordered, info)
    if groups := sorted({row.group for row in ordered if row.group}, key=natural):
        _drop_lone_group(found, groups)
    arms = []
    for group, sizes in _places(found, info):
        for key, configuration in configurations.items():
            scores = found.get((group, sizes, key))
            if scores is None and not _blank(group, sizes, key, found, info):
                continue
            estimate = within_scores(estimate_mean(scores or {}, overlap=info.overlap_of(configuration)))
            arms.append(Arm(configuration, sizes, group, scores or {}, estimate, _expected(group, sizes, key, info)))
    return arms


def judge(arms: Sequence[Arm], info: StudyInfo) -> list[Judged]:
    """Compare all arms that differ in one factor only, on the same images; Holm's correction by group of images.

    One family are all comparisons of the study over all images, and those over each group apart; so a report with more
    comparisons asks more of each.
    """
    factors = tuple(info.compare) or (*(name for name in varying(arms) if name != TESTED_ON), INPUT_SIZE)
    judged = [one for factor in factors for one in _pairs(arms, factor, info)]
    done: dict[int, Comparison] = {}
    for group in dict.fromkeys(one.first.group for one in judged):
        places = [place for place, one in enumerate(judged) if one.first.group == group]
        done |= zip(places, correct([judged[place].comparison for place in places]), strict=True)
    return [replace(one, comparison=done[place]) for place, one in enumerate(judged)]


def varying(arms: Sequence[Arm]) -> list[str]:
    """Return the factors that have more than one value, in the order of the configurations."""
    names = dict.fromkeys(name for arm in arms for name in arm.configuration)
    return [name for name in names if len({arm.configuration.get(name) for arm in arms}) > 1]


def _pairs(arms: Sequence[Arm], factor: str, info: StudyInfo) -> Iterator[Judged]:
    """Yield the pairs that differ in a factor only; the one that is compared against stands second."""
    against = info.against.get(factor)
    for one, other in itertools.combinations([arm for arm in arms if arm.scores], 2):
        if one.group != other.group or one.sizes[1] != other.sizes[1] or not _differ_in(one, other, factor, arms):
            continue
        first, second = other, one  # what stands later in the plan is judged by what stands before it
        if against is not None:
            values = [_value(arm, factor) for arm in (first, second)]
            if against not in values:
                continue
            if values[0] == against:
                first, second = second, first
        overlap = max(info.overlap_of(arm.configuration) for arm in (first, second))
        yield Judged(factor, first, second, compare(first.scores, second.scores, overlap=overlap))


def _differ_in(one: Arm, other: Arm, factor: str, arms: Sequence[Arm]) -> bool:
    """Whether two arms differ in a factor and in nothing else."""
    if factor == INPUT_SIZE:
        return one.key == other.key and one.sizes[0] != other.sizes[0]
    if factor not in one.configuration or factor not in other.configuration:
        return False
    names = one.configuration.keys() | other.configuration.keys()
    differing = {name for name in names if one.configuration.get(name) != other.configuration.get(name)}
    if differing != {factor} and not (differing == {factor, TESTED_ON} and _on_one(one, arms) and _on_one(other, arms)):
        return False
    # a factor that decides the input size, such as resize against crop: each has one size, and none in common
    mine, theirs = (
        {arm.sizes[0] for arm in arms if arm.key == each.key and arm.sizes[1] == each.sizes[1] and arm.scores}
        for each in (one, other)
    )
    return one.sizes[0] == other.sizes[0] or (len(mine) == len(theirs) == 1)


def _on_one(arm: Arm, arms: Sequence[Arm]) -> bool:
    """Whether the networks of an arm are tested on one data set only."""
    return len({each.configuration.get(TESTED_ON) for each in arms if _trained(each) == _trained(arm)}) == 1


def _trained(arm: Arm) -> Configuration:
    """Return the configuration of the training, without what it is tested on."""
    return tuple(pair for pair in arm.key if pair[0] != TESTED_ON)


def _value(arm: Arm, factor: str) -> str:
    return arm.sizes[0] if factor == INPUT_SIZE else arm.configuration[factor]


def _configurations(rows: Sequence[ScoreRow], info: StudyInfo) -> dict[Configuration, Mapping[str, str]]:
    """Return the planned configurations, then those that are not planned, by their keys."""
    planned = {tuple(sorted(one.items())): dict(one) for one in info.configurations}
    return planned | {row.key: row.configuration for row in rows if row.key not in planned}


def _places(found: Mapping[tuple[str, Sizes, Configuration], Scores], info: StudyInfo) -> list[tuple[str, Sizes]]:
    """Return groups and pairs of sizes in the order of the tables, all images first."""
    there = {(group, sizes) for group, sizes, _ in found}
    planned = (*info.sizes, *(pair for _, pair in info.expected))
    sizes = list(dict.fromkeys((*planned, *sorted((sizes for _, sizes in there), key=_by_number))))
    groups = ["", *sorted({group for group, _ in there} - {""}, key=natural)]
    return [(group, pair) for group in groups for pair in sizes or [("", "")] if not group or (group, pair) in there]


def _by_number(sizes: Sizes) -> tuple[object, ...]:
    return natural(sizes[1]), natural(sizes[0])


def _expected(group: str, sizes: Sizes, key: Configuration, info: StudyInfo) -> int:
    """Scores that are planned; 0 where that is not known."""
    if group:
        return 0
    return info.expected.get((key, sizes), 0) if info.expected else info.divisions * info.images_per_division


def _blank(
    group: str,
    sizes: Sizes,
    key: Configuration,
    found: Mapping[tuple[str, Sizes, Configuration], Scores],
    info: StudyInfo,
) -> bool:
    """Whether a configuration is shown without scores at these sizes: where it is planned to have some."""
    if group:
        return False
    if info.expected:
        return bool(info.expected.get((key, sizes)))
    planned = any(tuple(sorted(one.items())) == key for one in info.configurations)
    return planned and not any(other == key for _, _, other in found)


def _drop_lone_group(found: dict[tuple[str, Sizes, Configuration], Scores], groups: Sequence[str]) -> None:
    """Leave out a group that holds all images: it would say everything twice."""
    for group in groups:
        mine = [(sizes, key) for name, sizes, key in found if name == group]
        if all(found[group, sizes, key] == found["", sizes, key] for sizes, key in mine):
            for sizes, key in mine:
                del found[group, sizes, key]


def within_scores(estimate: Estimate) -> Estimate:
    """Keep the intervals of a mean Dice inside 0 and 1."""

    def inside(value: float | None) -> float | None:
        return None if value is None else min(1.0, max(0.0, value))

    return replace(
        estimate,
        low=inside(estimate.low),
        high=inside(estimate.high),
        images_low=inside(estimate.images_low),
        images_high=inside(estimate.images_high),
    )
