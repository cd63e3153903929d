"""``c6seg models``: look at, check and install models."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from c6seg.interfaces.cli_base import HELP_NAMES, progress_bar, say

app = typer.Typer(help="List, look at, check and install models.", no_args_is_help=True, context_settings=HELP_NAMES)

Name = Annotated[str, typer.Argument(metavar="NAME_OR_DIR", help="Name of a model, or folder of a bundle.")]


@app.command("list", epilog="Example:  c6seg models list")
def list_() -> None:
    """List the models that a name finds: those that come with c6seg and those you installed."""
    from c6seg import api

    bundles = api.list_models()
    if not bundles:
        say("No model is installed. Install one with: c6seg models install FOLDER")
        return
    width = max(len(bundle.spec.name) for bundle in bundles)
    for bundle in bundles:
        spec = bundle.spec
        about = spec.description.split("\n")[0] or f"U-Net, {spec.encoder}"
        typer.echo(f"{spec.name:<{width}}  {spec.version:<8}  {bundle.origin:<9}  {spec.licence}  {about}")


@app.command("info", epilog="Example:  c6seg models info unet-mobilenetv2")
def info(model: Name) -> None:
    """Show a model's card: what it is, data and licences, scores with intervals, limits."""
    from c6seg import api

    bundle = api.open_model(model)
    typer.echo((bundle.path / "README.md").read_text(encoding="utf-8").rstrip())
    typer.echo(f"\nFolder: {bundle.path}")


@app.command("check", epilog="Example:  c6seg models check my-model/")
def check(
    model: Name,
    precision: Annotated[str, typer.Option(metavar="NAME", help="f32, bf16, auto or int8.")] = "f32",
) -> None:
    """Check that no file of a model was altered and that its example still gives the stored result."""
    from c6seg import api

    difference = api.check_model(model, precision=precision)
    say(f"{model}: every file is unaltered; the example reproduces (largest difference {difference:.4f})")


@app.command("export", epilog="Example:  c6seg models export my-model/ --out my-model.onnx")
def export(
    model: Name,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PATH", help="File or, for openvino-int8, folder.")],
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help="onnx, openvino-int8 or bioimageio.")
    ] = "onnx",
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="IMAGES", help="Photographs to quantise with (openvino-int8); may be repeated."),
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(metavar="UM", help="Edge of a pixel of these in um; overrides what the files say.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
) -> None:
    """Write a model for other programs, or with its network in int8 for processors.

    onnx: the network as one file. bioimageio: a package of the BioImage Model Zoo. openvino-int8: a bundle for
    `segment --model`; how near its masks come to those in f32, on the images given, is said and written on its card.
    """
    from c6seg import api

    with progress_bar("Quantising") if data else contextlib.nullcontext() as progress:
        made = api.export_model(
            model, out, format=format_, data=data or None, pixel_size_um=pixel_size, force=force, progress=progress
        )
    say(f"Written: {made}")
    found = api.open_model(made).spec.int8 if format_ == "openvino-int8" else None
    if found is not None:
        images = f"{found.images} image{'s' * (found.images != 1)}"
        say(f"Masks in int8 against f32, {images}: mean Dice {found.dice_mean:.4f}, worst {found.dice_worst:.4f}")


@app.command("record", epilog="Example:  c6seg models record my-model/ test_dice scores.summary.json")
def record(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of a bundle; its card is changed.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the score is called on the card.")],
    summary: Annotated[str, typer.Argument(metavar="SUMMARY", help="FILE.summary.json of `c6seg evaluate`.")],
) -> None:
    """Write the Dice of an evaluation into a model's card: mean, interval, images."""
    from c6seg import api

    bundle = api.record_score(folder, name, summary)
    say(f"{bundle.spec.name}: {name} {bundle.spec.scores[name]['mean']:.4f} is on the card")


@app.command("calibrate", epilog="Example:  c6seg models calibrate my-model/ scores.csv more-scores.csv")
def calibrate(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of a bundle; its card is changed.")],
    tables: Annotated[
        list[str], typer.Argument(metavar="SCORES.csv...", help="Tables of `c6seg evaluate`, summaries beside them.")
    ],
    note: Annotated[str, typer.Option(metavar="TEXT", help="What a reader must know of the images.")] = "",
) -> None:
    """Write into a model how far its confluence is off on images it has not seen; growth intervals use it."""
    from c6seg import api

    bundle = api.calibrate_model(folder, tables, note=note)
    found = bundle.spec.calibration
    if found is not None:
        off = f"confluence is off by {100 * found.confluence_mae:.1f} points on average"
        say(f"{bundle.spec.name}: {off} ({found.images} images of {' and '.join(found.data)}); it is on the card")


@app.command("familiar", epilog="Example:  c6seg models familiar my-model/ my-data/ simulated/")
def familiar(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of a bundle; its card is changed.")],
    data: Annotated[list[str], typer.Argument(metavar="DATA...", help="Data sets or images that trained it.")],
) -> None:
    """Write into a model what its training images measure; images unlike them get the flag unlike_training."""
    from c6seg import api

    with progress_bar("Measuring") as progress:
        bundle = api.familiarise_model(folder, data, progress=progress)
    found = bundle.spec.familiar
    if found is not None:
        say(f"{bundle.spec.name}: {found.images} images measured; unlike them is a distance above {found.threshold:g}")


@app.command("install", epilog="Example:  c6seg models install runs/my-training/bundle")
def install(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of a bundle.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an installed model of that name.")] = False,
) -> None:
    """Copy a model to your models, so that its name finds it."""
    from c6seg import api

    bundle = api.install_model(folder, force=force)
    say(f"{bundle.spec.name} {bundle.spec.version} is installed in {bundle.path}")
