"""Score a model on the items of a data set, and write the table and its summary."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from c6seg import runtime
from c6seg.config import format_size
from c6seg.data.datasets import open_dataset
from c6seg.data.facts import Progress
from c6seg.data.images import Frame, read_image
from c6seg.data.items import Item
from c6seg.data.splits import select_text
from c6seg.errors import AnnotationError, DataError, UsageError
from c6seg.evaluation.protocol import (
    BAND_PX,
    COLUMNS,
    THIN_RADIUS_PX,
    TOLERANCE_PX,
    Evaluation,
    FloatArray,
    Score,
    Size,
    evaluate_each,
    score_image,
)
from c6seg.inference.engine import describe
from c6seg.inference.quality import shows_nothing
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.tiling import predict
from c6seg.models.bundle_folder import WEIGHTS_FILE
from c6seg.transforms.preprocess import Preprocess

MODEL_SCALE = "model"
"""Input size that stands for the scale that the model was trained at, as ``c6seg segment`` resamples images."""


def choose_items(
    data: str | Path, *, split: str | None = None, layout: str = "auto"
) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Choose the images that are to be scored.

    Parameters
    ----------
    data
        Folder or export file of the data set.
    split
        As in :func:`c6seg.data.splits.select_text`; None = all annotated images.
    layout
        Layout of the data set.

    Returns
    -------
    tuple[tuple[Item, ...], tuple[str, ...]]
        The images, and the names of those that are left out because they are not annotated. A division is never
        thinned out: an image of it without annotation is scored as a failure.

    Raises
    ------
    UsageError
        Nothing is left to score, or there is no such division.
    """
    dataset = open_dataset(data, layout=layout)
    if split is not None:
        chosen, left_out = select_text(dataset, split), []
    else:
        chosen = tuple(item for item in dataset.items if item.annotation is not None)
        left_out = [item.name for item in dataset.items if item.annotation is None]
    if not chosen:
        where = f"'{split}' of '{data}'" if split is not None else f"'{data}'"
        raise UsageError(f"There is no annotated image in {where}, so nothing can be scored.")
    return chosen, tuple(left_out)


def evaluate_items(
    items: Sequence[Item],
    segmenter: Segmenter,
    *,
    input_hw: Size = None,
    score_hw: Size = None,
    model_scale: bool = False,
    tolerance_px: float = TOLERANCE_PX,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a model on images with truth: equation (2) of the paper for each.

    Parameters
    ----------
    items
        Images with annotations; one without is a failure.
    segmenter
        The model; its options decide threshold, memory and the largest image.
    input_hw
        Size R at which the network sees the images, px; None = native.
    score_hw
        Size R2 at which is scored, px; None = native, the size of the truth.
    model_scale
        Resample each image to the scale of the model where its pixel size is known, in place of ``input_hw``.
    tolerance_px
        Of the boundary F1, in pixels of the size at which is scored.
    progress
        Called after each image.
    """
    by_name = {item.name: item for item in items}
    done = 0

    def one(name: str) -> Score:
        nonlocal done
        try:
            return _score(by_name[name], segmenter, input_hw, score_hw, model_scale, tolerance_px)
        finally:
            done += 1
            if progress is not None:
                progress(done, len(by_name), name)

    if segmenter.members and not model_scale:
        raise UsageError(
            f"Several models see an image each at its own scale, not at {format_size(input_hw)}: score them with "
            f"input_size = {MODEL_SCALE!r}."
        )
    evaluation = evaluate_each(by_name, one, expected=(DataError,))
    bundle = segmenter.bundle
    details = {
        "model": bundle.spec.name,
        "model_version": bundle.spec.version,
        "model_sha256": segmenter.model_sha256,
        "weights_sha256": bundle.spec.files.get(WEIGHTS_FILE),  # the same after the card was changed
        "engine": segmenter.engine.name,
        "device": segmenter.engine.device,
        "precision": segmenter.engine.precision,
        "engine_notes": describe(segmenter.engine).get("notes", []),
        "threshold": segmenter.threshold,
        "input_size": MODEL_SCALE if model_scale else format_size(input_hw),
        "score_size": format_size(score_hw),
        "boundary_tolerance_px": tolerance_px,
        "band_px": BAND_PX,
        "thin_radius_px": THIN_RADIUS_PX,
    }
    return replace(evaluation, details=details)


def network_output(segmenter: Segmenter, frame: Frame, input_hw: Size) -> FloatArray:
    """Give z = f(g(x, R)) of equation (2): the probability at the size R, float32 (Y, X).

    An image of one grey value or of noise only shows nothing, and gets 0 everywhere as in ``c6seg segment``.
    """
    size_hw = input_hw or (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
    if shows_nothing(frame.pixels):
        return np.zeros(size_hw, dtype=np.float32)
    settings = segmenter.bundle.spec.preprocess
    image = Preprocess(settings).network_input(frame.pixels, size_hw=size_hw)
    return predict(
        segmenter.engine,
        image,
        multiple=settings.multiple,
        memory_mb=segmenter.config.memory_mb,
        encoder=segmenter.bundle.spec.encoder,
    )


def write_evaluation(path: Path, evaluation: Evaluation, **details: Any) -> Path:
    """Write the table (one row per image that was scored) and its summary.

    Parameters
    ----------
    path
        ``FILE.csv``; the summary becomes ``FILE.summary.json``.
    evaluation
        What to write.
    **details
        More to note in the summary.

    Returns
    -------
    Path
        The summary.
    """
    runtime.write_csv(path, COLUMNS, [score.row() for score in evaluation.scores])
    summary = summary_file(path)
    runtime.write_json(summary, {**evaluation.summary(), **details, **runtime.provenance()})
    return summary


def summary_file(table: Path) -> Path:
    """Where the summary of a table lies: ``FILE.summary.json`` beside ``FILE.csv``."""
    return table.with_suffix(".summary.json") if table.suffix.lower() == ".csv" else Path(f"{table}.summary.json")


def read_score(summary: Path) -> dict[str, Any]:
    """Read the Dice of a summary for a model card: mean, lower, upper, n, input size, data and names of the images.

    Raises
    ------
    DataError
        The file is no summary of an evaluation, or its table is not beside it.
    """
    try:
        found = json.loads(summary.read_text(encoding="utf-8"))
        dice = found["scores"]["dice"]
        table = summary.with_name(summary.name.removesuffix(".summary.json") + ".csv")
        with table.open(newline="", encoding="utf-8") as file:
            names = [row["image"] for row in csv.DictReader(file)]
        return {
            "mean": round(dice["mean"], 4),
            "lower": round(dice["low"], 4),
            "upper": round(dice["high"], 4),
            "n": dice["n"],
            "input_size": found["input_size"],
            "data": Path(found["data"]).name,
            "images": names,
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{summary}' is no summary of an evaluation with its table beside it: {error}") from error


def _score(
    item: Item, segmenter: Segmenter, input_hw: Size, score_hw: Size, model_scale: bool, tolerance_px: float
) -> Score:
    if item.annotation is None:
        raise AnnotationError(
            f"'{item.image}' has no annotation, so nothing can be compared. Annotate it or leave it out."
        )
    frame = read_image(item.image, frame=item.frame, max_pixels=segmenter.config.max_pixels)
    size_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
    true = item.annotation.mask(size_hw)
    if model_scale:
        found = segmenter.segment(frame)
        probability = found.probability
        if found.network_hw is not None and found.network_hw != size_hw:
            input_hw = found.network_hw
    else:
        probability = network_output(segmenter, frame, input_hw)
    return score_image(
        item.name,
        probability,
        true,
        threshold=segmenter.threshold,
        input_hw=input_hw,
        score_hw=score_hw,
        tolerance_px=tolerance_px,
    )
