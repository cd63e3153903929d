"""Which column of a plate map is what: the headings that people write, and units inside them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from c6seg.growth.words import few

SYNONYMS = {
    "well": ("well", "wells", "well id", "wellid", "well name", "wellname", "well position", "well no", "position"),
    "row": ("row", "well row"),
    "col": ("col", "column", "well col", "well column"),
    "plate": ("plate", "plate id", "plateid", "plate name", "platename", "plate no", "barcode", "plate barcode"),
    "treatment": ("treatment", "compound", "drug", "condition", "substance", "agent", "inhibitor", "compound name"),
    "concentration": ("concentration", "conc", "dose", "dosage"),
    "unit": ("unit", "units", "concentration unit", "concentration units", "conc unit", "conc units", "dose unit"),
    "replicate": ("replicate", "rep", "repeat", "replicate no", "replicate number"),
    "role": ("role", "type", "well type", "welltype", "well role", "sample type", "control type", "kind"),
}
_MEANING = {word: name for name, words in SYNONYMS.items() for word in words}

_AMOUNT = r"(?:concentration|conc\.?|dose|dosage)"
_IN_BRACKETS = re.compile(rf"{_AMOUNT}[\s_]*(?:\((?P<round>[^)]+)\)|\[(?P<square>[^\]]+)\])", re.IGNORECASE)
# without brackets only what looks like a unit: "dose_level" is none
_BEHIND = re.compile(
    rf"{_AMOUNT}[\s_\-/]+(?P<unit>(?:%|x|[fpnuµμmkc]?(?:mol|m|g|l|iu|u|gy|j|v|pa))"
    r"(?:[\s_/]*(?:per)?[\s_/]*[fpnuµμmk]?(?:l|g|cm2|well))?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where things are in a table.

    Parameters
    ----------
    places
        Number of the column of each known name.
    unit
        Unit in the heading of the concentration; empty where there is none.
    extra
        (heading, number) of all other columns.
    notes
        In words: columns that mean the same, and those that are not known.
    """

    places: dict[str, int]
    unit: str
    extra: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]


def find_columns(headings: Sequence[str]) -> Columns:
    """Recognise headings, in any case and with any separators; of two that mean the same the first counts."""
    places: dict[str, int] = {}
    unit, extra, notes = "", [], []
    for index, heading in enumerate(headings):
        meaning, found_unit = _meaning(heading)
        if meaning is None:
            if heading:
                extra.append((heading, index))
        elif meaning in places:
            extra.append((heading, index))
            notes.append(
                f"the columns '{headings[places[meaning]]}' and '{heading}' both give the {meaning}; "
                f"the first was used, the other one kept as it is"
            )
        else:
            places[meaning] = index
            unit = found_unit if meaning == "concentration" else unit
    unknown = [heading for heading, _ in extra if _meaning(heading)[0] is None]
    if unknown:
        words = few([f"'{heading}'{_nearest(heading, places)}" for heading in unknown], 6)
        notes.append(f"columns of the plate map that are not known, and were only copied: {words}")
    return Columns(places, unit, tuple(extra), tuple(notes))


def _nearest(heading: str, places: Mapping[str, int]) -> str:
    """Ask whether a heading is a misspelt one, of what no other column gives."""
    words = [word for name, synonyms in SYNONYMS.items() if name not in places for word in synonyms]
    close = difflib.get_close_matches(_plain(heading), words, n=1, cutoff=0.75)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _plain(heading: str) -> str:
    return re.sub(r"[\s_.\-]+", " ", heading.casefold()).strip()


def _meaning(heading: str) -> tuple[str | None, str]:
    plain = _plain(heading)
    if plain in _MEANING:
        return _MEANING[plain], ""
    match = _IN_BRACKETS.fullmatch(heading.strip())
    if match:
        return "concentration", (match["round"] or match["square"]).strip()
    match = _BEHIND.fullmatch(heading.strip())
    if match:
        return "concentration", re.sub(r"[\s_]*(?:per|[\s_/])[\s_]*", "/", match["unit"])
    return None, ""
