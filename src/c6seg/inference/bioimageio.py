"""A bundle as a BioImage Model Zoo package: one zip with ``rdf.yaml`` (format 0.5), ONNX weights, test tensors, card.

The Zoo's programs prepare the picture as ``rdf.yaml`` says: stretch between percentiles, clip. What it has no words
for, one grey channel to three and their normalisation, goes into the network. Its sizes are multiples of 32, at the
scale of the model: programs of the Zoo do not resample pictures.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from c6seg.inference.engine import predict_pixels
from c6seg.models.bundle_folder import CARD_FILE, EXAMPLE_INPUT, Bundle
from c6seg.models.bundle_spec import BundleSpec
from c6seg.models.onnx_file import with_normalisation
from c6seg.runtime import atomic_path
from c6seg.transforms.preprocess import IMAGENET_MEAN, IMAGENET_STD, to_grey

__all__ = ["FORMAT_VERSION", "write_package"]

FORMAT_VERSION = "0.5.4"

LICENCES = frozenset(
    {
        "0BSD",
        "AGPL-3.0-only",
        "AGPL-3.0-or-later",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC-BY-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-NC-SA-4.0",
        "CC-BY-SA-4.0",
        "CC0-1.0",
        "GPL-2.0-only",
        "GPL-2.0-or-later",
        "GPL-3.0-only",
        "GPL-3.0-or-later",
        "ISC",
        "LGPL-3.0-only",
        "LGPL-3.0-or-later",
        "MIT",
        "MPL-2.0",
    }
)
"""SPDX names that the Zoo takes; another licence goes into a file of its own."""

_CITE = (
    {
        "text": "Ilyukhin et al., Transfer learning methods for glioma C6 cell segmentation, Computer Optics 2025",
        "doi": "10.18287/2412-6179-CO-1609",
    },
    {
        "text": "Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015",
        "doi": "10.1007/978-3-319-24574-4_28",
    },
)


def write_package(bundle: Bundle, out: Path) -> Path:
    """Write the package of a bundle; returns ``out``.

    Parameters
    ----------
    bundle
        The model.
    out
        The ``.zip``.

    Raises
    ------
    MissingExtraError
        The library that writes ONNX is not installed.
    OutputError
        The file cannot be written.
    """
    config = bundle.spec.preprocess
    channels = 1 if config.channels == "grey" else 3
    normalisation = (config.mean or IMAGENET_MEAN, config.std or IMAGENET_STD)
    network = with_normalisation(bundle.onnx_path, *normalisation, channels=channels)
    raw = _test_input(bundle)
    probability = predict_pixels(bundle.path, config, raw)
    planes = raw[None, None] if raw.ndim == 2 else np.moveaxis(raw, 2, 0)[None]
    files: dict[str, bytes] = {
        "network.onnx": network.SerializeToString(),
        "test_input.npy": _npy(planes),
        "test_output.npy": _npy(probability[None, None]),
        "README.md": _documentation(bundle).encode(),
    }
    opset = next(entry.version for entry in network.opset_import if entry.domain in {"", "ai.onnx"})
    if bundle.spec.licence not in LICENCES:
        files["LICENSE.txt"] = f"{bundle.spec.licence}\n".encode()
    text = yaml.safe_dump(_description(bundle.spec, planes, files, opset), sort_keys=False, allow_unicode=True)
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"rdf.yaml": text.encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out


def _test_input(bundle: Bundle) -> NDArray[np.generic]:
    """Give the example of the bundle, mirrored outwards to a multiple of what the network takes."""
    with Image.open(bundle.path / EXAMPLE_INPUT) as image:
        pixels = np.asarray(image).copy()
    if bundle.spec.preprocess.channels == "grey" and pixels.ndim == 3:
        pixels = to_grey(pixels)
    if bundle.spec.preprocess.channels == "rgb" and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    multiple = bundle.spec.preprocess.multiple
    pads = [(0, -side % multiple) for side in pixels.shape[:2]]
    return np.pad(pixels, pads + [(0, 0)] * (pixels.ndim - 2), mode="symmetric")


def _npy(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _description(spec: BundleSpec, planes: NDArray[np.generic], files: dict[str, bytes], opset: int) -> dict[str, Any]:
    """Give what ``rdf.yaml`` holds."""

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    name = re.sub(r"[^A-Za-z0-9_+() -]", "-", spec.name)
    licence: Any = spec.licence if "LICENSE.txt" not in files else file("LICENSE.txt")
    return {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "name": name if len(name) >= 5 else f"c6seg {name}",
        "version": spec.version,
        "description": (spec.description or f"U-Net, {spec.encoder}: cells in phase contrast.")[:1000],
        "authors": [{"name": "The c6seg team"}],
        "cite": [dict(entry) for entry in _CITE],
        "license": licence,
        "timestamp": spec.created,
        "tags": ["segmentation", "semantic-segmentation", "phase-contrast-microscopy", "cells", "2d", "unet", "c6seg"],
        "documentation": file("README.md"),
        "inputs": [{**_input(spec, planes), "test_tensor": file("test_input.npy")}],
        "outputs": [{**_output(spec), "test_tensor": file("test_output.npy")}],
        "weights": {"onnx": {**file("network.onnx"), "opset_version": int(opset)}},
    }


def _input(spec: BundleSpec, planes: NDArray[np.generic]) -> dict[str, Any]:
    low, high = spec.preprocess.contrast_percentiles
    names = ["grey"] if planes.shape[1] == 1 else ["red", "green", "blue"]
    size = {"min": max(64, spec.preprocess.multiple), "step": spec.preprocess.multiple}
    stretch = {"axes": ["channel", "y", "x"], "min_percentile": low, "max_percentile": high}
    return {
        "id": "image",
        "description": "phase-contrast picture, raw grey values",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": names},
            *({"type": "space", "id": axis, "size": size, **_unit(spec)} for axis in "yx"),
        ],
        "data": {"type": str(planes.dtype)},
        "preprocessing": [
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
            {"id": "scale_range", "kwargs": stretch},
            {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        ],
    }


def _output(spec: BundleSpec) -> dict[str, Any]:
    sizes = {axis: {"tensor_id": "image", "axis_id": axis} for axis in "yx"}
    return {
        "id": "probability",
        "description": f"probability of cell; cell from {spec.threshold:g} on",
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": ["cell"]},
            *({"type": "space", "id": axis, "size": size, **_unit(spec)} for axis, size in sizes.items()),
        ],
        "data": {"type": "float32", "range": [0.0, 1.0]},
    }


def _unit(spec: BundleSpec) -> dict[str, Any]:
    return {"unit": "micrometer", "scale": spec.scale.pixel_size_um} if spec.scale.pixel_size_um else {}


def _documentation(bundle: Bundle) -> str:
    """Give the card of the model and how programs of the Zoo must use it."""
    spec = bundle.spec
    card = (bundle.path / CARD_FILE).read_text(encoding="utf-8").rstrip()
    scale = f"Bring pictures to {spec.scale.pixel_size_um:g} µm per pixel first. " if spec.scale.pixel_size_um else ""
    return (
        f"{card}\n\n## In programs of the BioImage Model Zoo\n\n{scale}The output is a probability; a pixel is cell "
        f"from {spec.threshold:g} on.\n\n## Validation\n\nThe scores above were measured by `c6seg evaluate`. Compare "
        "the mask with some of your own pictures before you trust a number.\n"
    )
