"""Files to masks, overlays and tables; goes on after a bad file, and where it was stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg import runtime
from c6seg.config import SegmentConfig
from c6seg.data.images import Frame, find_images, image_name, probe, read_frames, write_mask
from c6seg.errors import C6segError, DataError, ImageNotFoundError, UsageError
from c6seg.inference.journal import Journal, open_journal
from c6seg.inference.overlay import write_overlay
from c6seg.inference.segmenter import Segmentation, Segmenter
from c6seg.inference.tables import COLUMNS, BatchResult, measurement_row, write_tables
from c6seg.models.bundle import DEFAULT_MODEL, Bundle

__all__ = ["COLUMNS", "BatchResult", "Hints", "Progress", "check_names", "segment_images"]

OUTPUTS = ("masks", "overlays")

Progress = Callable[[float, int, str], None]
"""(images done, images in all, name of the image at work); the first counts the frames of a series as fractions."""

Hints = Callable[[str], tuple[str | None, float | None]]
"""Name of an image to (well, time in h), each None where the name does not say."""


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

    Raises
    ------
    ImageNotFoundError
        No image is where one was expected.
    UsageError
        Two inputs would give the same output file; nothing was written.
    ModelError
        The bundle cannot be used; nothing was written.
    OutputError
        The results cannot be written; what was finished before stays.
    """
    folder = Path(out)
    own = [(folder / part).resolve() for part in OUTPUTS]  # results may lie below the folder that is searched
    found = find_images([inputs] if isinstance(inputs, str | Path) else inputs, recursive=recursive)
    paths = [path for path in found if not any(path.resolve().is_relative_to(part) for part in own)]
    if not paths:
        raise ImageNotFoundError(f"The only images given are results in '{folder}'. Name the images themselves.")
    check_names(paths)
    ready = segmenter or Segmenter(model, config)
    runtime.make_folder(folder)
    batch = _Batch(folder, ready, hints, progress, len(paths))
    started = time.monotonic()
    with open_journal(folder, options_key(ready), fresh=force) as journal:
        _sweep(folder)
        result = batch.run(paths, journal)
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


def options_key(segmenter: Segmenter) -> str:
    """Hash of everything but the images that decides the outputs: model, options, engine, version."""
    values = {
        "model": segmenter.bundle.sha256(),
        "config": segmenter.config.model_dump(mode="json"),
        "engine": [segmenter.engine.name, segmenter.engine.precision],
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


def _sweep(folder: Path) -> None:
    """Remove the temporary files that a killed run left behind; the journal's lock says that nobody uses them."""
    own = r"\.(measurements|failures|manifest|journal)-[a-z0-9_]{8}\.\w+"
    leftovers = [path for path in folder.glob(".*") if re.fullmatch(own, path.name)]
    for part in OUTPUTS:
        leftovers += [p for p in folder.glob(f"{part}/.*") if re.fullmatch(r"\..*-[a-z0-9_]{8}(\.\w+)?", p.name)]
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


class _Batch:
    """One run over a list of images."""

    def __init__(
        self, folder: Path, segmenter: Segmenter, hints: Hints | None, progress: Progress | None, total: int
    ) -> None:
        self.folder = folder
        self.segmenter = segmenter
        self.hints = hints
        self.progress = progress or (lambda done, total, name: None)
        self.total = total

    def run(self, paths: Sequence[Path], journal: Journal) -> BatchResult:
        result = BatchResult(self.folder)
        try:
            for number, path in enumerate(paths):
                self.progress(number, self.total, path.name)
                entry, reason = self._try(path, number, journal)
                if entry is None:
                    result.failures.append((str(path), reason))
                    continue
                result.rows.extend(entry["rows"])
                result.inputs.append({"path": str(path), **{key: entry[key] for key in ("sha256", "seconds")}})
                if "state" in entry:  # it was read from the journal
                    result = replace(result, resumed=result.resumed + 1)
            self.progress(self.total, self.total, "")
        except KeyboardInterrupt:
            result = replace(result, interrupted=True)
        return result

    def _try(self, path: Path, number: int, journal: Journal) -> tuple[dict[str, Any] | None, str]:
        """Make one image, or find it done; a bad file is a reason, full disks and broken models are raised."""
        try:
            return self._image(path, number, journal), ""
        except DataError as error:
            reason = str(error)
        except C6segError:
            raise
        except MemoryError:
            reason = f"'{path}' does not fit into memory. Lower the memory budget or crop the image."
        except OSError as error:
            reason = f"'{path}' cannot be read: {error.strerror or error}."
        except Exception as error:  # noqa: BLE001 (one strange file must not cost a night's batch)
            reason = (
                f"'{path}': unexpected {type(error).__name__}: {error}. This is a fault of c6seg: please report it."
            )
        runtime.logger.debug("failed: %s", path, exc_info=True)
        return None, " ".join(reason.split())

    def _image(self, path: Path, number: int, journal: Journal) -> dict[str, Any]:
        name = image_name(path)
        digest = runtime.sha256(path)
        known = journal.find(name, digest, self.folder)
        if known is not None:
            return known
        started = time.monotonic()
        journal.begin(name)
        try:
            frames = probe(path, max_pixels=self.segmenter.config.max_pixels).frames
            make = self._single if frames == 1 else self._series
            rows, outputs = make(path, name, number, frames)
        except DataError:
            self._clear(name, keep=())
            raise
        self._clear(name, keep=outputs)
        entry = {"sha256": digest, "seconds": round(time.monotonic() - started, 3), "rows": rows, "outputs": outputs}
        journal.done(name, entry)
        return entry

    def _clear(self, name: str, *, keep: Sequence[str]) -> None:
        """Remove what an earlier version of this image left."""
        for output in (f"masks/{name}.png", f"masks/{name}.tif", f"overlays/{name}.jpg", f"overlays/{name}"):
            path = self.folder / output
            if output in keep:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _single(self, path: Path, name: str, number: int, frames: int) -> tuple[list[dict[str, Any]], list[str]]:
        ((frame, found),) = self._segmentations(path, number, frames)
        outputs = [f"masks/{name}.png"]
        write_mask(self.folder / outputs[0], found.mask)
        if self.segmenter.config.overlays:
            outputs.append(f"overlays/{name}.jpg")
            write_overlay(self.folder / outputs[1], frame.pixels, found.mask)
        well, time_h = self.hints(name) if self.hints else (None, None)
        return [measurement_row(found, well=well, time_h=time_h)], outputs

    def _series(self, path: Path, name: str, number: int, frames: int) -> tuple[list[dict[str, Any]], list[str]]:
        """Write the pages as they come: a long series never lies in memory whole."""
        rows = []
        well, _ = self.hints(name) if self.hints else (None, None)  # a name cannot say when each frame was taken
        outputs = [f"masks/{name}.tif"]
        with contextlib.ExitStack() as stack:
            pictures: Path | None = None
            if self.segmenter.config.overlays:
                outputs.append(f"overlays/{name}")
                pictures = stack.enter_context(runtime.atomic_folder(self.folder / outputs[1]))
            write = stack.enter_context(_mask_pages(self.folder / outputs[0], frames))
            for frame, found in self._segmentations(path, number, frames):
                write(found.mask)
                if pictures is not None:
                    write_overlay(pictures / f"{found.index:04d}.jpg", frame.pixels, found.mask)
                rows.append(measurement_row(found, well=well))
        return rows, outputs

    def _segmentations(self, path: Path, number: int, frames: int) -> Iterator[tuple[Frame, Segmentation]]:
        for frame in read_frames(path, max_pixels=self.segmenter.config.max_pixels):
            yield frame, self.segmenter.segment(frame)
            self.progress(number + (frame.index + 1) / frames, self.total, path.name)


@contextlib.contextmanager
def _mask_pages(path: Path, frames: int) -> Iterator[Callable[[NDArray[np.bool_]], None]]:
    """Give a function that appends one mask to a multi-page TIFF, which takes its name when all are there."""
    import tifffile

    with runtime.atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=frames > 2000) as writer:

        def write(mask: NDArray[np.bool_]) -> None:
            page = mask.astype(np.uint8) * np.uint8(255)
            writer.write(page, photometric="minisblack", compression="zlib", contiguous=False, metadata=None)

        yield write
