"""What a bundle says of its training: name, scale, scores, data and their licences."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from c6seg.config import DataSource, TrainConfig
from c6seg.data.facts import draw
from c6seg.data.images import probe
from c6seg.data.items import Item
from c6seg.evaluation.calibration import MIN_IMAGES, measure_error
from c6seg.models.bundle import BundleSpec, Calibration, ScaleSpec, TrainingData, open_bundle
from c6seg.models.encoders import find_encoder
from c6seg.runtime import provenance
from c6seg.training.validation import Validation

MOST_MEASURED = 500
"""Images of which the cells are measured; larger data sets are measured in every second, third ... image."""


CHOSEN = "images that chose epoch and threshold: optimistic"


def describe_training(
    train: Sequence[Item],
    val: Sequence[Item],
    *,
    sources: Mapping[str, int],
    out: Path,
    config: TrainConfig,
    result: Validation,
    start: Validation | None,
    epoch: int,
) -> BundleSpec:
    """Write the description of the bundle.

    Parameters
    ----------
    train, val
        The images of the data set that the network is for.
    sources
        Number of images by name of data set, additional ones included.
    out
        Run folder; gives the name where the recipe has none.
    config
        The recipe, with mean and standard deviation of the input.
    result, start
        Validation of the weights that are kept, and of those that a bundle gave at the start.
    epoch
        Epoch of the weights that are kept.
    """
    threshold = result.best_threshold() if config.tune_threshold else 0.5
    scores: dict[str, dict[str, Any]] = {
        "validation_dice": {
            "mean": round(result.dice(threshold), 4),
            "n": len(val),
            "note": f"on the {CHOSEN}",
        }
    }
    if start is not None:
        scores["validation_dice_at_start"] = {"mean": round(start.dice(), 4), "n": len(val)}
    return BundleSpec(
        name=config.name or plain_name(out.resolve().name),
        description=config.description,
        encoder=find_encoder(config.network.encoder).name,
        licence=config.licence,
        preprocess=config.preprocess,
        scale=training_scale((*train, *val), config),
        threshold=threshold,
        training_data=_training_data(sources, config),
        limits=config.limits,
        scores=scores,
        calibration=validation_calibration(result, threshold, data=next(iter(sources), "")),
        provenance=provenance(
            config=json.loads(config.model_dump_json()),
            epoch=epoch,
            train=[item.name for item in train],
            val=[item.name for item in val],
        ),
    )


def validation_calibration(result: Validation, threshold: float, *, data: str) -> Calibration | None:
    """Error of confluence on the validation images; None where they are too few to say it."""
    true, predicted = result.confluences(threshold)
    if len(true) < MIN_IMAGES:
        return None
    return measure_error(true, predicted, data=(data,) if data else (), note=CHOSEN)


def plain_name(text: str) -> str:
    """Make a name that a bundle may have of the name of a folder.

    Examples
    --------
    >>> plain_name("erster Versuch (10x)")
    'erster-Versuch-10x'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-") or "model"


def training_scale(items: Sequence[Item], config: TrainConfig) -> ScaleSpec:
    """Scale at which the network saw its training images: that of the files, unless they were resized."""
    pixel, size = pixel_size_um(items), object_size_px(items)
    fragment = config.augment.fragment
    side = float(np.mean(fragment)) if isinstance(fragment, tuple) else 1.0
    if config.input_size is None or (config.fit == "crop" and fragment is None):
        return ScaleSpec(pixel_size_um=pixel, object_size_px=size)
    height, width = config.input_size
    shrunk = side * typical_side(items) / math.sqrt(height * width)
    return ScaleSpec(
        pixel_size_um=None if pixel is None else round(pixel * shrunk, 4),
        object_size_px=None if size is None else round(size / shrunk, 1),
        whole_image=config.input_size if fragment is None else None,
    )


def typical_side(items: Sequence[Item]) -> float:
    """Median over the images of the geometric mean of their sides, px."""
    return float(np.median([math.sqrt(math.prod(probe(item.image).size_hw)) for item in items]))


def object_size_px(items: Sequence[Item]) -> float | None:
    """Median equivalent diameter of the annotated cells, px; None where there are none."""
    areas = [
        draw(item.annotation, probe(item.image).size_hw)[0]
        for item in items[:: max(1, len(items) // MOST_MEASURED)]
        if item.annotation is not None
    ]
    found = np.concatenate(areas) if areas else np.empty(0)
    return round(float(np.median(np.sqrt(found * (4 / math.pi)))), 1) if found.size else None


def pixel_size_um(items: Sequence[Item]) -> float | None:
    """Return the common pixel size of the images, um; None where one does not say or they differ by more than 2 %."""
    sizes = [probe(item.image).pixel_size_um for item in items]
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes) or not known:
        return None
    middle = float(np.median(known))
    return round(middle, 4) if max(abs(size - middle) for size in known) <= 0.02 * middle else None


def _training_data(counts: Mapping[str, int], config: TrainConfig) -> tuple[TrainingData, ...]:
    """List the data sets of the images, those that the recipe names besides, and what the initial weights have seen."""
    sources = {source.name: source for source in config.data_sources}
    found = []
    for name in (*counts, *(name for name in sources if name not in counts)):
        source = sources.get(name, DataSource(name=name))
        found.append(TrainingData(**source.model_dump(), images=counts.get(name)))
    named = {data.name for data in found}
    return (*found, *(data for data in start_data(config) if data.name not in named))


def start_data(config: TrainConfig) -> tuple[TrainingData, ...]:
    """List what the initial weights were trained on: its licence goes on."""
    init = config.network.init
    if init == "imagenet":
        licence = find_encoder(config.network.encoder).licence
        return (TrainingData(name="imagenet-weights", licence=licence, note="start of the encoder"),)
    if init == "random":
        return ()
    if init.endswith(".safetensors"):
        return (TrainingData(name=Path(init).name, licence="unspecified", note="weights at the start"),)
    earlier = open_bundle(init)
    note = f"through {earlier.spec.name} {earlier.spec.version}, from whose weights the training started"
    return tuple(
        data.model_copy(update={"note": "; ".join(part for part in (data.note, note) if part)})
        for data in earlier.spec.training_data
    )
