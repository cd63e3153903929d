"""``c6seg data``: the data doctor, the data sheet, conversion, divisions."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from c6seg.errors import UsageError
from c6seg.interfaces.cli_base import HELP_NAMES, SOME_FAILED, WRONG_USE, progress_bar, quiet, say, warn

app = typer.Typer(
    help="Look at, check, convert and divide annotated data sets.", no_args_is_help=True, context_settings=HELP_NAMES
)

Data = Annotated[Path, typer.Argument(metavar="PATH", help="Folder (or export file) of the data set.")]
Layout = Annotated[str, typer.Option(help="Layout of the data set; auto = look.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


FOLD = 10
"""More findings of one kind than this are shown shortened unless --all is given."""
SHOWN = 5


@app.command(
    epilog="Example: c6seg data check my-export.zip",
    help="Say what is wrong with a data set, file by file. Exit code 0: no errors, 1: errors found.",
)
def check(
    path: Data,
    layout: Layout = "auto",
    everything: Annotated[bool, typer.Option("--all", help="Show every finding of every kind.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the data doctor."""
    from c6seg import api

    with progress_bar("Checking") as progress:
        findings = api.check_data(path, layout=layout, progress=progress)
    if as_json:
        _write_json([{**_fields(finding), "file": str(finding.file)} for finding in findings])
    else:
        _show_findings(findings, path, everything=everything)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(SOME_FAILED)


@app.command(
    epilog="Example: c6seg data describe my-data --json > sheet.json",
    help="Measure a data set: sizes, channels, pixel size, number and size of the objects, covered area.",
)
def describe(path: Data, layout: Layout = "auto", as_json: AsJson = False) -> None:
    """Write the data sheet."""
    from c6seg import api

    with progress_bar("Measuring") as progress:
        sheet = api.describe_data(path, layout=layout, progress=progress)
    if as_json:
        _write_json(sheet.as_dict())
    else:
        _write_table(sheet.rows(), None)
    if sheet.unreadable:
        raise typer.Exit(SOME_FAILED)


@app.command(
    epilog="Example: c6seg data convert cvat-export.zip my-data",
    help="Write any supported layout as images/, masks/ and dataset.csv. Exit code 1: some images failed (listed).",
)
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder or export file of the data set.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="New folder.")],
    layout: Layout = "auto",
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
) -> None:
    """Convert a data set."""
    from c6seg import api

    with progress_bar("Converting") as progress:
        result = api.convert_data(source, destination, layout=layout, force=force, progress=progress)
    say(f"{len(result.written)} images with masks written to {result.folder}")
    if result.unannotated:
        say(f"{len(result.unannotated)} images without annotation left out")
    for name, reason in result.failures:
        warn(f"failed: {name}: {reason}")
    if result.failures:
        raise typer.Exit(SOME_FAILED if result.written else WRONG_USE)


@app.command(
    epilog="Example: c6seg data split my-data --counts 15/5/10 --repeats 10 --stratify",
    help="Divide a data set at random into training, validation and test images, several times: splits.json.",
)
def split(
    path: Data,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; default: splits.json in the data set.")
    ] = None,
    counts: Annotated[str, typer.Option(metavar="TRAIN/VAL/TEST", help="Images in each part.")] = "15/5/10",
    repeats: Annotated[int, typer.Option(help="Number of divisions.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed gives the same divisions.")] = 0,
    stratify: Annotated[
        bool, typer.Option("--stratify", help="Every part gets the groups of the data set in proportion.")
    ] = False,
    grouped: Annotated[bool, typer.Option("--grouped", help="Images of a group never lie in two parts.")] = False,
    layout: Layout = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Draw divisions."""
    from c6seg import api

    with progress_bar("Comparing") as progress:
        file, splits = api.split_data(
            path,
            out=out,
            counts=parse_counts(counts),
            repeats=repeats,
            seed=seed,
            stratify=stratify,
            grouped=grouped,
            layout=layout,
            force=force,
            progress=progress,
        )
    first = splits[0]
    say(
        f"{len(splits)} divisions ({splits[0].name} to {splits[-1].name}) of {len(first.train)} training, "
        f"{len(first.val)} validation and {len(first.test)} test images written to {file}"
    )


Count = Annotated[int, typer.Option(metavar="N", help="Number of pictures.")]
PictureSize = Annotated[str, typer.Option(metavar="WxH", help="Size of each picture, px.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same pictures.")]


@app.command(
    epilog="Example: c6seg data simulate simulated --count 500",
    help="Write simulated phase-contrast pictures with their masks, for training and for trying things out.",
)
def simulate(
    destination: Annotated[Path, typer.Argument(metavar="DST", help="New folder.")],
    count: Count = 100,
    size: PictureSize = "480x480",
    seed: Seed = 0,
    family: Annotated[
        str | None, typer.Option(metavar="NAME", help="Kind of culture, such as confluent or empty; all if left out.")
    ] = None,
) -> None:
    """Simulate a data set."""
    from c6seg import api

    table = api.simulate_data(destination, count=count, size=size, seed=seed, family=family)
    say(f"{count} pictures with masks: {table.parent}")


@app.command(
    epilog="Example: c6seg data compose my-data dense --split my-data/splits.json:split00",
    help="Write dense scenes made of the cells of annotated sparse photographs, for training.",
)
def compose(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Annotated data set.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="New folder.")],
    count: Count = 100,
    size: PictureSize = "512x512",
    seed: Seed = 0,
    split: Annotated[
        str | None, typer.Option(metavar="FILE:NAME", help="Take the cells of a division's training images only.")
    ] = None,
    disturbed: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Share of the scenes (0..1) with bright floating cells and uneven light."),
    ] = 0.0,
) -> None:
    """Compose a data set."""
    from c6seg import api

    with progress_bar("Composing") as progress:
        table = api.compose_data(
            source, destination, count=count, size=size, seed=seed, split=split, disturbed=disturbed, progress=progress
        )
    say(f"{count} scenes with masks: {table.parent}")


def parse_counts(text: str) -> tuple[int, int, int]:
    """Read ``15/5/10``; a :class:`UsageError` says how to write it."""
    parts = text.split("/")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--counts {text!r} is not TRAIN/VAL/TEST. Write three whole numbers such as 15/5/10.")
    train, val, test = (int(part) for part in parts)
    return train, val, test


def show_evaluation(evaluation: Any, out: Path) -> None:
    """Say how good a model is, and end with the exit code that the failures deserve."""
    for name, reason in evaluation.failures:
        warn(f"failed: {name}: {reason}")
    summary = evaluation.summary()
    if evaluation.scores:
        rows = []
        for key, values in summary["scores"].items():
            if values["mean"] is not None:
                spread = "" if values["std"] is None else f"sd {values['std']:.4f}"
                interval = "" if values["low"] is None else f"95 % {values['low']:.4f} to {values['high']:.4f}"
                rows.append((key, f"{values['mean']:.4f}", spread, interval))
        if not quiet():
            _write_table(rows, (f"mean of {summary['scored']} images", "", "", ""))
        say(f"Results: {out}")
    if evaluation.failures:
        warn(f"c6seg: {summary['failed']} of {summary['images']} images could not be scored")
        raise typer.Exit(SOME_FAILED if evaluation.scores else WRONG_USE)


def _show_findings(findings: Sequence[Any], root: Path, *, everything: bool) -> None:
    counts = Counter((finding.severity, finding.rule) for finding in findings)
    seen: Counter[tuple[str, str]] = Counter()
    rows: list[tuple[str, ...]] = []
    for finding in findings:
        kind = (finding.severity, finding.rule)
        seen[kind] += 1
        if everything or counts[kind] <= FOLD or seen[kind] <= SHOWN:
            rows.append((finding.severity.upper(), _short(finding.file, root), finding.problem, finding.advice))
        elif seen[kind] == SHOWN + 1:
            rest = f"and {counts[kind] - SHOWN} more of this kind ({finding.rule}); --all shows them"
            rows.append((finding.severity.upper(), "...", rest, ""))
    if rows:
        _write_table(rows, ("", "file", "what is wrong", "what to do"))
    totals = Counter(finding.severity for finding in findings)
    words = [f"{totals[kind]} {kind}{'s' if totals[kind] != 1 else ''}" for kind in ("error", "warning", "note")]
    say(", ".join(words) if findings else f"Nothing is wrong with {root}")


def _short(file: Path, root: Path) -> str:
    for folder in file.parents:
        # an export was unpacked into the cache, which means nothing to its owner
        if folder.parent.name == "exports" and folder.name.startswith(f"{root.stem}-"):
            return f"{root.name}/{file.relative_to(folder).as_posix()}"
    return file.relative_to(root).as_posix() if file != root and file.is_relative_to(root) else str(file)


def _fields(finding: Any) -> dict[str, Any]:
    return {key: getattr(finding, key) for key in ("severity", "file", "rule", "problem", "advice")}


def _write_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _write_table(rows: Sequence[tuple[str, ...]], titles: tuple[str, ...] | None) -> None:
    """Write a table for people at a terminal, and one line per row otherwise, for grep."""
    if not sys.stdout.isatty():
        for row in rows:
            typer.echo("\t".join(row).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=titles is not None, box=None, pad_edge=False)
    for title in titles or ("",) * len(rows[0]):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
