"""One function for every verb of the command line; the only place where the stages are joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c6seg.api_data import (
    check_data,
    compose_data,
    convert_data,
    describe_data,
    download_data,
    simulate_data,
    split_data,
)
from c6seg.api_growth import grow
from c6seg.api_models import (
    calibrate_model,
    check_model,
    doctor,
    export_model,
    familiarise_model,
    install_model,
    list_models,
    open_model,
    record_score,
)
from c6seg.api_study import (
    forecast_study,
    list_studies,
    match_study,
    plan_study,
    read_study,
    report_study,
    run_study,
    study_recipe,
)
from c6seg.api_watch import WatchStatus, watch
from c6seg.config import GrowthConfig, SegmentConfig, parse_size
from c6seg.config_files import load_config

if TYPE_CHECKING:
    from c6seg.evaluation.demo import DemoResult
    from c6seg.evaluation.protocol import Evaluation
    from c6seg.inference.batch import BatchResult
    from c6seg.models.bundle import Bundle
    from c6seg.training.loop import Status

PathLike = str | Path

__all__ = [
    "WatchStatus",
    "calibrate_model",
    "check_data",
    "check_model",
    "compose_data",
    "convert_data",
    "demo",
    "describe_data",
    "doctor",
    "download_data",
    "evaluate",
    "export_model",
    "familiarise_model",
    "forecast_study",
    "grow",
    "install_model",
    "list_models",
    "list_studies",
    "match_study",
    "open_model",
    "plan_study",
    "read_study",
    "record_score",
    "report_study",
    "run_study",
    "segment",
    "simulate_data",
    "split_data",
    "study_recipe",
    "train",
    "watch",
]


def segment(
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    model: PathLike | None = None,
    config: SegmentConfig | Mapping[str, Any] | Path | None = None,
    recursive: bool = False,
    force: bool = False,
    progress: Callable[[float, int, str], None] | None = None,
    export: str | Sequence[str] = (),
    ray: str | None = None,
    cpus: float = 1,
    gpus: float = 0,
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
    export
        Outlines to write besides: some of ``imagej``, ``geojson`` (QuPath), ``coco``.
    ray
        Address of a Ray cluster that does the images (``auto`` = the one of this machine); None = here.
    cpus, gpus
        What a shard of images takes of the cluster.

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
    from c6seg.cluster import Resources
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
        export=export,
        cluster=None if ray is None else (ray, Resources(cpus, gpus)),
    )


def train(
    data: PathLike,
    out: PathLike,
    *,
    recipe: PathLike = "default",
    init: str | None = None,
    encoder: str | None = None,
    overrides: Sequence[str] = (),
    extra: Sequence[PathLike] = (),
    split: str | None = None,
    layout: str = "auto",
    resume: bool = False,
    report: Callable[[Status], None] | None = None,
) -> Bundle:
    """Train a network on annotated images and write ``out/bundle``.

    Parameters
    ----------
    data
        Folder or export file of the data set that the network is for.
    out
        Run folder.
    recipe
        Name of a recipe or a YAML file.
    init
        ``random``, ``imagenet``, a bundle, or a ``.safetensors`` file; None = the recipe's.
    encoder
        One of the paper's 16 encoders; None = the recipe's.
    overrides
        ``key=value`` texts, such as ``epochs=50``.
    extra
        Additional data sets, which only train.
    split
        ``FILE:NAME``: train on its training images, choose by its validation images. None = the data set's own
        division, else a fifth of the images validates.
    layout
        Layout of the data set; ``auto`` = look.
    resume
        Go on with the run in ``out``.
    report
        Called after each step.

    Raises
    ------
    C6segError
        Wrong options, unusable data, weights that are not there, a training that diverges.
    """
    from c6seg.data.datasets import open_dataset
    from c6seg.data.splits import select_text
    from c6seg.training.recipe import load_recipe

    config = load_recipe(recipe, init=init, encoder=encoder, overrides=overrides)
    dataset = open_dataset(Path(data), layout=layout)
    others = [open_dataset(Path(path)) for path in extra]
    names = None
    if split is not None:
        parts = [[item.name for item in select_text(dataset, split, part=part)] for part in ("train", "val")]
        names = (parts[0], parts[1])
    from c6seg.training.run import choose_items, run_training

    items = choose_items(dataset, extra=others, names=names, seed=config.seed)
    return run_training(items, Path(out), config, resume=resume, report=report)


def evaluate(
    data: PathLike,
    *,
    model: PathLike | None = None,
    split: str | None = None,
    input_size: str | tuple[int, int] | None = None,
    score_size: str | tuple[int, int] | None = None,
    out: PathLike | None = None,
    config: SegmentConfig | Mapping[str, Any] | Path | None = None,
    layout: str = "auto",
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Score a model on annotated images by the paper's equation (2), and write the table and its summary.

    Parameters
    ----------
    data
        Folder or export file of the data set.
    model
        Name of a model or folder of a bundle; None = the embedded one.
    split
        ``FILE:NAME`` or ``FILE:NAME/PART`` (part ``test`` if left out), or ``train``, ``val``, ``test`` where the data
        set has a division of its own; None = all annotated images.
    input_size
        ``WIDTHxHEIGHT`` or ``(height, width)`` at which the network sees the images, px; ``native`` or None = no
        resizing; ``model`` = the scale that the model was trained at, as in :func:`segment`.
    score_size
        Size at which is scored; ``native`` or None = that of the truth.
    out
        ``FILE.csv``; the summary goes into ``FILE.summary.json``. None = write nothing.
    config
        Options as in :func:`segment` (threshold, precision, memory).
    layout
        Layout of the data set; ``auto`` = look.
    progress
        Called with (images done, images in all, name).

    Returns
    -------
    Evaluation
        Scores, and the images that could not be scored.

    Raises
    ------
    C6segError
        Wrong options, nothing to score, an unusable model, or results that cannot be written.
    """
    from c6seg.evaluation.evaluate import MODEL_SCALE, choose_items, evaluate_items, write_evaluation
    from c6seg.inference.segmenter import Segmenter
    from c6seg.models.bundle import DEFAULT_MODEL

    by_model = input_size == MODEL_SCALE
    input_hw, score_hw = None if by_model else parse_size(input_size), parse_size(score_size)
    items, unannotated = choose_items(data, split=split, layout=layout)
    options = config if isinstance(config, SegmentConfig) else load_config(SegmentConfig, config)
    # a score is that of the model at the scale that is known, not of an estimate of it
    options = options if options.scale != "auto" else options.model_copy(update={"scale": "pixel-size"})
    evaluation = evaluate_items(
        items,
        Segmenter(model if model is not None else DEFAULT_MODEL, options),
        input_hw=input_hw,
        score_hw=score_hw,
        model_scale=by_model,
        progress=progress,
    )
    if out is not None:
        write_evaluation(Path(out), evaluation, data=str(data), split=split, unannotated=unannotated)
    return evaluation


def demo(
    out: PathLike,
    *,
    model: PathLike | None = None,
    progress: Callable[[float, int, str], None] | None = None,
) -> DemoResult:
    """Do the main job on a simulated culture of four wells, and set it beside the simulated truth.

    Writes ``images/`` with ``truth.csv`` and true masks, ``segmentation/``, ``growth/`` with the tables, and
    ``report.html``; no network is used.

    Parameters
    ----------
    out
        Folder to write into.
    model
        Name of a model or folder of a bundle; None = the embedded one.
    progress
        Called with (images done, images in all, name) while segmenting.

    Raises
    ------
    C6segError
        An unusable model, or results that cannot be written.
    """
    from c6seg.data.synthetic import write_culture
    from c6seg.evaluation.demo import DEMO_CULTURE, DemoResult, demo_truth
    from c6seg.growth.analysis import analyse, read_results
    from c6seg.models.bundle import DEFAULT_MODEL, open_bundle

    bundle = open_bundle(DEFAULT_MODEL if model is None else model)  # an unusable one ends it before the simulation
    folder = Path(out)
    table = write_culture(folder / "culture", **DEMO_CULTURE)
    made = segment(table.parent / "images", folder / "segmentation", model=bundle.path, progress=progress)
    if made.interrupted:
        raise KeyboardInterrupt
    truth = demo_truth(table, made.out / "masks")
    title = "c6seg demo: four simulated cultures"
    result = analyse([read_results(made.out)], folder, config=GrowthConfig(), title=title, truth=truth)
    return DemoResult(result, truth)


def _name_hints(name: str) -> tuple[str | None, float | None]:
    """Well and time that a file name carries; a date on the calendar is no time of an experiment."""
    from c6seg.growth.names import parse_name

    parts = parse_name(name)
    return parts.well, None if parts.absolute else parts.time_h
