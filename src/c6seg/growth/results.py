"""Folders that ``c6seg segment`` wrote, read back: table, manifest, masks."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg.config import GrowthConfig
from c6seg.data.images import image_name, read_raw
from c6seg.data.mask_values import cells_of
from c6seg.errors import DataError
from c6seg.growth.measure import Measurement, read_measurements
from c6seg.growth.names import parse_name
from c6seg.growth.series import Series
from c6seg.growth.timeline.interval import Calibration
from c6seg.growth.words import counted, few

MEASUREMENTS = "measurements.csv"


@dataclass(frozen=True, slots=True)
class Results:
    """A folder that ``c6seg segment`` wrote.

    Parameters
    ----------
    folder
        Where it lies.
    measurements
        Its table; ``path`` of each holds the folders of the image that tell it from the others.
    manifest
        Its ``manifest.json``; empty where there is none.
    lost
        (image, reason) of the rows of the table that cannot be used.
    """

    folder: Path
    measurements: tuple[Measurement, ...]
    manifest: Mapping[str, Any]
    lost: tuple[tuple[str, str], ...] = ()


def is_results(path: Path) -> bool:
    """Whether a path is a results folder of ``c6seg segment``, or the table in one."""
    return path.name == MEASUREMENTS or (path / MEASUREMENTS).is_file()


def read_results(path: Path) -> Results:
    """Read a results folder.

    Raises
    ------
    DataError
        The table or the manifest cannot be read.
    """
    folder = path.parent if path.name == MEASUREMENTS else path
    rows, lost = read_measurements(folder / MEASUREMENTS)
    manifest = _manifest(folder / "manifest.json")
    places = _places(manifest)
    hashes = {image_name(Path(str(item["path"]))): str(item.get("sha256") or "") for item in _inputs(manifest)}
    known = (replace(row, path=places.get(row.image), sha256=hashes.get(row.image) or None) for row in rows)
    return Results(folder, tuple(known), manifest, tuple(lost))


def told_apart(results: Sequence[Results]) -> list[Results]:
    """Put the folder in front of images whose names occur in several results, and before names that it adds to.

    A folder that adds neither well, field nor time to the names stands for a plate, whose wells are not those of
    another one; where no name occurs twice, such a folder is passed over.
    """
    if len(results) < 2:
        return list(results)
    counts = Counter(name for one in results for name in {row.image for row in one.measurements})
    folders = [one.folder.resolve() for one in results]
    shared = Path(os.path.commonpath([folder.parent for folder in folders]))
    labels = [folder.relative_to(shared).as_posix() for folder in folders]
    adds = [_adds(label, one) for label, one in zip(labels, results, strict=True)]
    if max(counts.values(), default=0) < 2:
        return [_below(one, label) if more else one for one, label, more in zip(results, labels, adds, strict=True)]
    found = []
    for one, label, more in zip(results, labels, adds, strict=True):
        rows = (
            replace(row, image=f"{label}/{row.image}", plate=None if more else label)
            for row in _below(one, label).measurements
        )
        found.append(replace(one, measurements=tuple(rows)))
    return found


def _below(one: Results, label: str) -> Results:
    rows = (replace(row, path=f"{label}/{row.path or row.image}") for row in one.measurements)
    return replace(one, measurements=tuple(rows))


def _adds(label: str, one: Results) -> bool:
    """Whether a folder says something about its images that their names do not."""
    for row in one.measurements:
        name = row.path or row.image
        inner, outer = parse_name(name), parse_name(f"{label}/{name}")
        if (inner.well, inner.field, inner.time_h) != (outer.well, outer.field, outer.time_h):
            return True
    return False


def lost_notes(results: Sequence[Results], failures: Sequence[tuple[str, str]]) -> list[str]:
    """Say which images and rows were lost before anything was analysed."""
    notes = []
    if failures:
        names = few([Path(name).name for name, _ in failures])
        notes.append(f"{counted(len(failures), 'image')} could not be segmented ({names}); see failures.csv")
    lost = [reason for one in results for _, reason in one.lost]
    if lost:
        were = counted(len(lost), "row of the table was", "rows of the table were")
        notes.append(f"{were} left out: {'; '.join(lost[:3])}{' ...' if len(lost) > 3 else ''}")
    return notes


def model_notes(results: Sequence[Results]) -> list[str]:
    """Say that results were made with different models."""
    made = [one.manifest["model"] for one in results if one.manifest.get("model")]
    if len({model.get("sha256") for model in made}) < 2:
        return []
    names = ", ".join(dict.fromkeys(str(model.get("name")) for model in made))
    return [f"the results were made with different models ({names}): their confluences may not compare"]


@dataclass(frozen=True, slots=True)
class MaskErrors:
    """Error of the masks: as the model states it, and what is supposed of a model that states none (confluence)."""

    calibration: Calibration | None
    assumed: float


def mask_errors(results: Sequence[Results], config: GrowthConfig) -> MaskErrors:
    """Return the error of the masks of all results, as the first of them states it."""
    calibration = Calibration.from_manifest(results[0].manifest)
    # a table alone may come from anywhere; masks that a model made are never exact
    modelled = any(one.manifest.get("model") for one in results)
    return MaskErrors(calibration, config.mask_error if modelled and calibration is None else 0.0)


class Library:
    """Where the files of every measured image lie; ``image`` is a name as in the (told apart) tables.

    Parameters
    ----------
    results
        As told apart.
    """

    def __init__(self, results: Sequence[Results]) -> None:
        self._homes = {row.image: one.folder for one in results for row in one.measurements}
        self._pixel_um = {row.image: row.pixel_size_um for one in results for row in one.measurements}
        self._inputs = {
            name: Path(str(item["path"]))
            for one in results
            for item in _inputs(one.manifest)
            for name in _names_of(one, image_name(Path(str(item["path"]))))
        }
        self._noted_h = {
            name: datetime.fromisoformat(str(item["modified"])).timestamp() / 3600
            for one in results
            for item in _inputs(one.manifest)
            if item.get("modified")
            for name in _names_of(one, image_name(Path(str(item["path"]))))
        }

    def overlay(self, image: str, frame: int) -> Path | None:
        """Picture with the outlines; None where there is none."""
        folder, name = self._homes[image] / "overlays", image.rpartition("/")[2]
        choices = (folder / f"{name}.jpg", folder / name / f"{frame:04d}.jpg")
        return next((choice for choice in choices if choice.is_file()), None)

    def overlays(self, series: Sequence[Series]) -> dict[str, list[tuple[float, Path]]]:
        """Overlay of the first field at each time of each series."""
        found: dict[str, list[tuple[float, Path]]] = {}
        for one in series:
            for time, images in zip(one.time_h, one.images, strict=True):
                path = self.overlay(*min(images))
                if path is not None:
                    found.setdefault(one.name, []).append((float(time), path))
        return found

    def mask(self, image: str, frame: int) -> NDArray[np.bool_] | None:
        """Mask (Y, X), True = cell; None where it is not there or cannot be read."""
        folder, name = self._homes[image] / "masks", image.rpartition("/")[2]
        for path, page in ((folder / f"{name}.png", 0), (folder / f"{name}.tif", frame)):
            if path.is_file():
                try:
                    pixels = read_raw(path, frame=page)
                except DataError:
                    return None
                return cells_of(pixels) if pixels.ndim == 2 else None
        return None

    def pixel_size_um(self, image: str) -> float | None:
        """Edge of a pixel; None where the table does not say."""
        return self._pixel_um.get(image)

    def inputs(self) -> dict[str, Path]:
        """Photographs that the masks were made of, by image name, as far as the manifests name them."""
        return dict(self._inputs)

    def noted_h(self) -> dict[str, float]:
        """When the photographs were last written, hours since 1970, as far as the manifests of a watch say."""
        return dict(self._noted_h)


def _names_of(one: Results, name: str) -> list[str]:
    """Name of an input as it is in the told apart table."""
    label = next((row.image.rpartition("/")[0] for row in one.measurements), "")
    return [f"{label}/{name}" if label else name]


def _manifest(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read '{path}': {error}. Segment the images again, or remove the file.") from error
    return value if isinstance(value, dict) else {}


def _inputs(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inputs = manifest.get("inputs")
    items = inputs if isinstance(inputs, list) else []
    return [item for item in items if isinstance(item, dict) and item.get("path")]


def _places(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Image name to its path below the folder that all images share; folders above say nothing about an image."""
    paths = [str(item["path"]) for item in _inputs(manifest)]
    if not paths:
        return {}
    try:
        shared = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120 (Path has no commonpath)
    except ValueError:  # different drives
        return {}
    return {image_name(Path(path)): os.path.relpath(path, shared or ".") for path in paths}
