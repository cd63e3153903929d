"""Pixel size and time as microscopes and ImageJ write them into image files.

Read: NIS-Elements private tags, OME-XML, ImageJ and Micro-Manager descriptions, and the plain resolution of TIFF, PNG
and JPEG where it can be a microscope's at all. What a file does not say is None, never a guess.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import tifffile

__all__ = ["PLAUSIBLE_UM", "plausible_um", "tiff_pixel_size_um", "tiff_times_h"]

PLAUSIBLE_UM = (0.005, 10.0)
"""Smallest and largest edge of a pixel, um, that a plain resolution tag is believed for.

300 dpi, the resolution of print, is 85 um; a 1.25x objective on a large-pixel camera is about 8 um.
"""

NIS_TIME_MS, NIS_PIXEL_UM = 65325, 65326

_UM = {
    "nm": 1e-3, "nanometer": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometre": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4, "m": 1e6, "inch": 25400.0,
    "in": 25400.0, "å": 1e-4, "pm": 1e-6,
}  # fmt: skip
_HOURS = {
    "ms": 1 / 3.6e6, "msec": 1 / 3.6e6, "millisecond": 1 / 3.6e6, "µs": 1 / 3.6e9, "us": 1 / 3.6e9, "s": 1 / 3600,
    "sec": 1 / 3600, "second": 1 / 3600, "seconds": 1 / 3600, "min": 1 / 60, "minute": 1 / 60, "minutes": 1 / 60,
    "h": 1.0, "hr": 1.0, "hour": 1.0, "hours": 1.0, "d": 24.0, "day": 24.0, "days": 24.0,
}  # fmt: skip


def plausible_um(value: float | None) -> float | None:
    """Return an edge of a pixel in um if a microscope can have it, else None.

    Examples
    --------
    >>> plausible_um(25400 / 300) is None  # 300 dpi is a resolution for printers
    True
    >>> plausible_um(0.87)
    0.87
    """
    low, high = PLAUSIBLE_UM
    return value if value is not None and math.isfinite(value) and low <= value <= high else None


def tiff_pixel_size_um(tif: tifffile.TiffFile) -> float | None:
    """Edge of a pixel in um; the most specific statement in the file wins.

    Order: OME-XML, NIS-Elements, Micro-Manager, ImageJ, plain resolution.
    """
    page = tif.pages.first
    said = (_ome_um(tif), _nis_um(page), _number(_micromanager(page).get("PixelSizeUm")), _imagej_um(tif, page))
    for value in said:
        if value is not None and math.isfinite(value) and 0 < value < 1000:
            return value
    return None if tif.is_imagej and _imagej_unit(tif) else _resolution_um(page)


def tiff_times_h(
    tif: tifffile.TiffFile, pages: list[tifffile.TiffPage | None], frames: int
) -> tuple[float, ...] | None:
    """Time of every frame in hours since the first one, or of a single frame on the microscope's own clock.

    Parameters
    ----------
    tif
        The open file.
    pages
        First page of every frame where frames have pages of their own.
    frames
        Number of frames.
    """
    times = _ome_times(tif, frames) or _page_times(pages) or _imagej_times(tif, frames)
    if times is None or len(times) != frames or not all(math.isfinite(time) for time in times):
        return None
    return times if frames == 1 else tuple(time - times[0] for time in times)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _edge(x: float | None, y: float | None) -> float | None:
    """One edge for both directions: the side of a square of the pixel's area."""
    if x is None or x <= 0:
        return None
    return x if y is None or y <= 0 or abs(y / x - 1) < 0.01 else math.sqrt(x * y)


def _tag(page: Any, code: int) -> Any:
    tag = page.tags.get(code) if hasattr(page, "tags") else None
    return None if tag is None else tag.value


def _nis_um(page: Any) -> float | None:
    return _number(_tag(page, NIS_PIXEL_UM)) if _tag(page, NIS_TIME_MS) is not None else None


def _micromanager(page: Any) -> Mapping[str, Any]:
    value = _tag(page, 51123)
    return value if isinstance(value, dict) else {}


def _page_times(pages: list[tifffile.TiffPage | None]) -> tuple[float, ...] | None:
    times = []
    for page in pages:
        time_ms = _number(_tag(page, NIS_TIME_MS))
        if time_ms is None:
            time_ms = _number(_micromanager(page).get("ElapsedTime-ms"))
        if time_ms is None:
            return None
        times.append(time_ms / 3.6e6)
    return tuple(times) or None


def _imagej(tif: tifffile.TiffFile) -> Mapping[str, Any]:
    return (tif.imagej_metadata or {}) if tif.is_imagej else {}


def _imagej_unit(tif: tifffile.TiffFile) -> str:
    unit = str(_imagej(tif).get("unit", "")).strip()
    unit = re.sub(r"\\u00B5", "µ", unit, flags=re.IGNORECASE).lower()
    return "" if unit in {"pixel", "pixels", "none", "null"} else unit


def _imagej_um(tif: tifffile.TiffFile, page: Any) -> float | None:
    factor = _UM.get(_imagej_unit(tif))
    if factor is None:
        return None
    x, y = (_per_pixel(page, code) for code in (282, 283))
    edge = _edge(x, y)
    # inch and cm are what ImageJ calls the resolution of any photograph
    return None if edge is None else plausible_um(edge * factor) if factor >= 1e4 else edge * factor


def _imagej_times(tif: tifffile.TiffFile, frames: int) -> tuple[float, ...] | None:
    metadata = _imagej(tif)
    interval = _number(metadata.get("finterval"))
    if interval is None or interval <= 0 or frames < 2:
        return None
    hours = _HOURS.get(str(metadata.get("tunit", "sec")).strip().lower())
    return None if hours is None else tuple(index * interval * hours for index in range(frames))


def _per_pixel(page: Any, code: int) -> float | None:
    """Units per pixel from a TIFF resolution, which is pixels per unit."""
    value = _tag(page, code)
    if isinstance(value, tuple) and len(value) == 2 and value[0] and value[1]:
        return float(value[1]) / float(value[0])
    return None


def _resolution_um(page: Any) -> float | None:
    factor = {2: 25400.0, 3: 1e4}.get(int(_tag(page, 296) or 2))
    edge = _edge(_per_pixel(page, 282), _per_pixel(page, 283))
    return None if factor is None or edge is None else plausible_um(edge * factor)


def _ome_pixels(tif: tifffile.TiffFile) -> ElementTree.Element | None:
    if not tif.is_ome or not tif.ome_metadata or "<!ENTITY" in tif.ome_metadata:
        return None
    try:
        root = ElementTree.fromstring(tif.ome_metadata)
    except ElementTree.ParseError:
        return None
    return next((node for node in root.iter() if _local(node) == "Pixels"), None)


def _local(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _ome_um(tif: tifffile.TiffFile) -> float | None:
    pixels = _ome_pixels(tif)
    if pixels is None:
        return None
    edges = []
    for axis in "XY":
        value = _number(pixels.get(f"PhysicalSize{axis}"))
        factor = _UM.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").strip().lower())
        edges.append(None if value is None or factor is None else value * factor)
    return _edge(*edges)


def _ome_own_time(tif: tifffile.TiffFile, pixels: ElementTree.Element) -> int | None:
    """Which time of a series over several files lies in this one: that whose UUID is the one of this file."""
    match = re.search(r"<OME\b[^>]*\bUUID=[\"']([^\"']+)", tif.ome_metadata or "")
    if match is None:
        return None
    own = [node for node in pixels if _local(node) == "TiffData" and match[1] in {(child.text or "") for child in node}]
    first = own[0].get("FirstT", "0") if len(own) == 1 else ""
    return int(first) if first.isdigit() else None


def _ome_times(tif: tifffile.TiffFile, frames: int) -> tuple[float, ...] | None:
    pixels = _ome_pixels(tif)
    if pixels is None:
        return None
    found: dict[int, float] = {}
    for plane in (node for node in pixels if _local(node) == "Plane"):
        value, factor = _number(plane.get("DeltaT")), _HOURS.get(plane.get("DeltaTUnit", "s").strip().lower())
        if value is not None and factor is not None and (plane.get("TheT") or "").isdigit():
            found.setdefault(int(plane.get("TheT") or 0), value * factor)
    own = _ome_own_time(tif, pixels)
    if frames == 1 and own in found:
        return (found[own],)
    if set(found) == set(range(frames)):
        return tuple(found[index] for index in range(frames))
    step, factor = (
        _number(pixels.get("TimeIncrement")),
        _HOURS.get(pixels.get("TimeIncrementUnit", "s").strip().lower()),
    )
    if step and step > 0 and factor is not None and pixels.get("SizeT") == str(frames) and frames > 1:
        return tuple(index * step * factor for index in range(frames))
    return None
