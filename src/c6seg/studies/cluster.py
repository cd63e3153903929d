"""Do the runs of a plan on a Ray cluster: each on some node, each once, results and ledger on a shared path."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from c6seg.cluster import Crew, Lost, Resources, connected
from c6seg.errors import OutputError
from c6seg.studies.jobs import Job
from c6seg.studies.ledger import Ledger, Record, now
from c6seg.studies.runner import Outcome, Progress, note, settled


def run_on_ray(
    jobs: Sequence[Job],
    out: Path,
    *,
    address: str,
    resources: Resources,
    retry: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Do runs on a cluster; as :func:`c6seg.studies.runner.run_here` otherwise.

    Parameters
    ----------
    jobs, retry, progress
        As there.
    out
        Output folder, on a path that all nodes see; so are the data.
    address
        Of the cluster.
    resources
        What one run takes.

    Raises
    ------
    OutputError
        Results cannot be written, or a node does not see ``out``.
    UsageError
        There is no cluster, or no node that is large enough.
    """
    ledger = Ledger(out)
    outcome = Outcome(out, total=len(jobs))
    with connected(address) as ray:
        crew = Crew(ray, _do_there, resources)
        waiting = list(jobs)
        at_work: set[str] = set()
        try:
            while waiting or crew.busy:
                waiting = _hand_out(waiting, at_work, crew, ledger, outcome, retry=retry, threads=resources.threads)
                ended = outcome.total - len(waiting) - crew.busy
                if progress is not None:
                    progress(ended, outcome.total, f"{crew.busy} handed out, {len(waiting)} waiting")
                for job, result in crew.take_in() if crew.busy else ():
                    at_work.discard(job.key)
                    note(_record(job, result, ledger), outcome)
        except KeyboardInterrupt:
            outcome.interrupted = True
        finally:
            crew.cancel()
    return outcome


def _hand_out(
    waiting: list[Job], at_work: set[str], crew: Crew, ledger: Ledger, outcome: Outcome, *, retry: bool, threads: int
) -> list[Job]:
    """Give out what can be begun; what is left waits for a run that it starts from, or for room."""
    left: list[Job] = []
    pending = set(at_work)
    for job in waiting:
        if pending & set(job.needs) or crew.busy >= crew.room:
            left.append(job)
            pending.add(job.key)
        elif not settled(job, ledger, outcome, retry=retry):
            crew.hand_out(job, job, str(ledger.out.absolute()), threads)
            at_work.add(job.key)
            pending.add(job.key)
    return left


def _record(job: Job, result: Any, ledger: Ledger) -> Record:
    """Entry of a run that came back; one whose node was lost again and again is failed."""
    if isinstance(result, Record):
        return result
    if isinstance(result, OutputError):
        raise result
    why = result.why if isinstance(result, Lost) else " ".join(str(result).split()) or type(result).__name__
    before = ledger.read(job.key)
    attempts = 1 if before is None else before.attempts
    record = Record(job.key, job.title, "failed", attempts=attempts, error=why, traceback=repr(result), ended=now())
    ledger.write(record)
    return record


def _do_there(job: Job, out: str, threads: int) -> Record:
    """Do one run on a node."""
    from c6seg.studies.work import do_job

    folder = Path(out)
    if not (folder / "ledger" / "format.json").is_file():
        raise OutputError(
            f"Node {platform.node()} does not see '{out}': results must lie on a path that all nodes share."
        )
    return do_job(job, folder, threads=threads)
