"""Any microscope image or series to frames, masks out.

TIFF goes through tifffile (8/16-bit, float, multi-page, OME, ImageJ, NIS-Elements), PNG, JPEG and BMP through Pillow.
What a file is, is decided by its content, not by its name; its size is checked before anything is decoded; the frames
of a series are decoded one at a time.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c6seg.data import decode
from c6seg.data.mask_values import mask_values
from c6seg.errors import ImageNotFoundError, ImageReadError, UsageError
from c6seg.runtime import atomic_path

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "Frame",
    "ImageInfo",
    "find_images",
    "image_name",
    "natural_key",
    "probe",
    "read_frames",
    "read_image",
    "read_raw",
    "write_mask",
]

IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp")
"""Endings, in lower case, that :func:`find_images` takes for images."""

MAX_PIXELS = 400_000_000
"""Largest frame that is decoded unless the caller says otherwise, px."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Parameters
    ----------
    pixels
        (Y, X) or (Y, X, C) with C = 3; uint8, uint16 or float32. An alpha channel is dropped on reading.
    name
        File name without suffix.
    index
        Number of the frame within its file, from 0.
    pixel_size_um
        Edge of a pixel in um, or None if the file does not say.
    time_h
        Time in hours since the first frame of the file (or absolute stage clock where a file holds one frame),
        or None if the file does not say.
    source
        The file, or None for pictures made in memory.
    """

    pixels: NDArray[np.generic]
    name: str
    index: int = 0
    pixel_size_um: float | None = None
    time_h: float | None = None
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a file says about itself without decoding a pixel.

    Parameters
    ----------
    path
        The file.
    size_hw
        Height and width of a frame, px.
    frames
        Number of frames.
    dtype
        Type of the stored samples, such as ``"uint16"``.
    channels
        Stored samples per pixel, alpha included.
    pixel_size_um
        Edge of a pixel in um, or None.
    times_h
        Time of every frame in hours, or None; see :class:`Frame`.
    """

    path: Path
    size_hw: tuple[int, int]
    frames: int
    dtype: str
    channels: int
    pixel_size_um: float | None
    times_h: tuple[float, ...] | None


def probe(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Read size, type, pixel size and times of an image without decoding it.

    Raises
    ------
    ImageNotFoundError
        There is no such file.
    ImageReadError
        The file is no readable image.
    ImageTooLargeError
        A frame has more than ``max_pixels`` pixels.
    """
    path = Path(path)
    with decode.open_source(path, max_pixels=max_pixels) as source:
        return ImageInfo(
            path, source.size_hw, source.frames, source.dtype, source.channels, source.pixel_size_um, source.times_h
        )


def read_frames(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Iterator[Frame]:
    """Read the frames of an image file, one at a time.

    Parameters
    ----------
    path
        TIFF, PNG, JPEG or BMP.
    max_pixels
        Frames with more pixels are refused before decoding.

    Yields
    ------
    Frame
        Pixels (Y, X) or (Y, X, 3) as uint8, uint16 or float32.

    Raises
    ------
    ImageNotFoundError
        There is no such file.
    ImageReadError
        The file is no readable image, or broken; the message says which and what to do.
    ImageTooLargeError
        A frame has more than ``max_pixels`` pixels; nothing was decoded.
    """
    path = Path(path)
    with decode.open_source(path, max_pixels=max_pixels) as source:
        for index in range(source.frames):
            yield _frame(source, path, index)


def read_image(path: str | Path, *, frame: int = 0, max_pixels: int = MAX_PIXELS) -> Frame:
    """Read one frame of an image file; see :func:`read_frames` for what is raised."""
    path = Path(path)
    with decode.open_source(path, max_pixels=max_pixels) as source:
        _check_frame(source, path, frame)
        return _frame(source, path, frame)


def read_raw(path: str | Path, *, frame: int = 0, max_pixels: int = MAX_PIXELS) -> NDArray[np.generic]:
    """Read stored values as they are, for masks: palette indices, alpha channel and integer types are kept.

    Returns
    -------
    NDArray
        (Y, X) or (Y, X, C) in the type of the file.
    """
    path = Path(path)
    with decode.open_source(path, max_pixels=max_pixels) as source:
        _check_frame(source, path, frame)
        return source.raw(frame)


def _check_frame(source: decode.Source, path: Path, frame: int) -> None:
    if not 0 <= frame < source.frames:
        raise ImageReadError(
            f"'{path}' has {source.frames} frame(s), numbered from 0; frame {frame} is not among them."
        )


def _frame(source: decode.Source, path: Path, index: int) -> Frame:
    time_h = None if source.times_h is None else source.times_h[index]
    return Frame(source.pixels(index), image_name(path), index, source.pixel_size_um, time_h, path)


def image_name(path: str | Path) -> str:
    """File name without its suffix; ``.ome.tif`` is one suffix.

    Examples
    --------
    >>> image_name("plate/well_A1.ome.tif")
    'well_A1'
    """
    return re.sub(r"\.ome$", "", Path(path).stem, flags=re.IGNORECASE)


def natural_key(path: str | Path) -> tuple[tuple[int, int, str], ...]:
    """Sort key in which ``t2`` comes before ``t10``.

    Examples
    --------
    >>> sorted(["t10.png", "t2.png", "T1.png"], key=natural_key)
    ['T1.png', 't2.png', 't10.png']
    """
    parts = re.split(r"(\d+)", str(path))
    folded = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts if part)
    return (*folded, (2, 0, str(path)))


def find_images(inputs: Sequence[str | Path], *, recursive: bool = False) -> list[Path]:
    """List the images that files, folders and patterns stand for.

    Parameters
    ----------
    inputs
        Files (taken whatever their ending), folders, or glob patterns such as ``"plate/*.tif"``.
    recursive
        Look into the folders of folders.

    Returns
    -------
    list[Path]
        Inputs in the order given, each naturally sorted; no file twice; hidden files left out.

    Raises
    ------
    ImageNotFoundError
        An input stands for no image.
    """
    if isinstance(inputs, str | Path):
        inputs = [inputs]
    found: dict[Path, Path] = {}
    for given in inputs:
        for path in _expand(given, recursive=recursive):
            found.setdefault(path.resolve(), path)
    if not found:
        raise ImageNotFoundError("No image was given. Name image files, folders, or patterns such as 'plate/*.tif'.")
    return list(found.values())


def _expand(given: str | Path, *, recursive: bool) -> list[Path]:
    if not str(given):
        raise ImageNotFoundError("An input is empty, such as a variable of the shell that is not set. Name an image.")
    path = Path(given).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        images = [file for file in path.glob("**/*" if recursive else "*") if _is_image(file, path)]
        if not images:
            deeper = "" if recursive else " Images in folders below are found with --recursive."
            raise ImageNotFoundError(f"Folder '{path}' has no image ({', '.join(IMAGE_SUFFIXES)}).{deeper}")
        return sorted(images, key=natural_key)
    if glob.has_magic(str(path)):
        matches = [Path(name) for name in glob.glob(str(path), recursive=True)]  # noqa: PTH207 (absolute patterns)
        images = [match for match in matches if _is_image(match, match.parent)]
        if images:
            return sorted(images, key=natural_key)
        raise ImageNotFoundError(f"No image matches '{given}'. Known endings: {', '.join(IMAGE_SUFFIXES)}.")
    raise ImageNotFoundError(f"There is no file or folder '{given}'. Check the name and where you are.")


def _is_image(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    dead = path.is_symlink() and not path.exists()  # whoever reads it says so
    return path.suffix.lower() in IMAGE_SUFFIXES and not hidden and (path.is_file() or dead)


def write_mask(path: str | Path, mask: NDArray[np.bool_], clusters: NDArray[np.bool_] | None = None) -> None:
    """Write a mask, 255 = cell and 128 = cluster, whole or not at all.

    Parameters
    ----------
    path
        ``.png`` for one mask, ``.tif`` for one or a series.
    mask
        (Y, X) or (T, Y, X); True = cell.
    clusters
        Of the same shape; True = cluster and no cell. None = there are none.

    Raises
    ------
    UsageError
        The shape does not go with the ending.
    OutputError
        The file cannot be written.
    """
    path = Path(path)
    values = mask_values(mask, clusters)
    suffix = path.suffix.lower()
    if not (suffix == ".png" and values.ndim == 2) and not (suffix in {".tif", ".tiff"} and values.ndim in {2, 3}):
        raise UsageError(
            f"A mask of shape {values.shape} cannot be written as '{path.name}'. "
            "Write (Y, X) as .png or .tif, and (T, Y, X) as .tif."
        )
    with atomic_path(path) as temporary:
        decode.encode(temporary, values)
