"""The list of runs of a study: what there is to do, in which order, and what depends on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from c6seg.errors import ImageNotFoundError, UsageError, WeightsNotFoundError, did_you_mean
from c6seg.studies.data import Source, missing_data, missing_splits
from c6seg.studies.grid import choose, matches
from c6seg.studies.jobs import Job, Point
from c6seg.studies.spec import StudySpec


@dataclass
class Plan:
    """The runs of one study or of several that share runs.

    Parameters
    ----------
    specs
        The studies, included ones first.
    sources
        Their data sets.
    jobs
        Trainings by key; what a training needs stands before it.
    points
        What the studies ask for.
    no_weights
        Key of a training -> why its weights at the start are not there.
    """

    specs: tuple[StudySpec, ...]
    sources: list[Source] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    no_weights: dict[str, str] = field(default_factory=dict)

    def require(self, jobs: Sequence[Job]) -> None:
        """Refuse to start where something is not there; everything is listed at once.

        Parameters
        ----------
        jobs
            What is to be done.

        Raises
        ------
        ImageNotFoundError
            Data are missing.
        WeightsNotFoundError
            Weights are missing.
        """
        missing = self.missing(jobs, sheets=False)
        if missing:
            raise ImageNotFoundError(
                f"{len(missing)} of the study's files are not there: {'; '.join(missing)}. Nothing was started. Say "
                "where they are: --data FOLDER, --data NAME=PATH, or --set splits.file=FILE."
            )
        without = [self.no_weights[job.key] for job in jobs if job.key in self.no_weights]
        if without:
            raise WeightsNotFoundError(
                f"{len(without)} of {len(jobs)} trainings cannot start: {' '.join(dict.fromkeys(without))} Nothing was "
                "started. Bring the weights, or leave these trainings out: --skip-missing or --only."
            )

    def missing(self, jobs: Sequence[Job] | None = None, *, sheets: bool = True) -> list[str]:
        """List the data that are not there.

        Parameters
        ----------
        jobs
            Those of some trainings; None = of all.
        sheets
            Also those that only a data sheet is made of, which holds up no training.
        """
        gone = missing_splits(self.specs)
        used = None if jobs is None else {place for job in jobs for place in job.places}
        described = {name for spec in self.specs for name in spec.sheets if sheets}
        wanted = [s for s in self.sources if used is None or s.place in used or s.name in described]
        return [*(text for text in missing_data(wanted) if text not in gone), *gone]

    def select(self, only: Sequence[str] = (), *, skip_missing: bool = False) -> list[Job]:
        """List the trainings that some configurations need, those they start from included, in the order of the plan.

        Parameters
        ----------
        only
            ``KEY=VALUE`` texts: values of factors, or ``split=NAME``.
        skip_missing
            Leave out trainings whose weights are not there, and those that start from them.
        """
        wanted, splits = choose(self.specs, only)
        names = {point.split for point in self.points}
        if splits - names:
            raise UsageError(did_you_mean(min(splits - names), names, what="division in --only"))
        keys: set[str] = set()
        for point in self.points:
            if matches(point.configuration, wanted) and (not splits or point.split in splits):
                keys |= self.closure(point.job)
        if skip_missing:
            keys = {key for key in keys if not self.closure(key) & set(self.no_weights)}
        return [job for key, job in self.jobs.items() if key in keys]

    def closure(self, key: str) -> set[str]:
        """Key of a training and of all that it starts from."""
        return {key}.union(*(self.closure(need) for need in self.jobs[key].needs))


def dependants(jobs: Mapping[str, Job]) -> dict[str, list[str]]:
    """Key of a training -> keys of those that start from it."""
    found: dict[str, list[str]] = {key: [] for key in jobs}
    for job in jobs.values():
        for need in job.needs:
            found[need].append(job.key)
    return found
