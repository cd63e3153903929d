"""Files to masks, overlays and tables; goes on after a bad file, and where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from c6seg import runtime
from c6seg.cluster import Resources
from c6seg.config import SegmentConfig
from c6seg.data.images import find_images, image_name, probe
from c6seg.errors import DataError, ImageNotFoundError, UsageError
from c6seg.inference.batch_run import BatchRun, Progress
from c6seg.inference.budget import decide_mb, fixed_budget
from c6seg.inference.journal import open_journal
from c6seg.inference.making import OUTPUTS, Hints, Maker
from c6seg.inference.outlining import ROOMS, Outlines, check_exports
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.shared_scale import out_of_scale, share_scales
from c6seg.inference.tables import COLUMNS, BatchResult, write_tables
from c6seg.inference.tiling import least_mb
from c6seg.models.bundle import DEFAULT_MODEL, Bundle

__all__ = ["COLUMNS", "BatchResult", "Hints", "Progress", "check_names", "segment_images"]


def segment_images(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    model: Bundle | str | Path = DEFAULT_MODEL,
    config: SegmentConfig | None = None,
    recursive: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    hints: Hints | None = None,
    segmenter: Segmenter | None = None,
    export: str | Sequence[str] = (),
    cluster: tuple[str, Resources] | None = None,
) -> BatchResult:
    """Segment images and write masks, overlays, ``measurements.csv`` and ``manifest.json``.

    Images whose content, options and model are unchanged since an earlier run into the same folder are not made again.

    Parameters
    ----------
    inputs
        Files, folders, glob patterns.
    out
        Folder to write into.
    model
        Bundle, its name or its folder.
    config
        Options.
    recursive
        Look into the folders of folders.
    force
        Make everything again.
    progress
        Called after every frame.
    hints
        Gives well and time where the file does not.
    segmenter
        Use this one instead of making one from ``model`` and ``config``.
    export
        Outlines to write besides: some of ``imagej``, ``geojson``, ``coco``.
    cluster
        Address of a Ray cluster that does the images, and what a shard of them takes; None = here.

    Raises
    ------
    ImageNotFoundError
        No image is where one was expected.
    UsageError
        Two inputs would give the same output file, or a format that there is not; nothing was written.
    ModelError
        The bundle cannot be used; nothing was written.
    OutputError
        The results cannot be written; what was finished before stays.
    """
    formats = check_exports(export)
    folder = Path(out)
    own = [(folder / part).resolve() for part in OUTPUTS]  # results may lie below the folder that is searched
    found = find_images([inputs] if isinstance(inputs, str | Path) else inputs, recursive=recursive)
    paths = [path for path in found if not any(path.resolve().is_relative_to(part) for part in own)]
    if not paths:
        raise ImageNotFoundError(f"The only images given are results in '{folder}'. Name the images themselves.")
    check_names(paths)
    ready = segmenter or Segmenter(model, config)
    runtime.make_folder(folder)
    outlines = Outlines(folder, formats, max_pixels=ready.config.max_pixels)
    batch = BatchRun(Maker(folder, ready, hints), outlines, progress, len(paths))
    started = time.monotonic()
    check_memory(ready)
    with open_journal(folder, options_key(ready), fresh=force) as journal, fixed_budget(decide_mb()):
        sweep(folder)
        share_scales(ready, paths, journal)
        changed = {image_name(path) for path in paths}.intersection(out_of_scale(ready, journal.entries))
        for name in changed:  # made at the scale of other images: it is made again
            journal.forget(name)
        if changed:
            runtime.logger.warning(
                "%d images were segmented at another scale when other images were beside them: they are made again",
                len(changed),
            )
        with outlines:
            result = batch.run(paths, journal) if cluster is None else batch.run_on(cluster, paths, journal)
        write_tables(result, ready, seconds=time.monotonic() - started, recursive=recursive)
        _say_what_is_left(folder, result)
    return result


def check_names(paths: Sequence[Path]) -> None:
    """Refuse two images whose outputs would have the same name.

    Raises
    ------
    UsageError
        Names both.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(os.path.normcase(image_name(path)), path)
        if other is not path:
            raise UsageError(
                f"'{other}' and '{path}' would both be written as '{image_name(path)}'. "
                "Rename one, or segment them into different --out folders."
            )
    for name, path in seen.items():
        series = seen.get(f"{name}.jpg")
        if series is not None and _is_series(series):
            raise UsageError(
                f"The overlays of the series '{series}' and of '{path}' would both be 'overlays/{name}.jpg'. "
                "Rename one, or segment them into different --out folders."
            )


def _is_series(path: Path) -> bool:
    try:
        return probe(path).frames > 1
    except DataError:
        return False


def check_memory(segmenter: Segmenter) -> None:
    """Warn of a budget for the network that is too small for one tile of it; what is cut into tiles exceeds it."""
    given = segmenter.config.memory_mb
    models = {one.bundle.spec.name: one for one in (segmenter, *segmenter.further)}
    least = {name: _least_mb(one) for name, one in models.items()}
    name = max(least, key=lambda name: least[name])
    if given is not None and given < least[name]:
        runtime.logger.warning(
            "a memory of %d MB is too little for one tile of the model '%s', which takes %d MB: images that need tiles "
            "will take that; give --memory %d or more",
            given,
            name,
            least[name],
            least[name],
        )


def _least_mb(segmenter: Segmenter) -> int:
    spec = segmenter.bundle.spec
    return least_mb(segmenter.engine, multiple=spec.preprocess.multiple, encoder=spec.encoder)


def options_key(segmenter: Segmenter) -> str:
    """Hash of everything but the images that decides the outputs: model, options, engine, version."""
    values = {
        "model": segmenter.model_sha256,
        "cluster_model": None if segmenter.other is None else segmenter.other.model_sha256,
        "ensemble": [member.model_sha256 for member in segmenter.members],
        "config": segmenter.config.model_dump(mode="json"),
        "engine": [segmenter.engine.name, segmenter.engine.device, segmenter.engine.precision],
        "c6seg": runtime.versions()["c6seg"],
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _say_what_is_left(folder: Path, result: BatchResult) -> None:
    """Warn of masks of an earlier run on other images: they stay, but the tables are about the images given now."""
    named = {row["image"] for row in result.rows}
    left = sorted(path.name for path in folder.glob("masks/[!.]*") if image_name(path) not in named)
    if left and not result.interrupted:
        runtime.logger.warning(
            "%d masks of other images are in '%s' (such as %s), but not in its tables, which are about the images "
            "given now; give all images of a folder together, or each batch its own --out",
            len(left),
            folder,
            left[0],
        )


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed run left behind; the journal's lock says that nobody uses them."""
    own = r"\.(measurements|failures|manifest|journal|coco)-[a-z0-9_]{8}\.\w+"
    leftovers = [path for path in folder.glob(".*") if re.fullmatch(own, path.name)]
    for part in (*OUTPUTS, *ROOMS):
        leftovers += [p for p in folder.glob(f"{part}/.*") if re.fullmatch(r"\..*-[a-z0-9_]{8}(\.\w+)?", p.name)]
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
