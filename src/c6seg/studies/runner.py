"""Do the runs of a plan on this machine, one after the other, each once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from c6seg.studies.jobs import Job
from c6seg.studies.ledger import Ledger, Record
from c6seg.studies.work import do_job, is_done

Progress = Callable[[float, int, str], None]
"""(runs done, runs in all, what is being done)."""


@dataclass
class Outcome:
    """How the runs of a plan ended.

    Parameters
    ----------
    out
        Output folder.
    total
        Runs that were asked for.
    before
        Of these, done before.
    done
        Done now.
    failed
        Records of those that failed or diverged, now or before.
    blocked
        Those that start from one that failed.
    interrupted
        Whether Ctrl-C ended it.
    """

    out: Path
    total: int = 0
    before: int = 0
    done: int = 0
    failed: list[Record] = field(default_factory=list)
    blocked: list[Job] = field(default_factory=list)
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether every run that was asked for is done."""
        return self.before + self.done == self.total


def run_here(jobs: Sequence[Job], out: Path, *, retry: bool = False, progress: Progress | None = None) -> Outcome:
    """Do runs in this process; the caller holds the ledger.

    Parameters
    ----------
    jobs
        In an order in which what a run needs stands before it.
    out
        Output folder; what is done there is not done again.
    retry
        Do failed runs again.
    progress
        Called when something new is being done.

    Raises
    ------
    OutputError
        Results cannot be written.
    DataError
        The ledger was written by another version.
    """
    ledger = Ledger(out)
    outcome = Outcome(out, total=len(jobs))
    show = progress or (lambda done, total, text: None)
    for number, job in enumerate(jobs):

        def tell(text: str, number: int = number) -> None:
            show(number, len(jobs), text)

        if settled(job, ledger, outcome, retry=retry):
            continue
        try:
            note(do_job(job, out, tell=tell), outcome)
        except KeyboardInterrupt:
            outcome.interrupted = True
            break
    show(len(jobs), len(jobs), "")
    return outcome


def settled(job: Job, ledger: Ledger, outcome: Outcome, *, retry: bool) -> bool:
    """Whether there is nothing to do for a run; the outcome hears why."""
    lost = {record.key for record in outcome.failed} | {blocked.key for blocked in outcome.blocked}
    if lost & set(job.needs):
        outcome.blocked.append(job)
        return True
    if is_done(job, ledger):
        outcome.before += 1
        return True
    record = ledger.read(job.key)
    if record is not None and record.state in {"failed", "diverged"} and not retry:
        outcome.failed.append(record)
        return True
    return False


def note(record: Record, outcome: Outcome) -> None:
    """Count a run that ended."""
    if record.state == "done":
        outcome.done += 1
    else:
        outcome.failed.append(record)
