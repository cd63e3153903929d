"""How the data sets of a study are divided; all competitors meet the same divisions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from c6seg.data.splits import Split, is_grouped, make_splits, read_splits
from c6seg.errors import DataError, UsageError
from c6seg.runtime import seed_for
from c6seg.studies.data import Entry, Source
from c6seg.studies.spec import SplitSpec

VALIDATION_SHARE = 0.2
DRAWN, OWN, ALL = "drawn", "own", "all"
"""How a data set is divided; ``OWN`` is also the name of the one division of a data set that is not drawn."""


def divide(source: Source, spec: SplitSpec, *, seed: int) -> list[Split]:
    """Divide a data set as the study says.

    Parameters
    ----------
    source
        The data set.
    spec
        How it is divided, unless it brings its own division.
    seed
        Decides which training images validate where its own division has none that do.

    Raises
    ------
    UsageError
        More images are asked for than there are.
    DataError
        A file of divisions cannot be read, does not fit, or mixes groups.
    """
    if source.spec.division != DRAWN:
        return [own_division(source, seed=seed)]
    entries = source.annotated
    names = [entry.name for entry in entries]
    if spec.file is not None:
        file = Path(spec.file)
        known = file.is_file() and not source.missing
        return _from_file(source, spec, file) if known else _assumed(names, spec)
    wanted = spec.train + spec.val + spec.test
    twice = _duplicates(entries)
    there = len(names) - sum(len(same) - 1 for same in twice)
    if wanted > there:
        raise UsageError(
            f"{spec.train} training + {spec.val} validation + {spec.test} test = {wanted} images are asked for, but "
            f"'{source.place.path}' has {there} different annotated images. Ask for fewer: splits.train, splits.val, "
            "splits.test."
        )
    groups = {entry.name: entry.group for entry in entries if entry.group is not None}
    if (spec.grouped or spec.stratify) and not groups and not source.missing:
        raise UsageError(f"'{source.place.path}' names no groups: take splits.grouped and splits.stratify out.")
    return make_splits(
        names,
        counts=(spec.train, spec.val, spec.test),
        repeats=spec.repeats,
        seed=spec.seed,
        groups=groups if spec.grouped and groups else None,
        stratify=groups if spec.stratify and groups else None,
        duplicates=twice,
    )


def own_division(source: Source, *, seed: int) -> Split:
    """Return the division that a data set brings; where it has no training or no validation images, a fifth validates.

    The fifth is drawn by seed of all images that are not for testing, or of all where the study says ``all``.
    """
    whole = source.spec.division == ALL
    parts = {
        part: [entry.name for entry in source.annotated if entry.split == part and not whole]
        for part in ("train", "val", "test")
    }
    if not (parts["train"] and parts["val"]):
        free = [entry.name for entry in source.annotated if whole or entry.split != "test"]
        order = np.random.default_rng(seed_for(seed, "validation")).permutation(len(free))
        count = max(1, round(VALIDATION_SHARE * len(free)))
        parts["val"] = [free[number] for number in sorted(order[:count])]
        parts["train"] = [free[number] for number in sorted(order[count:])]
    if not parts["train"]:
        raise UsageError(f"'{source.place.path}' has {len(source.annotated)} annotated images: too few to train on.")
    return Split(OWN, tuple(parts["train"]), tuple(parts["val"]), tuple(parts["test"]))


def overlap_of(source: Source, spec: SplitSpec, splits: Sequence[Split]) -> float:
    """Part of its images that a training set shares with that of another division, on average.

    Of divisions that are drawn that is the number of training images divided by that of all; those of a file are
    compared with each other. A data set that is not drawn has one fixed training set: 1.

    Parameters
    ----------
    source, spec
        The data set, and how it is divided.
    splits
        Its divisions, with the training images that are used.

    Raises
    ------
    DataError
        A division of a file has nothing to train on or to validate on.
    """
    if source.spec.division != DRAWN:
        return 1.0
    if spec.file is not None and not source.missing:
        for split in splits:
            _check_trainable(split, spec.file)
    pairs = list(itertools.combinations([set(split.train) for split in splits], 2))
    if spec.file is not None and pairs:
        return fmean(2 * len(one & other) / (len(one) + len(other)) for one, other in pairs)
    there = len({entry.picture for entry in source.annotated})
    return min(1.0, fmean(len(split.train) for split in splits) / there)


def _from_file(source: Source, spec: SplitSpec, file: Path) -> list[Split]:
    splits = read_splits(file, names=[entry.name for entry in source.annotated])
    if len(splits) < spec.repeats:
        raise UsageError(f"'{file}' has {len(splits)} divisions, splits.repeats asks for {spec.repeats}.")
    if spec.grouped or is_grouped(file):
        groups = {entry.name: entry.group for entry in source.annotated if entry.group is not None}
        for split in splits:
            _check_groups(split, groups, file)
    return splits[: spec.repeats]


def _assumed(names: Sequence[str], spec: SplitSpec) -> list[Split]:
    """Make divisions to plan with while the file or the data are not there; they are never run.

    No image is in two parts; of three images and more each part has one.
    """
    train = names[: min(spec.train, max(1, len(names) - 2))]
    rest = names[len(train) :]
    val = rest[: min(spec.val, max(1, len(rest) - 1))]
    test = rest[len(val) :][: spec.test]
    return [Split(f"split{k:02}", *map(tuple, (train, val, test))) for k in range(spec.repeats)]


def _check_groups(split: Split, groups: Mapping[str, str], file: Path) -> None:
    seen: dict[str, str] = {}
    for part in ("train", "val", "test"):
        for name in split.part(part):
            group = groups.get(name)
            if group is not None and seen.setdefault(group, part) != part:
                raise DataError(
                    f"'{file}': images of group '{group}' are in {seen[group]} and in {part} of {split.name}, but "
                    "the study or the file says that groups stay together (grouped: true). Make the file again: c6seg "
                    "data split --grouped."
                )


def _check_trainable(split: Split, file: str) -> None:
    empty = [part for part in ("train", "val") if not split.part(part)]
    if empty:
        raise DataError(
            f"'{file}': {split.name} has no image in {' and none in '.join(empty)}, and a training needs both. Fill "
            "them, or make the file again: c6seg data split."
        )


def _duplicates(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    same: dict[str, list[str]] = {}
    for entry in entries:
        same.setdefault(entry.picture, []).append(entry.name)
    return [tuple(names) for names in same.values() if len(names) > 1]
