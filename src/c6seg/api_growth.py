"""``growth``: from masks, or photographs, to growth curves."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c6seg.config import GrowthConfig, SegmentConfig
from c6seg.config_files import load_config

if TYPE_CHECKING:
    from c6seg.growth.analysis import GrowthResult

__all__ = ["grow"]

PathLike = str | Path

# Folders of pictures that c6seg writes, and files that lie beside them.
PICTURES = ("masks", "overlays", "figures")
MARKS = ("manifest.json", "measurements.csv", "report.json", "truth.csv", "dataset.csv")


def grow(
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    config: GrowthConfig | Mapping[str, Any] | Path | None = None,
    plate: PathLike | None = None,
    wound: bool = False,
    model: PathLike | None = None,
    segment_config: SegmentConfig | Mapping[str, Any] | Path | None = None,
    recursive: bool = False,
    title: str | None = None,
    progress: Callable[[float, int, str], None] | None = None,
) -> GrowthResult:
    """Turn segmentation results, or raw images, into growth curves, doubling times and a report.

    Writes ``report.html``, ``growth.csv``, ``fits.csv``, ``growth.xlsx``, ``report.json`` and ``figures/``, and the
    tables of the plate and the wounds where they were asked for; raw images are segmented into ``OUT/segmentation``
    first.

    Parameters
    ----------
    inputs
        Folders that :func:`segment` wrote, or images, folders of images, patterns; not both.
    out
        Folder to write into.
    config
        How curves are fitted, as an object, a mapping, or a YAML file.
    plate
        Plate map (CSV, Excel, or wellmap TOML): which well got what, to compare treatments and fit dose responses.
    wound
        Look for a closing wound (scratch assay) in every series, too.
    model, segment_config, recursive, progress
        For raw images, as in :func:`segment`.
    title
        Heading of the report.

    Raises
    ------
    C6segError
        Wrong options, nothing usable, images without times, or results that cannot be written.
    """
    from c6seg.errors import UsageError
    from c6seg.growth.analysis import analyse, is_results, read_results
    from c6seg.growth.measure import check_flags
    from c6seg.growth.plates.map import read_plate_map

    options = config if isinstance(config, GrowthConfig) else load_config(GrowthConfig, config)
    given = [Path(inputs)] if isinstance(inputs, str | Path) else [Path(item) for item in inputs]
    given = [part for path in given for part in _results_inside(path)]
    folder = Path(out)
    plate_map = None if plate is None else read_plate_map(Path(plate))  # an unusable one ends it before the work
    done = [path for path in given if is_results(path)]
    if done and len(done) < len(given):
        raw = next(path for path in given if path not in done)
        raise UsageError(
            f"'{done[0]}' holds segmentation results and '{raw}' does not. Give the one kind or the other; "
            "`c6seg segment` turns images into results."
        )
    failures: list[tuple[str, str]] = []
    if not done:
        check_flags(options.exclude_flags)  # before the work
        done, failures = _segmented(
            given, folder / "segmentation", model=model, config=segment_config, recursive=recursive, progress=progress
        )
    results = [read_results(path) for path in done]
    heading = title or f"Growth: {', '.join(path.resolve().name for path in given[:3])}"
    return analyse(results, folder, config=options, title=heading, plate=plate_map, wound=wound, failures=failures)


def _results_inside(path: Path) -> list[Path]:
    """Results folders in a folder without images, such as one for each plate; the path itself where there are none."""
    from c6seg.data.images import IMAGE_SUFFIXES
    from c6seg.growth.results import is_results

    if is_results(path) or not path.is_dir() or any(one.suffix.lower() in IMAGE_SUFFIXES for one in path.iterdir()):
        return [path]
    return [part for part in sorted(path.iterdir()) if part.is_dir() and is_results(part)] or [path]


def _segmented(
    images: Sequence[Path],
    out: Path,
    *,
    model: PathLike | None,
    config: SegmentConfig | Mapping[str, Any] | Path | None,
    recursive: bool,
    progress: Callable[[float, int, str], None] | None,
) -> tuple[list[Path], list[tuple[str, str]]]:
    """Segment photographs; folders whose images have the same names, such as one for each time, apart.

    Returns
    -------
    tuple
        The results folders, and (image, reason) of what could not be segmented.
    """
    from c6seg.api import _name_hints
    from c6seg.errors import DataError
    from c6seg.inference.batch import segment_images
    from c6seg.inference.segmenter import Segmenter
    from c6seg.models.bundle import DEFAULT_MODEL

    options = config if isinstance(config, SegmentConfig) else load_config(SegmentConfig, config)
    parts = _parts(images, out, recursive=recursive)
    segmenter = Segmenter(DEFAULT_MODEL if model is None else model, options)
    found, failures = [], []
    for folder, group in parts.items():
        made = segment_images(group, folder, segmenter=segmenter, progress=progress, hints=_name_hints)
        if made.interrupted:
            raise KeyboardInterrupt
        failures += made.failures
        found += [made.out] if made.rows else []
    if not found:
        reason = f" The first: {failures[0][1]}" if failures else ""
        raise DataError(f"None of the images could be segmented.{reason}")
    return found, failures


def _parts(images: Sequence[Path], out: Path, *, recursive: bool) -> dict[Path, list[Path]]:
    """Results folder to its images; one for all where no two have the same name."""
    from c6seg.data.images import find_images, image_name
    from c6seg.errors import DataError

    found = find_images(images, recursive=recursive)
    files = {path for path in map(Path, images) if path.is_file()}  # what is named is wanted
    own = [out.resolve(), (out.parent / "figures").resolve()]  # results may lie below the folder that is searched
    paths = [
        path
        for path in found
        if path in files or not (any(path.resolve().is_relative_to(part) for part in own) or _made(path))
    ]
    if not paths:
        raise DataError(f"'{found[0].parent}' holds pictures that c6seg made, and no photograph. Name the photographs.")
    names = Counter(os.path.normcase(image_name(path)) for path in paths)
    if max(names.values(), default=1) == 1:
        return {out: paths}
    shared = Path(os.path.commonpath([path.resolve().parent for path in paths]))
    parts: dict[Path, list[Path]] = {}
    for path in paths:
        parts.setdefault(out / path.resolve().parent.relative_to(shared), []).append(path)
    return parts


def _made(path: Path) -> bool:
    """Whether a picture lies in a folder of results: masks, overlays or figures beside a manifest or a report."""
    return any(
        folder.name in PICTURES and any((folder.parent / name).is_file() for name in MARKS)
        for folder in path.resolve().parents
    )
