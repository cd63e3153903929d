"""The verbs of ``c6seg models`` and ``c6seg doctor``; :mod:`c6seg.api` offers them too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from c6seg.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from c6seg.machine import Fact
    from c6seg.models.bundle import Bundle

PathLike = str | Path

EXPORT_FORMATS = ("onnx", "openvino-int8", "bioimageio")
"""What a model can be written as."""


def list_models() -> list[Bundle]:
    """List the embedded and the installed models."""
    from c6seg.models.bundle import list_bundles

    return list_bundles()


def open_model(model: PathLike) -> Bundle:
    """Open a model by name or folder and check its hashes; raises BundleError."""
    from c6seg.models.bundle import open_bundle

    return open_bundle(model)


def check_model(model: PathLike, *, precision: str = "f32") -> float:
    """Check a model's files and that its example still gives the stored probability.

    Parameters
    ----------
    model
        Name or folder.
    precision
        ``f32``, ``bf16``, ``auto``, which is one of these, or ``int8``.

    Returns
    -------
    float
        Largest difference of a probability to the stored one.

    Raises
    ------
    BundleError
        A file is missing or altered, or the example does not reproduce.
    """
    from functools import partial

    from c6seg.inference.engine import choose_precision, network_file, predict_pixels
    from c6seg.models.bundle import check_bundle, open_bundle

    chosen = choose_precision(precision)
    bundle = open_bundle(model)
    network_file(bundle, chosen)  # refuses int8 where there is none
    return check_bundle(bundle, partial(predict_pixels, precision=chosen), precision=chosen)


def install_model(folder: PathLike, *, force: bool = False) -> Bundle:
    """Copy a bundle into the user's models, where its name finds it; raises BundleError and OutputError."""
    from c6seg.models.bundle import install_bundle

    return install_bundle(Path(folder), replace=force)


def record_score(model: PathLike, name: str, summary: PathLike) -> Bundle:
    """Write the Dice of an evaluation into a model's card, with its interval and the images that were scored.

    Parameters
    ----------
    model
        Folder of the bundle; changed in place.
    name
        What the score is called on the card, such as ``test_dice``.
    summary
        ``FILE.summary.json`` that :func:`c6seg.api.evaluate` wrote, with ``FILE.csv`` beside it.

    Raises
    ------
    C6segError
        No such bundle or summary, or the bundle cannot be written.
    """
    from c6seg.evaluation.evaluate import read_score
    from c6seg.models.bundle import copy_bundle, open_bundle

    bundle = open_bundle(Path(model))
    return copy_bundle(bundle, bundle.path, scores={name: read_score(Path(summary))}, replace=True)


def calibrate_model(model: PathLike, tables: PathLike | Sequence[PathLike], *, note: str = "") -> Bundle:
    """Write into a model how far its confluence is off, so that growth can say what that does to a curve.

    Parameters
    ----------
    model
        Folder of the bundle; changed in place, with its card.
    tables
        ``FILE.csv`` that :func:`c6seg.api.evaluate` wrote, with ``FILE.summary.json`` beside it; the images of several
        are taken together.
    note
        What a reader must know of the images.

    Raises
    ------
    C6segError
        No such bundle or table, a table of another model, fewer than 5 images, an image that trained or tuned the
        model, or the bundle cannot be written.
    """
    from c6seg.evaluation.calibration import calibrate
    from c6seg.models.bundle import copy_bundle, open_bundle

    bundle = open_bundle(Path(model))
    paths = [Path(table) for table in ([tables] if isinstance(tables, str | Path) else tables)]
    return copy_bundle(bundle, bundle.path, calibration=calibrate(bundle.spec, paths, note=note), replace=True)


def familiarise_model(
    model: PathLike,
    data: PathLike | Sequence[PathLike],
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Bundle:
    """Write into a model what its training images measure, so that images unlike them get a flag.

    Parameters
    ----------
    model
        Folder of the bundle; changed in place, with its card.
    data
        The data that trained it: annotated data sets, folders, files or patterns. Of a set with images that the
        bundle names as its training, only these count.
    progress
        Called with (images done, images in all, name).

    Raises
    ------
    C6segError
        No such bundle or data, fewer than 10 images with cells, or the bundle cannot be written.
    """
    from c6seg.inference.familiar_set import add_familiar, training_images
    from c6seg.models.bundle import open_bundle

    bundle = open_bundle(Path(model))
    paths = [data] if isinstance(data, str | Path) else data
    return add_familiar(bundle, training_images(bundle, paths), progress=progress)


def doctor(out: PathLike = ".") -> list[Fact]:
    """Look at versions, devices, precision, memory, disk, engines and extras of this machine."""
    from c6seg.inference.engine import candidates
    from c6seg.machine import facts

    name, device = candidates()[0]
    return facts(Path(out), picked=f"{name} on {device}")


def export_model(
    model: PathLike,
    out: PathLike,
    *,
    format: str = "onnx",
    data: PathLike | Sequence[PathLike] | None = None,
    pixel_size_um: float | None = None,
    force: bool = False,
    progress: Callable[[float, int, str], None] | None = None,
) -> Path:
    """Write a model in another form; returns ``out``.

    Parameters
    ----------
    model
        Name or folder.
    out
        File or folder to write.
    format
        ``onnx``: the network as one self-contained file, input and output as in the bundle's. ``openvino-int8``: a
        bundle with the network in int8 as well, which :func:`c6seg.api.segment` runs on OpenVINO; ``bundle.yaml`` says
        how near its masks come to those in f32. ``bioimageio``: a package of the BioImage Model Zoo, ``.zip``.
    data
        For ``openvino-int8``: photographs to quantise with, as files, folders or patterns.
    pixel_size_um
        For ``openvino-int8``: edge of a pixel of these, um; None = what the files say.
    force
        For ``openvino-int8``: replace a bundle that is already there.
    progress
        For ``openvino-int8``: called with (steps done, steps in all, name of the image).

    Raises
    ------
    C6segError
        An unknown format, options that do not go with it, an unusable model, no permission, or a part of c6seg that is
        not installed.
    """
    from c6seg.models.bundle import open_bundle

    if format not in EXPORT_FORMATS:
        raise UsageError(did_you_mean(format, EXPORT_FORMATS, what="format"))
    int8 = format == "openvino-int8"
    if int8 and data is None:
        raise UsageError("The format openvino-int8 needs images to quantise with. Name a folder of yours with --data.")
    if not int8 and (data is not None or pixel_size_um is not None):
        raise UsageError(f"The format {format} takes no images: leave --data and --pixel-size out.")
    bundle, target = open_bundle(model), Path(out)
    if int8 and data is not None:
        from c6seg.inference.quantise import quantise

        quantise(bundle, data, target, pixel_size_um=pixel_size_um, replace=force, progress=progress)
        return target
    if format == "bioimageio":
        from c6seg.inference.bioimageio import write_package

        return write_package(bundle, target)
    from c6seg.models.onnx_file import write_single_file

    return write_single_file(bundle.onnx_path, target)
