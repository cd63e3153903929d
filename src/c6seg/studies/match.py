"""Object sizes of a study's source and target: the fragment size that matches them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from c6seg.data.datasets import Dataset
from c6seg.data.facts import Progress
from c6seg.data.matching import ScaleMatch, matching_scale
from c6seg.errors import ImageNotFoundError
from c6seg.studies.data import Finder, Source, data_names, make_simulated, missing_data, open_place
from c6seg.studies.grid import settings, training
from c6seg.studies.spec import STAGE, StudySpec

PAPER_HW = (1120, 1472)


def match_of(
    specs: Sequence[StudySpec], data: Sequence[str | Path], *, progress: Progress | None = None
) -> ScaleMatch | None:
    """Measure the source and the target of a study; None where neither it nor what it includes has a pre-training.

    Parameters
    ----------
    specs
        The study, and before it those that it includes.
    data
        As on the command line.
    progress
        Called after each image.

    Raises
    ------
    ImageNotFoundError
        A data set is not there.
    DataError
        A data set has no annotated object.
    """
    spec = matched_study(specs)
    if spec is None:
        return None
    with tempfile.TemporaryDirectory() as folder:  # simulated data sets lie there while they are measured
        return _match(spec, Finder(data, Path(folder), data_names(specs)), progress)


def matched_study(specs: Sequence[StudySpec]) -> StudySpec | None:
    """Choose the study whose pre-training is measured: the last one if it has any, else an included one.

    Of the included ones the first that cuts fragments in pre-training, which is what the measured size is for; else the
    first with a pre-training.
    """
    having = [spec for spec in specs if spec.stages]
    if not having or having[-1] is specs[-1]:
        return having[-1] if having else None
    return next((spec for spec in having if _cuts(spec)), having[0])


def _cuts(spec: StudySpec) -> bool:
    """Whether a factor of a study decides the fragments of a pre-training."""
    key = f"{STAGE}augment.fragment"
    return any(key in options for levels in spec.factors.values() for options in levels.values())


def _match(spec: StudySpec, finder: Finder, progress: Progress | None) -> ScaleMatch:
    stage = next(iter(spec.stages.values()))
    source, target = (finder.find(name, spec.data[name]) for name in (stage.data, spec.main_data))
    missing = missing_data((source, target))
    if missing:
        raise ImageNotFoundError(
            f"To measure object sizes, both data sets must be there; missing: {'; '.join(missing)}. Give --data SOURCE "
            "--data TARGET."
        )
    before = training(stage.recipe, stage.options, encoder=None)
    tuned = settings(spec)[0].config
    return matching_scale(
        _opened(source),
        _opened(target),
        input_hw=before.input_size or PAPER_HW,
        target_input_hw=tuned.input_size if tuned.fit == "resize" else None,
        progress=progress,
    )


def _opened(source: Source) -> Dataset:
    make_simulated(source)
    return Dataset(Path(source.place.path), source.place.layout, open_place(source.place))
