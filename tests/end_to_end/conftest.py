"""The program as a process of its own, and small inputs for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from c6seg.data.synthetic import simulate_image, write_png

Run = Callable[..., "subprocess.CompletedProcess[str]"]

BLOCK_TORCH = """
import sys
for name in ("torch", "torchvision", "timm", "segmentation_models_pytorch", "accelerate", "safetensors", "onnx"):
    sys.modules[name] = None  # makes the import of this name fail, as where it is not installed
"""


@pytest.fixture
def c6seg(tmp_path: Path) -> Run:
    """Run ``c6seg ARGUMENTS`` in a process; ``start`` is Python that runs first, ``prefix`` stands before it."""

    def run(
        *arguments: str | Path, start: str | None = None, prefix: Sequence[str] = (), cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}
        environment |= {"XDG_DATA_HOME": str(tmp_path / "user-data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        if start is not None:
            folder = tmp_path / "start"
            folder.mkdir(exist_ok=True)
            (folder / "sitecustomize.py").write_text(start)
            environment["PYTHONPATH"] = str(folder)
        command = [*prefix, sys.executable, "-m", "c6seg", *(str(argument) for argument in arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=cwd or tmp_path, timeout=300, check=False
        )

    return run


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Folder with three simulated pictures, 96x96 px, of well B1 at 0, 4 and 8 h."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        picture = simulate_image(size_hw=(96, 96), seed=number)
        write_png(folder / f"Phase_B1_1_00d{4 * number:02d}h00m_1.png", picture.pixels)
    return folder
