"""One function for every verb of the command line; the only place where the stages are joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c6seg.config import SegmentConfig, load_config

if TYPE_CHECKING:
    from c6seg.inference.batch import BatchResult
    from c6seg.machine import Fact
    from c6seg.models.bundle import Bundle

PathLike = str | Path


def segment(
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    model: PathLike | None = None,
    config: SegmentConfig | Mapping[str, Any] | Path | None = None,
    recursive: bool = False,
    force: bool = False,
    progress: Callable[[float, int, str], None] | None = None,
) -> BatchResult:
    """Segment images, folders, patterns and series; write masks, overlays, measurements and a manifest.

    Running it again continues: images whose content, options and model are unchanged are not made again.

    Parameters
    ----------
    inputs
        Files, folders, glob patterns.
    out
        Folder to write into.
    model
        Name of a model or folder of a bundle; None = the embedded one.
    config
        Options, as an object, a mapping, or a YAML file.
    recursive
        Look into the folders of folders.
    force
        Make everything again.
    progress
        Called with (images done, images in all, name).

    Returns
    -------
    BatchResult
        Rows of the measurements, failures, and how many images were done already.

    Raises
    ------
    C6segError
        Wrong options, no images, an unusable model, or results that cannot be written. A bad image is a failure in the
        result instead.
    """
    from c6seg.inference.batch import segment_images
    from c6seg.models.bundle import DEFAULT_MODEL

    options = config if isinstance(config, SegmentConfig) else load_config(SegmentConfig, config)
    return segment_images(
        inputs,
        out,
        model=model if model is not None else DEFAULT_MODEL,
        config=options,
        recursive=recursive,
        force=force,
        progress=progress,
        hints=_name_hints,
    )


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
        ``f32``, ``bf16`` or ``auto``.

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

    from c6seg.inference.engine import choose_precision, predict_pixels
    from c6seg.models.bundle import check_bundle, open_bundle

    chosen = choose_precision(precision)
    return check_bundle(open_bundle(model), partial(predict_pixels, precision=chosen), precision=chosen)


def install_model(folder: PathLike, *, force: bool = False) -> Bundle:
    """Copy a bundle into the user's models, where its name finds it; raises BundleError and OutputError."""
    from c6seg.models.bundle import install_bundle

    return install_bundle(Path(folder), replace=force)


def doctor(out: PathLike = ".") -> list[Fact]:
    """Look at versions, devices, precision, memory, disk and extras of this machine."""
    from c6seg.machine import facts

    return facts(Path(out))


def _name_hints(name: str) -> tuple[str | None, float | None]:
    """Well and time that a file name carries; a date on the calendar is no time of an experiment."""
    from c6seg.growth.names import parse_name

    parts = parse_name(name)
    return parts.well, None if parts.absolute else parts.time_h
