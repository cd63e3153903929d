"""Which images train, which choose, which judge: repeated random sub-sampling by seed, and ``splits.json``.

The paper (section 2) draws 15 training, 5 validation and 10 test images of 30, ten times over. Here the test images
are drawn first, then validation, then training, each from one shuffled list. So a smaller number of training images
with the same seed keeps the same test and validation images, and its training images are the first ones of the larger
set: 5 in 10 in 15.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from c6seg.data.subsampling import interleave, take_groups
from c6seg.errors import DataError, UsageError, did_you_mean
from c6seg.runtime import seed_for, write_json

if TYPE_CHECKING:
    from c6seg.data.datasets import Dataset, Item

logger = logging.getLogger(__name__)

FORMAT = "c6seg-splits-1"
PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """One division of the images of a data set, by name; the parts have no image in common.

    Parameters
    ----------
    name
        Such as ``split03``.
    train
        In the order in which smaller training sets grow: the first 5 are the training set of size 5.
    val, test
        Validation and test images.
    """

    name: str
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def part(self, part: str) -> tuple[str, ...]:
        """Return the names of ``train``, ``val`` or ``test``."""
        if part not in PARTS:
            raise UsageError(did_you_mean(part, PARTS, what="part"))
        names: tuple[str, ...] = getattr(self, part)
        return names

    def with_training_size(self, size: int) -> Split:
        """Keep the first ``size`` training images, and the same validation and test images."""
        if not 1 <= size <= len(self.train):
            raise UsageError(f"{self.name} has {len(self.train)} training images; {size} cannot be taken from them.")
        return replace(self, train=self.train[:size])


def make_splits(
    names: Sequence[str],
    *,
    counts: tuple[int, int, int] = (15, 5, 10),
    repeats: int = 10,
    seed: int = 0,
    groups: Mapping[str, Hashable] | None = None,
    stratify: Mapping[str, Hashable] | None = None,
    duplicates: Iterable[Iterable[str]] = (),
) -> list[Split]:
    """Draw ``repeats`` random divisions of the same images (repeated random sub-sampling; paper, section 2).

    Parameters
    ----------
    names
        Names of all images; their order does not matter.
    counts
        Training, validation and test images of each division. Images that are left over are in no part.
    repeats
        Number of divisions; division k is the same however many follow it.
    seed
        Base seed. The same seed and names give the same divisions on every machine.
    groups
        Name -> group. Images of a group never lie in two parts; a part then takes the largest number of images, up to
        its count, that whole groups can make.
    stratify
        Name -> stratum. Every part gets the strata in about the proportion of the whole.
    duplicates
        Sets of names that show the same image. The first name of each set stays, the others are in no part.

    Raises
    ------
    UsageError
        More images are asked for than there are, a name occurs twice, or groups leave a part empty.

    Examples
    --------
    >>> first, second = make_splits([f"image{i:02}" for i in range(30)], repeats=2)
    >>> first.name, len(first.train), len(first.val), len(first.test)
    ('split00', 15, 5, 10)
    """
    unique = _unique(names, duplicates)
    _check_counts(counts, repeats, len(unique), len(names))
    if groups is not None and stratify is not None:
        raise UsageError("Splits are either grouped or stratified, not both. Leave one of them out.")
    digits = max(2, len(str(repeats - 1)))
    wanted = counts[::-1]
    splits = []
    for number in range(repeats):
        rng = np.random.default_rng(seed_for(seed, "split", number))
        if groups is None:
            order = interleave(unique, stratify, rng)
            stops = np.cumsum([0, *wanted])
            test, val, train = (order[a:b] for a, b in itertools.pairwise(stops))
        else:
            test, val, train = take_groups(unique, groups, wanted, rng)
        splits.append(Split(f"split{number:0{digits}}", tuple(train), tuple(val), tuple(test)))
    return splits


def write_splits(path: Path, splits: Sequence[Split], *, names: Sequence[str], **details: Any) -> None:
    """Write ``splits.json``: the divisions, and a hash of the names of the data set that they were drawn from.

    Parameters
    ----------
    path
        The file.
    splits
        The divisions.
    names
        Names of all images of the data set.
    **details
        How they were drawn (seed, counts, ...), for the reader; kept as given.
    """
    value = {
        "format": FORMAT,
        "images": len(names),
        "names_sha256": names_hash(names),
        **details,
        "splits": [{"name": split.name, **{part: list(split.part(part)) for part in PARTS}} for split in splits],
    }
    write_json(path, value)


def read_splits(path: Path, *, names: Sequence[str] | None = None) -> list[Split]:
    """Read ``splits.json`` and check it.

    Parameters
    ----------
    path
        The file.
    names
        Names of the images of the data set at hand. If given, each image of the divisions must be among them.

    Raises
    ------
    DataError
        The file cannot be read or is of another format, two divisions have one name, an image is in two parts, or an
        image is not in the data set.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value.get("format", FORMAT) != FORMAT:
            raise DataError(
                f"'{path}' has the format {value['format']!r}; this version reads '{FORMAT}'. "
                "Make it again: c6seg data split."
            )
        splits = [
            Split(str(entry["name"]), *(tuple(map(str, entry[part])) for part in PARTS)) for entry in value["splits"]
        ]
    except OSError as error:
        raise DataError(
            f"Cannot read splits '{path}': {error.strerror or error}. Make them: c6seg data split."
        ) from error
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"'{path}' is no splits file of c6seg. Make one: c6seg data split.") from error
    if not splits:
        raise DataError(f"'{path}' holds no split. Make them again: c6seg data split.")
    _check_names(splits, path)
    for split in splits:
        _check_disjoint(split, path)
    if names is not None:
        known = set(names)
        missing = sorted({name for split in splits for part in PARTS for name in split.part(part)} - known)
        if missing:
            raise DataError(
                f"'{path}' names {len(missing)} images that the data set does not have, such as '{missing[0]}'. "
                "It was made for another data set; make one for this: c6seg data split."
            )
        if value.get("names_sha256") not in {None, names_hash(names)}:
            logger.warning("The data set has changed since '%s' was made; images added since are in no part.", path)
    return splits


def is_grouped(path: Path) -> bool:
    """Whether ``splits.json``, which :func:`read_splits` reads, says that images of a group are in one part."""
    return json.loads(path.read_text(encoding="utf-8")).get("grouped") is True


def names_hash(names: Iterable[str]) -> str:
    """SHA-256 of the sorted names: equal exactly for data sets with the same image names."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def find_split(splits: Sequence[Split], name: str) -> Split:
    """Find a division by name; a :class:`UsageError` offers the nearest one."""
    for split in splits:
        if split.name == name:
            return split
    raise UsageError(did_you_mean(name, [split.name for split in splits], what="split"))


def select(dataset: Dataset, split: Split, part: str) -> tuple[Item, ...]:
    """Take the images of one part of a division from a data set, in the order of the division.

    Raises
    ------
    DataError
        The data set lacks an image of this part.
    """
    items = {item.name: item for item in dataset.items}
    wanted = split.part(part)
    missing = [name for name in wanted if name not in items]
    if missing:
        raise DataError(
            f"{split.name}/{part} has {len(missing)} images that '{dataset.root}' lacks, such as '{missing[0]}'. "
            "Use the splits file of this data set, or make one: c6seg data split."
        )
    return tuple(items[name] for name in wanted)


def select_text(dataset: Dataset, text: str, *, part: str = "test") -> tuple[Item, ...]:
    """Take the images that a person asked for.

    Parameters
    ----------
    dataset
        The data set.
    text
        ``FILE:NAME`` or ``FILE:NAME/PART``, such as ``splits.json:split00/val``; or ``train``, ``val`` or ``test``
        for the division that the data set itself brings.
    part
        Which part, where the text names none.

    Raises
    ------
    UsageError
        There is no such division.
    DataError
        The file cannot be read or does not fit the data set.
    """
    if text in PARTS:
        own = tuple(item for item in dataset.items if item.split == text)
        if not own:
            raise UsageError(f"'{dataset.root}' brings no division of its own. Give one: --split splits.json:split00.")
        return own
    file, colon, name = text.rpartition(":")
    if not colon or not file or not name:
        raise UsageError(
            f"--split {text!r} is not FILE:NAME. Write for example splits.json:split00 or ...:split00/val."
        )
    name, _, named_part = name.partition("/")
    splits = read_splits(Path(file), names=[item.name for item in dataset.items])
    return select(dataset, find_split(splits, name), named_part or part)


def _unique(names: Sequence[str], duplicates: Iterable[Iterable[str]]) -> list[str]:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise UsageError(
            f"{len(twice)} names occur more than once, such as '{twice[0]}'. Give each image its own name."
        )
    dropped = {name for same in duplicates for name in sorted(same)[1:]}
    return sorted(name for name in names if name not in dropped)


def _check_counts(counts: tuple[int, int, int], repeats: int, unique: int, given: int) -> None:
    if counts[0] < 1 or min(counts) < 0 or repeats < 1:
        raise UsageError(
            f"counts = {counts}, repeats = {repeats} cannot be used: at least 1 training image and 1 repeat, "
            "0 or more validation and test images."
        )
    if sum(counts) > unique:
        without = f" ({given} less those that are there twice)" if unique < given else ""
        raise UsageError(
            f"{counts[0]} training + {counts[1]} validation + {counts[2]} test = {sum(counts)} images are asked for, "
            f"but there are {unique}{without}. Ask for fewer: --counts TRAIN/VAL/TEST."
        )


def _check_names(splits: Sequence[Split], path: Path) -> None:
    name, times = Counter(split.name for split in splits).most_common(1)[0]
    if times > 1:
        raise DataError(f"'{path}' has {times} divisions called '{name}'. Give each division its own name.")


def _check_disjoint(split: Split, path: Path) -> None:
    seen: dict[str, str] = {}
    for part in PARTS:
        for name in split.part(part):
            if name in seen:
                raise DataError(
                    f"'{path}': image '{name}' is in {seen[name]} and in {part} of {split.name}. "
                    "Take it out of one, or make the splits again: c6seg data split."
                )
            seen[name] = part
