"""A bundle's network in int8 for OpenVINO, by post-training quantisation (nncf), and how near its masks come to f32.

The ranges of the activations are taken from network inputs exactly as :class:`~c6seg.inference.segmenter.Segmenter`
makes them. The first and the last convolution stay as they are, of encoders that begin with a depthwise block the whole
of it, and ranges leave out the most extreme values: measured on the embedded model, masks came from a Dice of 0.984
with those in f32 to 0.990 on photographs of t98g, and from 0.988 to 0.992 on such of LIVECell, by that.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg import runtime
from c6seg.config import SegmentConfig
from c6seg.data.images import Frame, find_images, probe, read_image
from c6seg.errors import EngineError, ImageReadError, MissingExtraError, OutputError, UsageError
from c6seg.inference.engine import Engine, one_line
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.inference.segmenter import Segmenter
from c6seg.models.bundle import Bundle, Int8, copy_bundle
from c6seg.models.bundle_folder import INT8_FILES
from c6seg.models.bundle_spec import SPEC_FILE

__all__ = ["MAX_FRAMES", "quantise"]

MAX_FRAMES = 100
"""More frames than this are thinned out evenly."""

MAX_CROPS = 16
CROP_PX = 384
"""Ranges are taken from so many parts of the network inputs, of at most this side: all values of a layer are sorted."""

LEFT_OUT = 1e-4
"""Part of the values at either end that a range leaves out."""

GOOD_DICE = 0.99
"""Below this mean agreement a warning is given."""

Progress = Callable[[float, int, str], None]


def quantise(
    bundle: Bundle,
    images: str | Path | Sequence[str | Path],
    out: Path,
    *,
    pixel_size_um: float | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Bundle:
    """Write a copy of a bundle that holds its network in int8 as well, with the agreement of the masks on its card.

    Parameters
    ----------
    bundle
        The model.
    images
        Files, folders, glob patterns: photographs like those that will be segmented; no truth is needed.
    out
        Folder of the new bundle.
    pixel_size_um
        Edge of a pixel, um; None = what the files say.
    replace
        Replace a bundle that is already there.
    progress
        Called with (steps done, steps in all, name of the image).

    Raises
    ------
    MissingExtraError
        nncf is not installed.
    ImageNotFoundError, ImageReadError
        No image, one that cannot be read, or none that shows anything.
    OutputError
        The bundle cannot be written.
    """
    if importlib.util.find_spec("nncf") is None:
        raise MissingExtraError("Quantising a network to int8", "int8")
    if out.resolve() == bundle.path.resolve():
        raise UsageError(f"The model itself lies in '{out}'. Name another folder with --out.")
    if (out / SPEC_FILE).is_file() and not replace:  # before minutes of work
        raise OutputError(f"There is already a bundle '{out}'. Replace it with --force.")
    if out.exists() and not (out / SPEC_FILE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError(f"Cannot write the bundle '{out}': something else of that name is there.")
    given = [images] if isinstance(images, str | Path) else list(images)
    frames = _choose(find_images(given))
    told = progress or (lambda done, total, name: None)
    total = 2 * len(frames)
    config = SegmentConfig(pixel_size_um=pixel_size_um, precision="f32")
    recorder = _Recorder(OpenVinoEngine(bundle.onnx_path, precision="f32"))
    wanted = []
    segmenter = Segmenter(bundle, config, engine=recorder)
    for number, place in enumerate(frames):
        told(number, total, place[0].name)
        wanted.append(_packed(segmenter, place))
    crops = _crops(recorder.seen)
    if not crops:
        raise ImageReadError(
            "None of the images shows anything, so that there is nothing to quantise the network with."
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_int8(bundle, crops, folder / INT8_FILES[0])
        segmenter = Segmenter(bundle, config, engine=OpenVinoEngine(folder / INT8_FILES[0]))
        dice = []
        for number, place in enumerate(frames):
            told(len(frames) + number, total, place[0].name)
            dice.append(_dice(_packed(segmenter, place), wanted[number]))
        told(total, total, "")
        found = Int8(
            dice_mean=round(float(np.mean(dice)), 5),
            dice_worst=round(min(dice), 5),
            images=len(dice),
            data=tuple("/".join(Path(name).resolve().parts[-2:]) for name in given),  # "images" alone says little
        )
        made = copy_bundle(bundle, out, int8=(found, folder), replace=replace)
    if found.dice_mean < GOOD_DICE:
        runtime.logger.warning(
            "the masks in int8 agree with those in f32 to a Dice of %.4f only, %.4f at worst; look at them before you "
            "use the model, or give more and other images",
            found.dice_mean,
            found.dice_worst,
        )
    return made


class _Recorder:
    """An engine that keeps a part of each input that it is given."""

    name, device, precision = "openvino", "cpu", "f32"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seen: list[NDArray[np.float32]] = []

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the engine; keep the parts in the corners in turn, so that borders and middles are met."""
        for image in batch:
            height, width = (min(CROP_PX, side) for side in image.shape[1:])
            down, right = divmod(len(self.seen) % 4, 2)
            top, left = down * (image.shape[1] - height), right * (image.shape[2] - width)
            self.seen.append(image[None, :, top : top + height, left : left + width].copy())
        return self._engine.run(batch)


def _choose(paths: Sequence[Path]) -> list[tuple[Path, int]]:
    """Frames of images and series, thinned out evenly."""
    places = [(path, frame) for path in paths for frame in range(probe(path).frames)]
    return [places[index] for index in _even(len(places), MAX_FRAMES)]


def _even(count: int, most: int) -> list[int]:
    return sorted({round(step) for step in np.linspace(0, count - 1, min(count, most))}) if count else []


def _crops(seen: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    return [seen[index] for index in _even(len(seen), MAX_CROPS)]


def _packed(segmenter: Segmenter, place: tuple[Path, int]) -> NDArray[np.uint8]:
    """Segment a frame; a bit for each pixel, so that the masks of all images fit into memory."""
    frame: Frame = read_image(place[0], frame=place[1])
    return np.packbits(segmenter.segment(frame).mask)


def _dice(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Dice of two packed masks; 1 where both are empty."""
    both = int(np.bitwise_count(one & other).sum())
    total = int(np.bitwise_count(one).sum()) + int(np.bitwise_count(other).sum())
    return 1.0 if total == 0 else 2 * both / total


def _write_int8(bundle: Bundle, crops: Sequence[NDArray[np.float32]], path: Path) -> None:
    with _quiet_nncf() as nncf:
        openvino = runtime.import_openvino()
        model = openvino.Core().read_model(bundle.onnx_path)
        kinds = {"Convolution", "GroupConvolution"}
        layers = [node for node in model.get_ordered_ops() if node.get_type_name() in kinds]
        transformer = bundle.spec.encoder.lower().startswith("mit")
        try:
            quantised = nncf.quantize(
                model,
                nncf.Dataset(list(crops)),
                subset_size=len(crops),
                preset=nncf.QuantizationPreset.MIXED,
                model_type=nncf.ModelType.TRANSFORMER if transformer else None,
                ignored_scope=nncf.IgnoredScope(names=_kept_layers(layers)) if layers else None,
                advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=_ranges()),
            )
            openvino.save_model(quantised, path)
        except RuntimeError as error:
            raise EngineError(f"The network cannot be quantised: {one_line(error)}") from error


def _kept_layers(layers: Sequence[Any]) -> list[str]:
    """Name the convolutions that are not quantised: the first and the last, and a depthwise one behind the first.

    What projects the channels of that depthwise convolution stays, too.
    """
    first = layers[:3] if len(layers) > 1 and layers[1].get_type_name() == "GroupConvolution" else layers[:1]
    return sorted({node.get_friendly_name() for node in (*first, layers[-1])})


def _ranges() -> Any:
    """Say how the range of an activation is found: its quantiles in each crop, averaged."""
    module = importlib.import_module("nncf.quantization.range_estimator")
    end = module.StatisticsCollectorParameters(
        statistics_type=module.StatisticsType.QUANTILE,
        aggregator_type=module.AggregatorType.MEAN,
        quantile_outlier_prob=LEFT_OUT,
    )
    return module.RangeEstimatorParameters(min=end, max=end)


@contextlib.contextmanager
def _quiet_nncf() -> Iterator[Any]:
    """Import nncf without its reporter of usage, and keep it from writing to the screen and from warning of itself."""
    unwanted = "openvino_telemetry"
    hide = unwanted not in sys.modules
    if hide:
        sys.modules[unwanted] = None  # type: ignore[assignment]  # makes the import of this name fail
    loud = [logging.getLogger(name) for name in ("nncf", "torch.utils.cpp_extension")]
    levels = [logger.level for logger in loud]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            for logger in loud:
                logger.setLevel(logging.ERROR)
            nncf = importlib.import_module("nncf")
            nncf.set_log_level(logging.ERROR)
            yield nncf
    finally:
        for logger, level in zip(loud, levels, strict=True):
            logger.setLevel(level)
        if hide:
            sys.modules.pop(unwanted, None)
