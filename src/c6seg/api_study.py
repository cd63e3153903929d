"""The verbs of ``c6seg study``; :mod:`c6seg.api` offers them too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from c6seg.data.matching import ScaleMatch
    from c6seg.studies.forecast import Forecast
    from c6seg.studies.jobs import Job
    from c6seg.studies.plan import Plan
    from c6seg.studies.reporting import Report
    from c6seg.studies.runner import Outcome
    from c6seg.studies.spec import StudySpec

PathLike = str | Path
Progress = Callable[[float, int, str], None]


def list_studies() -> list[StudySpec]:
    """Return the studies that come with c6seg: the paper's experiments."""
    from c6seg.studies import files

    return [files.load_study(name) for name in files.list_studies()]


def read_study(study: PathLike, *, overrides: Sequence[str] = ()) -> list[StudySpec]:
    """Read a study and those that it includes, the included ones first.

    Parameters
    ----------
    study
        Name of one that comes with c6seg, or a YAML file.
    overrides
        ``key=value`` texts, such as ``splits.repeats=2``.

    Raises
    ------
    ConfigError
        Unknown study, key or value; the nearest name is offered.
    """
    from c6seg.studies.files import load_study, with_included

    return with_included(load_study(study, list(overrides)), list(overrides))


def plan_study(
    study: PathLike,
    *,
    data: Sequence[PathLike] = (),
    out: PathLike | None = None,
    overrides: Sequence[str] = (),
) -> Plan:
    """List the runs of a study; nothing is trained. Data that are not there are assumed and listed as missing.

    Parameters
    ----------
    study
        Name of one that comes with c6seg, or a YAML file.
    data
        A folder that the study's paths are relative to, ``NAME=PATH`` texts, or one path for each data set.
    out
        Output folder, where hashes of files are kept and simulated data sets lie.
    overrides
        ``key=value`` texts.

    Raises
    ------
    C6segError
        A study that cannot be read, or that does not fit the data.
    """
    from c6seg.studies.build import make_plan
    from c6seg.studies.data import Finder, data_names, missing_splits

    specs = read_study(study, overrides=overrides)
    folder = None if out is None else Path(out)
    return make_plan(specs, Finder(data, folder, data_names(specs), missing_splits(specs)))


def run_study(
    study: PathLike,
    out: PathLike,
    *,
    data: Sequence[PathLike] = (),
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    retry: bool = False,
    skip_missing: bool = False,
    ray: str | None = None,
    cpus: float = 1,
    gpus: float = 0,
    progress: Progress | None = None,
) -> tuple[Outcome, list[Report]]:
    """Do the runs of a study that are not done, and write its report. The same call again goes on.

    Parameters
    ----------
    study, data, overrides
        As in :func:`plan_study`.
    out
        Output folder; studies that share it share their runs.
    only
        ``KEY=VALUE`` texts: values of factors, or ``split=NAME``; a key given twice allows both.
    retry
        Do failed runs again.
    skip_missing
        Leave out trainings whose weights at the start are not on this machine.
    ray
        Address of a Ray cluster (``auto`` = the one of this machine); None = do the runs here, one after the other.
    cpus, gpus
        What a run takes of the cluster.
    progress
        Called with (runs done, runs in all, what is being done).

    Returns
    -------
    tuple[Outcome, list[Report]]
        How the runs ended, and the report of each study.

    Raises
    ------
    C6segError
        Something is wrong with the study, the data or the output folder; then nothing was started.
    """
    from c6seg.cluster import Resources
    from c6seg.studies.carry_out import carry_out

    folder = Path(out)
    plan = plan_study(study, data=data, out=folder, overrides=overrides)
    cluster = None if ray is None else (ray, Resources(cpus, gpus))
    outcome = carry_out(
        plan, folder, only=only, retry=retry, skip_missing=skip_missing, cluster=cluster, progress=progress
    )
    return outcome, report_study(study, out, overrides=overrides)


def report_study(study: PathLike, out: PathLike, *, overrides: Sequence[str] = ()) -> list[Report]:
    """Write the tables and figures of a study from what is done so far; no data are needed.

    Parameters
    ----------
    study
        Name of one that comes with c6seg, or a YAML file.
    out
        Output folder of its runs.
    overrides
        ``key=value`` texts.

    Raises
    ------
    DataError
        The study was not begun in this folder.
    """
    from c6seg.studies.reporting import report_of

    return [report_of(Path(out), spec) for spec in read_study(study, overrides=overrides)]


def study_recipe(study: PathLike, out: PathLike, *, only: Sequence[str] = (), overrides: Sequence[str] = ()) -> str:
    """Give the configuration that the validation images of a study choose as a recipe for a training of its own.

    Parameters
    ----------
    study, out, overrides
        As in :func:`report_study`.
    only
        ``KEY=VALUE`` texts: values of factors that may be chosen. No divisions: the choice is over all of them.

    Returns
    -------
    str
        YAML for ``c6seg train --recipe``; a pre-training is named by the path of its bundle.

    Raises
    ------
    DataError
        The study was not begun in this folder, or there is nothing to choose from yet.
    UsageError
        Its configurations cannot all be compared with each other; ``only`` must say which. Or ``only`` names an unknown
        factor or value, or a division.
    """
    from c6seg.studies.choice import recipe_of
    from c6seg.studies.grid import choose
    from c6seg.studies.results import read_plan

    spec = read_study(study, overrides=overrides)[-1]
    values, _ = choose([spec], only, divisions=False)
    return recipe_of(Path(out), read_plan(Path(out), spec.name), values)


def forecast_study(
    study: PathLike,
    *,
    data: Sequence[PathLike] = (),
    out: PathLike | None = None,
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    measure: bool = True,
    tell: Callable[[str], None] | None = None,
) -> tuple[Plan, list[Job], Forecast]:
    """List the runs of a study and what they will cost on this machine.

    Parameters
    ----------
    study, data, out, overrides
        As in :func:`plan_study`; what is done in ``out`` costs nothing more.
    only
        ``KEY=VALUE`` texts, as in :func:`run_study`.
    measure
        Probe the time of a step and count its memory for each kind of training; else the runs are only listed.
    tell
        Called with what is being probed.

    Returns
    -------
    tuple[Plan, list[Job], Forecast]
        The plan, the runs that were asked for, and their costs.

    Raises
    ------
    C6segError
        As in :func:`plan_study`; or the extra ``train`` is needed to probe and not installed.
    """
    from c6seg.studies.forecast import forecast

    folder = None if out is None else Path(out)
    plan = plan_study(study, data=data, out=out, overrides=overrides)
    jobs = plan.select(only)
    return plan, jobs, forecast(jobs, folder, measure=measure, tell=tell)


def match_study(
    study: PathLike,
    *,
    data: Sequence[PathLike] = (),
    overrides: Sequence[str] = (),
    progress: Callable[[int, int, str], None] | None = None,
) -> ScaleMatch | None:
    """Measure at which fragment size the pre-training of a study shows objects as large as its target has them.

    Parameters
    ----------
    study, data, overrides
        As in :func:`plan_study`; the source is the data set of the study's first pre-training. A study that has none
        but includes others is measured by the first of these whose pre-training cuts fragments.
    progress
        Called after each image.

    Returns
    -------
    ScaleMatch | None
        None for a study without pre-training.

    Raises
    ------
    DataError
        A data set is not there, or has no annotated object.
    """
    from c6seg.studies.match import match_of

    return match_of(read_study(study, overrides=overrides), data, progress=progress)
