"""Where a well lies: names, rows and columns, plate formats, the outer ring."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Rows and columns of the plates that are made, smallest first.
FORMATS = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))
# Smaller plates are nearly all edge, so an edge flag would say nothing there.
EDGE_FROM = 48

_WELL = re.compile(r"\s*([A-Za-z]{1,2})\s*[-_:]?\s*(\d{1,3})\s*")


def well_position(name: str) -> tuple[int, int] | None:
    """Row and column of a well, from 0; None where no plate has such a well.

    Examples
    --------
    >>> well_position("b02"), well_position("AF48"), well_position("A0")
    ((1, 1), (31, 47), None)
    """
    match = _WELL.fullmatch(name)
    if match is None:
        return None
    row, column = row_number(match[1]), int(match[2]) - 1
    return (row, column) if row < FORMATS[-1][0] and 0 <= column < FORMATS[-1][1] else None


def row_number(letters: str) -> int:
    """Row of its letters, from 0: A = 0, Z = 25, AA = 26."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1


def well_name(row: int, column: int) -> str:
    """Short form of a well's name, ``"C7"``."""
    letters = chr(ord("A") + row) if row < 26 else f"A{chr(ord('A') + row - 26)}"
    return f"{letters}{column + 1}"


def plate_size(positions: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Smallest plate format that holds all the wells."""
    found = list(positions)
    rows, columns = (max((place[axis] for place in found), default=0) for axis in (0, 1))
    return next(size for size in FORMATS if rows < size[0] and columns < size[1])


def is_edge(position: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a well lies in the outer ring, where medium evaporates and cools; never on plates below 48 wells.

    On 6, 12 and 24 wells all or most wells are in the outer ring: the flag would set no wells apart.
    """
    outer = any(place in {0, end - 1} for place, end in zip(position, size, strict=True))
    return outer and size[0] * size[1] >= EDGE_FROM
