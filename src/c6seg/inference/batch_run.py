"""The images of a batch, one after the other or on a cluster: what runs beside what, and what becomes of failures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from c6seg.cluster import Resources
from c6seg.data.images import image_name
from c6seg.errors import DataError, OutputError
from c6seg.inference.journal import Journal
from c6seg.inference.making import Entry, Maker, why_not
from c6seg.inference.outlining import Outlines
from c6seg.inference.read_ahead import ReadAhead
from c6seg.inference.tables import BatchResult

if TYPE_CHECKING:
    from c6seg.inference.shards import Made

Progress = Callable[[float, int, str], None]
"""(images done, images in all, name of the image at work); the first counts the frames of a series as fractions."""


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


class BatchRun:
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
