"""Carry a plan out: check that all is there, make simulated data, do the runs here or on a cluster, measure data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from c6seg.cluster import Resources
from c6seg.studies.data import make_simulated
from c6seg.studies.ledger import Ledger, locked
from c6seg.studies.plan import Plan
from c6seg.studies.results import write_plans
from c6seg.studies.runner import Outcome, Progress, run_here
from c6seg.studies.sheets import write_sheets


def carry_out(
    plan: Plan,
    out: Path,
    *,
    only: Sequence[str] = (),
    retry: bool = False,
    skip_missing: bool = False,
    cluster: tuple[str, Resources] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Do the runs of a plan that are not done.

    Parameters
    ----------
    plan
        The plan.
    out
        Output folder.
    only, retry, skip_missing, progress
        As in :func:`c6seg.api_study.run_study`.
    cluster
        Address of a Ray cluster, and what one run takes of it; None = here.

    Raises
    ------
    C6segError
        Something is not there, the output folder cannot be used, or another process works in it; nothing was started
        and what lies there is as it was.
    """
    jobs = plan.select(only, skip_missing=skip_missing)
    plan.require(jobs)
    ledger = Ledger(out)
    with locked(ledger.folder, what="this study"):
        write_plans(plan, out)
        places = {place for job in jobs for place in job.places}
        for source in plan.sources:
            if source.place in places:
                make_simulated(source)
        if cluster is None:
            outcome = run_here(jobs, out, retry=retry, progress=progress)
        else:
            from c6seg.studies.cluster import run_on_ray

            address, resources = cluster
            outcome = run_on_ray(jobs, out, address=address, resources=resources, retry=retry, progress=progress)
        if not outcome.interrupted:
            _measure(plan, out)
    return outcome


def _measure(plan: Plan, out: Path) -> None:
    """Write the data sheets that studies ask for."""
    for spec in plan.specs:
        if spec.sheets:
            sources = [next(s for s in plan.sources if s.name == name) for name in spec.sheets]
            write_sheets(sources, out / spec.name, out, published=spec.report.published)
