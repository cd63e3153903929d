"""Fetch one file over HTTP: goes on where it was cut off, checks what arrived, and names it when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from c6seg.errors import DownloadError, OutputError
from c6seg.runtime import make_folder, write_json

TRIES = 5
TIMEOUT_S = 60.0
CHUNK_BYTES = 1 << 20
WAIT_S = 1.0
"""Before the second try; each later one waits twice as long."""

Progress = Callable[[int, int, str], None]
"""(bytes done, bytes in all or 0, name)."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that arrived whole.

    Parameters
    ----------
    size
        Bytes.
    sha256
        Of its content.
    url
        Where it came from.
    """

    size: int
    sha256: str
    url: str


def fetch(url: str, path: Path, *, sha256: str | None = None, progress: Progress | None = None) -> Fetched:
    """Fetch a file; a part of it that an earlier call left is kept, unless the file has changed since.

    Parameters
    ----------
    url
        ``http://`` or ``https://``.
    path
        Where to; until it is whole it is called ``NAME.part``.
    sha256
        What it must be; None: checked against the length and, where the server gives one, the MD5 in its ETag.
    progress
        Called after every megabyte.

    Raises
    ------
    DownloadError
        The server does not give it, or what arrived is not what it should be.
    OutputError
        It cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"'{url}' is no address of the web: it must start with http:// or https://.")
    make_folder(path.parent)
    part = path.with_name(path.name + ".part")
    why = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(WAIT_S * 2 ** (attempt - 1))
        try:
            tag = _continue(url, part, progress)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise DownloadError(
                    f"'{url}' cannot be fetched: the server says {error.code} {error.reason}."
                ) from error
            why = f"the server says {error.code}"
        except (http.client.HTTPException, urllib.error.URLError, TimeoutError, ConnectionError) as error:
            why = str(getattr(error, "reason", "") or error) or type(error).__name__
        else:
            return _finish(url, part, path, tag, sha256)
    raise DownloadError(
        f"'{url}' could not be fetched in {TRIES} tries ({why}). What arrived is kept: the same command goes on."
    )


def _continue(url: str, part: Path, progress: Progress | None) -> str:
    """Fetch what is not there yet; returns the tag of the file's version."""
    there = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "c6seg"})
    before = _read_tag(part)
    if there and before:
        request.add_header("Range", f"bytes={there}-")
        request.add_header("If-Range", before)
    elif there:
        there = 0
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and _whole(error.headers, there):
            return before
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
            return _continue(url, part, progress)
        raise
    with contextlib.closing(answer):
        if answer.status != http.client.PARTIAL_CONTENT:
            there = 0  # it has changed, or the server cannot give parts
        tag = str(answer.headers.get("ETag", ""))
        length = int(answer.headers.get("Content-Length") or 0)
        total = there + length if length else 0
        with _written(part):
            write_json(_tag_file(part), {"tag": tag})
            with part.open("ab" if there else "wb") as file:
                for data in _pieces(answer):
                    file.write(data)
                    there += len(data)
                    if progress is not None:
                        progress(there, total, part.name.removesuffix(".part"))
    if total and there < total:
        raise http.client.IncompleteRead(b"", total - there)
    return tag


def _pieces(answer: IO[bytes]) -> Iterator[bytes]:
    while data := answer.read(CHUNK_BYTES):
        yield data


def _finish(url: str, part: Path, path: Path, tag: str, sha256: str | None) -> Fetched:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    # a tag of 32 hexadecimal digits is the MD5 of a file that was stored in one piece
    if match := re.fullmatch(r'"([0-9a-f]{32})"', tag):
        with part.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        expected, given = match[1], md5
    else:
        expected, given = found, found
    if sha256 is not None:
        expected, given = sha256, found
    size = part.stat().st_size
    if expected != given:
        part.unlink(missing_ok=True)
        raise DownloadError(f"'{url}' arrived damaged (checksum {given}, should be {expected}). Fetch it again.")
    with _written(part):
        part.replace(path)
        _tag_file(part).unlink(missing_ok=True)
    return Fetched(size, found, url)


def _whole(headers: Any, there: int) -> bool:
    match = re.fullmatch(r"bytes \*/(\d+)", headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == there


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_tag(part: Path) -> str:
    try:
        return str(json.loads(_tag_file(part).read_text(encoding="utf-8"))["tag"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """Turn what goes wrong in writing into an OutputError; what goes wrong in reading from the net stays itself."""
    try:
        yield
    except (OutputError, ConnectionError, TimeoutError, http.client.HTTPException, urllib.error.URLError):
        raise
    except OSError as error:
        raise OutputError(error.errno, f"Cannot write '{path}': {error.strerror or error}. Free some space.") from error
