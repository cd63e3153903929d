"""The command line: ``c6seg VERB``. It parses, calls :mod:`c6seg.api` and shows the result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import c6seg
from c6seg.interfaces import cli_data, cli_download, cli_growth, cli_models, cli_study, cli_train, cli_watch
from c6seg.interfaces.cli_base import (
    ENGINE,
    HELP_NAMES,
    SOME_FAILED,
    WRONG_USE,
    Interrupted,
    progress_bar,
    quiet,
    run,
    say,
    warn,
)

app = typer.Typer(
    name="c6seg",
    help="From phase-contrast photographs of living cells to masks, confluence, growth curves and doubling times.",
    epilog="Start with:  c6seg demo      Then:  c6seg segment IMAGES --out RESULTS",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=HELP_NAMES,
)
cli_download.add_to(cli_data.app)
app.add_typer(cli_data.app, name="data")
app.add_typer(cli_models.app, name="models")
app.add_typer(cli_study.app, name="study")


def main() -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(run(app, sys.argv[1:]))


def _version(value: bool) -> None:
    if value:
        typer.echo(f"c6seg {c6seg.__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command("demo", epilog="Example:  c6seg demo --out c6seg-demo")
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for results.")] = Path("c6seg-demo"),
    model: Annotated[str | None, typer.Option(metavar="NAME_OR_DIR", help="Another model.")] = None,
) -> None:
    """Show the main job on simulated cultures of four wells: masks, growth curves, report, beside the truth.

    Needs no network, no images and no graphics card; done in less than a minute on two cores.
    """
    from c6seg import api

    warn(f"Simulating four wells and segmenting them with {model or 'the embedded model'} ...")
    with progress_bar("Segmenting") as progress:
        result = api.demo(out, model=model, progress=progress)
    say("well  doubling time (95 % interval)   simulated truth   mask Dice")
    for series, fit in zip(result.growth.series, result.growth.fits, strict=True):
        truth = result.truth[series.name]
        number = "no number"
        if fit.doubling_time_h is not None:
            number = f"{fit.doubling_time_h:.1f} h ({fit.lower:.1f} to {fit.upper:.1f})"
        real = "does not grow" if truth.doubling_time_h is None else f"{truth.doubling_time_h:.1f} h"
        dice = "" if truth.dice is None else f"{truth.dice:.3f}"
        say(f"{series.name:<4}  {number:<31}   {real:<15}   {dice}")
    say(f"Report: {result.growth.report}")


@app.command("segment", epilog="Example:  c6seg segment plate1/ --out results --pixel-size 0.65")
def segment(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Images, folders, patterns, series.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME_OR_DIR", help="Model; the one that comes with c6seg if left out.")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="Edge of a pixel in um; overrides what the file says.")
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="How images come to the scale of the model: auto (by pixel size, else estimated), pixel-size, native.",
        ),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="For small computers: the network sees 704x512 pixels at most.")
    ] = False,
    flips: Annotated[
        bool, typer.Option("--flips", help="Mean over the four flips of the image: takes four times as long.")
    ] = False,
    clusters: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="Dense clusters of dead or detached cells: include (part of the mask), exclude, or report (apart).",
        ),
    ] = None,
    cluster_model: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_DIR", help="Model of another pre-training: clusters are where the two disagree."),
    ] = None,
    objects: Annotated[
        bool, typer.Option("--objects", help="Part touching cells and count them: an estimate, worse in dense layers.")
    ] = False,
    ensemble: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME_OR_DIR", help="Further model: the mean of all is taken; repeatable."),
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
    export: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Outlines, too: imagej, geojson (QuPath), coco; with commas.")
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders of folders.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over instead of continuing.")] = False,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Do the images on a Ray cluster; auto = that of this machine.")
    ] = None,
    cpus: Annotated[float, typer.Option(metavar="N", help="Processors of the cluster for each shard of images.")] = 1,
) -> None:
    """Find the cells in images: masks, overlays and a table with the confluence of each.

    Writes masks/, overlays/, measurements.csv and manifest.json, and failures.csv if an image could not be used.
    The same command again continues where it was stopped.
    """
    from c6seg import api

    config: dict[str, Any] = {
        "pixel_size_um": pixel_size,
        "scale": scale,
        "fast": fast or None,
        "flips": flips or None,
        "clusters": clusters,
        "cluster_model": cluster_model,
        "objects": objects or None,
        "ensemble": ensemble or None,
        "threshold": threshold,
        "engine": engine,
        "precision": precision,
        "memory_mb": memory,
        "max_pixels": max_pixels,
        "overlays": overlays,
    }
    with progress_bar("Segmenting") as progress:
        result = api.segment(
            inputs,
            out,
            model=model,
            config={key: value for key, value in config.items() if value is not None},
            recursive=recursive,
            force=force,
            progress=progress,
            export=export or (),
            ray=ray,
            cpus=cpus,
        )
    _summary(result)


def _summary(result: Any) -> None:
    """Say what was done and end with the exit code that it deserves."""
    done = len(result.inputs)
    failed = len(result.failures)
    if failed > 1 or (failed and result.interrupted):
        for _, reason in result.failures:
            warn(f"failed: {reason}")
    if result.interrupted:
        raise Interrupted(f"stopped by Ctrl-C; {done} images are in '{result.out}'. The same command continues.")
    if done:
        mean = sum(row["confluence"] for row in result.rows) / len(result.rows)
        before = f", {result.resumed} of them before" if result.resumed else ""
        frames = f" ({len(result.rows)} frames)" if len(result.rows) != done else ""
        say(f"{done} image{'s' * (done != 1)}{frames} segmented{before}; mean confluence {100 * mean:.1f} %")
        say(f"Results: {result.out}")
    if failed:
        if failed == 1:
            warn(f"c6seg: 1 of {done + 1} images could not be segmented: {result.failures[0][1]}")
        elif not quiet():
            table = result.out / "failures.csv"
            warn(f"c6seg: {failed} of {done + failed} images could not be segmented; see '{table}'")
        raise typer.Exit(SOME_FAILED if done else WRONG_USE)


cli_train.add_to(app)


@app.command("evaluate", epilog="Example:  c6seg evaluate --data my-data --split splits.json:split00 --out scores.csv")
def evaluate(
    data: Annotated[str, typer.Option(metavar="PATH", help="Annotated data set: folder or export file.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.csv", help="Table; FILE.summary.json beside it.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME_OR_DIR", help="Model; the one that comes with c6seg if left out.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="FILE:NAME", help="Score a division's test images; FILE:NAME/val for others.")
    ] = None,
    input_size: Annotated[
        str, typer.Option(metavar="WxH", help="Size at which the network sees images; native; model = its own scale.")
    ] = "native",
    score_size: Annotated[str, typer.Option(metavar="WxH", help="Size at which is scored, or native.")] = "native",
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="Edge of a pixel in um, for --input-size model.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="P", help="Probability from which a pixel is cell; the model's if left out.")
    ] = None,
    engine: Annotated[str | None, ENGINE] = None,
    precision: Annotated[str | None, typer.Option(metavar="NAME", help="auto, bf16, f32 or int8.")] = None,
    layout: Annotated[str, typer.Option(help="Layout of the data set; auto = look.")] = "auto",
) -> None:
    """Score a model against annotated images: Dice by the paper's equation (2), and more, one row per image.

    Writes FILE.csv and FILE.summary.json with means, standard deviations and 95 % bootstrap intervals. Images that
    could not be scored are listed there and counted; then the exit code is 1.
    """
    from c6seg import api

    options = {"pixel_size_um": pixel_size, "threshold": threshold, "engine": engine, "precision": precision}
    with progress_bar("Scoring") as progress:
        evaluation = api.evaluate(
            data,
            model=model,
            split=split,
            input_size=input_size,
            score_size=score_size,
            out=out,
            config={key: value for key, value in options.items() if value is not None},
            layout=layout,
            progress=progress,
        )
    cli_data.show_evaluation(evaluation, out)


cli_growth.add_to(app)
cli_watch.add_to(app)


@app.command("doctor", epilog="Example:  c6seg doctor")
def doctor() -> None:
    """Show what this machine can do: versions, devices, precision, memory, disk, optional parts."""
    from c6seg import api

    facts = api.doctor()
    width = max(len(fact.topic) for fact in facts)
    for fact in facts:
        typer.echo(f"{fact.topic:<{width}}  {fact.text}")
        if fact.advice:
            typer.echo(f"{'':<{width}}  -> {fact.advice}")
    for bundle in api.list_models():
        typer.echo(f"{'model':<{width}}  {bundle.spec.name} {bundle.spec.version} ({bundle.origin})")
