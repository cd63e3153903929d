"""What a report must be told of a study beside its scores: the plan, the words, and where its pictures lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c6seg.errors import UsageError
from c6seg.evaluation.comparisons import OVERLAP
from c6seg.studies.scores import Configuration, Sizes

CURVE_COLUMNS = (
    "split", "state", "validated_on", "epoch", "train_loss", "learning_rate", "val_loss", "val_dice", "seconds",
    "images_per_s",
)  # fmt: skip
"""Columns of ``curves.csv`` that are no factors; ``learning_rate`` may be one, and then stands for what was noted."""


@dataclass(frozen=True, slots=True)
class ClusterPicture:
    """A picture with dense clusters and the masks that networks of different starts give it, for figure 6.

    Parameters
    ----------
    image
        The picture.
    masks
        Label, such as ``from LIVECell``, to the file of the mask.
    caption
        What is seen; licence and source of the picture.
    """

    image: Path
    masks: Mapping[str, Path]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class CropPicture:
    """A picture on which figure 5 draws the random resized crop.

    Parameters
    ----------
    image
        The picture.
    sides
        Smallest and largest side of the fragment, in parts of the side of the image, such as ``(0.27, 0.87)``.
    size
        Size to which a fragment is brought, WIDTHxHEIGHT.
    caption
        Licence and source of the picture.
    """

    image: Path
    sides: tuple[float, float]
    size: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class StudyInfo:
    """The plan of a study and what its report says around the numbers.

    Parameters
    ----------
    name, title
        Such as ``initialisation``, and a heading.
    question
        What the study asks, in a sentence or two.
    configurations
        All that are planned, in the order of the tables; those without scores are blanks. Empty: those of the rows.
    divisions, images_per_division
        K and N of equation (3) as planned, so that less is told as partial; 0 = what the rows have.
    sizes
        Pairs (R, R2) in the order of the tables; empty: those of the rows.
    expected
        Scores that are planned of each configuration (as sorted pairs) at each of its pairs of sizes, where these
        differ between configurations; empty: K x N of all at all ``sizes``.
    columns
        Factor whose values are the columns of the compact table; empty: the pairs of sizes.
    compare
        Factors whose values are compared, all else being equal; empty: all that vary.
    against
        Factor to the value that the others are compared with, such as ``{"init": "imagenet"}``; a factor without one
        is compared in all pairs.
    size_factor
        Factor that holds the number of training images, for figure 3; empty = none.
    overlap
        Part of its images that a training set shares with that of another division: training images divided by all
        images for random divisions, 1 for one fixed training set.
    overlaps
        ``overlap`` by configuration, or part of one as pairs of factor and value, where training sets differ in it.
    labels
        Factor to value to the words that people read, such as ``{"init": {"livecell": "LIVECell"}}``.
    published
        Name of a published table (:mod:`c6seg.studies.published`) to set beside; only where the data are the paper's.
    pretrainings
        Names of the pre-trainings that configurations start from: each is one network for all divisions.
    data
        Lines on the data sets: name, licence, source.
    notes
        What a reader must know: what the study is, and what it is not.
    failures
        Run and reason for each that failed.
    planned, done
        Runs.
    epochs
        For figure 4: factors, ``split``, ``epoch`` and ``val_dice`` or ``val_loss`` of every epoch of every run.
    crop, clusters
        For figures 5 and 6; a figure without its material is left out.
    facts
        What made the numbers: name to value, such as versions. Leave out times of day and places: the same results
        give the same report.
    """

    name: str
    title: str
    question: str = ""
    configurations: Sequence[Mapping[str, str]] = ()
    divisions: int = 0
    images_per_division: int = 0
    sizes: Sequence[Sizes] = ()
    expected: Mapping[tuple[Configuration, Sizes], int] = field(default_factory=dict)
    columns: str = ""
    compare: Sequence[str] = ()
    against: Mapping[str, str] = field(default_factory=dict)
    size_factor: str = ""
    overlap: float = OVERLAP
    overlaps: Mapping[Configuration, float] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    published: str = ""
    pretrainings: Sequence[str] = ()
    data: Sequence[str] = ()
    notes: Sequence[str] = ()
    failures: Sequence[tuple[str, str]] = ()
    planned: int = 0
    done: int = 0
    epochs: Sequence[Mapping[str, Any]] = ()
    crop: CropPicture | None = None
    clusters: Sequence[ClusterPicture] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for overlap in (self.overlap, *self.overlaps.values()):
            if not 0 <= overlap <= 1:
                raise UsageError(f"overlap = {overlap} is not between 0 and 1: it is a part of a training set.")

    def label(self, factor: str, value: str) -> str:
        """Return the words that people read for a value of a factor."""
        return self.labels.get(factor, {}).get(value, value)

    def phrase(self, factor: str, value: str) -> str:
        """Return the words for a value inside a sentence: a bare number is told with its factor.

        Examples
        --------
        >>> StudyInfo("x", "X").phrase("train_images", "15")
        '15 train images'
        """
        words, name = self.label(factor, value), factor.replace("_", " ")
        if words != value:
            return words
        if re.fullmatch(r"[-+]?\d+(\.\d+)?", value):
            return f"{value} {name}" if name.endswith("s") else f"{name} {value}"
        if re.fullmatch(r"\d+x\d+", value):
            return f"{name} {value}"
        return f"{name} {value}" if value in {"true", "false", "yes", "no", "none"} else value

    def overlap_of(self, configuration: Mapping[str, str]) -> float:
        """Return the part of its images that a training set of this configuration shares with another."""
        pairs = configuration.items()
        return next((share for key, share in self.overlaps.items() if pairs >= set(key)), self.overlap)
