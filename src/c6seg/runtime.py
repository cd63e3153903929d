"""What every stage needs from the machine: safe writing, seeds by purpose, provenance, logging, precision."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import importlib
import io
import json
import logging
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import c6seg
from c6seg.errors import OutputError

logger = logging.getLogger("c6seg")
NOTICE = 25
"""Level of messages that belong to the work itself, such as a forecast; between information and warnings."""
logging.addLevelName(NOTICE, "NOTE")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its name only when the block ends well.

    Raises
    ------
    OutputError
        The disk is full, the folder may not be written, or ``path`` is a folder.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes private files; results get the rights that open() would have given them
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        if isinstance(error, OutputError) or _number(error) is None:
            raise
        raise OutputError(_number(error), f"Cannot write '{path}': {_why(error)}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``folder`` that takes its name, replacing what is there, when the block ends well.

    Raises
    ------
    OutputError
        The disk is full, or the parent may not be written.
    """
    scratch: list[Path] = []
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch.append(Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)))
        yield scratch[0]
        scratch[0].chmod(0o777 & ~_umask())
        if folder.exists():
            scratch.append(Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)))
            folder.replace(scratch[1])
        try:
            scratch[0].replace(folder)
        except OSError:
            if len(scratch) > 1:
                scratch[1].replace(folder)
            raise
    except OSError as error:
        if isinstance(error, OutputError) or _number(error) is None:
            raise
        raise OutputError(_number(error), f"Cannot write '{folder}': {_why(error)}") from error
    finally:
        for path in scratch:
            shutil.rmtree(path, ignore_errors=True)


def make_folder(path: Path) -> Path:
    """Create a folder with its parents; an :class:`OutputError` says why it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(error.errno, f"Cannot make folder '{path}': {_why(error)}") from error
    return path


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all; what is no UTF-8 in a file name is written as an escape."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def save_picture(picture: Any, path: Path, **options: Any) -> None:
    """Write a Pillow image or a matplotlib figure; call it inside :func:`atomic_path`.

    It is encoded in memory first, because Pillow does not notice a disk that fills up in the middle of a file.
    """
    buffer = io.BytesIO()
    (picture.savefig if hasattr(picture, "savefig") else picture.save)(buffer, **options)
    path.write_bytes(buffer.getvalue())


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file, whole or not at all; None becomes an empty field."""
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seed_for(base: int, *purpose: object) -> int:
    """Derive a 63-bit seed from a base seed and what it is for.

    Two purposes give unrelated streams; the same purpose gives the same seed on every machine.

    Examples
    --------
    >>> seed_for(0, "split", 3) == seed_for(0, "split", 3)
    True
    >>> seed_for(0, "split", 3) == seed_for(0, "split", 4)
    False
    """
    text = json.dumps([base, *purpose], default=str).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def versions() -> dict[str, str]:
    """Versions of c6seg, Python and the libraries that decide a result; absent ones are left out."""
    found = {"c6seg": c6seg.__version__, "python": platform.python_version()}
    names = ("numpy", "scipy", "pillow", "tifffile", "openvino", "pycocotools", "torch", "torchvision", "timm")
    engines = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml")
    for name in (*names, *engines, "segmentation-models-pytorch", "accelerate"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def provenance(**details: Any) -> dict[str, Any]:
    """Record when, with what and on what kind of machine something was made."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        **details,
    }


def cpu_flags() -> frozenset[str]:
    """Instruction-set flags of the processor as Linux names them; empty where they cannot be read."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    return frozenset(
        next((line.split(":", 1)[1] for line in text.splitlines() if line.startswith("flags")), "").split()
    )


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware (AMX or AVX-512 BF16); without it bf16 is slow."""
    return bool(cpu_flags() & {"amx_bf16", "avx512_bf16"})


def import_openvino() -> Any:
    """Import OpenVINO without the reporter of usage that its conversion tools load; they have a stub for that."""
    unwanted = "openvino_telemetry"
    hide = unwanted not in sys.modules
    if hide:
        sys.modules[unwanted] = None  # type: ignore[assignment]  # makes the import of this name fail
    try:
        return importlib.import_module("openvino")
    finally:
        if hide:
            del sys.modules[unwanted]


def setup_logging(verbosity: int = 0) -> None:
    """Show c6seg's messages on stderr: -1 errors, 0 warnings, 1 progress, 2 everything. For interfaces only.

    Forecasts (:data:`NOTICE`) are shown from 0 on.
    """
    level = {-1: logging.ERROR, 0: NOTICE, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(level)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _number(error: OSError) -> int | None:
    """Return the number of an error; numpy gives none where it could not write all of an array."""
    return errno.ENOSPC if error.errno is None and " requested and " in str(error) else error.errno


def _why(error: OSError) -> str:
    if _number(error) == errno.ENOSPC:
        return "the disk is full. Free some space or choose another --out."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return "no permission to write there. Choose another --out."
    if error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        return "a file or folder of that name is in the way. Choose another --out."
    return error.strerror or str(error)
