"""Images larger than memory: from rows of a file to rows of a mask, by the same steps as :class:`Segmenter` takes.

Three bands move down the image: rows at the scale of the model, probabilities at that scale, and probabilities at the
scale of the image. The result is that of the way through memory, up to rounding; the tests hold it to that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from c6seg.data.regions import RowReader
from c6seg.inference.quality import OVEREXPOSED_FRACTION, enough_blocks, quality_flags, shows_nothing, structure_of
from c6seg.inference.scale import WINDOW_PX, FoundScale, ScaleSource, Scaling, middle
from c6seg.inference.segmenter import Segmenter, flags
from c6seg.inference.survey import BAND_PX, Reducer, band_rows, survey
from c6seg.inference.tiling import USUAL_MB, Plan, limit_px, plan_tiles, predict_rows
from c6seg.transforms.preprocess import Preprocess, raise_contrast, resize, select_channels

ROWS_MB = 400
"""Memory that the bands at the scale of the model may take, MB; it bounds the height of the tiles."""

SURVEY_SHARE = 0.15
"""Part of the progress that the survey is counted for."""

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LargeSegmentation:
    """What the model says about a large image; as :class:`~c6seg.inference.segmenter.Segmentation`, without pictures.

    Parameters
    ----------
    small, small_mask
        The image, grey, float32 (y, x), and its mask, bool (y, x), reduced, for the overlay.
    """

    name: str
    index: int
    size_hw: tuple[int, int]
    time_h: float | None
    pixel_size_um: float | None
    confluence: float
    cell_area_um2: float | None
    uncertainty: float
    flags: tuple[str, ...]
    small: NDArray[np.float32]
    small_mask: NDArray[np.bool_]
    scale: float
    scale_source: ScaleSource
    scale_between: tuple[float, float] | None


class LargeImage:
    """A large image on its way to a mask. Use :meth:`mask` once, to the end; then :meth:`result`.

    Parameters
    ----------
    segmenter
        The model.
    reader
        The image.
    name
        Its name.
    tell
        Called with the part that is done.
    """

    def __init__(
        self, segmenter: Segmenter, reader: RowReader, name: str, tell: Callable[[float], None] | None = None
    ) -> None:
        self._segmenter, self._reader, self._name = segmenter, reader, name
        self._tell = tell or (lambda part: None)
        self._cells, self._doubt = 0, 0.0
        self.scaling = segmenter.scaling(reader.size_hw, reader.pixel_size_um, _found_scale(segmenter, reader))
        self.plan = _plan(segmenter, self.scaling)

    def mask(self, *, max_side_px: int = 2048) -> Iterator[NDArray[np.bool_]]:
        """Give the mask in bands of rows, (rows, X), from top to bottom."""
        preprocess = self._segmenter.preprocess
        self._survey = survey(
            self._reader,
            preprocess.config,
            max_side_px=max_side_px,
            tell=lambda part: self._tell(SURVEY_SHARE * part),
        )
        self._small_mask = Reducer(self._reader.size_hw, max_side_px)
        self._answer = self._segmenter.answer()
        for rows in self._nothing() if self._survey.nothing else self._probability():
            mask = rows >= self._segmenter.threshold if not self._survey.nothing else np.zeros(rows.shape, np.bool_)
            self._cells += int(np.count_nonzero(mask))
            self._answer.add(rows)
            self._doubt += float(np.sum(4 * rows * (1 - rows), dtype=np.float64))
            self._small_mask.add(mask)
            yield mask
        self._tell(1.0)

    def result(self) -> LargeSegmentation:
        """Give the figures, after the last band."""
        pixels = math.prod(self._reader.size_hw)
        size_um, found = self.scaling.pixel_size_um, self._survey
        overexposed = found.saturated > OVEREXPOSED_FRACTION
        confluence = self._cells / pixels
        words: tuple[str, ...] = ()
        if not found.nothing:
            rows, size_hw = self._reader.rows, self._reader.size_hw
            structure = structure_of(rows, size_hw, self.scaling.factor)
            words = quality_flags(structure, size_hw, found.small, self.scaling.factor, blurred=found.blurred)
            words += self._segmenter.unlike(structure, self._answer, self.scaling.factor)
        return LargeSegmentation(
            name=self._name,
            index=0,
            size_hw=self._reader.size_hw,
            time_h=self._reader.time_h,
            pixel_size_um=size_um,
            confluence=confluence,
            cell_area_um2=None if size_um is None else self._cells * size_um**2,
            uncertainty=self._doubt / pixels,
            flags=flags(self.scaling, flat=found.flat, confluence=confluence, overexposed=overexposed, more=words),
            small=found.small,
            small_mask=self._small_mask.picture() >= 0.5,
            scale=self.scaling.factor,
            scale_source=self.scaling.source,
            scale_between=self.scaling.between,
        )

    def _nothing(self) -> Iterator[Rows]:
        height, width = self._reader.size_hw
        step = band_rows(width)
        for top in range(0, height, step):
            yield np.zeros((min(step, height - top), width), np.float32)

    def _probability(self) -> Iterator[Rows]:
        given = NetworkRows(self._reader, self._segmenter.preprocess, self._survey.limits, self.scaling.network_hw)
        tiles = 0

        def fetch(top: int, bottom: int, left: int, right: int) -> Rows:
            nonlocal tiles
            self._tell(SURVEY_SHARE + (1 - SURVEY_SHARE) * tiles / self.plan.tiles)
            tiles += 1
            return given.fetch(top, bottom, left, right)

        bands = (rows for _, rows in predict_rows(self._segmenter.engine, self.plan, fetch))
        return resized_rows(bands, self.scaling.network_hw, self._reader.size_hw)


def _found_scale(segmenter: Segmenter, reader: RowReader) -> FoundScale | None:
    """Scale of an image that carries none, found from its middle."""
    if not segmenter.must_find_scale(reader.pixel_size_um) or not enough_blocks(reader.size_hw):
        return None
    if reader.size_hw in segmenter.scales:
        return segmenter.scales[reader.size_hw]
    rows, columns = middle(reader.size_hw, WINDOW_PX)
    pixels = reader.rows(rows.start, min(rows.stop, reader.size_hw[0]))[:, columns]
    return None if shows_nothing(pixels) else segmenter.find_scale_in(pixels)


def _plan(segmenter: Segmenter, scaling: Scaling) -> Plan:
    """Tiles within the budget for the network, and not so high that the bands become large."""
    spec = segmenter.bundle.spec
    channels = 1 if spec.preprocess.channels == "grey" else 3
    return plan_tiles(
        scaling.network_hw,
        multiple=spec.preprocess.multiple,
        limit_px=limit_px(segmenter.engine, segmenter.config.memory_mb or USUAL_MB, encoder=spec.encoder),
        max_height=int(ROWS_MB * 1e6 / (4 * (channels + 2) * scaling.network_hw[1])),
    )


class NetworkRows:
    """Rows of an image at the scale of the model, contrast raised.

    Parameters
    ----------
    reader
        The image.
    preprocess
        The transform of the model.
    limits
        Grey values that become 0 and 1.
    network_hw
        Height and width at the scale of the model, px.
    """

    def __init__(
        self, reader: RowReader, preprocess: Preprocess, limits: tuple[float, float], network_hw: tuple[int, int]
    ) -> None:
        self._reader, self._preprocess, self._limits, self._size_hw = reader, preprocess, limits, network_hw
        self._kept: list[Rows] = []
        self._first = self._end = 0

    def fetch(self, top: int, bottom: int, left: int, right: int) -> Rows:
        """Give a part as network input (3, Y, X); rows above ``top`` are not asked for any more."""
        while self._kept and self._first + len(self._kept[0]) <= top:
            self._first += len(self._kept.pop(0))
        while self._end < bottom:
            piece = self._next()
            self._kept.append(piece)
            self._end += len(piece)
        parts, start = [], self._first
        for piece in self._kept:
            parts.append(piece[max(0, top - start) : max(0, bottom - start), left:right])
            start += len(piece)
        return self._preprocess.normalise(np.concatenate(parts))

    def _next(self) -> Rows:
        """Bring the next rows to the scale of the model, as many as one band of the image gives."""
        height, width = self._reader.size_hw
        scale = height / self._size_hw[0]
        wide = max(width, self._size_hw[1])
        count = max(1, int(BAND_PX / wide / max(scale, 1)))
        top, bottom = self._end, min(self._end + count, self._size_hw[0])
        reach = max(1.0, scale) + 1
        start, end = max(0, math.floor(top * scale - reach)), min(height, math.ceil(bottom * scale + reach))
        if self._size_hw == (height, width):
            start, end = top, bottom
        pixels = select_channels(self._reader.rows(start, end), self._preprocess.config.channels)
        stretched = raise_contrast(pixels, self._limits)
        if self._size_hw == (height, width):
            return stretched
        box = (0.0, top * scale - start, float(width), bottom * scale - start)
        return resize(stretched, (bottom - top, self._size_hw[1]), box_xyxy=_inside(box, end - start))


def resized_rows(bands: Iterator[Rows], from_hw: tuple[int, int], to_hw: tuple[int, int]) -> Iterator[Rows]:
    """Resize a picture that arrives in bands of rows, as :func:`resize` does the whole; 0..1.

    Parameters
    ----------
    bands
        (rows, X) from top to bottom.
    from_hw, to_hw
        Height and width of the picture that arrives and of the one that is given, px.
    """
    if from_hw == to_hw:
        yield from bands
        return
    scale = from_hw[0] / to_hw[0]
    reach = max(1.0, scale) + 1
    step = max(1, int(BAND_PX / max(to_hw[1], from_hw[1] * scale)))
    kept = np.empty((0, from_hw[1]), np.float32)
    first = done = 0
    for band in bands:
        kept = np.concatenate([kept, band])
        have = first + len(kept)
        while done < to_hw[0]:
            count = min(step, to_hw[0] - done)
            need = min(from_hw[0], math.ceil((done + count) * scale + reach))
            if need > have:
                break
            start = max(0, math.floor(done * scale - reach))
            box = (0.0, done * scale - start, float(from_hw[1]), (done + count) * scale - start)
            part = kept[start - first : need - first]
            yield np.clip(resize(part, (count, to_hw[1]), box_xyxy=_inside(box, len(part))), 0, 1)
            done += count
        drop = max(0, min(len(kept), math.floor(done * scale - reach) - first))
        kept, first = kept[drop:].copy(), first + drop


def _inside(box: tuple[float, float, float, float], rows: int) -> tuple[float, float, float, float]:
    """Take away what rounding adds beyond the last row, which Pillow refuses."""
    return box[0], max(0.0, box[1]), box[2], min(box[3], float(rows))
