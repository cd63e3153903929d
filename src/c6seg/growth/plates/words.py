"""Words of plate maps: what a well is for, and amounts with their units."""

from __future__ import annotations

import re
from collections.abc import Iterable

from c6seg.growth.plates.results import Role

# Controls that carry the solvent of the drugs: what treatments must be compared with where there are others too.
_SOLVENTS = {"vehicle", "vehicle control", "solvent", "solvent control", "dmso", "dmso control", "dmso only"}
_VEHICLES = _SOLVENTS | {"ethanol", "etoh", "pbs", "water"}
# Controls that are only called so.
_UNNAMED = {
    "",
    "control",
    "controls",
    "ctrl",
    "ctl",
    "untreated",
    "untreated control",
    "no treatment",
    "no drug",
    "none",
}
_NEGATIVE = {"negative", "negative control", "neg", "neg control", "neg ctrl", "nc", "mock"}
_BLANKS = {"blank", "blanks", "blank control", "empty", "medium", "media", "medium only", "media only", "background"}
_LEVELS = {"low", "high", "lowest", "highest"}
_CELL_FREE = {"no cells", "no cell", "cell free", "without cells"}
_SAMPLES = {"sample", "samples", "treatment", "treated", "test", "compound", "drug", "unknown"}
_POSITIVE = {"positive", "positive control", "pos", "pos control", "pc"}
_ROLES: dict[str, Role] = {
    **dict.fromkeys(_SOLVENTS | _UNNAMED | _NEGATIVE, "control"),
    **dict.fromkeys(_BLANKS | _CELL_FREE, "blank"),
    **dict.fromkeys(_SAMPLES | _POSITIVE, "sample"),  # a positive control is a treatment that is known to work
}

_NUMBER = re.compile(r"(?P<number>[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>[^\d\s.,+-].*)?")
_NO_NUMBER = frozenset({"", "-", "na", "n/a", "nan", "none", "null"})

_SCALES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
# (kind, size) of units that can be turned into each other
_UNITS = {f"{prefix}m": ("molar", size) for prefix, size in _SCALES.items()}
_UNITS |= {f"{prefix}mol/l": ("molar", size) for prefix, size in _SCALES.items()}
_UNITS |= {f"{prefix}g/l": ("mass", size) for prefix, size in _SCALES.items()}
_UNITS |= {f"{prefix}g/ml": ("mass", 1e3 * size) for prefix, size in _SCALES.items()}


def plain(word: str) -> str:
    """Write a word for looking it up: small letters, no part per cent, no number (``"0.1 % DMSO"`` is ``"dmso"``)."""
    text = re.sub(r"[\d.,]+\s*%|[^\w]+|_", " ", word.casefold())
    return re.sub(r"(?<=\w) \d+$", "", " ".join(text.split()))


def role_of_word(word: str) -> Role | None:
    """Whether a word stands for controls, blanks or samples; None where it is none of these words."""
    return _ROLES.get(plain(word))


def levels_among(words: Iterable[str]) -> frozenset[str]:
    """Return the words that make ``"medium"`` a level, such as low and high; empty where no word is ``"medium"``."""
    given = {plain(word): word for word in words}
    found = frozenset(word for key, word in given.items() if _LEVELS & set(key.split()))
    return found if any(is_level(word) for word in given) else frozenset()


def is_level(word: str) -> bool:
    """Whether a word may stand for a level between low and high as well as for wells with medium only."""
    return plain(word) == "medium"


def names_no_control(word: str) -> bool:
    """Whether a control is only called a control, so that its treatment says nothing more."""
    return plain(word) in _UNNAMED


def is_vehicle(word: str) -> bool:
    """Whether a control carries the solvent of the drugs."""
    return plain(word) in _VEHICLES


def amount(text: str, *, decimal_comma: bool) -> tuple[float | None, str, str]:
    """Read a concentration.

    Parameters
    ----------
    text
        ``"10"``, ``"2.5 uM"``, ``"1e-3"``.
    decimal_comma
        Whether a comma can only be a decimal comma; elsewhere ``"1,000"`` could be a thousand.

    Returns
    -------
    tuple
        Number (None where there is none), unit in the text, and what is wrong in words (empty where nothing is).
    """
    if text.casefold() in _NO_NUMBER:
        return None, "", ""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None, "", f"the concentration '{text}' is no number"
    number = match["number"]
    if not decimal_comma and re.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}", number):
        return None, "", f"the concentration '{text}' may be a thousand or a fraction (write it without a comma)"
    value = float(number.replace(",", "."))
    if value < 0:
        return None, "", f"the concentration '{text}' is negative"
    if value == float("inf"):
        return None, "", f"the concentration '{text}' is no number"
    return value, (match["unit"] or "").strip(), ""


def unit_factor(unit: str, into: str) -> float | None:
    """Return what turns amounts in one unit into another one by multiplying; None where nothing does.

    Examples
    --------
    >>> unit_factor("nM", "uM")
    0.001
    """
    if _key(unit) == _key(into):
        return 1.0
    first, second = _UNITS.get(_key(unit)), _UNITS.get(_key(into))
    if first is None or second is None or first[0] != second[0]:
        return None
    return float(f"{first[1] / second[1]:.12g}")


def _key(unit: str) -> str:
    return re.sub(r"\s", "", unit).casefold().replace("μ", "u")
