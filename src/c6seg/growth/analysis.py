"""From measurements to series, fits, tables, figures and the report: the whole of a growth analysis."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from c6seg.config import GrowthConfig
from c6seg.data.images import image_name
from c6seg.errors import DataError
from c6seg.growth.curves import GrowthFit, fit_series
from c6seg.growth.measure import Measurement, read_measurements
from c6seg.growth.names import parse_name
from c6seg.growth.series import Series, group_series
from c6seg.runtime import make_folder

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
    """

    folder: Path
    measurements: tuple[Measurement, ...]
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GrowthResult:
    """What a growth analysis found and wrote.

    Parameters
    ----------
    out
        Output folder.
    series, fits
        The curves and what was read from them, in the same order.
    report
        Path of ``report.html``.
    failures
        (image, reason) of images that could not be segmented, where raw images were given.
    """

    out: Path
    series: tuple[Series, ...]
    fits: tuple[GrowthFit, ...]
    report: Path
    failures: tuple[tuple[str, str], ...] = ()


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
    rows = read_measurements(folder / MEASUREMENTS)
    manifest = _manifest(folder / "manifest.json")
    places = _places(manifest)
    return Results(folder, tuple(replace(row, path=places.get(row.image)) for row in rows), manifest)


def analyse(
    results: Sequence[Results],
    out: Path,
    *,
    config: GrowthConfig,
    title: str,
    truth: Mapping[str, Any] | None = None,
    failures: Sequence[tuple[str, str]] = (),
) -> GrowthResult:
    """Fit every series and write ``growth.csv``, ``fits.csv``, ``figures/`` and ``report.html``.

    Parameters
    ----------
    results
        One or more segmentation results; wells that occur in several are told apart by the line in the image names.
    out
        Folder to write into.
    config
        How curves are fitted.
    title
        Heading of the report.
    truth
        What is known to be true of simulated series, by name.
    failures
        Images that could not be segmented; carried into the result.

    Raises
    ------
    DataError, UsageError
        No usable measurement, or no times.
    OutputError
        The folder cannot be written.
    """
    from c6seg.growth.methods import describe_methods
    from c6seg.growth.report import write_report
    from c6seg.growth.tables import write_fits, write_growth

    results = _told_apart(results)
    series = group_series(
        [row for one in results for row in one.measurements],
        interval_h=config.interval_h,
        confidence=config.confidence,
    )
    # a table alone may come from anywhere; masks that a model made are never exact
    mask_error = config.mask_error if any(one.manifest.get("model") for one in results) else 0.0
    fits = [fit_series(one, config, mask_error=mask_error) for one in series]
    make_folder(out)
    write_growth(out / "growth.csv", series)
    write_fits(out / "fits.csv", series, fits)
    sources = tuple(dict.fromkeys(one.time_source for one in series))
    report = write_report(
        out,
        title=title,
        series=series,
        fits=fits,
        overlays=_overlays(results, series),
        methods=describe_methods(config, manifest=results[0].manifest, time_sources=sources),
        truth=truth,
        saturation=config.saturation,
    )
    return GrowthResult(out, tuple(series), tuple(fits), report, tuple(failures))


def _told_apart(results: Sequence[Results]) -> list[Results]:
    """Put the folder in front of images whose names occur in several results.

    A folder that names neither well, field nor time stands for a plate, whose wells are not those of another one.
    """
    counts = Counter(name for one in results for name in {row.image for row in one.measurements})
    if not counts or max(counts.values()) == 1:
        return list(results)
    folders = [one.folder.resolve() for one in results]
    shared = Path(os.path.commonpath([folder.parent for folder in folders]))
    found = []
    for one, folder in zip(results, folders, strict=True):
        label = folder.relative_to(shared).as_posix()
        parts = parse_name(label)
        plate = label if parts.well is None and parts.field is None and parts.time_h is None else None
        rows = (
            replace(row, image=f"{label}/{row.image}", path=f"{label}/{row.path or row.image}", plate=plate)
            for row in one.measurements
        )
        found.append(replace(one, measurements=tuple(rows)))
    return found


def _overlays(results: Sequence[Results], series: Sequence[Series]) -> dict[str, list[tuple[float, Path]]]:
    """Overlay of the first field at each time of each series."""
    folders = {(row.image, row.frame): one.folder / "overlays" for one in results for row in one.measurements}
    found: dict[str, list[tuple[float, Path]]] = {}
    for one in series:
        for time, images in zip(one.time_h, one.images, strict=True):
            image, frame = min(images)
            folder, image = folders[image, frame], image.rpartition("/")[2]
            choices = (folder / f"{image}.jpg", folder / image / f"{frame:04d}.jpg")
            path = next((choice for choice in choices if choice.is_file()), None)
            if path is not None:
                found.setdefault(one.name, []).append((float(time), path))
    return found


def _manifest(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read '{path}': {error}. Segment the images again, or remove the file.") from error
    return value if isinstance(value, dict) else {}


def _places(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Image name to its path below the folder that all images share; folders above say nothing about an image."""
    inputs = manifest.get("inputs")
    items = inputs if isinstance(inputs, list) else []
    paths = [str(item["path"]) for item in items if isinstance(item, dict) and item.get("path")]
    if not paths:
        return {}
    try:
        shared = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120 (Path has no commonpath)
    except ValueError:  # different drives
        return {}
    return {image_name(Path(path)): os.path.relpath(path, shared or ".") for path in paths}
