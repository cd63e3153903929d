"""Outlines of a batch for other programs, made from the objects that it wrote, or else from its masks.

They hang on those files alone: asking for them later, or after a run was killed, traces what is there and segments
nothing again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from c6seg import runtime
from c6seg.data.images import image_name, read_frames
from c6seg.data.mask_values import cells_of
from c6seg.data.outline_files import CocoWriter, open_coco, open_geojson, open_imagej
from c6seg.data.outlines import trace, trace_objects
from c6seg.errors import ConfigError, ImageTooLargeError, did_you_mean

__all__ = ["COCO_FILE", "EXPORTS", "ROOMS", "Outlines", "check_exports"]

EXPORTS = ("imagej", "geojson", "coco")
"""What outlines can be written as."""

ROOMS = ("rois", "geojson")
"""Folders with a file for each image."""

COCO_FILE = "coco.json"

_WRITERS = {"imagej": (open_imagej, "rois/{}.zip"), "geojson": (open_geojson, "geojson/{}.geojson")}


def check_exports(names: str | Sequence[str]) -> tuple[str, ...]:
    """Read names of formats, as a list or as one text with commas; each once, in the order of :data:`EXPORTS`.

    Raises
    ------
    ConfigError
        A name is none of them.

    Examples
    --------
    >>> check_exports("geojson, imagej")
    ('imagej', 'geojson')
    """
    parts = names.split(",") if isinstance(names, str) else names
    given = [name for part in parts if (name := str(part).strip().lower())]
    for name in given:
        if name not in EXPORTS:
            raise ConfigError(did_you_mean(name, EXPORTS, what="format of --export"))
    return tuple(name for name in EXPORTS if name in given)


class Outlines:
    """Writes the outlines of one batch; use it in a ``with`` block, at whose end ``coco.json`` gets its name.

    Parameters
    ----------
    folder
        The output folder.
    formats
        Some of :data:`EXPORTS`; none = nothing is done.
    max_pixels
        Masks above this are not traced.
    """

    def __init__(self, folder: Path, formats: Sequence[str], *, max_pixels: int) -> None:
        self.folder, self.formats, self.max_pixels = folder, formats, max_pixels
        self._stack = contextlib.ExitStack()
        self._coco: CocoWriter | None = None

    def __enter__(self) -> Self:
        if "coco" in self.formats:
            self._coco = self._stack.enter_context(open_coco(self.folder / COCO_FILE))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def abandon(self) -> None:
        """Leave an earlier ``coco.json`` as it is: this batch was stopped, perhaps in the middle of an image."""
        error = KeyboardInterrupt()
        self._stack.__exit__(type(error), error, None)

    def add(self, path: Path, entry: dict[str, Any]) -> None:
        """Write what is missing, or older than the mask, for a finished image.

        Parameters
        ----------
        path
            The image.
        entry
            What the journal keeps of it.

        Raises
        ------
        OutputError
            Something cannot be written.
        DataError
            The mask, or the objects, cannot be read.
        """
        name = image_name(path)
        outputs = sorted(entry["outputs"], key=lambda output: not output.startswith("objects/"))
        mask = self.folder / next(output for output in outputs if output.startswith(("objects/", "masks/")))
        parted = mask.parent.name == "objects"
        wanted = [pair for form, pair in _WRITERS.items() if form in self.formats]
        due = [(opened, self.folder / place.format(name)) for opened, place in wanted]
        due = [(opened, target) for opened, target in due if not _newer(target, mask)]
        if not due and self._coco is None:
            return
        series = len(entry["rows"]) > 1
        try:
            with contextlib.ExitStack() as stack:
                adders = [stack.enter_context(opened(target, series=series)) for opened, target in due]
                for frame in read_frames(mask, max_pixels=self.max_pixels):
                    outlines = trace_objects(frame.pixels) if parted else trace(cells_of(frame.pixels))
                    for add in adders:
                        add(frame.index, outlines)
                    if self._coco is not None:
                        size_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
                        self._coco.add(path.name, outlines, size_hw, frame=frame.index if series else None)
        except ImageTooLargeError as error:
            runtime.logger.warning("there are no outlines of '%s': %s", name, error)
            self.drop(name)

    def drop(self, name: str) -> None:
        """Remove the outlines of an image that is about to be made again."""
        for _, place in _WRITERS.values():
            (self.folder / place.format(name)).unlink(missing_ok=True)


def _newer(target: Path, mask: Path) -> bool:
    """Whether an outline file was written after its mask."""
    try:
        return target.stat().st_mtime_ns >= mask.stat().st_mtime_ns
    except OSError:
        return False
