"""A tiny data set and recipe: four simulated pictures, 64x64 fragments, MobileNetV2 from random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from c6seg.data.synthetic import write_dataset

TINY = (
    "input_size=64x64",
    "batch=2",
    "epochs=3",
    "precision=fp32",
    "ema=0.9",
    "warmup_epochs=1",
)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-data")
    write_dataset(folder, count=5, size_hw=(96, 112), seed=3)
    return folder
