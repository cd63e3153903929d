"""The loop of a watch: look, take what is whole, bring the tables up to date, wait; whatever happens, go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from c6seg import runtime
from c6seg.data.images import read_image
from c6seg.data.regions import LARGE_PX
from c6seg.errors import DataError, ImageTooLargeError, OutputError
from c6seg.inference.arrivals import Arrivals, Stamp, look, skipped, stamp_of
from c6seg.inference.live import LiveBatch
from c6seg.inference.making import why_not
from c6seg.inference.status import LiveStatus

__all__ = ["Watcher"]

BUSY_S = 10.0
"""While images wait for their turn, tables and report are written at most this often."""

REST_S = 15.0
"""After so long without a new image the report is made in full, with the parts that a quick one leaves as they were."""

RETRY_S = (2.0, 30.0)
"""First and longest pause between two tries while results cannot be written."""

FULL_S = 300.0
"""Where no such rest comes, it is made in full after so long."""

THOROUGH_S = 2.0
"""Whether files that are done have changed is asked this often; new ones are looked for all the time."""

LOOKING = 0.1
"""Most of the time that goes into looking while there is nothing to do."""

MOST_NOTES = 100


S = TypeVar("S", bound=LiveStatus)


class _Stopped(Exception):
    """The watch shall end while a file is at work."""


class _Changed(Exception):
    """A file is not as it was seen any more."""


class Watcher(Generic[S]):
    """Keeps the results of a folder up to date.

    Parameters
    ----------
    live
        The images and their results.
    arrivals
        What was seen of the folder.
    status
        To begin with.
    after
        Called when the tables are written, with whether it shall be quick; gives changes of the status.
    rehearse
        Called at the start if there is no image yet: what comes after the first one shall not be slow.
    stop
        Set to end it.
    report
        Called after everything that happens.
    """

    def __init__(
        self,
        live: LiveBatch,
        arrivals: Arrivals,
        status: S,
        *,
        after: Callable[[bool], Mapping[str, Any]],
        rehearse: Callable[[], None],
        stop: threading.Event,
        report: Callable[[S], None],
    ) -> None:
        self.live, self.arrivals, self.status = live, arrivals, status
        self._after, self._rehearse, self._stop, self._report = after, rehearse, stop, report
        self._skip = skipped(live.folder, live.out)
        self._away = self._full = ""  # what is wrong with the watched folder, with writing
        self._retry_at = self._retry_s = 0.0
        self._behind, self._rough = True, False  # the tables lack something; the report was made quickly
        self._updated = self._active = self._full_at = time.monotonic()
        self._look_s = self._thorough_at = 0.0
        self._changed_at: float | None = None

    def run(self, poll_s: float, until_idle_s: float | None) -> S:
        """Watch until ``stop`` is set or nothing has happened for ``until_idle_s``.

        Raises
        ------
        OutputError
            The results cannot be written at the end, or the output folder was moved away.
        ModelError
            The model fails.
        """
        self._look()
        self._warm_up()
        while not self._stop.is_set():
            self._look()
            now = time.monotonic()
            due = [] if self._away or now < self._retry_at else self.arrivals.due(now)
            if due:
                self._take(due[0], len(due))
            self._keep_up(len(due))
            if due:
                continue
            if until_idle_s is not None and time.monotonic() - self._active >= until_idle_s:
                self._look(thorough=True)
                if time.monotonic() - self._active >= until_idle_s:
                    break
            trouble = bool(self._away or self._full)
            self._tell(state="problem" if trouble else "waiting", queue=0)
            self._stop.wait(max(poll_s, self._look_s / LOOKING, RETRY_S[0] if trouble else 0))
        return self._end()

    def _keep_up(self, due: int) -> None:
        """Bring the tables up to date, unless another file comes first."""
        now = time.monotonic()
        if now < self._retry_at:
            return
        if self._behind and (due < 2 or now - self._updated > BUSY_S):
            self._update(quick=True)
        elif self._rough and not due and (now - self._active > REST_S or now - self._full_at > FULL_S):
            self._update(quick=False)

    def _look(self, *, thorough: bool = False) -> None:
        started = time.monotonic()
        thorough = thorough or started >= self._thorough_at
        try:
            found = look(self.live.folder, skip=self._skip, known=None if thorough else self.arrivals.known)
        except OSError as error:
            self._away = (
                f"'{self.live.folder}' cannot be reached ({error.strerror or error}); waiting for it to be back"
            )
            return
        self._away = ""
        now = time.monotonic()
        if thorough:
            self._thorough_at = now + max(THOROUGH_S, (now - started) / LOOKING)
        else:
            self._look_s = now - started
        if self.arrivals.see(found, now):
            self._active = now
            for path in self.live.orphans():
                self.arrivals.again(path)
            for path in self.arrivals.due(now):
                stamp = self.arrivals.stamp(path)
                if stamp is not None and self.live.remembers(path, stamp):
                    self.arrivals.done(path, stamp)

    def _warm_up(self) -> None:
        """Where nothing waits, do for nothing what is slow when it is done first, such as a network at a new size."""
        paths = self.arrivals.present
        if not paths:
            self._rehearse()
        if not paths or self.arrivals.due(time.monotonic()):
            return
        newest = max(paths, key=lambda path: (self.arrivals.stamp(path) or Stamp(0, 0)).mtime_ns)
        limit = min(LARGE_PX, self.live.segmenter.config.max_pixels)  # a larger one is not to be segmented for nothing
        try:
            self.live.segmenter.segment(read_image(newest, max_pixels=limit))
        except Exception as error:  # noqa: BLE001 (it will be told of when it matters)
            why_not(error, newest)

    def _take(self, path: Path, waiting: int) -> None:
        """Take in one file; what is wrong with it is a matter of this file only."""
        stamp = self.arrivals.stamp(path)
        if stamp is None:
            return
        self._tell(state="working", queue=waiting)
        try:
            added = self.live.add(path, stamp, tell=self._go_on, ready=partial(self._ready, path, stamp))
        except _Stopped:
            return
        except _Changed:
            self.arrivals.restless(path)
            return
        except OutputError as error:
            self._cannot_write(error)
            return
        except Exception as error:  # noqa: BLE001 (what concerns more than this file is raised again)
            self._failed(path, stamp, error)
            return
        self._active = time.monotonic()
        if added.how == "refused":
            self.arrivals.failed(path, stamp, added.note)
        else:
            self.arrivals.done(path, stamp)
        if added.how == "made":
            for other in self.live.out_of_scale():
                self.arrivals.again(other)
        self._behind = True
        self._changed_at = stamp.mtime_ns / 1e9 if added.how == "made" else None
        notes = (*self.status.notes, *([added.note] if added.note else []))[-MOST_NOTES:]
        self._tell(last=added, notes=notes, made=self.status.made + (added.how == "made"), seconds=None)

    def _failed(self, path: Path, stamp: Stamp, error: Exception) -> None:
        reason = why_not(error, path)
        # a file may be half-written, locked by its writer, or not yet arrived on a share; nothing else gets better
        may_improve = isinstance(error, DataError | OSError) and not isinstance(error, ImageTooLargeError)
        if may_improve and not self.arrivals.not_whole(path, stamp, reason, time.monotonic()):
            return
        self.arrivals.failed(path, stamp, reason)
        self._active = time.monotonic()
        self._behind = True
        try:
            self.live.discard(path)
        except OutputError as trouble:
            self._cannot_write(trouble)

    def _ready(self, path: Path, stamp: Stamp) -> None:
        """Wait until the file has stood still for long enough; the network has run meanwhile."""
        while (rest_s := self.arrivals.rest_s(path, time.monotonic())) > 0:
            if self._stop.wait(rest_s):
                raise _Stopped
        if stamp_of(path) != stamp:
            raise _Changed

    def _go_on(self, part: float) -> None:
        if part < 1 and self._stop.is_set():
            raise _Stopped

    def _update(self, *, quick: bool) -> None:
        """Write the tables and what comes after them."""
        try:
            self.live.tables(self.arrivals.failures, complete=False)
            changes = self._after(quick)
        except OutputError as error:
            self._cannot_write(error)
            return
        self._full, self._behind, self._rough, self._retry_s = "", False, quick, 0.0
        self._updated = time.monotonic()
        if not quick:
            self._full_at = self._updated
        if self._changed_at is not None:
            changes = {**changes, "seconds": max(0.0, time.time() - self._changed_at)}
            self._changed_at = None
        self._tell(**changes)

    def _cannot_write(self, error: OutputError) -> None:
        if error.errno is None:  # it will not get better by waiting
            raise error
        self._full = f"{error.strerror or error} Waiting until it can be written."
        self._behind = True
        self._retry_s = min(RETRY_S[1], 2 * self._retry_s or RETRY_S[0])
        self._retry_at = time.monotonic() + self._retry_s
        runtime.logger.debug("cannot write", exc_info=error)

    def _end(self) -> S:
        for path, reason in self.arrivals.waiting.items():
            stamp = self.arrivals.stamp(path)
            if stamp is not None:
                self.arrivals.failed(path, stamp, f"{reason} It was so when the watch ended.")
        self.live.tables(self.arrivals.failures, complete=True)
        changes = self._after(False) if self._behind or self._rough else {}
        self._tell(state="stopped", queue=0, **changes)
        return self.status

    def _tell(self, **changes: Any) -> None:
        known = {
            "images": len(self.live),
            "problem": self._away or self._full,
            "unfinished": self.arrivals.waiting,
            "failures": self.arrivals.failures,
        }
        self.status = replace(self.status, **{**known, **changes})
        self._report(self.status)
