"""``watch``: segmentation and growth of a folder that a microscope writes into."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c6seg import runtime
from c6seg.config import GrowthConfig, SegmentConfig
from c6seg.config_files import load_config
from c6seg.errors import C6segError, OutputError, UsageError
from c6seg.inference.status import LiveStatus

if TYPE_CHECKING:
    from c6seg.growth.analysis import GrowthResult
    from c6seg.growth.plates.results import PlateMap

__all__ = ["WatchStatus", "watch"]

PathLike = str | Path


@dataclass(frozen=True, slots=True)
class WatchStatus(LiveStatus):
    """Where a watch stands; the other fields are those of :class:`~c6seg.inference.status.LiveStatus`.

    Parameters
    ----------
    growth
        The newest growth analysis; None before the first.
    growth_note
        Why there is no newer one; empty where it is up to date.
    """

    growth: GrowthResult | None = None
    growth_note: str = ""


def watch(
    folder: PathLike,
    out: PathLike,
    *,
    model: PathLike | None = None,
    segment_config: SegmentConfig | Mapping[str, Any] | Path | None = None,
    growth_config: GrowthConfig | Mapping[str, Any] | Path | None = None,
    plate: PathLike | None = None,
    title: str | None = None,
    poll_s: float = 0.1,
    settle_s: float = 0.5,
    give_up_s: float = 60.0,
    until_idle_s: float | None = None,
    stop: threading.Event | None = None,
    report: Callable[[WatchStatus], None] | None = None,
) -> WatchStatus:
    """Segment images as they arrive in a folder, and keep tables, growth curves and report up to date.

    Writes what :func:`segment` and :func:`grow` write, side by side into ``out``. A file is used when it is whole; one
    that does not become whole is a failure, and is tried again when it changes. Renamed files keep their results,
    copies are not counted twice, changed files are made again, and results of files that are moved away stay. Started
    again, it goes on.

    Parameters
    ----------
    folder
        Where the microscope writes; folders in it are searched, too.
    out
        Folder to write into; it may lie in ``folder``.
    model, segment_config
        As in :func:`segment`.
    growth_config, plate, title
        ``config``, ``plate`` and ``title`` of :func:`grow`.
    poll_s
        Seconds between two looks into the folder; more where looking takes long.
    settle_s
        How long a file must stand still to be complete, seconds.
    give_up_s
        How long after its last change a file that is not whole has failed, seconds.
    until_idle_s
        End when nothing has arrived for so many seconds; None = never.
    stop
        Set it to end the watch: a picture at work is finished, a series at work is left and made when it starts again.
    report
        Called after everything that happens.

    Returns
    -------
    WatchStatus
        As it was at the end.

    Raises
    ------
    C6segError
        Wrong options, an unusable model, no such folder, another watch that writes into ``out``, or results that
        cannot be written at the end. A folder that goes away for a while and a full disk are waited for.
    """
    from c6seg.api import _name_hints
    from c6seg.growth.measure import check_flags
    from c6seg.growth.plates.map import read_plate_map
    from c6seg.inference.arrivals import Arrivals
    from c6seg.inference.live import open_live
    from c6seg.inference.segmenter import Segmenter
    from c6seg.inference.watcher import Watcher
    from c6seg.models.bundle import DEFAULT_MODEL

    source, target = Path(folder), Path(out)
    if not source.is_dir():
        raise UsageError(f"There is no folder '{source}' to watch. Check the name, or make it.")
    for name, seconds in (("poll_s", poll_s), ("until_idle_s", until_idle_s)):
        if seconds is not None and not seconds > 0:
            raise UsageError(f"{name} = {seconds} cannot be used; it is a number of seconds above 0.")
    options = (
        segment_config if isinstance(segment_config, SegmentConfig) else load_config(SegmentConfig, segment_config)
    )
    curves = growth_config
    if not isinstance(curves, GrowthConfig):
        curves = load_config(GrowthConfig, curves)
    check_flags(curves.exclude_flags)
    plate_map = None if plate is None else read_plate_map(Path(plate))
    segmenter = Segmenter(DEFAULT_MODEL if model is None else model, options)
    growth = _Growth(target, curves, title or f"Growth: {source.resolve().name}", plate_map)
    with open_live(source, target, segmenter, hints=_name_hints) as live:
        watcher = Watcher(
            live,
            Arrivals(settle_s=settle_s, give_up_s=give_up_s),
            WatchStatus(target),
            after=growth.update,
            rehearse=growth.rehearse,
            stop=stop or threading.Event(),
            report=report or (lambda status: None),
        )
        return watcher.run(poll_s, until_idle_s)


class _Growth:
    """The growth analysis beside the masks, made again and again."""

    def __init__(self, out: Path, config: GrowthConfig, title: str, plate: PlateMap | None = None) -> None:
        from c6seg.growth.analysis import GrowthCache

        self.out, self.config, self.title, self.plate = out, config, title, plate
        self.cache = GrowthCache()

    def rehearse(self) -> None:
        """Load all that a report needs, by making one of nothing."""
        from c6seg.growth.analysis import analyse, read_results

        with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(Exception):
            out = Path(scratch)
            rows = [{"image": f"A1_{hours}h", "time_h": hours, "confluence": 0.1 + 0.01 * hours} for hours in range(5)]
            runtime.write_csv(out / "measurements.csv", list(rows[0]), rows)
            analyse([read_results(out)], out, config=self.config, title=self.title)

    def update(self, quick: bool) -> dict[str, Any]:
        """Make it, or say why it cannot be made yet; it never ends a watch.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        from c6seg.growth.analysis import analyse, read_results

        options: dict[str, Any] = {"config": self.config, "title": self.title, "plate": self.plate}
        try:
            result = analyse([read_results(self.out)], self.out, **options, cache=self.cache, quick=quick)
        except OutputError:
            raise
        except C6segError as error:  # too few images, or no times
            return {"growth_note": str(error)}
        except Exception as error:  # noqa: BLE001 (masks and tables go on)
            runtime.logger.debug("growth failed", exc_info=True)
            what = f"unexpected {type(error).__name__}: {error}"
            return {"growth_note": f"{what}. This is a fault of c6seg: please report it."}
        return {"growth": result, "growth_note": ""}
