"""One image file to its mask, overlay and rows: what a batch does for each image, and a watch for each that arrives."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg import runtime
from c6seg.data.images import Frame, image_name, probe, read_frames, write_mask
from c6seg.data.mask_rows import write_mask_rows
from c6seg.data.mask_values import mask_values
from c6seg.data.regions import MORE_BY_ROWS, RowReader, open_rows
from c6seg.errors import C6segError, DataError, ImageTooLargeError, OutputError
from c6seg.inference.forecast import announce, forecast
from c6seg.inference.journal import Journal
from c6seg.inference.large import LargeImage
from c6seg.inference.objects import NOT_COUNTED, Labels, measure_objects, objects_of, with_doubt, without_seams
from c6seg.inference.overlay import MAX_SIDE_PX, write_overlay
from c6seg.inference.segmenter import Segmentation, Segmenter
from c6seg.inference.tables import measurement_row

OUTPUTS = ("masks", "overlays", "objects")

Hints = Callable[[str], tuple[str | None, float | None]]
"""Name of an image to (well, time in h), each None where the name does not say."""

Entry = dict[str, Any]
"""What the journal keeps of a finished image: ``sha256``, ``seconds``, ``rows``, ``outputs``."""

Written = tuple[list[dict[str, Any]], list[str]]
"""Rows of an image, and its outputs below the folder."""

LATER_PX = 25_000_000
"""Larger images are written before the next one is read, so that two of them do not lie in memory at a time."""


class Maker:
    """Makes the outputs of images in one folder.

    Parameters
    ----------
    folder
        The output folder.
    segmenter
        The model.
    hints
        Gives well and time where the file does not.
    """

    def __init__(self, folder: Path, segmenter: Segmenter, hints: Hints | None = None) -> None:
        self.folder = folder
        self.segmenter = segmenter
        self.hints = hints or (lambda name: (None, None))

    def begin(
        self,
        path: Path,
        digest: str,
        journal: Journal,
        *,
        details: Mapping[str, Any] | None = None,
        tell: Callable[[float], None] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> Callable[[], Entry]:
        """Segment an image; the function that is returned writes its outputs and tells the journal.

        The function may be called in another thread, while the next image is segmented. Series and large images are
        written while they are segmented, as they do not lie in memory whole; for them it has little left to do.

        Parameters
        ----------
        path
            The image or series.
        digest
            Its SHA-256.
        journal
            Hears of it before the first output changes and after the last one is there.
        details
            What the journal shall keep besides.
        tell
            Called after each frame with the part of the image that is done.
        ready
            Called before the first output is touched, by whom that is; an exception that it raises leaves everything
            as it was.

        Raises
        ------
        DataError
            The image cannot be used. What an earlier version of it left is still there; see :meth:`clear`.
        OutputError
            Something cannot be written.
        """
        name = image_name(path)
        started = time.monotonic()

        def first() -> None:
            if ready is not None:
                ready()
            journal.begin(name)

        write = self._segmented(path, name, first, tell)
        taken = time.monotonic() - started

        def finish() -> Entry:
            resumed = time.monotonic()
            rows, outputs = write()
            self.clear(name, keep=outputs)
            seconds = round(taken + time.monotonic() - resumed, 3)
            entry = {"sha256": digest, "seconds": seconds, "rows": rows, "outputs": outputs, **(details or {})}
            journal.done(name, entry)
            return entry

        return finish

    def _segmented(
        self, path: Path, name: str, first: Callable[[], None], tell: Callable[[float], None] | None
    ) -> Callable[[], Written]:
        """Segment an image, and give what writes its outputs, or gives them where they are written already."""
        reader = open_rows(path, max_pixels=self.segmenter.config.max_pixels)
        if reader is not None:
            with reader:
                written = self._large(name, reader, first, tell)
            return lambda: written
        frames = probe(path, max_pixels=self.segmenter.config.max_pixels).frames
        pictures = self._segmentations(path, frames, tell)
        if frames > 1:
            written = self._series(name, pictures, frames, first)
            return lambda: written
        ((frame, found),) = pictures
        write = partial(self._single, name, frame, found, first)
        if found.mask.size <= LATER_PX:
            return write
        written = write()
        return lambda: written

    def rename(self, old: str, entry: Entry, path: Path, journal: Journal, details: Mapping[str, Any]) -> Entry:
        """Give the outputs of an image the name that its file has now.

        A process killed in the middle leaves outputs under both names and only the old one in the journal; doing it
        again finishes it.

        Raises
        ------
        DataError
            The image cannot be read.
        OutputError
            Something cannot be written.
        """
        new = image_name(path)
        times = probe(path, max_pixels=MORE_BY_ROWS * self.segmenter.config.max_pixels).times_h
        journal.begin(new)
        outputs = []
        for output in entry["outputs"]:
            room = output.split("/", 1)[0]
            outputs.append(f"{room}/{new}{output[len(room) + 1 + len(old) :]}")
            source, target = self.folder / output, self.folder / outputs[-1]
            if source.exists():
                if target.is_dir():
                    shutil.rmtree(target, ignore_errors=True)
                try:
                    source.replace(target)
                except OSError as error:
                    raise OutputError(error.errno, f"Cannot rename '{source}': {error.strerror}") from error
        self.clear(new, keep=outputs)
        well, hinted_h = self.hints(new)
        rows = []
        for row in entry["rows"]:
            # the file's own time wins; a name cannot say when each frame was taken
            time_h = times[int(row["frame"])] if times is not None else hinted_h if len(entry["rows"]) == 1 else None
            rows.append({**row, "image": new, "well": well, "time_h": None if time_h is None else round(time_h, 6)})
        kept = {**entry, **details, "rows": rows, "outputs": outputs}
        kept = {key: value for key, value in kept.items() if key not in {"name", "state"}}
        journal.done(new, kept)
        journal.forget(old)
        return kept

    def clear(self, name: str, *, keep: Sequence[str] = ()) -> None:
        """Remove what an earlier version of an image left."""
        endings = (("masks", ".png"), ("masks", ".tif"), ("objects", ".tif"), ("overlays", ".jpg"), ("overlays", ""))
        for room, ending in endings:
            output = f"{room}/{name}{ending}"
            path = self.folder / output
            if output in keep:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif ending:  # without one, a file of that name is the overlay of another image
                path.unlink(missing_ok=True)

    def _single(self, name: str, frame: Frame, found: Segmentation, first: Callable[[], None]) -> Written:
        first()
        outputs = [f"masks/{name}.png"]
        write_mask(self.folder / outputs[0], found.mask, self._reported(found))
        labels = objects_of(frame, found, self.segmenter)
        if self.segmenter.config.overlays:
            outputs.append(f"overlays/{name}.jpg")
            write_overlay(self.folder / outputs[1], frame.pixels, without_seams(found.mask, labels), found.clusters)
        if labels is not None:
            outputs.append(f"objects/{name}.tif")
            with _pages(self.folder / outputs[-1], 1) as write:
                write(_numbers(labels))
        well, time_h = self.hints(name)
        figures = measure_objects(labels, found.pixel_size_um)
        found = with_doubt(found, self.segmenter)
        return [measurement_row(found, well=well, time_h=time_h, objects=figures)], outputs

    def _series(
        self, name: str, pictures: Iterator[tuple[Frame, Segmentation]], frames: int, first: Callable[[], None]
    ) -> Written:
        """Write the pages as they come: a long series never lies in memory whole."""
        first()
        rows = []
        well, _ = self.hints(name)  # a name cannot say when each frame was taken
        outputs = [f"masks/{name}.tif"]
        with contextlib.ExitStack() as stack:
            folder: Path | None = None
            if self.segmenter.config.overlays:
                outputs.append(f"overlays/{name}")
                folder = stack.enter_context(runtime.atomic_folder(self.folder / outputs[1]))
            write = stack.enter_context(_pages(self.folder / outputs[0], frames))
            write_objects = None
            if self.segmenter.config.objects:
                outputs.append(f"objects/{name}.tif")
                write_objects = stack.enter_context(_pages(self.folder / outputs[-1], frames))
            for frame, found in pictures:
                write(mask_values(found.mask, self._reported(found)))
                labels = objects_of(frame, found, self.segmenter)
                if write_objects is not None and labels is not None:
                    write_objects(_numbers(labels))
                if folder is not None:
                    drawn = without_seams(found.mask, labels)
                    write_overlay(folder / f"{found.index:04d}.jpg", frame.pixels, drawn, found.clusters)
                figures = measure_objects(labels, found.pixel_size_um)
                rows.append(measurement_row(with_doubt(found, self.segmenter), well=well, objects=figures))
        return rows, outputs

    def _large(
        self, name: str, reader: RowReader, first: Callable[[], None], tell: Callable[[float], None] | None
    ) -> Written:
        """Write an image that is read by rows; neither it nor its mask lies in memory whole."""
        if self.segmenter.config.clusters != "include":  # what cells look like is known when all of them were seen
            raise ImageTooLargeError(
                f"Image '{name}' is {reader.size_hw[1]}x{reader.size_hw[0]} px and is read by rows, where dense "
                "clusters cannot be told apart. Crop it, or segment it with --clusters include."
            )
        if self.segmenter.members:
            raise ImageTooLargeError(
                f"Image '{name}' is {reader.size_hw[1]}x{reader.size_hw[0]} px and is read by rows, which one model "
                "alone can do. Crop it, or segment it without --ensemble."
            )
        image = LargeImage(self.segmenter, reader, name, tell)
        announce(forecast(self.segmenter, reader, image.plan, name))
        first()
        outputs = [f"masks/{name}.tif"]
        write_mask_rows(self.folder / outputs[0], image.mask(max_side_px=MAX_SIDE_PX), reader.size_hw)
        found = image.result()
        if self.segmenter.config.objects:  # a border between cells can lie anywhere, also between two bands of rows
            runtime.logger.warning("'%s' is read by rows, where cells are not counted: its object_count is empty", name)
            found = replace(found, flags=tuple(sorted((*found.flags, NOT_COUNTED))))
        if self.segmenter.config.overlays:
            outputs.append(f"overlays/{name}.jpg")
            write_overlay(self.folder / outputs[1], found.small, found.small_mask)
        well, time_h = self.hints(name)
        return [measurement_row(found, well=well, time_h=time_h)], outputs

    def _reported(self, found: Segmentation) -> NDArray[np.bool_] | None:
        """Clusters that get a value of their own in the mask file; None = none do."""
        return found.clusters if self.segmenter.config.clusters == "report" else None

    def _segmentations(
        self, path: Path, frames: int, tell: Callable[[float], None] | None
    ) -> Iterator[tuple[Frame, Segmentation]]:
        for frame in read_frames(path, max_pixels=self.segmenter.config.max_pixels):
            yield frame, self.segmenter.segment(frame)
            if tell is not None:
                tell((frame.index + 1) / frames)


def why_not(error: Exception, path: Path) -> str:
    """Say in one line why an image could not be used; full disks and broken models are no matter of one image.

    Raises
    ------
    C6segError
        The error itself, where it concerns more than this image.
    """
    if isinstance(error, DataError):
        reason = str(error)
    elif isinstance(error, C6segError):
        raise error
    elif isinstance(error, MemoryError):
        reason = f"'{path}' does not fit into memory. Lower the memory budget or crop the image."
    elif isinstance(error, OSError):
        reason = f"'{path}' cannot be read: {error.strerror or error}."
    else:  # one strange file must not cost a night's batch
        reason = f"'{path}': unexpected {type(error).__name__}: {error}. This is a fault of c6seg: please report it."
    runtime.logger.debug("failed: %s", path, exc_info=error)
    return " ".join(reason.split())


def _numbers(labels: Labels) -> NDArray[np.unsignedinteger]:
    """Bring numbers of objects to the shortest type that other programs read."""
    return labels.astype(np.uint16 if labels.max(initial=0) < 65536 else np.uint32)


@contextlib.contextmanager
def _pages(path: Path, frames: int) -> Iterator[Callable[[NDArray[np.unsignedinteger]], None]]:
    """Give a function that appends a page to a TIFF, which takes its name when all are there."""
    import tifffile

    with runtime.atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=frames > 2000) as writer:

        def write(page: NDArray[np.unsignedinteger]) -> None:
            writer.write(page, photometric="minisblack", compression="zlib", contiguous=False, metadata=None)

        yield write
