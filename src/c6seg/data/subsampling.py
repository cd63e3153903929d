"""Orders and groups for random sub-sampling: the arithmetic under :mod:`c6seg.data.splits`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from c6seg.errors import UsageError


def interleave(names: Sequence[str], stratify: Mapping[str, Hashable] | None, rng: np.random.Generator) -> list[str]:
    """Shuffle so that every stretch of the list has the strata in about the proportion of the whole.

    Parameters
    ----------
    names
        What to shuffle.
    stratify
        Name -> stratum; None for a plain shuffle. Names that it does not have form a stratum of their own.
    rng
        Source of the order.
    """
    strata: dict[str, list[str]] = {}
    for name in names:
        strata.setdefault("" if stratify is None else str(stratify.get(name)), []).append(name)
    keyed: list[tuple[float, str]] = []
    for label in sorted(strata):
        members = strata[label]
        offset = float(rng.random())
        keyed += [((rank + offset) / len(members), members[i]) for rank, i in enumerate(rng.permutation(len(members)))]
    return [name for _, name in sorted(keyed)]


def take_groups(
    names: Sequence[str],
    groups: Mapping[str, Hashable],
    wanted: Sequence[int],
    rng: np.random.Generator,
) -> list[list[str]]:
    """Draw sets of names so that no group is in two of them.

    Parameters
    ----------
    names
        All names; one that ``groups`` does not have is a group of its own.
    groups
        Name -> group.
    wanted
        Size of each set; a set gets the largest number, up to this, that whole groups can make.
    rng
        Source of the order in which groups are tried.

    Raises
    ------
    UsageError
        No whole group fits into a set.
    """
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(str(groups.get(name, name)), []).append(name)
    free = [sorted(members)[i] for i in rng.permutation(len(members))]
    taken: list[list[str]] = []
    for size in wanted:
        chosen = fill_up([len(members[group]) for group in free], size)
        if size and not chosen:
            raise UsageError(
                f"Of {len(members)} groups, none that is left fits into a part of {size} images. "
                "Ask for more images in that part, or split without groups."
            )
        here = [free[i] for i in chosen]
        taken.append([name for group in here for name in members[group]])
        free = [group for group in free if group not in here]
    return taken


def fill_up(sizes: Sequence[int], wanted: int) -> list[int]:
    """Choose groups, earlier ones first, whose sizes add up to ``wanted`` or as near below it as can be."""
    reached: dict[int, list[int]] = {0: []}
    for index, size in enumerate(sizes):
        for total, chosen in list(reached.items()):
            if total + size <= wanted:
                reached.setdefault(total + size, [*chosen, index])
        if wanted in reached:
            break
    return reached[max(reached)]
