"""From measurements to series, fits, plates, wounds, tables, figures and the report: the whole of a growth analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c6seg.config import GrowthConfig
from c6seg.errors import UsageError
from c6seg.growth.curves import GrowthFit, fit_series
from c6seg.growth.measure import check_flags
from c6seg.growth.plates.results import PlateMap, PlateResult
from c6seg.growth.reporting.cards import digest
from c6seg.growth.reporting.desk import ReportCache
from c6seg.growth.results import (
    Library,
    MaskErrors,
    Results,
    is_results,
    lost_notes,
    mask_errors,
    model_notes,
    read_results,
    told_apart,
)
from c6seg.growth.series import Series, group_series
from c6seg.growth.timeline.interval import Calibration
from c6seg.growth.wounds.results import WoundFit
from c6seg.runtime import make_folder

if TYPE_CHECKING:
    from c6seg.growth.reporting.methods import Methods

CLOSING = "the gap of a wound closes: the covered area rises by that, and its doubling time is not that of cells"

__all__ = ["GrowthCache", "GrowthResult", "Results", "analyse", "is_results", "read_results"]


@dataclass(frozen=True, slots=True)
class GrowthResult:
    """What a growth analysis found and wrote.

    Parameters
    ----------
    out
        Output folder.
    series, fits
        The curves and what was read from them, in the same order.
    report
        Path of ``report.html``.
    failures
        (image, reason) of images that could not be segmented, where raw images were given, and of rows of a table
        that cannot be used.
    plate
        What the plate says; None where no map was given.
    wounds
        Closing wounds, where they were asked for.
    """

    out: Path
    series: tuple[Series, ...]
    fits: tuple[GrowthFit, ...]
    report: Path
    failures: tuple[tuple[str, str], ...] = ()
    plate: PlateResult | None = None
    wounds: tuple[WoundFit, ...] = ()


@dataclass(slots=True)
class GrowthCache:
    """What an analysis that is made again and again need not make again.

    Parameters
    ----------
    fits
        Hash of a series to its fit.
    report
        Finished parts of the report.
    """

    fits: dict[str, GrowthFit] = field(default_factory=dict)
    report: ReportCache = field(default_factory=ReportCache)


def analyse(
    results: Sequence[Results],
    out: Path,
    *,
    config: GrowthConfig,
    title: str,
    plate: PlateMap | None = None,
    wound: bool = False,
    truth: Mapping[str, Any] | None = None,
    failures: Sequence[tuple[str, str]] = (),
    cache: GrowthCache | None = None,
    quick: bool = False,
    progress: Callable[[float, int, str], None] | None = None,
) -> GrowthResult:
    """Fit every series, compare what a plate map names, and write tables, ``figures/`` and the report.

    Parameters
    ----------
    results
        One or more segmentation results; wells that occur in several are told apart by the line in the image names.
    out
        Folder to write into.
    config
        How curves are fitted.
    title
        Heading of the report.
    plate
        Which well got what; None = no comparisons.
    wound
        Look for a closing wound in every series, too.
    truth
        What is known to be true of simulated series, by name.
    failures
        Images that could not be segmented; carried into the result.
    cache
        Kept between analyses of one growing culture.
    quick
        Leave the figures of all series together, where ``cache`` has them, and ``growth.xlsx`` and ``report.json`` as
        they were.
    progress
        Called with (series done, series in all, name).

    Raises
    ------
    DataError, UsageError
        No usable measurement, or no times.
    OutputError
        The folder cannot be written.
    """
    kept = cache if cache is not None else GrowthCache()
    results = told_apart(results)
    library = Library(results)
    errors = mask_errors(results, config)
    series = _series(results, library, config, errors.calibration)
    series[0] = replace(series[0], notes=(*series[0].notes, *lost_notes(results, failures)))
    fits = _fits(series, config, errors, kept, progress)
    found = _plate(series, fits, plate, config)
    wounds = _wounds(series, library, config, progress) if wound else ()
    closing = {one.name for one in wounds if one.kind == "closing"}
    series = [replace(one, notes=(CLOSING, *one.notes)) if one.name in closing else one for one in series]
    failed = (*failures, *(one for result in results for one in result.lost))
    made = GrowthResult(out, tuple(series), tuple(fits), out / "report.html", failed, found, wounds)
    manifest = results[0].manifest
    methods = _methods(made, config, manifest, errors)
    _write(made, library, config, title=title, methods=methods, manifest=manifest, truth=truth, kept=kept, quick=quick)
    return made


def _methods(made: GrowthResult, config: GrowthConfig, manifest: Mapping[str, Any], errors: MaskErrors) -> Methods:
    from c6seg.growth.reporting.methods import describe_methods

    return describe_methods(
        config,
        manifest=manifest,
        time_sources=tuple(dict.fromkeys(one.time_source for one in made.series)),
        series=made.series,
        calibration=errors.calibration,
        mask_error=errors.assumed,
        plate=made.plate,
        wounds=made.wounds,
    )


def _series(
    results: Sequence[Results], library: Library, config: GrowthConfig, calibration: Calibration | None
) -> list[Series]:
    """Sort into series; dates of files are looked at only where nothing else gives a time."""
    from c6seg.growth.timeline.times import read_file_times

    rows = [row for one in results for row in one.measurements]
    check_flags(config.exclude_flags, rows)

    def group(**file_times: Any) -> list[Series]:
        return group_series(
            rows,
            interval_h=config.interval_h,
            confidence=config.confidence,
            pattern=config.pattern,
            exclude_flags=config.exclude_flags,
            calibration=calibration,
            **file_times,
        )

    try:
        series = group()
    except UsageError:
        dates = read_file_times(library.inputs(), library.noted_h())
        if not dates:
            raise
        series = group(file_times=dates)
    series[0] = replace(series[0], notes=(*series[0].notes, *model_notes(results)))
    return series


def _fits(
    series: Sequence[Series],
    config: GrowthConfig,
    errors: MaskErrors,
    kept: GrowthCache,
    progress: Callable[[float, int, str], None] | None,
) -> list[GrowthFit]:
    known = {
        "mask_error": errors.assumed,
        "mask_error_arcsine": errors.calibration.sd if errors.calibration is not None else 0.0,
    }
    marks = [digest(one, config.model_dump(mode="json"), known) for one in series]
    found: dict[str, GrowthFit] = {}
    for index, (mark, one) in enumerate(zip(marks, series, strict=True)):
        if progress is not None and len(series) > 1:
            progress(index, len(series), one.name)
        found[mark] = kept.fits.get(mark) or fit_series(one, config, **known)
    kept.fits = found
    return [found[mark] for mark in marks]


def _plate(
    series: Sequence[Series], fits: Sequence[GrowthFit], plate: PlateMap | None, config: GrowthConfig
) -> PlateResult | None:
    if plate is None:
        return None
    from c6seg.growth.plate import analyse_plate

    return analyse_plate(series, fits, plate, confidence=config.confidence)


def _wounds(
    series: Sequence[Series],
    library: Library,
    config: GrowthConfig,
    progress: Callable[[float, int, str], None] | None,
) -> tuple[WoundFit, ...]:
    from c6seg.growth.wound import analyse_wounds

    return tuple(
        analyse_wounds(
            series,
            library.mask,
            lambda image, frame: library.pixel_size_um(image),
            confidence=config.confidence,
            bootstrap=config.bootstrap,
            seed=config.seed,
            progress=progress,
        )
    )


def _write(
    made: GrowthResult,
    library: Library,
    config: GrowthConfig,
    *,
    title: str,
    methods: Methods,
    manifest: Mapping[str, Any],
    truth: Mapping[str, Any] | None,
    kept: GrowthCache,
    quick: bool,
) -> None:
    from c6seg.growth.report import write_report
    from c6seg.growth.reporting.record import write_record
    from c6seg.growth.reporting.tables import write_fits, write_growth
    from c6seg.growth.reporting.workbook import write_workbook

    out, shared = make_folder(made.out), {"series": made.series, "fits": made.fits}
    write_growth(out / "growth.csv", made.series)
    write_fits(out / "fits.csv", made.series, made.fits)
    if made.plate is not None:
        from c6seg.growth.plates.tables import write_plate_tables

        write_plate_tables(out, made.plate)
    if made.wounds:
        from c6seg.growth.wounds.tables import write_wound_tables

        write_wound_tables(out, made.wounds)
    both: dict[str, Any] = {**shared, "methods": methods, "plate": made.plate, "wounds": made.wounds, "title": title}
    if not quick:
        write_workbook(out / "growth.xlsx", **both)
        write_record(out / "report.json", **both, config=config, manifest=manifest, truth=truth, failures=made.failures)
    write_report(
        out,
        **both,
        overlays=library.overlays(made.series),
        truth=truth,
        saturation=config.saturation,
        confidence=config.confidence,
        cache=kept.report,
        quick=quick,
    )
