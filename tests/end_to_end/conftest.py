"""The program as a process of its own, and small inputs for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from c6seg.data.synthetic import simulate_image, write_png

Run = Callable[..., "subprocess.CompletedProcess[str]"]

BLOCK_TORCH = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "timm", "segmentation_models_pytorch", "accelerate", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="session")
def run_c6seg() -> Run:
    """Run ``c6seg ARGUMENTS`` in a process that works in ``folder``.

    ``start`` is Python that runs first, ``prefix`` stands before the command.
    """

    def run(
        *arguments: str | Path, folder: Path, start: str | None = None, prefix: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}
        environment |= {"XDG_DATA_HOME": str(folder / "user-data"), "XDG_CACHE_HOME": str(folder / "cache")}
        if start is not None:
            (folder / "start").mkdir(exist_ok=True)
            (folder / "start" / "sitecustomize.py").write_text(start)
            environment["PYTHONPATH"] = str(folder / "start")
        command = [*prefix, sys.executable, "-m", "c6seg", *(str(argument) for argument in arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=folder, timeout=300, check=False
        )

    return run


@pytest.fixture
def c6seg(run_c6seg: Run, tmp_path: Path) -> Run:
    """Run ``c6seg ARGUMENTS`` in a process that works in ``tmp_path``."""
    return partial(run_c6seg, folder=tmp_path)


@pytest.fixture(scope="session")
def without_torch() -> str:
    """Python that makes every package of the extra ``train`` unimportable."""
    return BLOCK_TORCH


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Folder with three simulated pictures, 96x96 px, of well B1 at 0, 4 and 8 h."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        picture = simulate_image(size_hw=(96, 96), seed=number)
        write_png(folder / f"Phase_B1_1_00d{4 * number:02d}h00m_1.png", picture.pixels)
    return folder
