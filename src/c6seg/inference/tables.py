"""The tables of a batch: measurements, failures, manifest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c6seg import runtime
from c6seg.inference.budget import most_mb
from c6seg.inference.engine import describe
from c6seg.inference.large import LargeSegmentation
from c6seg.inference.objects import ObjectFigures, about_counts
from c6seg.inference.segmenter import Segmentation, Segmenter
from c6seg.models.bundle_spec import BundleSpec

COLUMNS = (
    "image",
    "frame",
    "time_h",
    "well",
    "width_px",
    "height_px",
    "pixel_size_um",
    "confluence",
    "cell_area_um2",
    "cluster_fraction",
    "object_count",
    "mean_object_area_um2",
    "uncertainty",
    "flags",
    "scale",
    "scale_source",
    "scale_lower",
    "scale_upper",
)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch did.

    Parameters
    ----------
    out
        The output folder.
    rows
        One mapping per frame with the keys :data:`COLUMNS`; None = unknown.
    failures
        (image, reason) of every image that could not be segmented.
    inputs
        Path, SHA-256 and seconds of every image that was segmented.
    resumed
        Number of images that were done already.
    interrupted
        Whether Ctrl-C ended it early.
    """

    out: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    resumed: int = 0
    interrupted: bool = False


def measurement_row(
    found: Segmentation | LargeSegmentation,
    *,
    well: str | None = None,
    time_h: float | None = None,
    objects: ObjectFigures | None = None,
) -> dict[str, Any]:
    """Turn a segmentation into a row of ``measurements.csv``; unknown values are None.

    Parameters
    ----------
    found
        The segmentation; its own time wins.
    well, time_h
        What else is known about the image.
    objects
        Of the objects; None where touching cells were not parted.
    """
    if found.time_h is not None:
        time_h = found.time_h
    known = {
        "image": found.name,
        "frame": found.index,
        "time_h": None if time_h is None else round(time_h, 6),
        "well": well,
        "width_px": found.size_hw[1],
        "height_px": found.size_hw[0],
        "pixel_size_um": found.pixel_size_um,
        "confluence": round(found.confluence, 6),
        "cell_area_um2": _rounded(found.cell_area_um2, 2),
        "cluster_fraction": _cluster_fraction(found),
        "object_count": None if objects is None else objects.count,
        "mean_object_area_um2": None if objects is None else _rounded(objects.mean_area_um2, 2),
        "uncertainty": round(found.uncertainty, 6),
        "flags": " ".join(found.flags),
        "scale": round(found.scale, 4),
        "scale_source": found.scale_source,
        "scale_lower": None if found.scale_between is None else found.scale_between[0],
        "scale_upper": None if found.scale_between is None else found.scale_between[1],
    }
    return {**dict.fromkeys(COLUMNS), **known}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _cluster_fraction(found: Segmentation | LargeSegmentation) -> float | None:
    return _rounded(found.cluster_fraction, 6) if isinstance(found, Segmentation) else None


def write_tables(result: BatchResult, segmenter: Segmenter, *, seconds: float, recursive: bool) -> None:
    """Write ``measurements.csv``, ``failures.csv`` (only where there are any) and, last, ``manifest.json``.

    Raises
    ------
    OutputError
        One cannot be written.
    """
    runtime.write_csv(result.out / "measurements.csv", COLUMNS, result.rows)
    failures = result.out / "failures.csv"
    if result.failures:
        rows = [{"name": name, "reason": reason} for name, reason in result.failures]
        runtime.write_csv(failures, ("name", "reason"), rows)
    else:
        failures.unlink(missing_ok=True)
    runtime.write_json(result.out / "manifest.json", _manifest(result, segmenter, seconds, recursive))


def _calibration(spec: BundleSpec) -> dict[str, Any] | None:
    """Give what growth needs to add the error of segmentation to its intervals; None = the model does not say."""
    return None if spec.calibration is None else spec.calibration.model_dump(mode="json", exclude={"note"})


def _named(segmenter: Segmenter) -> dict[str, Any]:
    """Name a further model."""
    spec = segmenter.bundle.spec
    return {"name": spec.name, "version": spec.version, "sha256": segmenter.model_sha256}


def _manifest(result: BatchResult, segmenter: Segmenter, seconds: float, recursive: bool) -> dict[str, Any]:
    bundle, spec = segmenter.bundle, segmenter.bundle.spec
    return {
        "format": "c6seg-manifest/1",
        **runtime.provenance(),
        "model": {
            "name": spec.name,
            "version": spec.version,
            "sha256": segmenter.model_sha256,
            "path": spec.name if bundle.origin == "embedded" else str(bundle.path),
            "licence": spec.licence,
            # measured of the first model alone, it says nothing of the mean of several
            "calibration": None if segmenter.members else _calibration(spec),
        },
        "cluster_model": None if segmenter.other is None else _named(segmenter.other),
        "objects": about_counts() if segmenter.config.objects else None,
        "ensemble": [_named(member) for member in segmenter.members],
        "threshold": segmenter.threshold,
        "options": {**segmenter.config.model_dump(mode="json"), "recursive": recursive},
        "engine": describe(segmenter.engine),
        "memory_mb": segmenter.config.memory_mb or most_mb(),
        "seconds": round(seconds, 3),
        "complete": not result.interrupted,
        "resumed": result.resumed,
        "inputs": result.inputs,
        "failures": [{"path": name, "reason": reason} for name, reason in result.failures],
    }
