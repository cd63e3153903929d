"""The paper's published DiceScore^AV, to set beside a study on the same data; never mixed with measured ones.

Computer Optics 2025, 49(5), 794-804, doi 10.18287/2412-6179-CO-1609, Tables 1 to 5; Table 6 is what it says of data
sets. Where a label cannot be read in the copy at hand, the figure is marked with what was read into it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from c6seg.errors import ConfigError, UsageError, did_you_mean
from c6seg.models.encoders import find_encoder

SIZES = {"704x512": "704p", "1472x1120": "1472p", "2592x1952": "2592p", "native": "2592p"}
"""WIDTHxHEIGHT to the paper's names; its images are 2592x1952, so that they are native."""


@dataclass(frozen=True, slots=True)
class Published:
    """One published figure.

    Parameters
    ----------
    table
        Such as ``Table 1``.
    configuration
        Factor to value, as in the study of that table.
    sizes
        R and R2 by the paper's names; R empty = that of fine-tuning.
    dice
        DiceScore^AV.
    reading
        What is our reading, where a label cannot be read; empty = printed so.
    """

    table: str
    configuration: Mapping[str, str]
    sizes: tuple[str, str]
    dice: float
    reading: str = ""


READING_2 = "row labels of Table 2 are partly unreadable; their order is our reading"
READING_3 = (
    "printed 'ImageNet' a second time; LIVECell 1472p is our reading, against which speaks that Table 4 has 0.899 for "
    "what we take for the same training"
)
READING_4 = (
    "Table 4 does not say at which size was pre-trained; 1472p is our reading, against which speaks that Table 3 has "
    "0.899 for LIVECell 704p and, by our reading, 0.903 for LIVECell 1472p"
)

# encoder, start, DiceScore^AV(704p, 704p)
TABLE_1 = (
    ("MiT-B3", "random", 0.868),
    ("MiT-B3", "imagenet", 0.930),
    ("MiT-B3", "livecell", 0.940),
    ("VGG19", "random", 0.913),
    ("VGG19", "imagenet", 0.932),
    ("VGG19", "livecell", 0.940),
)
# encoder, start, (704p, 2592p), (2592p, 2592p); trained at 704p
TABLE_2 = (
    ("MiT-B3", "imagenet", 0.876, 0.696),
    ("VGG19", "imagenet", 0.878, 0.742),
    ("MiT-B3", "livecell", 0.886, 0.817),
    ("VGG19", "livecell", 0.887, 0.632),
)
# encoder, start, fine-tuning, DiceScore^AV(x, 2592p)
TABLE_3 = (
    ("VGG19", "imagenet", "resize 1472p", 0.904),
    ("VGG19", "livecell 704p", "resize 1472p", 0.901),
    ("VGG19", "livecell 1472p", "resize 1472p", 0.901),
    ("VGG19", "imagenet", "crop 1472p", 0.903),
    ("VGG19", "imagenet", "resize 2592p", 0.907),
    ("VGG19", "livecell 704p", "resize 2592p", 0.903),
    ("VGG19", "livecell 1472p", "resize 2592p", 0.902),
    ("VGG19", "livecell 2592p", "resize 2592p", 0.900),
    ("MiT-B3", "imagenet", "resize 1472p", 0.905),
    ("MiT-B3", "livecell 704p", "resize 1472p", 0.904),
    ("MiT-B3", "livecell 1472p", "resize 1472p", 0.904),
    ("MiT-B3", "imagenet", "crop 1472p", 0.905),
    ("MiT-B3", "livecell 1472p", "crop 1472p", 0.903),  # READING_3
    ("MiT-B3", "livecell 704p", "crop 1472p", 0.899),
)
# side of the fragment in %, flips, sharpness, contrast while pre-training; (2592p, 2592p)
TABLE_4 = (
    ("none", "no", "no", "no", 0.899),  # READING_4
    ("57 +- 5", "no", "no", "no", 0.903),
    ("57 +- 30", "no", "no", "no", 0.904),
    ("57 +- 30", "yes", "no", "no", 0.903),
    ("57 +- 30", "yes", "yes", "no", 0.906),
    ("57 +- 30", "yes", "no", "yes", 0.906),
    ("57 +- 30", "yes", "yes", "yes", 0.903),
)
# augmentation while fine-tuning; (2592p, 2592p)
TABLE_5 = (("none", 0.904), ("flips", 0.904), ("flips, sharpness", 0.903), ("flips, contrast", 0.902))
# data set; what is printed of its channels, modality, sizes and preparation, by the columns of a data sheet
TABLE_6 = {
    "glioma": ("Glioma C6", "three-channel", "phase contrast", "2592x1952", "live"),
    "livecell": ("LIVECell", "grayscale", "phase contrast", "520x704", "live"),
    "cellpose": (
        "Cellpose", "three-channel; grayscale", "fluorescence; phase contrast", "110 to 512x512", "live; stained"
    ),
    "omnipose": (
        "Omnipose", "three-channel; grayscale", "fluorescence; phase contrast", "720x576 to 2038x2038", "live; stained"
    ),
    "dsb2018": ("DSB 2018", "three-channel", "fluorescence", "about 236x236", "stained"),
}  # fmt: skip
SHEETS = "Table 6"
"""A name like those of the tables of scores; its rows stand beside data sheets."""
FIGURE_3 = "Fig. 3"
"""A name like those of the tables; the figure has no printed numbers."""
FIGURE_3_WORDS = (
    "In the paper's Fig. 3, DiceLoss^AV(704p, 704p) is roughly 0.064 to 0.065 at 5 training images and 0.060 to 0.062 "
    "at 15, read from the figure; the step from 10 to 15 is small."
)


@cache
def published() -> dict[str, tuple[Published, ...]]:
    """Return all figures by the name of their table."""
    first, second, third, fourth, fifth = (f"Table {number}" for number in range(1, 6))
    both = (("704p", "2592p"), ("2592p", "2592p"))
    return {
        first: tuple(Published(first, {"encoder": e, "init": i}, ("704p", "704p"), d) for e, i, d in TABLE_1),
        second: tuple(
            Published(second, {"encoder": e, "init": i}, sizes, dice, READING_2)
            for e, i, *scores in TABLE_2
            for sizes, dice in zip(both, scores, strict=True)
        ),
        third: tuple(
            Published(
                third,
                {"encoder": e, "init": i, "tuning": t},
                ("", "2592p"),
                d,
                READING_3 * ((i, t) == ("livecell 1472p", "crop 1472p")),
            )
            for e, i, t, d in TABLE_3
        ),
        fourth: tuple(
            Published(
                fourth,
                {"fragment": f, "flips": a, "sharpness": b, "contrast": c},
                both[1],
                d,
                READING_4 * (f == "none"),
            )
            for f, a, b, c, d in TABLE_4
        ),
        FIGURE_3: (),
        SHEETS: (),
        fifth: tuple(Published(fifth, {"augmentation": a}, both[1], d) for a, d in TABLE_5),
    }


def table_named(name: str) -> tuple[Published, ...]:
    """Return the figures of a table; a :class:`UsageError` offers the nearest name."""
    if name not in published():
        raise UsageError(did_you_mean(name, published(), what="published table"))
    return published()[name]


def find_published(name: str, configuration: Mapping[str, str], sizes: tuple[str, str]) -> Published | None:
    """Find the published figure of a configuration at a pair of sizes; None where the paper has none.

    Parameters
    ----------
    name
        Of the table.
    configuration
        Factor to value; it may have further factors. Case and signs between words do not matter, encoders may have any
        of their names, sizes may be written WIDTHxHEIGHT.
    sizes
        R and R2 as WIDTHxHEIGHT.
    """
    wanted = {factor: _plain(factor, value) for factor, value in configuration.items()}
    for one in table_named(name):
        if any(wanted.get(factor) != _plain(factor, value) for factor, value in one.configuration.items()):
            continue
        if all(not theirs or SIZES.get(mine, mine) == theirs for mine, theirs in zip(sizes, one.sizes, strict=True)):
            return one
    return None


def _plain(factor: str, value: str) -> str:
    if factor == "encoder":
        try:
            return find_encoder(value).name
        except ConfigError:
            return value
    text = value.lower().replace("±", "+-")
    for size, name in SIZES.items():
        if size != "native":
            text = text.replace(size, name)
    return re.sub(r"[\s_,;-]+", " ", text).strip()
