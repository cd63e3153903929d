"""``c6seg data``: the data doctor, the data sheet, conversion, divisions."""

from __future__ import annotations

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from c6seg.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Look at, check, convert and divide annotated data sets.")

Data = Annotated[Path, typer.Argument(metavar="PATH", help="Folder (or export file) of the data set.")]
Layout = Annotated[str, typer.Option(help="Layout of the data set; auto = look.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


class Finding(Protocol):
    """What the doctor tells of one problem."""

    severity: str
    file: Path
    problem: str
    advice: str
    rule: str


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

    with _progress("checking") as progress:
        findings = api.check_data(path, layout=layout, progress=progress)
    if as_json:
        _write_json([{**_fields(finding), "file": str(finding.file)} for finding in findings])
    else:
        _show_findings(findings, path, everything=everything)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(1)


@app.command(
    epilog="Example: c6seg data describe my-data --json > sheet.json",
    help="Measure a data set: sizes, channels, pixel size, number and size of the objects, covered area.",
)
def describe(path: Data, layout: Layout = "auto", as_json: AsJson = False) -> None:
    """Write the data sheet."""
    from c6seg import api

    with _progress("measuring") as progress:
        sheet = api.describe_data(path, layout=layout, progress=progress)
    if as_json:
        _write_json(sheet.as_dict())
    else:
        _write_table(sheet.rows(), None)
    if sheet.unreadable:
        raise typer.Exit(1)


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

    with _progress("converting") as progress:
        result = api.convert_data(source, destination, layout=layout, force=force, progress=progress)
    _write(f"{len(result.written)} images with masks written to {result.folder}")
    if result.unannotated:
        _write(f"{len(result.unannotated)} images without annotation left out")
    for name, reason in result.failures:
        _write(f"FAILED  {name}: {reason}")
    if result.failures:
        raise typer.Exit(1)


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

    with _progress("comparing") as progress:
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
    _write(
        f"{len(splits)} divisions ({splits[0].name} to {splits[-1].name}) of {len(first.train)} training, "
        f"{len(first.val)} validation and {len(first.test)} test images written to {file}"
    )


def parse_counts(text: str) -> tuple[int, int, int]:
    """Read ``15/5/10``; a :class:`UsageError` says how to write it."""
    parts = text.split("/")
    if len(parts) != 3 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"--counts {text!r} is not TRAIN/VAL/TEST. Write three whole numbers such as 15/5/10.")
    train, val, test = (int(part) for part in parts)
    return train, val, test


def _show_findings(findings: Sequence[Finding], root: Path, *, everything: bool) -> None:
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
    _write(", ".join(words) if findings else f"Nothing is wrong with {root}")


def _short(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file != root and file.is_relative_to(root) else str(file)


def _fields(finding: Finding) -> dict[str, Any]:
    return {key: getattr(finding, key) for key in ("severity", "file", "rule", "problem", "advice")}


def _write(text: str) -> None:
    typer.echo(text)


def _write_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _write_table(rows: list[tuple[str, ...]] | list[tuple[str, str]], titles: tuple[str, ...] | None) -> None:
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


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on stderr where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
