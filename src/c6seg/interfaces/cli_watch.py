"""``c6seg watch``."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from c6seg.interfaces.cli_base import ENGINE, SOME_FAILED, quiet, say, warn
from c6seg.interfaces.cli_growth import EXCLUDE, INTERVAL, PATTERN, PLATE, growth_options
from c6seg.interfaces.cli_growth import show as show_growth

if TYPE_CHECKING:
    from c6seg.api_watch import WatchStatus

Show = Callable[["WatchStatus"], None]


def add_to(app: typer.Typer) -> None:
    """Give the verb to the program."""
    app.command("watch", epilog="Example:  c6seg watch /mnt/microscope/plate1 --out results --pixel-size 0.65")(watch)


def watch(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the microscope writes its images.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME_OR_DIR", help="Model; the one that comes with c6seg if left out.")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="Edge of a pixel in um; overrides what the file says.")
    ] = None,
    plate: Annotated[Path | None, PLATE] = None,
    interval: Annotated[float | None, INTERVAL] = None,
    pattern: Annotated[str | None, PATTERN] = None,
    exclude_flags: Annotated[str | None, EXCLUDE] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Further options of the growth analysis; flags win.")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Heading of the report.")] = None,
    until_idle: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="End when no image has come for so long.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="P", help="Probability from which a pixel is cell; the model's if left out.")
    ] = None,
    engine: Annotated[str | None, ENGINE] = None,
    precision: Annotated[str | None, typer.Option(metavar="NAME", help="auto, bf16, f32 or int8.")] = None,
    memory: Annotated[
        int | None, typer.Option(metavar="MB", help="Memory for the network; larger images are cut into tiles.")
    ] = None,
    max_pixels: Annotated[int | None, typer.Option(metavar="N", help="Refuse larger images before decoding.")] = None,
    overlays: Annotated[bool, typer.Option("--overlays/--no-overlays", help="Write pictures with outlines.")] = True,
) -> None:
    """Segment images as a microscope writes them, and keep growth curves and report up to date.

    Writes into DIR what `segment` and `growth` write; open DIR/report.html in a browser. Half-written files are waited
    for. Ctrl-C ends it when the picture at work is done, and the same command goes on; a second Ctrl-C ends it at once.
    """
    given = {
        "pixel_size_um": pixel_size,
        "threshold": threshold,
        "engine": engine,
        "precision": precision,
        "memory_mb": memory,
        "max_pixels": max_pixels,
        "overlays": overlays,
    }
    with _stop_on_signals() as stop:
        from c6seg import api

        with _progress(folder) as show:
            status = api.watch(
                folder,
                out,
                model=model,
                segment_config={key: value for key, value in given.items() if value is not None},
                growth_config=growth_options(config, interval=interval, pattern=pattern, exclude_flags=exclude_flags),
                plate=plate,
                title=title,
                until_idle_s=until_idle,
                stop=stop,
                report=show,
            )
        told = stop.is_set()
    _summary(status, told=told)


def _summary(status: WatchStatus, *, told: bool) -> None:
    """Say what was done. A watch that was told to stop is done; one that ended by itself says if images failed."""
    if status.growth is not None:
        show_growth(status.growth)
    elif status.images:
        warn(f"No growth curve yet: {status.growth_note}")
    before = f", {status.images - status.made} of them before" if 0 < status.made < status.images else ""
    say(f"{_count(status.images, 'image')}{before} in '{status.out}'")
    if status.growth is not None:
        say(f"Report: {status.growth.report}")
    if status.problem:
        warn(f"c6seg: {status.problem}")
    if status.failures and not quiet():
        files = _count(len(status.failures), "file")
        warn(f"c6seg: {files} could not be used; see '{status.out / 'failures.csv'}'")
    if (status.failures or status.problem) and not told:
        raise typer.Exit(SOME_FAILED)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C or SIGTERM sets; the second Ctrl-C is the usual one."""
    stop = threading.Event()
    before: dict[int, Any] = {}

    def handle(number: int, frame: object) -> None:
        del frame
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    try:
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            before[number] = signal.signal(number, handle)
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _progress(folder: Path) -> Iterator[Show]:
    """Give what shows the state: one calm line on a terminal, a line for each event elsewhere."""
    if quiet():
        yield lambda status: None
    elif not sys.stderr.isatty():
        yield _Lines(folder).show
    else:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        line = _Line(folder)
        with Live(line, console=console, transient=True, refresh_per_second=2) as live:
            write = partial(live.console.print, markup=False, highlight=False)
            told = _Lines(folder, write=write, pictures=False)

            def show(status: WatchStatus) -> None:
                line.status = status
                told.show(status)

            yield show


class _Line:
    """The live line: it counts the seconds itself while nothing happens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status: WatchStatus | None = None
        self.last: object = None
        self.since = time.monotonic()

    def __rich__(self) -> Any:
        from rich.text import Text

        return Text(self.text(), no_wrap=True, overflow="ellipsis")

    def text(self) -> str:
        """Images done, wells, the last image and its age, and what is being waited for."""
        status = self.status
        if status is None:
            return f"Looking into {self.folder} ..."
        if status.last is not self.last:
            self.last, self.since = status.last, time.monotonic()
        parts = [_count(status.images, "image")]
        if status.growth is not None:
            wells = {(series.plate, series.well) for series in status.growth.series if series.well}
            series = len(status.growth.series)
            parts.append(_count(len(wells), "well") if len(wells) == series else f"{series} series")
        if status.last is not None:
            parts.append(f"{_said(status)} {_age(time.monotonic() - self.since)} ago")
        if status.queue > 1:
            parts.append(f"{status.queue} to do")
        if status.unfinished:
            parts.append(f"{_count(len(status.unfinished), 'file')} not whole yet")
        if status.failures:
            parts.append(f"{len(status.failures)} failed")
        parts.append({"waiting": "waiting (Ctrl-C ends)", "working": "working"}.get(status.state, status.state))
        return " · ".join(parts)


class _Lines:
    """Plain lines: each image once, each note once, a problem when it begins and when it ends."""

    def __init__(self, folder: Path, *, write: Callable[[str], None] = warn, pictures: bool = True) -> None:
        self.write, self.pictures = write, pictures
        self.last: object = None
        self.problem = ""
        self.growth_note = ""
        self.failures: dict[Path, str] = {}
        self.waiting = f"Waiting for images in '{folder}'. Ctrl-C ends."

    def show(self, status: WatchStatus) -> None:
        """Write what is new."""
        if status.problem != self.problem:
            self.write(f"c6seg: {status.problem}" if status.problem else "c6seg: it goes on")
            self.problem = status.problem
        if status.last is not None and status.last is not self.last and status.seconds is None:
            self.last = status.last
            if status.last.note:
                self.write(status.last.note)
            if self.pictures and status.last.how == "made":
                self.write(f"{_said(status)}, {_count(status.images, 'image')}")
        for path, reason in status.failures.items():
            if self.failures.get(path) != reason:
                self.write(f"failed: {reason}")
        self.failures = dict(status.failures)
        if self.waiting and status.state == "waiting":
            self.write(self.waiting)
            self.waiting = ""


def _said(status: WatchStatus) -> str:
    last = status.last
    if last is None:
        return ""
    return last.name if last.confluence is None else f"{last.name} {100 * last.confluence:.1f} %"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
