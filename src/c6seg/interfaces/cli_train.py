"""``c6seg train``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from c6seg.interfaces.cli_base import Interrupted, progress_bar, quiet, say, warn

if TYPE_CHECKING:
    from c6seg.training.loop import Status


def add_to(app: typer.Typer) -> None:
    """Give the verb to the program."""
    app.command("train", epilog="Example:  c6seg train --data my-export.zip --out runs/first")(train)


def train(
    data: Annotated[Path, typer.Option(metavar="PATH", help="Annotated data set: folder or export file.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN", help="Folder of the run; RUN/bundle is the result.")
    ],
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME_OR_FILE", help="One that comes along (default, paper, scale-matched ...), or a YAML file."
        ),
    ] = "default",
    init: Annotated[
        str | None, typer.Option(metavar="START", help="random, imagenet, a bundle, or a .safetensors file.")
    ] = None,
    encoder: Annotated[str | None, typer.Option(metavar="NAME", help="One of the paper's 16 encoders.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change an option, e.g. epochs=50; repeatable."),
    ] = None,
    extra: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="Additional data set that only trains; repeatable.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="FILE:NAME", help="Train and validate on the images of a division.")
    ] = None,
    layout: Annotated[str, typer.Option(help="Layout of the data set; auto = look.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in RUN.")] = False,
) -> None:
    """Train a network on your annotated images; the result is a model for `c6seg segment --model RUN/bundle`.

    Ctrl-C stops after the current step and keeps everything: the same command with --resume goes on, exactly.
    """
    from c6seg import api

    try:
        with _progress() as report:
            bundle = api.train(
                data,
                out,
                recipe=recipe,
                init=init,
                encoder=encoder,
                overrides=set_ or [],
                extra=extra or [],
                split=split,
                layout=layout,
                resume=resume,
                report=report,
            )
    except KeyboardInterrupt:
        raise Interrupted("stopped by Ctrl-C; everything is kept. The same command with --resume goes on.") from None
    score = bundle.spec.scores["validation_dice"]
    say(f"Validation Dice {score['mean']:.3f} on {score['n']} images, threshold {bundle.spec.threshold:.3f}")
    say(f"Model: {bundle.path}")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Status], None]]:
    """Show a bar with the time left on a terminal, a line for each epoch elsewhere."""
    epochs_told: set[int] = set()

    def lines(status: Status) -> None:
        if status.step == status.steps and status.epoch not in epochs_told and not quiet():
            epochs_told.add(status.epoch)
            warn(f"epoch {status.epoch + 1}/{status.epochs}  loss {status.loss:.4f}{_dice(status)}")

    if not sys.stderr.isatty():
        yield lines
        return
    with progress_bar("Training") as show:

        def bar(status: Status) -> None:
            if show is not None:
                done = status.epoch * status.steps + status.step
                text = f"epoch {status.epoch + 1}/{status.epochs}  loss {status.loss:.4f}{_dice(status)}"
                show(done, status.epochs * status.steps, text)

        yield bar


def _dice(status: Status) -> str:
    return "" if status.val_dice is None else f"  validation Dice before {status.val_dice:.4f}"
