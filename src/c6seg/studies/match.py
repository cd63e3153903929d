"""Object sizes of a study's source and target: the fragment size that matches them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from c6seg.data.datasets import Dataset
from c6seg.data.facts import Progress
from c6seg.data.matching import ScaleMatch, matching_scale
from c6seg.errors import ImageNotFoundError
from c6seg.studies.data import Finder, Source, data_names, make_simulated, missing_data, open_place
from c6seg.studies.grid import settings, training
from c6seg.studies.spec import StudySpec

PAPER_HW = (1120, 1472)


def match_of(spec: StudySpec, data: Sequence[str | Path], *, progress: Progress | None = None) -> ScaleMatch | None:
    """Measure the source and the target of a study; None where it has no pre-training.

    Parameters
    ----------
    spec
        The study.
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
    if not spec.stages:
        return None
    stage = next(iter(spec.stages.values()))
    finder = Finder(data, None, data_names([spec]))
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
