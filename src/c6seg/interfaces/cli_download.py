"""``c6seg data download``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from c6seg.interfaces.cli_base import progress_bar, say


def add_to(app: typer.Typer) -> None:
    """Give the verb to ``c6seg data``."""
    app.command("download", epilog="Example:  c6seg data download livecell --out data/livecell")(download)


def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="livecell: 1.6 million cells, CC BY-NC 4.0.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write into.")],
    url: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Another place that has the same files.")] = None,
) -> None:
    """Fetch a published data set from its authors' place; touches the network.

    The same command goes on where it was cut off, and checks what is there: download.json holds checksums.
    """
    from c6seg import api

    with progress_bar(f"Fetching {name}") as progress:
        fetched = api.download_data(name, out, url=url, progress=progress)
    say(f"{name} is in {out}: " + (f"{len(fetched)} files fetched" if fetched else "everything was there, unaltered"))
    say(f"Licence and source: {out / 'download.json'}. Look at it: c6seg data check {out}")
