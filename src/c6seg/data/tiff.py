"""TIFF files as a sequence of frames: which axis is time, which is colour, and one frame at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from c6seg.data.decode import Pixels, broken, check_messages, check_size, grey_if_equal, tifffile_messages, to_picture
from c6seg.data.tags import tiff_pixel_size_um, tiff_times_h
from c6seg.errors import ImageReadError
from c6seg.runtime import logger

__all__ = ["TiffSource"]


class TiffSource:
    """An open TIFF file; only the largest series of the file is read, others are told unless they are thumbnails.

    Raises
    ------
    ImageReadError
        The axes have no single meaning as frames, or the file is cut short.
    """

    def __init__(self, tif: tifffile.TiffFile, path: Path, *, max_pixels: int) -> None:
        self._tif, self._path = tif, path
        if not tif.pages:
            raise broken(path, "it holds no picture")
        self._series = max(tif.series, key=_area)
        _tell_of_others(path, self._series, tif)
        axes, shape = self._series.axes, self._series.shape
        if "Y" not in axes or "X" not in axes or self._series.dtype is None:
            raise broken(
                path, f"pictures with axes {axes!r} of {_bits(tif)} bits are not supported; save it as 8 or 16 bits"
            )
        sizes = dict(zip(axes, shape, strict=True))
        self.size_hw = (int(sizes["Y"]), int(sizes["X"]))
        check_size(path, self.size_hw, max_pixels)
        self._colours = _colour_axis(path, axes, sizes, str(self._series.dtype))
        self.channels = int(sizes[self._colours]) if self._colours else 1
        self.frames = _count_frames(path, axes, sizes, self._colours)
        self.dtype = str(np.dtype(self._series.dtype))
        self._pages: list[Any] = list(self._series.pages)
        planes = math.prod(size for axis, size in sizes.items() if axis not in "YXS")
        self._paged = len(self._pages) == planes
        first_pages = self._pages[:: max(1, planes // self.frames)] if self._paged else []
        self.pixel_size_um = tiff_pixel_size_um(tif)
        self.times_h = tiff_times_h(tif, first_pages, self.frames)

    def raw(self, index: int) -> Pixels:
        """Decode a frame to its stored values, colours last; palette images give indices."""
        keyframe = self._series.keyframe
        per_frame = len(self._pages) // self.frames
        if self._paged:
            planes = [self._page(self._pages[index * per_frame + step]) for step in range(per_frame)]
            return (
                np.stack(planes, axis=-1) if self._colours == "C" and per_frame > 1 else self._colours_last(planes[0])
            )
        offset = self._series.dataoffset
        if offset is not None:  # one page describes the whole stack, as ImageJ does above 4 GB
            order = self._tif.byteorder + np.dtype(self._series.dtype).char
            stack: Any = np.memmap(self._path, order, "r", offset, self._series.shape)
        else:
            self.check_whole(keyframe)
            with tifffile_messages() as messages:
                stack = self._series.asarray()
            check_messages(self._path, messages)
        keep = [axis for axis in self._series.axes if axis in {"Y", "X", self._colours}]
        shape = [size for axis, size in zip(self._series.axes, self._series.shape, strict=True) if axis in keep]
        values = np.array(stack.reshape(self.frames, *shape)[index])
        return np.moveaxis(values, keep.index(self._colours), -1) if self._colours else values

    def pixels(self, index: int) -> Pixels:
        """Decode a frame to a picture: palettes applied, white-is-zero turned round."""
        return self.picture(self.raw(index))

    def picture(self, values: Pixels) -> Pixels:
        """Turn stored values, colours last, into a picture."""
        page = self._series.keyframe
        photometric = int(page.photometric)
        if photometric == 3 and page.colormap is not None and values.ndim == 2:
            return grey_if_equal((np.moveaxis(page.colormap[:, values], 0, -1) >> 8).astype(np.uint8))
        if photometric == 5:
            raise ImageReadError(f"'{self._path}' holds CMYK colours, which are for print. Save it as grey or RGB.")
        if photometric == 0 and values.dtype.kind in "ub":
            values = np.invert(values.view(f"u{values.itemsize}") if values.dtype.kind == "u" else values.astype(bool))
        return to_picture(values, self._path)

    @property
    def only_page(self) -> Any:
        """The page of tifffile that holds the only frame; None where there are several frames or pages."""
        return self._pages[0] if self.frames == 1 and len(self._pages) == 1 else None

    def _page(self, page: Any) -> Pixels:
        if page is None:
            raise broken(self._path, "a page of the series is missing")
        self.check_whole(page)
        with tifffile_messages() as messages:
            values = page.asarray()
        check_messages(self._path, messages)
        if values is None or values.size != math.prod(page.shape):
            raise broken(self._path, "a page is incomplete")
        return np.asarray(values).reshape(page.shape)

    def _colours_last(self, values: Pixels) -> Pixels:
        values = values.reshape([size for size in values.shape if size != 1 or values.ndim <= 2])
        if values.ndim == 2:
            return values
        first = values.shape[1:] == self.size_hw
        return np.moveaxis(values, 0, -1) if first and values.shape[:2] != self.size_hw else values

    def check_whole(self, page: Any) -> None:
        """Refuse a page whose data end behind the end of the file: decoders fill the gap with black."""
        size = self._tif.filehandle.size
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
        if ends and max(ends) > size:
            raise broken(self._path, f"it is cut short ({size} of at least {max(ends)} bytes are there)")


def _tell_of_others(path: Path, chosen: tifffile.TiffPageSeries, tif: tifffile.TiffFile) -> None:
    """Warn once of pictures of other sizes or types that are not read, and are no reduced copies."""
    others = [s for s in tif.series if s is not chosen and _area(s) and not _is_thumbnail(s, chosen)]
    if others and str(path) not in _TOLD:
        _TOLD.add(str(path))
        sizes = ", ".join(dict.fromkeys("x".join(map(str, s.shape)) for s in others))
        logger.warning(
            "'%s' holds %d more series of pictures of another size or type (%s); only the largest (%s) is read",
            path,
            len(others),
            sizes,
            "x".join(map(str, chosen.shape)),
        )


def _is_thumbnail(series: tifffile.TiffPageSeries, of: tifffile.TiffPageSeries) -> bool:
    """Whether pictures say that they are reduced copies, or look it: the same proportions, a quarter of the side."""
    if getattr(series.keyframe, "is_reduced", False):
        return True
    high, wide = series.keyframe.imagelength, series.keyframe.imagewidth
    high_of, wide_of = of.keyframe.imagelength, of.keyframe.imagewidth
    return 4 * wide <= wide_of and abs(high / high_of * wide_of / wide - 1) < 0.05


_TOLD: set[str] = set()
"""Files whose other pictures were told of: a file is opened several times in a run."""


def _area(series: tifffile.TiffPageSeries) -> int:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return int(sizes.get("Y", 0)) * int(sizes.get("X", 0))


def _bits(tif: tifffile.TiffFile) -> Any:
    return getattr(tif.pages.first, "bitspersample", "unknown")


def _colour_axis(path: Path, axes: str, sizes: dict[str, int], dtype: str) -> str:
    """Which axis is colour: samples of a pixel, or three 8-bit channels written one after the other."""
    if "S" in axes:
        if sizes.get("C", 1) > 1:
            raise ImageReadError(
                f"'{path}' has several channels of colours (axes {axes}). Save the phase-contrast channel."
            )
        if sizes["S"] > 4:
            raise ImageReadError(f"'{path}' has {sizes['S']} channels; c6seg reads grey or RGB(A). Save one alone.")
        return "S"
    channels = sizes.get("C", 1)
    if channels == 1:
        return "C" if "C" in axes else ""
    if channels in {3, 4} and dtype == "uint8" and axes.index("C") == len(axes) - 3:
        return "C"
    raise ImageReadError(
        f"'{path}' has {channels} channels (axes {axes}); c6seg reads one or RGB. Save the phase contrast alone."
    )


def _count_frames(path: Path, axes: str, sizes: dict[str, int], colours: str) -> int:
    counted = {axis: size for axis, size in sizes.items() if axis not in {"Y", "X", colours} and size > 1}
    if len(counted) > 1:
        shape = ", ".join(f"{axis} {size}" for axis, size in counted.items())
        raise ImageReadError(
            f"'{path}' has several kinds of frames ({shape}); c6seg reads one series. Save one plane per time."
        )
    return math.prod(counted.values())
