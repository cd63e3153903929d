"""Outlines for other programs: ImageJ regions (.zip), GeoJSON as QuPath has it, COCO.

All three count from the corner of the first pixel, as :mod:`c6seg.data.outlines` does: pixel (x, y) is the square from
(x, y) to (x + 1, y + 1). In ImageJ that holds for areas, not for lines and points.
"""

from __future__ import annotations

import contextlib
import json
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg.data.outlines import Outline, Polygon
from c6seg.data.shapes import encode_counts
from c6seg.runtime import atomic_path, provenance

__all__ = ["CocoWriter", "imagej_roi", "open_coco", "open_geojson", "open_imagej", "qupath_feature"]

AddPage = Callable[[int, Sequence[Outline]], None]
"""Takes the number of a frame, from 0, and its objects."""

_LARGEST_SHORT = 60_535
"""Corners that ImageJ keeps as 16-bit integers."""

_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0  # segments of a path in ImageJ (java.awt.geom.PathIterator)


@contextlib.contextmanager
def open_imagej(path: Path, *, series: bool) -> Iterator[AddPage]:
    """Give a function that adds a frame to an ImageJ ROI set, one region for each object.

    Parameters
    ----------
    path
        The ``.zip``; it takes its name when the block ends well. Without an object it is an empty archive.
    series
        Whether the image has several frames: then each region belongs to its slice.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:

        def add(frame: int, outlines: Sequence[Outline]) -> None:
            for number, outline in enumerate(outlines, 1):
                name = f"{frame + 1:04d}-{number:04d}" if series else f"{number:04d}"
                roi = imagej_roi(outline, name=name, position=frame + 1 if series else 0)
                entry = zipfile.ZipInfo(f"{name}.roi")  # no time of day: the same mask gives the same file
                archive.writestr(entry, roi.tobytes(), zipfile.ZIP_DEFLATED)

        yield add


def imagej_roi(outline: Outline, *, name: str, position: int = 0) -> Any:
    """Make an ``roifile.ImagejRoi``: a polygon, or a composite where the object has holes or several regions.

    Parameters
    ----------
    outline
        The object.
    name
        Its name in the ROI manager.
    position
        Slice that it belongs to, from 1; 0 = all.
    """
    import roifile

    if len(outline.polygons) == 1 and not outline.has_holes and max(outline.box_xyxy) <= _LARGEST_SHORT:
        roi = roifile.ImagejRoi.frompoints(outline.polygons[0].shell, name=name)
        roi.roitype = roifile.ROI_TYPE.TRACED
        left, top, right, bottom = outline.box_xyxy
        roi.right, roi.bottom = right, bottom  # corners, so that width and height are those of the pixels
    else:
        roi = roifile.ImagejRoi()
        roi.roitype = roifile.ROI_TYPE.RECT  # ImageJ keeps paths under this type
        roi.name = name
        left, top, right, bottom = outline.box_xyxy
        roi.left, roi.top, roi.right, roi.bottom = left, top, right, bottom
        roi.multi_coordinates = _path(outline.polygons)
        roi.shape_roi_size = len(roi.multi_coordinates)
    roi.version = 227
    roi.position = position
    return roi


def _path(polygons: Sequence[Polygon]) -> NDArray[np.float32]:
    parts: list[float] = []
    for polygon in polygons:
        for ring in (polygon.shell, *polygon.holes):
            kind = _MOVE
            for x, y in ring.tolist():
                parts += [kind, x, y]
                kind = _LINE
            parts.append(_CLOSE)
    return np.asarray(parts, np.float32)


@contextlib.contextmanager
def open_geojson(path: Path, *, series: bool) -> Iterator[AddPage]:
    """Give a function that adds a frame to a GeoJSON FeatureCollection, one QuPath annotation for each object.

    Parameters
    ----------
    path
        The ``.geojson``; it takes its name when the block ends well.
    series
        Whether the image has several frames: then each annotation belongs to its time point.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        comma = "\n"

        def add(frame: int, outlines: Sequence[Outline]) -> None:
            nonlocal comma
            for number, outline in enumerate(outlines, 1):
                feature = qupath_feature(outline, name=f"{number:04d}", frame=frame if series else None)
                feature["id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{path.name} {frame} {number}"))
                file.write(comma + json.dumps(feature))
                comma = ",\n"

        yield add
        file.write("\n]}\n")


def qupath_feature(outline: Outline, *, name: str, frame: int | None = None) -> dict[str, Any]:
    """Make a GeoJSON feature of an object; rings are closed, shells and holes run opposite ways.

    Parameters
    ----------
    outline
        The object.
    name
        Its name in QuPath.
    frame
        Time point that it belongs to, from 0; None = a single image.
    """
    areas = [[_closed(ring) for ring in (polygon.shell, *polygon.holes)] for polygon in outline.polygons]
    geometry: dict[str, Any] = {"type": "Polygon", "coordinates": areas[0]}
    if len(areas) > 1:
        geometry = {"type": "MultiPolygon", "coordinates": areas}
    if frame is not None:
        geometry["plane"] = {"c": -1, "z": 0, "t": frame}
    properties = {"objectType": "annotation", "name": name, "classification": {"name": "cell"}}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _closed(ring: NDArray[np.int32]) -> list[list[int]]:
    points: list[list[int]] = ring.tolist()
    return [*points, points[0]]


class CocoWriter:
    """Writes a COCO file image by image, so that no more than one lies in memory; see :func:`open_coco`.

    Parameters
    ----------
    file
        Open for text; the heading is written.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._images: list[dict[str, Any]] = []
        self._count = 0

    def add(
        self, file_name: str, outlines: Sequence[Outline], size_hw: tuple[int, int], *, frame: int | None = None
    ) -> None:
        """Add an image and its objects.

        Parameters
        ----------
        file_name
            Name of the image file.
        outlines
            Its objects.
        size_hw
            Height and width, px.
        frame
            Number of the frame within the file, from 0; None = a single image.
        """
        image = {"id": len(self._images) + 1, "file_name": file_name, "width": size_hw[1], "height": size_hw[0]}
        self._images.append(image if frame is None else {**image, "frame": frame})
        for outline in outlines:
            self._count += 1
            left, top, right, bottom = outline.box_xyxy
            entry = {
                "id": self._count,
                "image_id": image["id"],
                "category_id": 1,
                "iscrowd": 0,
                "area": outline.area_px,
                "bbox": [left, top, right - left, bottom - top],
                "segmentation": _segmentation(outline, size_hw),
            }
            self._file.write((",\n" if self._count > 1 else "\n") + json.dumps(entry))

    def finish(self) -> None:
        """Write the end."""
        self._file.write('\n], "images": ' + json.dumps(self._images, ensure_ascii=False) + "}\n")


@contextlib.contextmanager
def open_coco(path: Path) -> Iterator[CocoWriter]:
    """Give a writer; the file takes its name when the block ends well.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        about = {"description": "masks of c6seg", "date_created": provenance()["created"]}
        category = {"id": 1, "name": "cell", "supercategory": "cell"}
        file.write(f'{{"info": {json.dumps(about)}, "categories": [{json.dumps(category)}], "annotations": [')
        writer = CocoWriter(file)
        yield writer
        writer.finish()


def _segmentation(outline: Outline, size_hw: tuple[int, int]) -> Any:
    """Give polygons; run lengths for an object with holes, which COCO's polygons cannot have."""
    if not outline.has_holes:
        return [polygon.shell.reshape(-1).tolist() for polygon in outline.polygons]
    counts = _run_lengths(outline, size_hw)
    return {"size": list(size_hw), "counts": encode_counts(counts, size_hw)}


def _run_lengths(outline: Outline, size_hw: tuple[int, int]) -> list[int]:
    """Lengths of the runs of an object in the image, columns first, beginning with background."""
    left, top, _, _ = outline.box_xyxy
    filled = _filled(outline)
    columns = np.zeros((filled.shape[1], filled.shape[0] + 2), np.int8)
    columns[:, 1:-1] = filled.T
    column, row = np.nonzero(np.diff(columns, axis=1))
    changes = (column + left) * size_hw[0] + row + top
    counts: list[int] = np.diff(changes, prepend=0, append=size_hw[0] * size_hw[1]).tolist()
    return counts


def _filled(outline: Outline) -> NDArray[np.bool_]:
    """Fill an object with its holes, within its box: each upright edge begins or ends a run of every row it crosses."""
    left, top, right, bottom = outline.box_xyxy
    flips = np.zeros((bottom - top, right - left + 1), np.bool_)
    for polygon in outline.polygons:
        for ring in (polygon.shell, *polygon.holes):
            following = np.roll(ring, -1, axis=0)
            for (x, start), (other, end) in zip(ring.tolist(), following.tolist(), strict=True):
                if x == other:
                    flips[min(start, end) - top : max(start, end) - top, x - left] ^= True
    filled: NDArray[np.bool_] = np.logical_xor.accumulate(flips[:, :-1], axis=1)
    return filled
