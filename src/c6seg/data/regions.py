"""Large TIFF files, read by bands of rows: the picture never lies in memory whole.

What :func:`open_rows` gives has the same pixels as :func:`c6seg.data.images.read_image`. Rows are decoded once as long
as they are asked for from top to bottom; a compressed file is decoded by whole strips or rows of tiles.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg.data.decode import broken, check_messages, many, open_source, reading, tifffile_messages
from c6seg.data.tiff import TiffSource
from c6seg.errors import ImageTooLargeError

__all__ = ["LARGE_PX", "MORE_BY_ROWS", "RowReader", "open_rows"]

Pixels = NDArray[np.generic]

LARGE_PX = 30_000_000
"""TIFF files of one frame with at least as many pixels are read by rows where they can be."""

MORE_BY_ROWS = 25
"""So many times the pixels of a frame that is decoded whole may a file have that is read by rows."""


class RowReader:
    """The only frame of an open TIFF file, by rows.

    Parameters
    ----------
    source
        The file.
    path
        Its name, for messages.
    close
        Closes the file.
    """

    def __init__(self, source: TiffSource, path: Path, close: Callable[[], None]) -> None:
        self.close = close
        self._source, self._path, self._page = source, path, source.only_page
        self.size_hw = source.size_hw
        self.dtype = {"bool": "uint8"}.get(source.dtype, source.dtype)
        self.colours = source.channels > 2
        self.pixel_size_um = source.pixel_size_um
        self.time_h = None if source.times_h is None else source.times_h[0]
        self.piece_rows = piece_rows(self._page)
        source.check_whole(self._page)
        self._kept: Pixels | None = None
        self._first = self._end = 0

    def __enter__(self) -> RowReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self, top: int, bottom: int) -> Pixels:
        """Decode rows to a picture.

        Parameters
        ----------
        top, bottom
            First row, and the one behind the last; 0 <= top < bottom <= height.

        Returns
        -------
        NDArray
            (bottom - top, X) or (bottom - top, X, 3), uint8, uint16 or float32. May be a view on what is kept for the
            next call: do not write into it.

        Raises
        ------
        ImageReadError
            A part is damaged.
        """
        if self._kept is None or not self._first <= top <= self._end:
            self._kept = None
            self._first = self._end = top // self.piece_rows * self.piece_rows
        drop = (top - self._first) // self.piece_rows * self.piece_rows
        if self._kept is not None and drop:
            left = self._kept[drop:].copy()  # a view would hold the rows above
            self._kept, self._first = left if len(left) else None, self._first + drop
        if self._kept is None or bottom > self._end:
            end = min(-(-bottom // self.piece_rows) * self.piece_rows, self.size_hw[0])
            with reading(self._path):
                more = self._source.picture(self._decode(self._end, end))
            self._kept = more if self._kept is None else np.concatenate([self._kept, more])
            self._end = end
        return self._kept[top - self._first : bottom - self._first]

    def _decode(self, top: int, bottom: int) -> Pixels:
        with tifffile_messages() as messages:
            values = _contiguous(self._page, top, bottom) if self._page.is_contiguous else self._pieces(top, bottom)
        check_messages(self._path, messages)
        return values if values.shape[2] > 1 else values[:, :, 0]

    def _pieces(self, top: int, bottom: int) -> Pixels:
        """Decode the strips or tiles of some rows; ``top`` is the first of a piece."""
        page, width = self._page, self.size_hw[1]
        across = -(-width // page.tilewidth) if page.is_tiled else 1
        indices = range(top // self.piece_rows * across, -(-bottom // self.piece_rows) * across)
        options: dict[str, Any] = {"_fullsize": False}
        if page.jpegtables is not None or page.jpegheader is not None:
            options |= {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        values = np.zeros((bottom - top, width, page.samplesperpixel), page.dtype)
        found = page.parent.filehandle.read_segments(
            [page.dataoffsets[index] for index in indices],
            [page.databytecounts[index] for index in indices],
            indices=list(indices),
            flat=True,
        )
        for data, index in found:
            piece, (_, _, row, column, _), shape = page.decode(data, index, **options)
            if piece is None:
                if data is not None:
                    raise broken(self._path, "a part of it cannot be decoded")
                piece = np.full(shape, page.nodata, page.dtype)
            piece = piece[0, : self.size_hw[0] - row, : width - column]
            values[row - top : row - top + piece.shape[0], column : column + piece.shape[1]] = piece
        return values


def open_rows(path: str | Path, *, max_pixels: int, least_px: int | None = None) -> RowReader | None:
    """Open a large TIFF file for reading by rows; close it, or use it as a context manager.

    Parameters
    ----------
    path
        An image file.
    max_pixels
        Frames with more pixels are not decoded whole; by rows up to 25 times as many are read.
    least_px
        Files with fewer pixels are not read by rows; None = :data:`LARGE_PX`.

    Returns
    -------
    RowReader or None
        None: read it whole.

    Raises
    ------
    ImageNotFoundError
        There is no such file.
    ImageReadError
        The file is no readable image, or broken.
    ImageTooLargeError
        It is too large to be decoded whole, and cannot be read by rows; the message says why.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_source(path, max_pixels=MORE_BY_ROWS * max_pixels))
        height, width = source.size_hw
        if height * width < min(LARGE_PX if least_px is None else least_px, max_pixels + 1):
            return None
        why = _obstacle(source, max_pixels) if isinstance(source, TiffSource) else "this is no TIFF file"
        if isinstance(source, TiffSource) and not why:
            return RowReader(source, path, stack.pop_all().close)
        if height * width > max_pixels:
            raise ImageTooLargeError(
                f"'{path}' is {width}x{height} = {many(height * width)} pixels, above the limit of "
                f"{many(max_pixels)} for images that must be decoded whole; {why}. Nothing was decoded. "
                "Save it as a TIFF of one picture, grey or RGB, 8 or 16 bit, in tiles or uncompressed, which is read "
                "part by part; crop it; or raise --max-pixels if there is memory for it."
            )
        return None


def _obstacle(source: TiffSource, max_pixels: int) -> str:
    """Why a file cannot be read by rows, in words; empty where it can."""
    page, dtype = source.only_page, np.dtype(source.dtype)
    if page is None:
        return "it has several frames or planes"
    photometric, height = int(page.photometric), piece_rows(page)
    odd_order = page.fillorder != 1 or (page.predictor != 1 and page.is_contiguous)
    obstacles = {
        "its colours are no grey or RGB": photometric not in {0, 1, 2}
        and (photometric, int(page.compression)) != (6, 7),
        "its colours lie in separate planes": page.samplesperpixel > 1 and int(page.planarconfig) != 1,
        f"its values are {dtype}": dtype.kind not in "buf" or (dtype.kind == "u" and dtype.itemsize > 2),
        "it is a volume": page.imagedepth != 1,
        "its bits are in an unusual order": odd_order,
        f"it is compressed in pieces of {height} rows": not page.is_contiguous
        and height * source.size_hw[1] > max_pixels,
    }
    return next((words for words, true in obstacles.items() if true), "")


def piece_rows(page: Any) -> int:
    """Rows that are decoded together: 1 without compression, else those of a strip or tile."""
    if page.is_contiguous:
        return 1
    return int(page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength))


def _contiguous(page: Any, top: int, bottom: int) -> Pixels:
    order = np.dtype(page.parent.byteorder + np.dtype(page.dtype).char)
    shape = (bottom - top, page.imagewidth, page.samplesperpixel)
    row = page.imagewidth * page.samplesperpixel
    file = page.parent.filehandle
    file.seek(page.dataoffsets[0] + top * row * order.itemsize)
    values: Pixels = file.read_array(order, (bottom - top) * row).reshape(shape)
    return values
