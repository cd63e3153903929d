"""A training run from data sets to bundle: the run folder and what lies in it.

::

    RUN/config.yaml        every option as used; with split.json it repeats the run
    RUN/split.json         which images trained and which chose
    RUN/metrics.jsonl      one line per epoch
    RUN/checkpoints/       last.pt (to resume), best.pt (lowest validation loss)
    RUN/bundle/            the result
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from c6seg.config import TrainConfig
from c6seg.config_files import dump_yaml, load_config
from c6seg.data.datasets import Dataset, Item
from c6seg.data.images import probe
from c6seg.errors import C6segError, DataError, OutputError, TrainingError, UsageError
from c6seg.inference.engine import predict_pixels
from c6seg.inference.familiar import MIN_IMAGES
from c6seg.inference.familiar_set import add_familiar
from c6seg.models.bundle import Bundle, BundleSpec, open_bundle, write_bundle
from c6seg.models.encoders import find_encoder
from c6seg.models.export import export_network
from c6seg.models.network import build_network
from c6seg.runtime import logger, make_folder, provenance, seed_for, write_json, write_text
from c6seg.training.batches import Examples
from c6seg.training.fragment import with_fragment
from c6seg.training.loop import Report, Training
from c6seg.training.outcome import describe_training
from c6seg.training.validation import Validation, is_worse, validate

VALIDATION_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Annotated images in their roles.

    Parameters
    ----------
    train, val
        Images of the data set that the network is for.
    extra
        Images of additional data sets; they only train.
    sources
        Number of images by name of data set, for the card.
    """

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    extra: tuple[Item, ...] = ()
    sources: Mapping[str, int] = field(default_factory=dict)


def choose_items(
    data: Dataset, *, extra: Sequence[Dataset] = (), names: tuple[Sequence[str], Sequence[str]] | None = None, seed: int
) -> TrainingSet:
    """Give every annotated image its role.

    Parameters
    ----------
    data
        The data set that the network is for.
    extra
        Additional data sets.
    names
        Names of the training and the validation images. None: the data set's own ``train`` and ``val`` where it has
        them, else a fifth of the images, drawn by seed, validates.

    Raises
    ------
    DataError
        No or too few annotated images, or a name that is not in the data set.
    """
    annotated = _annotated(data)
    additional = [(dataset, tuple(_annotated(dataset).values())) for dataset in extra]
    if names is not None:
        missing = sorted({name for part in names for name in part} - set(annotated))
        if missing:
            raise DataError(
                f"The split names {len(missing)} images that '{data.root}' has not annotated: {missing[:5]}."
            )
        train, val = (tuple(annotated[name] for name in part) for part in names)
    else:
        train = tuple(item for item in annotated.values() if item.split == "train")
        val = tuple(item for item in annotated.values() if item.split == "val")
        if not (train and val):
            free = [name for name, item in annotated.items() if item.split != "test"]
            order = np.random.default_rng(seed_for(seed, "validation")).permutation(len(free))
            count = max(1, round(VALIDATION_SHARE * len(free)))
            val = tuple(annotated[free[number]] for number in sorted(order[:count]))
            train = tuple(annotated[free[number]] for number in sorted(order[count:]))
    if not train or not val:
        raise DataError(
            f"'{data.root}' gives {len(train)} training and {len(val)} validation images; each needs at least one."
        )
    sources: Counter[str] = Counter({data.root.stem: len(train) + len(val)})
    for dataset, items in additional:
        sources[dataset.root.stem] += len(items)
    return TrainingSet(train, val, tuple(item for _, items in additional for item in items), sources)


def run_training(
    items: TrainingSet,
    out: Path,
    config: TrainConfig,
    *,
    resume: bool = False,
    report: Report | None = None,
    accept_worse: bool = False,
    graphs: Path | None = None,
    familiar: bool = True,
) -> Bundle:
    """Train, and write ``out/bundle``.

    Parameters
    ----------
    items
        Annotated images.
    out
        Run folder.
    config
        The recipe.
    resume
        Go on with the run in ``out``; of its options only ``epochs`` may differ.
    report
        Called after each step.
    accept_worse
        Write the bundle also where a network that started from a bundle did not become better than it.
    graphs
        Folder with exported graphs that may be used again; None = export anew.
    familiar
        Write what is familiar to the model, for the flag ``unlike_training``: a run of the network on each training
        image.

    Returns
    -------
    Bundle
        The best epoch by validation loss, with the threshold tuned on the validation images.

    Raises
    ------
    OutputError
        ``out`` holds a run and ``resume`` is False.
    TrainingError
        The loss diverged, or a network that started from a bundle did not become better than it.
    """
    network, mean, std = build_network(config.network, seed=seed_for(config.seed, "initial weights"))
    preprocess = config.preprocess
    preprocess = preprocess.model_copy(update={"mean": preprocess.mean or mean, "std": preprocess.std or std})
    config = with_fragment(config.model_copy(update={"preprocess": preprocess}), items.train)
    _check_batch(config)
    _check_sizes((*items.train, *items.val, *items.extra))
    training = Training(
        network, Examples(items.train, config, extra=items.extra), Examples(items.val, config), config, out, report
    )
    accelerator = training.accelerator
    if accelerator.is_main_process:
        _open_run(out, items, config, resume=resume)
    accelerator.wait_for_everyone()
    start = _validate(training) if _starts_from_bundle(config) else None
    training.run(resume=resume)
    result = _validate(training)
    if start is not None and not accept_worse and is_worse(result, start):
        raise TrainingError(
            f"After training the validation Dice is {result.dice():.3f}, at its start from '{config.network.init}' it "
            f"was {start.dice():.3f}: no bundle was written. Try a lower learning_rate or more images."
        )
    if accelerator.is_main_process:
        spec = describe_training(
            items.train,
            items.val,
            sources=items.sources,
            out=out,
            config=config,
            result=result,
            start=start,
            epoch=training.progress.best_epoch,
        )
        bundle = _write(training, spec, graphs)
        if familiar:
            _add_familiar(bundle, items)
    accelerator.wait_for_everyone()
    return open_bundle(out.absolute() / "bundle")


def _annotated(data: Dataset) -> dict[str, Item]:
    found = {item.name: item for item in data.items if item.annotation is not None}
    left_out = len(data.items) - len(found)
    if not found:
        raise DataError(f"'{data.root}' has no annotated image. See what is wrong with: c6seg data check {data.root}")
    if left_out:
        logger.warning(
            "%d of %d images in '%s' have no annotation and are left out", left_out, len(data.items), data.root
        )
    return found


def _check_batch(config: TrainConfig) -> None:
    encoder = find_encoder(config.network.encoder)
    if config.batch != "auto" and config.batch < encoder.min_batch:
        raise UsageError(
            f"{encoder.name} cannot train with batch {config.batch}: pass --set batch={encoder.min_batch}."
        )


def _check_sizes(items: Sequence[Item]) -> None:
    """Find an annotation that does not fit its image now, rather than in the middle of the training."""
    for item in items:
        size_hw = probe(item.image).size_hw
        if item.annotation is not None and item.annotation.size_hw not in {None, size_hw}:
            item.annotation.mask(size_hw)  # raises the AnnotationError


def _open_run(out: Path, items: TrainingSet, config: TrainConfig, *, resume: bool) -> None:
    make_folder(out / "checkpoints")
    split = {"train": _names(items.train), "val": _names(items.val), "extra": len(items.extra)}
    saved = out / "config.yaml"
    if saved.is_file():
        if not resume:
            raise OutputError(f"'{out}' already holds a run. Go on with it by --resume, or choose another --out.")
        before = load_config(TrainConfig, saved)
        if before.model_copy(update={"epochs": config.epochs}) != config:
            old, new = before.model_dump(), config.model_dump()
            keys = ", ".join(key for key in new if old[key] != new[key])
            raise UsageError(
                f"The run in '{out}' was started with other options ({keys}); resume it with the same ones."
            )
        if json.loads((out / "split.json").read_text(encoding="utf-8")) != split:
            raise UsageError(f"The run in '{out}' was started with other images; resume it with the same data.")
        write_text(saved, dump_yaml(config))
        return
    write_json(out / "split.json", split)
    write_json(out / "run.json", provenance())
    write_text(saved, dump_yaml(config))


def _starts_from_bundle(config: TrainConfig) -> bool:
    return config.network.init not in {"random", "imagenet"}


def _validate(training: Training) -> Validation:
    return validate(
        training.model,
        training.val,
        batch=training.progress.batch or 4,
        loss=training.config.loss,
        device=training.accelerator.device,
    )


def _write(training: Training, spec: BundleSpec, graphs: Path | None) -> Bundle:
    from c6seg.data.synthetic import simulate_image

    # A simulated picture: a bundle that is passed on must not carry somebody's photographs.
    example = simulate_image(size_hw=(192, 192), seed=0).pixels
    # A fresh network: the trained one carries Accelerate's autocast in its forward.
    network, _, _ = build_network(training.config.network.model_copy(update={"init": "random"}))
    network.load_state_dict(training.raw.state_dict())
    with tempfile.TemporaryDirectory() as folder:
        export_network(network, Path(folder), graphs=graphs)
        bundle = training.out / "bundle"
        return write_bundle(bundle, spec=spec, source=Path(folder), example=example, predict=predict_pixels)


def _add_familiar(bundle: Bundle, items: TrainingSet) -> None:
    """Write what is familiar to the model, where there are enough images; the flag alone is no reason to fail."""
    if len(items.train) + len(items.extra) < MIN_IMAGES:
        return
    groups = {"data": [item.image for item in items.train], "extra": [item.image for item in items.extra]}
    try:
        add_familiar(bundle, {name: paths for name, paths in groups.items() if paths})
    except C6segError as error:
        logger.warning("no image will be flagged unlike_training: %s", error)


def _names(items: Sequence[Item]) -> list[str]:
    return [item.name for item in items]
