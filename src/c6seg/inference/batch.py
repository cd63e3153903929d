"""Files to masks, overlays and tables; goes on after a bad file, and where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from c6seg import runtime
from c6seg.cluster import Resources
from c6seg.config import SegmentConfig
from c6seg.data.images import find_images, image_name
from c6seg.errors import DataError, ImageNotFoundError, OutputError, UsageError
from c6seg.inference.budget import decide_mb, fixed_budget
from c6seg.inference.journal import Journal, open_journal
from c6seg.inference.making import OUTPUTS, Entry, Hints, Maker, why_not
from c6seg.inference.outlining import ROOMS, Outlines, check_exports
from c6seg.inference.read_ahead import ReadAhead
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.shared_scale import SAMPLES, out_of_scale, recall_scales, share_scales
from c6seg.inference.tables import COLUMNS, BatchResult, write_tables
from c6seg.inference.tiling import least_mb
from c6seg.models.bundle import DEFAULT_MODEL, Bundle

if TYPE_CHECKING:
    from c6seg.inference.shards import Made

__all__ = ["COLUMNS", "BatchResult", "Hints", "Progress", "check_names", "segment_images"]

Progress = Callable[[float, int, str], None]
"""(images done, images in all, name of the image at work); the first counts the frames of a series as fractions."""


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
    batch = _Batch(Maker(folder, ready, hints), outlines, progress, len(paths))
    started = time.monotonic()
    check_memory(ready)
    with open_journal(folder, options_key(ready), fresh=force) as journal, fixed_budget(decide_mb()):
        sweep(folder)
        rows = [row for entry in journal.entries.values() for row in entry["rows"]]
        recall_scales(ready, rows, fewest=SAMPLES)
        share_scales(ready, paths)
        for name in {image_name(path) for path in paths}.intersection(out_of_scale(ready, journal.entries)):
            journal.forget(name)  # made at the scale of fewer images than there are now: it is made again
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


class _Image(NamedTuple):
    """An image that is segmented, and will be written."""

    path: Path
    entry: Future[Entry]
    known: bool = False


def _written(before: Future[Entry] | None) -> None:
    """Wait for the image before: nothing is written beside it, and nothing after an output that could not be."""
    error = before.exception() if before is not None else None
    if isinstance(error, OutputError):
        raise error


class _Batch:
    """One run over a list of images."""

    def __init__(self, maker: Maker, outlines: Outlines, progress: Progress | None, total: int) -> None:
        self.folder = maker.folder
        self.maker, self.outlines = maker, outlines
        self.progress = progress or (lambda done, total, name: None)
        self.total = total

    def run(self, paths: Sequence[Path], journal: Journal) -> BatchResult:
        """Do the images here; while one is segmented, the one before it is written and the file after it is read."""
        result = BatchResult(self.folder)
        begun: deque[_Image] = deque()
        try:
            with ReadAhead(paths) as ahead, ThreadPoolExecutor(1, thread_name_prefix="write") as writer:
                for number, path in enumerate(paths):
                    self.progress(number, self.total, path.name)
                    before = begun[-1].entry if begun else None
                    begun.append(self._begin(path, number, ahead, journal, writer, before))
                    while len(begun) > 1 or (begun and begun[0].entry.done()):
                        result = self._take(begun.popleft(), journal, result)
            while begun:
                result = self._take(begun.popleft(), journal, result)
            self.progress(self.total, self.total, "")
        except KeyboardInterrupt:  # the writer has come to its end
            while begun:
                result = self._take(begun.popleft(), journal, result)
            self.outlines.abandon()
            result = replace(result, interrupted=True)
        return result

    def _begin(
        self,
        path: Path,
        number: int,
        ahead: ReadAhead,
        journal: Journal,
        writer: ThreadPoolExecutor,
        before: Future[Entry] | None,
    ) -> _Image:
        """Segment one image and have it written after the one before, or find it done."""
        entry: Future[Entry] = Future()
        try:
            name = image_name(path)
            digest = ahead.sha256(number)
            known = journal.find(name, digest, self.folder)
            if known is not None:
                entry.set_result(known)
                return _Image(path, entry, known=True)
            self.outlines.drop(name)

            def tell(part: float) -> None:
                self.progress(number + part, self.total, path.name)

            ready = partial(_written, before)
            entry = writer.submit(self.maker.begin(path, digest, journal, tell=tell, ready=ready))
        except Exception as error:  # noqa: BLE001 (it is raised again when the image is taken)
            entry.set_exception(error)
        return _Image(path, entry)

    def _take(self, image: _Image, journal: Journal, result: BatchResult) -> BatchResult:
        """Take an image into the result, or why there is none."""
        path = image.path
        try:
            entry = image.entry.result()
        except Exception as error:  # noqa: BLE001 (what concerns more than this image is raised again)
            if isinstance(error, DataError):  # a file that turned bad leaves no old result
                journal.forget(image_name(path))
                self.maker.clear(image_name(path))
            result.failures.append((str(path), why_not(error, path)))
            return result
        return self._with(path, entry, result, known=image.known)

    def run_on(self, cluster: tuple[str, Resources], paths: Sequence[Path], journal: Journal) -> BatchResult:
        """Do the images on a cluster; the results are in the order of the images, as from here."""
        from c6seg.inference.shards import segment_on_ray

        address, resources = cluster
        made: dict[str, Made] = {}
        interrupted = False

        def tell(done: int) -> None:
            self.progress(done, self.total, "")

        try:
            shards = segment_on_ray(paths, journal, self.maker, address=address, resources=resources, tell=tell)
            for one in shards:
                made[one.path] = one
        except KeyboardInterrupt:
            interrupted = True
        result = BatchResult(self.folder, interrupted=interrupted)
        for path in paths:
            found = made.get(str(path.absolute()))
            if found is not None:
                result = self._take_made(path, found, result)
        if interrupted:
            self.outlines.abandon()
        return result

    def _take_made(self, path: Path, made: Made, result: BatchResult) -> BatchResult:
        """Take an image of a cluster into the result."""
        if not made.known:
            self.outlines.drop(image_name(path))
        if made.entry is None:
            result.failures.append((str(path), made.failure))
            return result
        return self._with(path, made.entry, result, known=made.known)

    def _with(self, path: Path, entry: Entry, result: BatchResult, *, known: bool) -> BatchResult:
        """Add the outlines and the rows of an image."""
        try:
            self.outlines.add(path, entry)
        except Exception as error:  # noqa: BLE001 (what concerns more than this image is raised again)
            result.failures.append((str(path), why_not(error, path)))
            return result
        result.rows.extend(entry["rows"])
        result.inputs.append({"path": str(path), **{key: entry[key] for key in ("sha256", "seconds")}})
        return replace(result, resumed=result.resumed + known)
