"""Bundles: a trained model as a folder that a person can read.

::

    bundle.yaml           what it is, how to feed it, what it was trained on, how good it is, hash of every file
    model.onnx            the network; input "image" (N, 3, H, W), output "probability" (N, 1, H, W)
    weights.safetensors   its weights, once: the ONNX file points into it
    example/              input.png and the probability.png (16-bit) it must give
    README.md             model card

Opening one needs no network, unpickles nothing and checks every hash.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from c6seg import runtime
from c6seg.config import PreprocessConfig
from c6seg.config_files import dump_yaml
from c6seg.errors import BundleError, did_you_mean
from c6seg.models.bundle_folder import (
    CARD_FILE,
    EMBEDDED,
    EXAMPLE_INPUT,
    EXAMPLE_OUTPUT,
    INT8_FILES,
    MODEL_FILE,
    NEEDED,
    WEIGHTS_FILE,
    Bundle,
    new_folder,
    user_models,
)
from c6seg.models.bundle_spec import (
    SPEC_FILE,
    BundleSpec,
    Calibration,
    Familiar,
    Int8,
    ScaleSpec,
    TrainingData,
    read_spec,
)

__all__ = [
    "DEFAULT_MODEL",
    "TOLERANCE",
    "Bundle",
    "BundleSpec",
    "Calibration",
    "Familiar",
    "Int8",
    "Predict",
    "ScaleSpec",
    "TrainingData",
    "check_bundle",
    "copy_bundle",
    "install_bundle",
    "list_bundles",
    "open_bundle",
    "read_spec",
    "user_models",
    "write_bundle",
]

DEFAULT_MODEL = "unet-mobilenetv2"
# Allowed difference of a probability to the stored example, by precision, and the quantile of the pixels that must
# keep it. In f32 all do, on any processor. In bf16 a few pixels on edges differ by 0.07 to 0.11 for a sound network
# (measured with UNet-MobileNetV2: 99 % below 0.04; in int8, 99 % below 0.07).
TOLERANCE = {"f32": 0.02, "bf16": 0.05, "int8": 0.15}
QUANTILE = {"f32": 1.0, "bf16": 0.99, "int8": 0.99}

Predict = Callable[[Path, PreprocessConfig, NDArray[np.generic]], NDArray[np.float32]]
"""(bundle folder, preprocessing, pixels) to probability (Y, X); ``inference.engine.predict_pixels`` is one."""


def list_bundles() -> list[Bundle]:
    """List the embedded and the installed bundles, unverified; one that cannot be read is logged and left out."""
    found: dict[str, Bundle] = {}
    for root in (EMBEDDED, user_models()):
        for spec_file in sorted(root.glob(f"*/{SPEC_FILE}")):
            if spec_file.parent.name.startswith("."):  # left behind by an interrupted installation
                continue
            try:
                found.setdefault(spec_file.parent.name, Bundle(spec_file.parent, read_spec(spec_file.parent)))
            except BundleError as error:
                runtime.logger.warning("%s", error)
    return list(found.values())


def open_bundle(name_or_dir: str | Path = DEFAULT_MODEL, *, verify: bool = True) -> Bundle:
    """Open a bundle by name or folder.

    Parameters
    ----------
    name_or_dir
        Name of an embedded or installed bundle, or its folder. A name wins over a folder of the same name in the
        working directory; write ``./name`` for the folder.
    verify
        Check the hash of every file.

    Raises
    ------
    BundleError
        Unknown name, or a bundle that is incomplete or altered; the file is named.
    """
    path = _find(name_or_dir)
    bundle = Bundle(path, read_spec(path))
    if verify:
        bundle.verify()
    return bundle


def write_bundle(
    folder: Path,
    *,
    spec: BundleSpec,
    source: Path,
    example: NDArray[np.uint8] | NDArray[np.uint16],
    predict: Predict,
    replace: bool = True,
) -> Bundle:
    """Write a bundle whole or not at all.

    Parameters
    ----------
    folder
        The bundle to make.
    spec
        Its description; ``files`` and, where empty, ``created`` are filled in.
    source
        Folder with ``model.onnx`` and ``weights.safetensors``.
    example
        A small picture, (Y, X) uint8 or uint16 or (Y, X, 3) uint8, at the scale of the model.
    predict
        Runs the network in f32 to make the example's probability, e.g. ``inference.engine.predict_pixels``.
    replace
        Replace a bundle that is already there.

    Raises
    ------
    BundleError
        The source is incomplete, or the example is no such picture.
    OutputError
        The folder cannot be written, or something else is in the way.
    """
    from c6seg.models.card import model_card

    if example.dtype not in (np.uint8, np.uint16) or example.ndim not in (2, 3) or example.size == 0:
        raise BundleError(f"The example has shape {example.shape} and type {example.dtype}; expected uint8 or uint16.")
    with new_folder(folder, replace=replace) as temporary:
        for name in (MODEL_FILE, WEIGHTS_FILE):
            if not (source / name).is_file():
                raise BundleError(f"Cannot write a bundle: '{source / name}' is missing.")
            shutil.copyfile(source / name, temporary / name)
        (temporary / "example").mkdir()
        runtime.save_picture(Image.fromarray(example), temporary / EXAMPLE_INPUT, format="PNG", optimize=True)
        probability = predict(temporary, spec.preprocess, example)
        stored = Image.fromarray(np.round(probability * 65535).astype(np.uint16))
        runtime.save_picture(stored, temporary / EXAMPLE_OUTPUT, format="PNG")
        created = spec.created or runtime.provenance()["created"]
        card = model_card(spec.model_copy(update={"created": created}))
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
        files = {name: runtime.sha256(temporary / name) for name in NEEDED}
        final = spec.model_copy(update={"files": files, "created": created})
        (temporary / SPEC_FILE).write_text(dump_yaml(final), encoding="utf-8")
    return open_bundle(folder.absolute())


def copy_bundle(
    bundle: Bundle,
    target: Path,
    *,
    scores: Mapping[str, Mapping[str, Any]] | None = None,
    calibration: Calibration | None = None,
    familiar: Familiar | None = None,
    int8: tuple[Int8, Path] | None = None,
    replace: bool = False,
) -> Bundle:
    """Copy a bundle whole or not at all, with more that is known of it, or a network in int8.

    Parameters
    ----------
    bundle
        The bundle.
    target
        Folder to write; may be the bundle's own when ``replace`` is True.
    scores
        Name of a score: ``mean``, ``lower``, ``upper``, ``n`` and whatever else the card shall say.
    calibration, familiar
        Take the place of the bundle's own; None = keep that.
    int8
        What is known of it, and the folder with its files; the copy is called ``-int8``.
    replace
        Replace a bundle that is already there.

    Raises
    ------
    OutputError
        A bundle is there and ``replace`` is False, or the folder cannot be written.
    """
    from c6seg.models.card import model_card

    with new_folder(target, replace=replace) as temporary:
        for name in (SPEC_FILE, *bundle.spec.files):
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path / name, temporary / name)
        changes: dict[str, Any] = {}
        if scores:
            changes["scores"] = {**bundle.spec.scores, **{name: dict(values) for name, values in scores.items()}}
        if calibration:
            changes["calibration"] = calibration
        if familiar:
            changes["familiar"] = familiar
        if int8 is not None:
            for name in INT8_FILES:
                shutil.copyfile(int8[1] / name, temporary / name)
            changes |= {"int8": int8[0], "name": f"{bundle.spec.name.removesuffix('-int8')}-int8"}
        if changes:
            spec = bundle.spec.model_copy(update=changes)
            (temporary / CARD_FILE).write_text(model_card(spec), encoding="utf-8")
            changed = (CARD_FILE, *(INT8_FILES if int8 is not None else ()))
            files = {**spec.files, **{name: runtime.sha256(temporary / name) for name in changed}}
            (temporary / SPEC_FILE).write_text(dump_yaml(spec.model_copy(update={"files": files})), encoding="utf-8")
    return open_bundle(target.absolute())


def install_bundle(source: Path, *, replace: bool = False) -> Bundle:
    """Copy a bundle into the user's model folder, where its name finds it.

    Raises
    ------
    BundleError
        It is incomplete or altered, or an embedded bundle has its name.
    OutputError
        One of that name is installed and ``replace`` is False, or the folder cannot be written.
    """
    bundle = open_bundle(Path(source))
    if (EMBEDDED / bundle.spec.name).exists():
        raise BundleError(f"The name {bundle.spec.name!r} belongs to an embedded model. Change it in {SPEC_FILE}.")
    return copy_bundle(bundle, user_models() / bundle.spec.name, replace=replace)


def check_bundle(bundle: Bundle, predict: Predict, *, precision: str = "f32") -> float:
    """Check a bundle's hashes and that its example still gives the stored probability.

    Parameters
    ----------
    bundle
        The bundle.
    predict
        Runs the network at ``precision``.
    precision
        ``f32``, ``bf16`` or ``int8``; decides the tolerance (:data:`TOLERANCE`).

    Returns
    -------
    float
        Largest absolute difference of a probability; in bf16 and int8 the largest of 99 % of the pixels.

    Raises
    ------
    BundleError
        A file is missing or altered, or the example does not reproduce.
    """
    bundle.verify()
    pixels = _read_png(bundle.path / EXAMPLE_INPUT)
    expected = _read_png(bundle.path / EXAMPLE_OUTPUT).astype(np.float32) / 65535
    found = predict(bundle.path, bundle.spec.preprocess, pixels)
    if found.shape != expected.shape:
        raise BundleError(
            f"Bundle '{bundle.path}' does not reproduce its example: {EXAMPLE_OUTPUT} has shape {expected.shape}, "
            f"the network gives {found.shape}."
        )
    difference = float(np.quantile(np.abs(found - expected), QUANTILE[precision]))
    if not difference <= TOLERANCE[precision]:  # written so that NaN fails
        raise BundleError(
            f"Bundle '{bundle.path}' does not reproduce its example: probabilities differ by up to {difference:.3f}, "
            f"allowed are {TOLERANCE[precision]} in {precision}. Do not trust its masks on this machine."
        )
    return difference


def _find(name_or_dir: str | Path) -> Path:
    text = str(name_or_dir)
    is_name = isinstance(name_or_dir, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)
    if is_name:
        for root in (EMBEDDED, user_models()):
            if (root / text / SPEC_FILE).is_file():
                return root / text
    path = Path(text).expanduser()
    if path.is_file() and path.name == SPEC_FILE:
        return path.parent
    if path.is_dir():
        return path
    if is_name:
        names = [bundle.path.name for bundle in list_bundles()]
        raise BundleError(did_you_mean(text, names, what="model") + " Or give the folder of a bundle.")
    raise BundleError(f"There is no bundle folder '{path}'. See the models with: c6seg models list")


def _read_png(path: Path) -> NDArray[Any]:
    try:
        with Image.open(path) as image:
            return np.asarray(image).copy()
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise BundleError(f"The picture '{path}' cannot be read.") from error
