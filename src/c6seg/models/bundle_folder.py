"""A bundle as it lies on disk: its files, where bundles are kept, and whether one is unaltered."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from c6seg import runtime
from c6seg.errors import BundleError, OutputError
from c6seg.models.bundle_spec import SPEC_FILE, BundleSpec

MODEL_FILE = "model.onnx"
WEIGHTS_FILE = "weights.safetensors"
EXAMPLE_INPUT = "example/input.png"
EXAMPLE_OUTPUT = "example/probability.png"
CARD_FILE = "README.md"
INT8_FILES = ("model_int8.xml", "model_int8.bin")
NEEDED = (MODEL_FILE, WEIGHTS_FILE, EXAMPLE_INPUT, EXAMPLE_OUTPUT, CARD_FILE)

EMBEDDED = Path(__file__).parent / "bundles"


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle.

    Parameters
    ----------
    path
        Its folder.
    spec
        What ``bundle.yaml`` says.
    """

    path: Path
    spec: BundleSpec

    @property
    def onnx_path(self) -> Path:
        """The network that engines run."""
        return self.path / MODEL_FILE

    @property
    def int8_path(self) -> Path | None:
        """The network in int8 for OpenVINO; None where the bundle holds none."""
        return None if self.spec.int8 is None else self.path / INT8_FILES[0]

    @property
    def weights_path(self) -> Path:
        """The weights, to go on training."""
        return self.path / WEIGHTS_FILE

    @property
    def origin(self) -> Literal["embedded", "installed", "folder"]:
        """Where it lies: inside the package, in the user's model folder, or elsewhere."""
        parent = self.path.resolve().parent
        if parent == EMBEDDED.resolve():
            return "embedded"
        return "installed" if parent == user_models().resolve() else "folder"

    def sha256(self) -> str:
        """Hash of ``bundle.yaml``, which holds the hash of every other file: it identifies the model."""
        return runtime.sha256(self.path / SPEC_FILE)

    def verify(self) -> None:
        """Check that every file is there, unaltered.

        Raises
        ------
        BundleError
            Names the first file that is missing or altered.
        """
        needed = NEEDED if self.spec.int8 is None else (*NEEDED, *INT8_FILES)
        unlisted = [name for name in needed if name not in self.spec.files]
        if unlisted:
            raise BundleError(f"Bundle '{self.path}' lists no hash for {unlisted[0]}. Make or download it again.")
        for name, expected in self.spec.files.items():
            file = self.path / name
            if not file.is_file():
                raise BundleError(f"Bundle '{self.path}' is incomplete: {name} is missing. Make or download it again.")
            if runtime.sha256(file) != expected.lower():
                raise BundleError(
                    f"Bundle '{self.path}' was altered: the hash of {name} is not the one in {SPEC_FILE}. "
                    "Make or download it again."
                )


@contextlib.contextmanager
def new_folder(folder: Path, *, replace: bool) -> Iterator[Path]:
    """Give a temporary folder beside ``folder`` that takes its name only when the block ends well.

    Raises
    ------
    OutputError
        Something else is there, or a bundle and ``replace`` is False, or it cannot be written.
    """
    if folder.exists() and not (folder / SPEC_FILE).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise OutputError(f"Cannot write the bundle '{folder}': something else of that name is there.")
    elif folder.exists() and not replace:
        raise OutputError(f"There is already a bundle '{folder}'. Replace it with --force.")
    with runtime.atomic_folder(folder) as temporary:
        yield temporary


def user_models() -> Path:
    """Folder of the user's installed bundles: ``c6seg/models`` in the platform's place for user data."""
    home = Path.home()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(home / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_DATA_HOME") or str(home / ".local" / "share")
    return Path(base) / "c6seg" / "models"
