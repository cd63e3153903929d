"""Frame to segmentation: the only way from pixels to a mask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from c6seg.config import SegmentConfig
from c6seg.data.images import Frame
from c6seg.errors import ImageTooLargeError, UsageError
from c6seg.inference.clusters import cell_width_px, check_policy, compare_masks, find_clusters
from c6seg.inference.engine import Engine, open_engine
from c6seg.inference.ensemble import alone, check_members, mean_probability, mean_threshold
from c6seg.inference.familiar import Answer, Floats, describe, distance
from c6seg.inference.fine_structure import FineStructure, fine_structure
from c6seg.inference.flips import FlippingEngine
from c6seg.inference.quality import (
    OVEREXPOSED_FRACTION,
    enough_blocks,
    look,
    quality_flags,
    saturated_fraction,
    structure_of,
)
from c6seg.inference.scale import WINDOW_PX, FoundScale, ScaleSource, Scaling, decide_scale, find_scale, middle
from c6seg.inference.tiling import predict
from c6seg.models.bundle import DEFAULT_MODEL, Bundle, open_bundle
from c6seg.transforms.preprocess import Preprocess, resize, to_grey

EMPTY_CONFLUENCE = 0.005
"""Below this confluence a field is flagged ``empty_field``."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What the model says about one frame.

    Parameters
    ----------
    name, index, time_h
        As in :class:`~c6seg.data.images.Frame`.
    probability
        Of cell, float32 (Y, X) in 0..1, same size as the image.
    mask
        bool (Y, X), True = cell. Clusters that were told apart are not in it.
    pixel_size_um
        Edge of a pixel of the image in um; None where nobody knows.
    scale
        Factor that brings the image to the scale of the model; 1 = it is there. With ``fast`` the network sees it
        smaller, see ``network_hw``.
    scale_source
        Who said the pixel size: ``user``, ``file``, or ``unknown``; ``estimated``: nobody, and ``scale`` was found from
        the image.
    uncertainty
        Mean over the image of 4 p (1 - p): 0 = every pixel decided, 1 = every pixel undecided. Finds odd
        images; not a calibrated error.
    clusters
        bool (Y, X), True = dense cluster, whether the model marks it or not; None where clusters are included.
    network_hw
        Height and width that the network saw, px, before padding; None where it saw nothing of the image.
    flags
        Words: ``empty_field``, ``no_contrast``, ``out_of_focus``, ``overexposed``, ``scale_extreme``,
        ``scale_unknown``, ``uneven_light``, ``unlike_training``.
    """

    name: str
    index: int
    probability: NDArray[np.float32]
    mask: NDArray[np.bool_]
    pixel_size_um: float | None
    scale: float
    scale_source: ScaleSource
    uncertainty: float
    flags: tuple[str, ...]
    time_h: float | None = None
    scale_between: tuple[float, float] | None = None
    clusters: NDArray[np.bool_] | None = None
    network_hw: tuple[int, int] | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the image, px."""
        return int(self.mask.shape[0]), int(self.mask.shape[1])

    @property
    def confluence(self) -> float:
        """Fraction of the image that is cell, 0..1."""
        return float(self.mask.mean())

    @property
    def cluster_fraction(self) -> float | None:
        """Fraction of the image that is in dense clusters, 0..1; None where they were not told apart."""
        return None if self.clusters is None else float(self.clusters.mean())

    @property
    def cell_area_um2(self) -> float | None:
        """Area of the cells in um2; None where the pixel size is unknown."""
        return None if self.pixel_size_um is None else int(self.mask.sum()) * self.pixel_size_um**2


class Segmenter:
    """A model, ready to segment.

    Parameters
    ----------
    model
        An opened bundle, the name of one, or its folder.
    config
        Options.
    engine
        What runs the network; None = the one that the options name, which is replaced if it fails.
    threads
        Processor threads; None = all that the process may use.
    cache
        Where the compiled network is kept for the next start: True = the user's cache folder, False = nowhere.

    Raises
    ------
    BundleError
        The bundle is unknown, incomplete or altered.
    EngineError
        The engine cannot start.
    MissingExtraError
        The engine is not installed.
    UsageError
        An option that this version cannot honour.

    Examples
    --------
    >>> from c6seg import Segmenter, read_image
    >>> segmenter = Segmenter("unet-mobilenetv2")               # doctest: +SKIP
    >>> segmenter.segment(read_image("culture.tif")).confluence  # doctest: +SKIP
    0.31
    """

    def __init__(
        self,
        model: Bundle | str | Path = DEFAULT_MODEL,
        config: SegmentConfig | None = None,
        *,
        engine: Engine | None = None,
        threads: int | None = None,
        cache: Path | bool = True,
    ) -> None:
        self.config = config or SegmentConfig()
        check_policy(self.config)
        self.bundle = model if isinstance(model, Bundle) else open_bundle(model)
        self.model_sha256 = self.bundle.sha256()  # now: the bundle may be gone when the tables are written
        self.engine: Engine = engine or open_engine(
            self.bundle, self.config.engine, precision=self.config.precision, threads=threads, cache=cache
        )
        if self.config.flips and not isinstance(self.engine, FlippingEngine):
            self.engine = FlippingEngine(self.engine)
        self.preprocess = Preprocess(self.bundle.spec.preprocess)
        # scales that images of one size share, by height and width; a batch finds them before it begins
        self.scales: dict[tuple[int, int], FoundScale] = {}
        self.other: Segmenter | None = None  # the second network, where two tell clusters
        if self.config.cluster_model is not None:
            self.other = Segmenter(self.config.cluster_model, alone(self.config), threads=threads, cache=cache)
        names = self.config.ensemble
        self.members = [Segmenter(name, alone(self.config), threads=threads, cache=cache) for name in names]
        check_members(self, self.members)
        if self.other is not None and self.other.model_sha256 == self.model_sha256:
            raise UsageError(
                f"--cluster-model names the model {self.bundle.spec.name!r} itself, which never disagrees with itself. "
                "Name a model of another pre-training, or leave the option out: one model tells clusters, too."
            )

    @property
    def further(self) -> list[Segmenter]:
        """The other networks of this one, each with its own scale: members of an ensemble, and the one for clusters."""
        return [*self.members, *([] if self.other is None else [self.other])]

    @property
    def threshold(self) -> float:
        """Probability from which a pixel counts as cell."""
        if self.config.threshold is not None:
            return self.config.threshold
        return mean_threshold(self.bundle.spec.threshold, self.members)

    def segment(self, frame: Frame) -> Segmentation:
        """Segment one frame.

        Raises
        ------
        ImageTooLargeError
            At the scale of the model the image has more pixels than ``max_pixels``.
        """
        size_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
        flat = bool(frame.pixels.max() == frame.pixels.min())
        nothing, blurred = look(frame.pixels)
        if nothing:
            scaling = self.scaling(size_hw, frame.pixel_size_um)
            own = probability = np.zeros(size_hw, np.float32)
            mask = np.zeros(size_hw, np.bool_)
        else:
            own, scaling = self.infer(frame)
            probability = mean_probability(own, self.members, frame)
            mask = probability >= self.threshold
        clusters = None
        if self.config.clusters != "include":
            clusters = self._clusters(frame, mask, scaling.factor)
            mask &= ~clusters
        overexposed = saturated_fraction(frame.pixels) > OVEREXPOSED_FRACTION
        grey = to_grey(frame.pixels)
        words: tuple[str, ...] = ()
        if not nothing:
            structure = structure_of(lambda top, end: grey[top:end], size_hw, scaling.factor)
            words = quality_flags(structure, size_hw, grey, scaling.factor, blurred=blurred)
            answer = self.answer()
            answer.add(own)
            words += self.unlike(structure, answer, scaling.factor)
        return Segmentation(
            name=frame.name,
            index=frame.index,
            probability=probability,
            mask=mask,
            pixel_size_um=scaling.pixel_size_um,
            scale=scaling.factor,
            scale_source=scaling.source,
            uncertainty=float(np.mean(4 * probability * (1 - probability))),
            flags=flags(scaling, flat=flat, confluence=float(mask.mean()), overexposed=overexposed, more=words),
            time_h=frame.time_h,
            scale_between=scaling.between,
            clusters=clusters,
            network_hw=None if nothing else scaling.network_hw,
        )

    def infer(self, frame: Frame) -> tuple[NDArray[np.float32], Scaling]:
        """Probability (Y, X) by this model alone, of an image that shows something, and its scale."""
        size_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
        blind = self.must_find_scale(frame.pixel_size_um) and enough_blocks(size_hw)
        found = self.find_scale(frame.pixels) if blind else None
        scaling = self.scaling(size_hw, frame.pixel_size_um, found)
        return self._probability(frame, scaling.network_hw), scaling

    def answer(self) -> Answer:
        """Count what the network says about one image, for :meth:`unlike`."""
        return Answer(self.bundle.spec.threshold)

    def unlike(self, structure: FineStructure | None, answer: Answer, factor: float) -> tuple[str, ...]:
        """Give the word ``unlike_training`` where it is true; see :func:`~c6seg.inference.familiar.describe`.

        It is not given where the bundle does not know its training, for small images, and with ``fast``, which takes
        images away from the scale of the training on purpose.
        """
        familiar = self.bundle.spec.familiar
        if familiar is None or self.config.fast or structure is None:
            return ()
        measured = describe(structure, answer, factor)
        far = None if measured is None else distance(familiar, measured)
        return ("unlike_training",) if far is not None and far > familiar.threshold else ()

    def measures(self, frame: Frame) -> Floats | None:
        """Measure an image for :func:`~c6seg.inference.familiar.learn`; None where it shows nothing or no cells."""
        size_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
        if look(frame.pixels).nothing or not enough_blocks(size_hw):
            return None
        scaling = self.scaling(size_hw, frame.pixel_size_um)
        answer = self.answer()
        answer.add(self._probability(frame, scaling.network_hw))
        structure = fine_structure(lambda top, end: frame.pixels[top:end], size_hw, scaling.factor)
        return describe(structure, answer, scaling.factor)

    def must_find_scale(self, pixel_size_um: float | None) -> bool:
        """Whether the scale of an image has to be found from what it shows, as no pixel size tells it."""
        trained = self.bundle.spec.scale
        known = self.config.pixel_size_um is not None or pixel_size_um is not None
        return (
            self.config.scale == "auto"
            and trained.whole_image is None
            and not (known and trained.pixel_size_um is not None)
        )

    def find_scale(self, pixels: NDArray[np.generic]) -> FoundScale | None:
        """Estimate the magnification that brings an image to the scale of the model, or give that of its size.

        None where no magnification shows cells.

        Parameters
        ----------
        pixels
            (Y, X) or (Y, X, 3), the whole image.
        """
        size_hw = (int(pixels.shape[0]), int(pixels.shape[1]))
        return self.scales.get(size_hw) or self.find_scale_in(pixels[middle(size_hw, WINDOW_PX)])

    def find_scale_in(self, pixels: NDArray[np.generic]) -> FoundScale | None:
        """Estimate the magnification from the middle of an image, (Y, X) or (Y, X, 3).

        The threshold is the model's own, and nothing is flipped: how strict or sure the user wants the mask does not
        change how large its cells are.
        """
        engine = self.engine.beneath if isinstance(self.engine, FlippingEngine) else self.engine
        probability = partial(self._predict, engine=engine)
        return find_scale(self.preprocess.stretch(pixels), probability, self.bundle.spec.threshold)

    def scaling(
        self, size_hw: tuple[int, int], pixel_size_um: float | None, found: FoundScale | None = None
    ) -> Scaling:
        """Decide at which size the network sees an image; see :func:`~c6seg.inference.scale.decide_scale`."""
        return decide_scale(self.bundle.spec.scale, self.config, size_hw, pixel_size_um, found)

    def _clusters(self, frame: Frame, mask: NDArray[np.bool_], factor: float) -> NDArray[np.bool_]:
        """Dense clusters, (Y, X), whether they are in the mask or not."""
        size_um = self.config.pixel_size_um or frame.pixel_size_um
        cell_px = cell_width_px(self.bundle.spec.scale, pixel_size_um=size_um, factor=factor)
        if self.other is not None:
            return compare_masks(frame.pixels, mask, self.other.segment(frame).mask, cell_px=cell_px)
        return find_clusters(frame.pixels, mask, cell_px=cell_px)

    def _probability(self, frame: Frame, size_hw: tuple[int, int]) -> NDArray[np.float32]:
        height, width = (int(size) for size in frame.pixels.shape[:2])
        if size_hw[0] * size_hw[1] > max(self.config.max_pixels, height * width):
            raise ImageTooLargeError(
                f"Image '{frame.name}' is {width}x{height} px and would become {size_hw[1]}x{size_hw[0]} px at the "
                f"scale of the model, above the limit of {self.config.max_pixels} px. Crop it, or check the pixel size."
            )
        probability = self._predict(resize(self.preprocess.stretch(frame.pixels), size_hw))
        return np.clip(resize(probability, (height, width)), 0, 1)

    def _predict(self, picture: NDArray[np.float32], *, engine: Engine | None = None) -> NDArray[np.float32]:
        """Probability of cell for a picture at the scale of the model, contrast raised."""
        return predict(
            engine or self.engine,
            picture,
            prepare=self.preprocess.normalise,
            multiple=self.bundle.spec.preprocess.multiple,
            memory_mb=self.config.memory_mb,
            encoder=self.bundle.spec.encoder,
        )


def flags(
    scaling: Scaling, *, flat: bool, confluence: float, overexposed: bool, more: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Words about an image, sorted; see :class:`Segmentation`."""
    # white all over is light that was too strong, not a field without cells
    empty = confluence < EMPTY_CONFLUENCE and not (flat and overexposed)
    words = {"no_contrast": flat, "empty_field": empty, "overexposed": overexposed}
    return tuple(sorted([*scaling.flags, *more, *(word for word, true in words.items() if true)]))
