"""Which configuration the validation images choose, what that choice is worth on test images, and its recipe.

A configuration that is chosen by the scores of the test images looks better than it is. Here the validation images
choose, in each division its own configuration, and the test images of that division judge it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from c6seg.config import TrainConfig
from c6seg.config_files import dump_yaml, load_config
from c6seg.errors import DataError, UsageError
from c6seg.evaluation.comparisons import Estimate, estimate_mean
from c6seg.growth.words import counted
from c6seg.studies.info import StudyInfo
from c6seg.studies.ledger import Ledger
from c6seg.studies.results import curves
from c6seg.studies.scores import Configuration, Sizes
from c6seg.studies.summary import Arm, within_scores
from c6seg.studies.tables import score, size_words, with_interval

OF_ONE_DIVISION = ("seed", "name")
"""Options that a study sets for each division."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the validation images choose.

    Parameters
    ----------
    best
        Configuration with the highest validation Dice, mean over divisions; of equal ones the first.
    dice
        That mean.
    by_division
        Division to the configuration that its own validation images choose.
    among
        The configurations that were there to choose from.
    """

    best: Configuration
    dice: float
    by_division: Mapping[str, Configuration]
    among: tuple[Configuration, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    """The epoch of a run whose weights are kept."""

    loss: float
    dice: float
    validated_on: str


def choose(lines: Sequence[Mapping[str, Any]], factors: Sequence[str]) -> list[Choice]:
    """Let the validation images choose among the configurations that are trained in all divisions.

    Only what is validated on the same images at the same size is compared; so there may be several choices.

    Parameters
    ----------
    lines
        Epochs of all runs as :func:`c6seg.studies.results.curves` gives them; those of runs that are not done do not
        count. The Dice that counts is that of the epoch whose weights are kept: the one of the lowest validation loss.
    factors
        Keys of ``lines`` that make up a configuration.

    Returns
    -------
    list[Choice]
        In the order of the configurations; none where there are never two to choose from.
    """
    runs: dict[Configuration, dict[str, _Kept]] = {}
    for line in lines:
        loss, dice = line.get("val_loss"), line.get("val_dice")
        if loss is None or dice is None or line.get("state", "done") != "done":
            continue
        key = tuple(sorted((name, str(line[name])) for name in factors if name in line))
        kept = runs.setdefault(key, {})
        if line["split"] not in kept or loss < kept[line["split"]].loss:
            kept[line["split"]] = _Kept(loss, dice, str(line.get("validated_on", "")))
    divisions = sorted({split for kept in runs.values() for split in kept})
    rivals: dict[tuple[str, ...], dict[Configuration, dict[str, float]]] = {}
    for key, kept in runs.items():
        if len(kept) == len(divisions):
            place = tuple(kept[split].validated_on for split in divisions)
            rivals.setdefault(place, {})[key] = {split: kept[split].dice for split in divisions}
    return [_choice(each, divisions) for each in rivals.values() if len(each) > 1]


def _choice(rivals: Mapping[Configuration, Mapping[str, float]], divisions: Sequence[str]) -> Choice:
    means = {key: fmean(kept.values()) for key, kept in rivals.items()}
    best = max(means, key=means.__getitem__)
    by_division = {split: max(rivals, key=lambda key: rivals[key][split]) for split in divisions}
    return Choice(best, means[best], by_division, tuple(rivals))


def worth(choice: Choice, arms: Sequence[Arm], info: StudyInfo) -> list[tuple[str, Sizes, Estimate]]:
    """Score what each division chose on the test images of that division.

    Parameters
    ----------
    choice
        What was chosen.
    arms, info
        Scores and plan of the study.

    Returns
    -------
    list[tuple[str, Sizes, Estimate]]
        Data set that is tested on (empty where there is one only), R and R2, mean Dice with its interval; for every
        pair of sizes at which all that were chosen are scored.
    """
    places = dict.fromkeys((_beside(arm, choice), arm.sizes) for arm in arms if not arm.group and arm.scores)
    found = []
    for beside, sizes in places:
        scores: dict[tuple[str, str], float] = {}
        seen = set()
        for arm in arms:
            if arm.group or arm.sizes != sizes or _beside(arm, choice) != beside:
                continue
            for split, key in choice.by_division.items():
                if set(key) <= set(arm.key):
                    mine = {place: dice for place, dice in arm.scores.items() if place[0] == split}
                    scores |= mine
                    seen |= {split} if mine else set()
        if len(seen) == len(choice.by_division):
            overlap = max(info.overlap_of(dict(key)) for key in choice.by_division.values())
            found.append((beside, sizes, within_scores(estimate_mean(scores, overlap=overlap))))
    return found


def choice_words(arms: Sequence[Arm], info: StudyInfo) -> list[str]:
    """Say what the validation images choose and what that is worth; nothing where there is no choice."""
    choices = choose(info.epochs, list(dict.fromkeys(name for one in info.configurations for name in one)))
    words = [_told(choice, arms, info) for choice in choices]
    if len(words) > 1:
        words.insert(0, "Only configurations that are validated on the same images at the same size are compared.")
    return words


def _told(choice: Choice, arms: Sequence[Arm], info: StudyInfo) -> str:
    many = len(choice.by_division)
    first = (
        f"Of {len(choice.among)} configurations the validation images choose {_words(choice.best, info)}: validation "
        f"Dice {score(choice.dice)}, mean of {counted(many, 'division')}; c6seg study recipe writes its recipe."
    )
    times = Counter(choice.by_division.values()).most_common()
    told = "; ".join(f"{_words(key, info)} {counted(count, 'time')}" for key, count in times)
    scores = [
        f"{with_interval(estimate)} {' '.join(filter(None, (beside and f'on {beside}', size_words(sizes))))}".strip()
        for beside, sizes, estimate in worth(choice, arms, info)
    ]
    if not scores:
        return f"{first} Chosen anew in each division: {told}. There is no pair of sizes at which all these are scored."
    return f"{first} Chosen anew in each division ({told}), the choice has a test Dice of {', '.join(scores)}."


def recipe_of(out: Path, plan: Mapping[str, Any], only: Mapping[str, Collection[str]]) -> str:
    """Give the configuration that the validation images choose as a recipe for ``c6seg train``.

    Parameters
    ----------
    out
        Output folder of the study.
    plan
        As :func:`c6seg.studies.results.read_plan` gives it.
    only
        Factor to the values that may be chosen; a factor that is left out may have all.

    Returns
    -------
    str
        YAML. A pre-training is named by the path of its bundle in ``out``.

    Raises
    ------
    DataError
        There is nothing to choose from yet, or a run cannot be read.
    UsageError
        Configurations cannot be compared with each other by their validation Dice.
    """
    name = plan["study"]["name"]
    points = [p for p in plan["points"] if all(p["configuration"].get(key) in only[key] for key in only)]
    factors = list(dict.fromkeys(factor for point in points for factor in point["configuration"]))
    choices = choose(curves(out, {**plan, "points": points}), factors)
    if not choices:
        raise DataError(
            f"There is nothing to choose from yet in '{out}': two configurations of study '{name}' that are validated "
            "on the same images at the same size must be trained in all divisions."
        )
    if len(choices) > 1:
        groups = "; or ".join(" and ".join(_plain(key) for key in choice.among) for choice in choices)
        raise UsageError(
            f"Study '{name}' validates its configurations on different images or at different sizes, so that they "
            f"cannot all be compared. Say by --only which are to be: {groups}."
        )
    [choice] = choices
    point = next(p for p in points if tuple(sorted(p["configuration"].items())) == choice.best)
    config = load_config(TrainConfig, Ledger(out, create=False).run_folder(point["job"]) / "config.yaml")
    plain = TrainConfig()
    config = config.model_copy(update={option: getattr(plain, option) for option in OF_ONE_DIVISION})
    head = (
        f"# Chosen by the validation images of study {name} among {len(choice.among)} configurations: "
        f"{_plain(choice.best)}.\n"
        f"# Validation Dice {choice.dice:.3f}, mean of {counted(len(choice.by_division), 'division')}.\n"
    )
    return head + dump_yaml(config)


def _plain(key: Configuration) -> str:
    return ", ".join(f"{name} {value}" for name, value in key)


def _beside(arm: Arm, choice: Choice) -> str:
    """Return what an arm has beside the configuration of a training: the data set that it is tested on."""
    known = {name for name, _ in choice.best}
    return ", ".join(value for name, value in arm.key if name not in known)


def _words(key: Configuration, info: StudyInfo) -> str:
    """Write a configuration in the order of the study."""
    values = dict(key)
    names = dict.fromkeys(name for one in info.configurations for name in one if name in values)
    return ", ".join(info.phrase(name, values[name]) for name in names)
