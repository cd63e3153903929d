"""Open an image file, check its size, decode one frame at a time. Used by :mod:`c6seg.data.images`."""

from __future__ import annotations

import contextlib
import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from c6seg.errors import ImageNotFoundError, ImageReadError, ImageTooLargeError
from c6seg.runtime import save_picture

__all__ = ["Source", "broken", "check_messages", "encode", "open_source", "tifffile_messages"]

Pixels = NDArray[np.generic]

# What tifffile, imagecodecs (RuntimeError) and Pillow raise on broken files; none of them has one root of its own.
_BROKEN = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, EOFError,
    SyntaxError, NotImplementedError, MemoryError, AssertionError, struct.error, zlib.error,
)  # fmt: skip
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ADVICE = "Save or copy it again from the microscope or ImageJ."


class Source(Protocol):
    """An open image file."""

    size_hw: tuple[int, int]
    frames: int
    dtype: str
    channels: int
    pixel_size_um: float | None
    times_h: tuple[float, ...] | None

    def raw(self, index: int) -> Pixels:
        """Decode a frame to its stored values, (Y, X) or (Y, X, C)."""

    def pixels(self, index: int) -> Pixels:
        """Decode a frame to a picture, (Y, X) or (Y, X, 3) in uint8, uint16 or float32."""


@contextlib.contextmanager
def open_source(path: Path, *, max_pixels: int) -> Iterator[Source]:
    """Open an image by what it is; everything that goes wrong inside becomes an ``ImageReadError`` naming the file."""
    start = _first_bytes(path)
    from c6seg.data.tiff import TiffSource

    with reading(path), contextlib.ExitStack() as stack:
        if start.startswith(_TIFF_MAGIC):
            import tifffile

            with tifffile_messages() as messages:
                # of an OME series over several files, each file gives its own frames
                tif = stack.enter_context(tifffile.TiffFile(path, _multifile=False))
                source: Source = TiffSource(tif, path, max_pixels=max_pixels)
            check_messages(path, messages)
        else:
            source = PillowSource(stack.enter_context(_open_pillow(path, start)), path, max_pixels=max_pixels)
        yield source


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into an ``ImageReadError`` that names it."""
    try:
        yield
    except ImageReadError:
        raise
    except _BROKEN as error:
        raise broken(path, error) from error


def broken(path: Path, error: BaseException | str) -> ImageReadError:
    """Say in one line that a file is broken."""
    why = " ".join(str(error).split()) or "its structure is damaged"
    return ImageReadError(f"'{path}' cannot be read as an image: {why[:200].rstrip('. ')}. {_ADVICE}")


def many(pixels: int) -> str:
    """Write a number of pixels in millions, or as it is where it is less.

    Examples
    --------
    >>> many(1_000), many(42_000_000)
    ('1000', '42 million')
    """
    return f"{pixels / 1e6:.0f} million" if pixels >= 1_000_000 else str(pixels)


def check_size(path: Path, size_hw: tuple[int, int], max_pixels: int) -> None:
    """Refuse a frame that is empty or larger than the limit."""
    height, width = size_hw
    if height < 1 or width < 1:
        raise broken(path, f"it says that it is {width}x{height} pixels")
    if height * width > max_pixels:
        raise ImageTooLargeError(
            f"'{path}' is {width}x{height} = {many(height * width)} pixels, above the limit of {many(max_pixels)}. "
            "Nothing was decoded. Crop it, or raise --max-pixels if the size is right."
        )


def to_picture(values: Pixels, path: Path) -> Pixels:
    """Bring stored values to uint8, uint16 or float32, (Y, X) or (Y, X, 3); alpha is dropped."""
    if values.ndim == 3:
        channels = values.shape[2]
        if channels > 4:
            raise ImageReadError(
                f"'{path}' has {channels} channels; c6seg reads grey or RGB(A). Save the phase-contrast channel alone."
            )
        values = values[:, :, 0] if channels <= 2 else values[:, :, :3]
    kind = values.dtype
    if kind == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if kind in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        return np.ascontiguousarray(values).astype(kind.newbyteorder("="), copy=False)
    if kind.kind == "i" and values.min() >= 0 and values.max() <= 65535:
        return values.astype(np.uint16)
    if kind.kind not in "iuf":
        raise ImageReadError(f"'{path}' holds {kind} values; c6seg reads integers and floats. Save it as 16-bit grey.")
    picture = values.astype(np.float32)
    if not np.isfinite(picture).all():
        raise ImageReadError(
            f"'{path}' has pixels that are no number (NaN or infinite). Replace them and save it again."
        )
    return picture


def grey_if_equal(values: Pixels) -> Pixels:
    """Give one channel where all three are the same, as palettes of grey values are."""
    same = np.array_equal(values[..., 0], values[..., 1]) and np.array_equal(values[..., 0], values[..., 2])
    return values[..., 0] if same else values


class PillowSource:
    """A PNG, JPEG or BMP file."""

    frames = 1
    times_h: tuple[float, ...] | None = None

    def __init__(self, image: Image.Image, path: Path, *, max_pixels: int) -> None:
        from c6seg.data.tags import plausible_um

        self._image, self._path = image, path
        width, height = image.size
        turned = image.format == "JPEG" and image.getexif().get(0x0112, 1) in {5, 6, 7, 8}
        self.size_hw = (width, height) if turned else (height, width)
        check_size(path, self.size_hw, max_pixels)
        self._deep = _is_deep_png(image)
        self.channels = len(image.getbands())
        deep = self._deep or image.mode.startswith("I")
        self.dtype = "uint16" if deep else "bool" if image.mode == "1" else "float32" if image.mode == "F" else "uint8"
        dpi = image.info.get("dpi", (0, 0))[0]
        self.pixel_size_um = plausible_um(25400.0 / float(dpi)) if dpi else None

    def raw(self, index: int) -> Pixels:
        """Decode to stored values; palette images give indices."""
        del index
        if self._deep:
            import imagecodecs

            return np.asarray(imagecodecs.png_decode(self._path.read_bytes()))
        values = np.array(_upright(self._image))
        return values.astype(np.uint16) if self._image.mode == "I" and values.max() <= 65535 else values

    def pixels(self, index: int) -> Pixels:
        """Decode to a picture; palettes are applied."""
        mode = self._image.mode
        if mode == "P":
            return grey_if_equal(np.array(_upright(self._image).convert("RGB")))
        if mode in {"CMYK", "YCbCr", "LAB", "HSV", "PA"}:
            return np.array(_upright(self._image).convert("RGB"))
        return to_picture(self.raw(index), self._path)


def encode(path: Path, values: NDArray[np.uint8]) -> None:
    """Write 8-bit grey values, (Y, X) as PNG or TIFF and (T, Y, X) as multi-page TIFF."""
    if path.suffix.lower() == ".png":
        save_picture(Image.fromarray(values), path, format="PNG", compress_level=3)
        return
    import tifffile

    if values.ndim == 3 and len(values) == 1:  # tifffile takes a series of one picture 1 px wide for a row
        values = values[0]
    axes = "TYX" if values.ndim == 3 else "YX"
    tifffile.imwrite(path, values, compression="zlib", photometric="minisblack", metadata={"axes": axes})


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError as error:
        raise ImageNotFoundError(f"There is no file '{path}'. Check the name and where you are.") from error
    except IsADirectoryError as error:
        raise ImageReadError(f"'{path}' is a folder, not an image. Name a file in it.") from error
    except OSError as error:
        raise ImageReadError(f"'{path}' cannot be opened: {error.strerror or error}.") from error
    if not start:
        raise ImageReadError(f"'{path}' is empty (0 bytes). {_ADVICE}")
    return start


def _open_pillow(path: Path, start: bytes) -> Image.Image:
    with warnings.catch_warnings():
        # between one and two times Pillow's limit it only warns; check_size decides there
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(path, formats=("PNG", "JPEG", "BMP"))
        except Image.DecompressionBombError as error:
            raise ImageTooLargeError(
                f"'{path}' is too large to decode safely ({error}). Nothing was decoded. Crop it, or save it as TIFF."
            ) from error
        except UnidentifiedImageError as error:
            looks = "text" if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in start) else "something else"
            raise ImageReadError(
                f"'{path}' is no image: its content is {looks}, not TIFF, PNG, JPEG or BMP. {_ADVICE}"
            ) from error


def _upright(image: Image.Image) -> Image.Image:
    return ImageOps.exif_transpose(image) if image.format == "JPEG" else image


def _is_deep_png(image: Image.Image) -> bool:
    """Whether this is a 16-bit colour or alpha PNG, of which Pillow keeps 8 bits only."""
    if image.format != "PNG" or image.mode not in {"RGB", "RGBA", "LA"}:
        return False
    tiles: list[Any] = getattr(image, "tile", [])
    return any(";16" in str(tile[3]) for tile in tiles)


@contextlib.contextmanager
def tifffile_messages() -> Iterator[list[str]]:
    """Collect what tifffile logs in this thread instead of letting it reach the terminal."""
    messages: list[str] = []
    thread = threading.get_ident()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        messages.append(record.getMessage())
        return False

    log = logging.getLogger("tifffile")
    log.addFilter(keep)
    try:
        yield messages
    finally:
        log.removeFilter(keep)


def check_messages(path: Path, messages: list[str]) -> None:
    """Refuse files of which tifffile says that parts are missing: it goes on with fewer pages, or with black."""
    for message in messages:
        if "invalid" in message and ("page offset" in message or "offset to first page" in message):
            raise broken(path, "it is cut short (the list of its pages points behind the end of the file)")
        if "segments, got" in message:
            raise broken(path, "parts of a page are missing")
