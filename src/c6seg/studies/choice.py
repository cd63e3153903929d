"""Which configuration the validation images choose, what that choice is worth on test images, and its recipe.

A configuration that is chosen by the scores of the test images looks better than it is. Here the validation images
choose, in each division its own configuration, and the test images of that division judge it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from c6seg.config import TrainConfig
from c6seg.config_files import dump_yaml, load_config
from c6seg.errors import DataError
from c6seg.evaluation.comparisons import Estimate, estimate_mean
from c6seg.growth.words import counted
from c6seg.studies.info import StudyInfo
from c6seg.studies.ledger import Ledger
from c6seg.studies.results import curves
from c6seg.studies.scores import Configuration, Sizes
from c6seg.studies.summary import Arm
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
    """

    best: Configuration
    dice: float
    by_division: Mapping[str, Configuration]


def choose(lines: Sequence[Mapping[str, Any]], factors: Sequence[str]) -> Choice | None:
    """Let the validation images choose among the configurations that are trained in all divisions.

    Parameters
    ----------
    lines
        Epochs of all runs as :func:`c6seg.studies.results.curves` gives them. The Dice that counts is that of the
        epoch whose weights are kept: the one of the lowest validation loss.
    factors
        Keys of ``lines`` that make up a configuration.

    Returns
    -------
    Choice | None
        None where fewer than two configurations can be chosen from.
    """
    runs: dict[Configuration, dict[str, tuple[float, float]]] = {}
    for line in lines:
        loss, dice = line.get("val_loss"), line.get("val_dice")
        if loss is None or dice is None:
            continue
        key = tuple(sorted((name, str(line[name])) for name in factors if name in line))
        kept = runs.setdefault(key, {})
        if line["split"] not in kept or loss < kept[line["split"]][0]:
            kept[line["split"]] = loss, dice
    divisions = sorted({split for kept in runs.values() for split in kept})
    whole = {key: {split: dice for split, (_, dice) in kept.items()} for key, kept in runs.items()}
    whole = {key: kept for key, kept in whole.items() if len(kept) == len(divisions)}
    if len(whole) < 2:
        return None
    means = {key: fmean(kept.values()) for key, kept in whole.items()}
    best = max(means, key=means.__getitem__)
    by_division = {split: max(whole, key=lambda key: whole[key][split]) for split in divisions}
    return Choice(best, means[best], by_division)


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
            found.append((beside, sizes, estimate_mean(scores, overlap=overlap)))
    return found


def choice_words(arms: Sequence[Arm], info: StudyInfo) -> list[str]:
    """Say what the validation images choose and what that is worth; nothing where there is no choice."""
    choice = choose(info.epochs, list(dict.fromkeys(name for one in info.configurations for name in one)))
    if choice is None:
        return []
    many = len(choice.by_division)
    words = [
        f"The validation images choose {_words(choice.best, info)}: validation Dice {score(choice.dice)}, mean of "
        f"{counted(many, 'division')}. c6seg study recipe writes its recipe."
    ]
    times = Counter(choice.by_division.values()).most_common()
    told = "; ".join(f"{_words(key, info)} {counted(count, 'time')}" for key, count in times)
    scores = [
        f"{with_interval(estimate)} {' '.join(filter(None, (beside and f'on {beside}', size_words(sizes))))}".strip()
        for beside, sizes, estimate in worth(choice, arms, info)
    ]
    if scores:
        words.append(f"Chosen anew in each division ({told}), the choice has a test Dice of {', '.join(scores)}.")
    else:
        words.append(f"Chosen anew in each division: {told}. There is no pair of sizes at which all these are scored.")
    return words


def recipe_of(out: Path, plan: Mapping[str, Any]) -> str:
    """Give the configuration that the validation images choose as a recipe for ``c6seg train``.

    Parameters
    ----------
    out
        Output folder of the study.
    plan
        As :func:`c6seg.studies.results.read_plan` gives it.

    Returns
    -------
    str
        YAML. A pre-training is named by the path of its bundle in ``out``.

    Raises
    ------
    DataError
        No run is done yet, or its options cannot be read.
    """
    points = plan["points"]
    factors = list(dict.fromkeys(name for point in points for name in point["configuration"]))
    lines = curves(out, plan)
    choice = choose(lines, factors)
    ledger = Ledger(out, create=False)
    for point in points:
        key = tuple(sorted(point["configuration"].items()))
        record = ledger.read(point["job"])
        if record is not None and record.state == "done" and choice is not None and key == choice.best:
            file = ledger.run_folder(point["job"]) / "config.yaml"
            plain = TrainConfig()
            config = load_config(TrainConfig, file).model_copy(
                update={name: getattr(plain, name) for name in OF_ONE_DIVISION}
            )
            told = ", ".join(f"{name} {value}" for name, value in choice.best)
            head = (
                f"# Chosen by the validation images of study {plan['study']['name']}: {told}.\n"
                f"# Validation Dice {choice.dice:.3f}, mean of {counted(len(choice.by_division), 'division')}.\n"
            )
            return head + dump_yaml(config)
    raise DataError(
        f"There is nothing to choose from yet in '{out}': two configurations of study '{plan['study']['name']}' must "
        "be trained in all divisions."
    )


def _beside(arm: Arm, choice: Choice) -> str:
    """Return what an arm has beside the configuration of a training: the data set that it is tested on."""
    known = {name for name, _ in choice.best}
    return ", ".join(value for name, value in arm.key if name not in known)


def _words(key: Configuration, info: StudyInfo) -> str:
    """Write a configuration in the order of the study."""
    values = dict(key)
    names = dict.fromkeys(name for one in info.configurations for name in one if name in values)
    return ", ".join(info.phrase(name, values[name]) for name in names)
