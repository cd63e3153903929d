"""How far a model's confluence is off, from tables that ``c6seg evaluate`` wrote."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from c6seg.config import format_size
from c6seg.errors import DataError, UsageError
from c6seg.evaluation.evaluate import MODEL_SCALE, summary_file
from c6seg.models.bundle_folder import WEIGHTS_FILE
from c6seg.models.bundle_spec import BundleSpec, Calibration

MIN_IMAGES = 5
"""With 5 the true standard deviation is 0.6 to 2.9 times the one that is found (95 %, normal errors)."""

NEEDED_COLUMNS = ("image", "confluence_true", "confluence_pred")


@dataclass(frozen=True, slots=True)
class ScoredTable:
    """The confluences of one table of an evaluation.

    Parameters
    ----------
    path
        The table.
    data
        Name of its data set.
    images
        Names of the images.
    true, predicted
        Confluence of each, 0..1.
    summary
        What stands beside the table: model, threshold, sizes.
    """

    path: Path
    data: str
    images: tuple[str, ...]
    true: tuple[float, ...]
    predicted: tuple[float, ...]
    summary: dict[str, Any]


def measure_error(true: ArrayLike, predicted: ArrayLike, *, data: Iterable[str] = (), note: str = "") -> Calibration:
    """Compare confluences with the truth, on the scale asin(sqrt(confluence)).

    Parameters
    ----------
    true, predicted
        (images,) confluence, 0..1.
    data
        Names of the data sets.
    note
        What a reader must know of the images.

    Returns
    -------
    Calibration
        Mean, and standard deviation with the divisor n - 1, of asin(sqrt(predicted)) - asin(sqrt(true)).

    Examples
    --------
    >>> found = measure_error([0.2, 0.3, 0.5], [0.2, 0.4, 0.5])
    >>> found.images, round(found.confluence_mae, 4), round(found.confluence_bias_arcsine, 4)
    (3, 0.0333, 0.035)
    """
    truth, found = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    error = np.arcsin(np.sqrt(found)) - np.arcsin(np.sqrt(truth))
    return Calibration(
        confluence_sd_arcsine=round(float(error.std(ddof=1)), 6),
        confluence_bias_arcsine=round(float(error.mean()), 6),
        confluence_mae=round(float(np.abs(found - truth).mean()), 6),
        images=len(error),
        data=tuple(data),
        note=note,
    )


def calibrate(spec: BundleSpec, tables: Sequence[Path], *, note: str = "") -> Calibration:
    """Measure the error of a model's confluence over the images of some tables together.

    Parameters
    ----------
    spec
        Description of the model.
    tables
        ``FILE.csv`` of evaluations, summaries beside them.
    note
        What a reader must know of the images; whether they were told from the model's own is added.

    Raises
    ------
    DataError
        One is no table of an evaluation.
    UsageError
        A table of another model, or of images that were not treated as in ``c6seg segment``; an image that is given
        twice, or that trained or tuned the model; or fewer than :data:`MIN_IMAGES` images.
    """
    scored = [read_confluences(table) for table in tables]
    for table in scored:
        _check_model(spec, table)
    names = [(table.data, image) for table in scored for image in table.images]
    twice = [image for (_, image), count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{_some(twice)} would count twice, as more than one row is about it. Give each image once.")
    own = _own_images(spec)
    seen = [image for _, image in names if image in own]
    if seen:
        raise UsageError(
            f"{len(seen)} of {len(names)} images trained or tuned the model ({_some(seen)}): on them it is better than "
            "on others. Score images that it has not seen. Only names are compared: rename others that are called so."
        )
    if len(names) < MIN_IMAGES:
        raise UsageError(
            f"{len(names)} images are too few to say how far confluence is off; at least {MIN_IMAGES} are needed. "
            "Score more annotated images with: c6seg evaluate"
        )
    checked = "none of them trained or tuned the model" if own else "the model does not name those that trained it"
    return measure_error(
        [value for table in scored for value in table.true],
        [value for table in scored for value in table.predicted],
        data=dict.fromkeys(table.data for table in scored),
        note="; ".join(part for part in (note.strip().rstrip("."), checked) if part),
    )


def read_confluences(table: Path) -> ScoredTable:
    """Read true and predicted confluence of each image from a table of an evaluation and the summary beside it.

    Raises
    ------
    DataError
        The table or its summary is missing or something else, or a confluence is no number from 0 to 1.
    """
    try:
        summary = json.loads(summary_file(table).read_text(encoding="utf-8"))
        data = Path(summary["data"]).name
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        missing = [name for name in NEEDED_COLUMNS if name not in (reader.fieldnames or ())]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(f"'{table}' is no table of `c6seg evaluate` with its summary beside it: {error}") from error
    if missing:
        raise DataError(f"'{table}' is no table of `c6seg evaluate`: it has no column {missing[0]}.")
    return ScoredTable(
        path=table,
        data=data,
        images=tuple(row["image"] for row in rows),
        true=tuple(_fraction(table, row, "confluence_true") for row in rows),
        predicted=tuple(_fraction(table, row, "confluence_pred") for row in rows),
        summary=summary,
    )


def _fraction(table: Path, row: dict[str, str], column: str) -> float:
    text = row[column]
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= 1:  # written so that NaN fails
        raise DataError(f"'{table}', image '{row['image']}': {column} is {text!r}, not a number from 0 to 1.")
    return value


def _check_model(spec: BundleSpec, table: ScoredTable) -> None:
    """Refuse confluences that ``c6seg segment`` with this model would not give."""
    found = table.summary
    if found.get("model") != spec.name:
        raise UsageError(f"'{table.path}' was made with the model {found.get('model')!r}, not with {spec.name!r}.")
    weights = found.get("weights_sha256")
    if weights is not None and weights != spec.files.get(WEIGHTS_FILE):
        raise UsageError(f"'{table.path}' was made with other weights of {spec.name!r}. Run c6seg evaluate again.")
    if found.get("threshold") != spec.threshold:
        raise UsageError(
            f"'{table.path}' was made with the threshold {found.get('threshold')}, that of the model is "
            f"{spec.threshold}, and confluence depends on it. Run c6seg evaluate without --threshold."
        )
    size, given, scored = format_size(spec.scale.whole_image), found.get("input_size"), found.get("score_size")
    if given not in (MODEL_SCALE, size) or scored != "native":
        raise UsageError(
            f"'{table.path}' was made with --input-size {given} --score-size {scored}; c6seg segment treats images "
            f"otherwise. Run c6seg evaluate with --input-size {MODEL_SCALE} (or {size}) and without --score-size."
        )


def _own_images(spec: BundleSpec) -> set[str]:
    lists = (spec.provenance.get(part) for part in ("train", "val"))
    return {str(name) for names in lists if isinstance(names, list | tuple) for name in names}


def _some(names: Sequence[str]) -> str:
    """Name three of many."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
