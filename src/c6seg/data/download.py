"""Data sets that their authors publish, fetched into a folder, on request only."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from c6seg.data.archives import MAX_BYTES, MAX_ENTRIES
from c6seg.data.fetch import Fetched, Progress, fetch
from c6seg.errors import DownloadError, OutputError, UsageError, did_you_mean
from c6seg.runtime import sha256, write_json

RECORD = "download.json"


@dataclass(frozen=True, slots=True)
class Published:
    """A data set and where its authors published it.

    Parameters
    ----------
    base
        Address that the files are relative to.
    files
        Address below ``base`` -> place in the folder. A zip is unpacked there and not kept.
    licence, source
        For the user, before anything is fetched.
    """

    base: str
    files: dict[str, str]
    licence: str
    source: str


_COCO = "annotations/LIVECell/livecell_coco_{}.json"

PUBLISHED: dict[str, Published] = {
    "livecell": Published(
        "https://livecell-dataset.s3.eu-central-1.amazonaws.com/LIVECell_dataset_2021",
        {
            **{_COCO.format(part): f"annotations/livecell_coco_{part}.json" for part in ("train", "val", "test")},
            "images.zip": "images.zip",
        },
        "CC BY-NC 4.0 (research only)",
        "Edlund et al., Nat Methods 18 (2021) 1038, doi 10.1038/s41592-021-01249-6",
    ),
}
"""What can be fetched by name."""


def download_dataset(name: str, folder: Path, *, url: str | None = None, progress: Progress | None = None) -> list[str]:
    """Fetch a published data set; what is there and unaltered is not fetched again.

    Parameters
    ----------
    name
        Key of :data:`PUBLISHED`.
    folder
        Where to; ``download.json`` in it says what came from where, with checksums.
    url
        Another place that has the same files.
    progress
        Called after every megabyte with (bytes done, bytes in all, name of the file).

    Returns
    -------
    list[str]
        What was fetched now, below ``folder``; empty where everything was there.

    Raises
    ------
    UsageError
        No such data set; the nearest name is offered.
    DownloadError
        A file cannot be fetched or arrived damaged. What arrived is kept: the same call goes on.
    OutputError
        It cannot be written.
    """
    if name not in PUBLISHED:
        raise UsageError(did_you_mean(name, PUBLISHED, what="data set to download"))
    chosen = PUBLISHED[name]
    record = _read(folder / RECORD)
    files: dict[str, Any] = record.setdefault("files", {})
    fetched: list[str] = []
    for remote, place in chosen.files.items():
        known = files.get(place)
        if known is not None and _is_there(folder, place, known):
            continue
        address = f"{(url or chosen.base).rstrip('/')}/{remote}"
        files[place] = _take(folder, place, fetch(address, folder / place, progress=progress))
        record |= {"name": name, "licence": chosen.licence, "source": chosen.source}
        write_json(folder / RECORD, record)
        fetched.append(place)
    return fetched


def _take(folder: Path, place: str, came: Fetched) -> dict[str, Any]:
    """Unpack an archive, look into an annotation file; return what is noted of it."""
    path = folder / place
    noted = asdict(came)
    if path.suffix == ".zip":
        noted["unpacked"] = _unpack(path, folder)
        path.unlink()
    elif path.suffix == ".json":
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            path.unlink()
            raise DownloadError(f"'{came.url}' is no JSON: {error}. Is --url right?") from error
    return noted


def _is_there(folder: Path, place: str, known: dict[str, Any]) -> bool:
    """Whether a file that was fetched before is there, unaltered; of an archive, its files by name and size."""
    if "unpacked" in known:
        return all(_size(folder / name) == size for name, size in known["unpacked"].items())
    path = folder / place
    return _size(path) == known.get("size") and sha256(path) == known.get("sha256")


def _unpack(path: Path, folder: Path) -> dict[str, int]:
    """Unpack the files of a zip below a folder, each checked and whole or not at all; name -> size."""
    found: dict[str, int] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise DownloadError(f"'{path}' would unpack to more than is accepted; it was left as it is.")
            for entry in entries:
                name = PurePosixPath(entry.filename.replace("\\", "/"))
                _check_name(path, entry.filename, name)
                target = folder.joinpath(*name.parts)
                if "__MACOSX" not in name.parts and not name.name.startswith("."):
                    _extract(archive, entry, target)
                    found[str(name)] = entry.file_size
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        path.unlink(missing_ok=True)
        raise DownloadError(f"'{path}' is no readable zip ({error}). Fetch it again.") from error
    except OSError as error:
        if isinstance(error, DownloadError):
            raise
        raise OutputError(
            error.errno, f"Cannot unpack '{path}': {error.strerror or error}. Free some space."
        ) from error
    return found


def _check_name(path: Path, given: str, name: PurePosixPath) -> None:
    if name.is_absolute() or ".." in name.parts or ":" in given:
        raise DownloadError(f"'{path}' holds '{given}', which leads out of its folder. It was not unpacked.")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    if _size(target) == entry.file_size:
        return  # an earlier call was stopped here
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with archive.open(entry) as source, part.open("wb") as sink:  # reading to the end checks the CRC
        shutil.copyfileobj(source, sink, 1 << 20)
    part.replace(target)


def _size(path: Path) -> int | None:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
