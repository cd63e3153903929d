"""``c6seg growth``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from c6seg.interfaces.cli_base import SOME_FAILED, progress_bar, say, warn

if TYPE_CHECKING:
    from c6seg.growth.analysis import GrowthResult

INTERVAL = typer.Option("--interval", metavar="HOURS", help="Time between frames, where nothing else says it.")
PLATE = typer.Option("--plate", metavar="FILE", help="Plate map, CSV, Excel or wellmap TOML: compares treatments.")
PATTERN = typer.Option(
    "--pattern", metavar="TEXT", help="What names mean: '{line}_{well}_{field}_{time}h', or a regular expression."
)
EXCLUDE = typer.Option(
    "--exclude-flags",
    metavar="FLAGS",
    help="Quality flags, with commas between, whose images do not count; none = all count.",
)


def add_to(app: typer.Typer) -> None:
    """Give the verb to the program."""
    app.command("growth", epilog="Example:  c6seg growth results --out growth --plate plate.csv")(growth)


def growth(
    inputs: Annotated[
        list[str], typer.Argument(metavar="DIR_OR_IMAGES", help="Folders made by `c6seg segment`, or raw images.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    plate: Annotated[Path | None, PLATE] = None,
    interval: Annotated[float | None, INTERVAL] = None,
    pattern: Annotated[str | None, PATTERN] = None,
    exclude_flags: Annotated[str | None, EXCLUDE] = None,
    wound: Annotated[bool, typer.Option("--wound", help="Look for a closing wound (scratch assay), too.")] = False,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Further options of the analysis; flags win.")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Heading of the report.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME_OR_DIR", help="For raw images: the model, as in `segment`.")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="For raw images: edge of a pixel in um, as in `segment`.")
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders of folders.")] = False,
) -> None:
    """Turn masks over time into growth curves and doubling times, or say why there are none.

    Writes report.html, growth.csv, fits.csv, growth.xlsx, report.json and figures/; with --plate also plate.csv,
    comparisons.csv and dose_response.csv, with --wound wound.csv and closures.csv. Times come from the file names, else
    from the tags of the files, else from --interval. Raw images are segmented into DIR/segmentation first.
    """
    from c6seg import api

    with progress_bar("Working") as progress:
        result = api.grow(
            inputs,
            out,
            config=growth_options(config, interval=interval, pattern=pattern, exclude_flags=exclude_flags),
            plate=plate,
            wound=wound,
            model=model,
            segment_config={} if pixel_size is None else {"pixel_size_um": pixel_size},
            recursive=recursive,
            title=title,
            progress=progress,
        )
    show(result)
    sources = dict.fromkeys(series.time_source for series in result.series)
    if interval is not None and not any("interval" in source for source in sources):
        warn(f"--interval {interval:g} was not needed: the times come from {' and '.join(sources)}")
    say(f"Report: {result.report}")
    for _, reason in result.failures:
        warn(f"failed: {reason}")
    if result.failures:
        raise typer.Exit(SOME_FAILED)


def growth_options(
    file: Path | None, *, interval: float | None, pattern: str | None, exclude_flags: str | None
) -> dict[str, Any]:
    """Put the options of a file and of the command line together; a flag wins where it is given."""
    from c6seg.config import GrowthConfig
    from c6seg.config_files import load_config

    values = {} if file is None else load_config(GrowthConfig, file).model_dump(mode="json", exclude_unset=True)
    if interval is not None:
        values["interval_h"] = interval
    if pattern is not None:
        values["pattern"] = pattern
    if exclude_flags is not None:
        flags = [flag for flag in exclude_flags.replace(",", " ").split() if flag != "none"]
        values["exclude_flags"] = flags
    return values


def show(result: GrowthResult) -> None:
    """Say what was found, a line for each wound, series, comparison and dose response; notes are warnings."""
    width = max(len(series.name) for series in result.series)
    _show_wounds(result, width)
    closing = {wound.name for wound in result.wounds if wound.kind == "closing"}
    for series, fit in zip(result.series, result.fits, strict=True):
        if series.name not in closing:  # a covered area that rises as a gap closes is not growth; a note says so
            say(f"{series.name:<{width}}  {fit.verdict}")
        for note in series.notes:
            warn(f"{series.name}: {note}")
    if result.plate is not None:
        for comparison in result.plate.comparisons:
            say(comparison.verdict)
        for dose in result.plate.doses:
            say(dose.verdict)
        if result.plate.design is not None:
            say(result.plate.design.text)
        for note in result.plate.notes:
            warn(f"plate: {note}")


def _show_wounds(result: GrowthResult, width: int) -> None:
    for wound in result.wounds:
        say(f"{wound.name:<{width}}  {wound.verdict}")
        for note in wound.notes:
            warn(f"{wound.name}: {note}")
