"""A tiny study: simulated pictures of 96x112, 64x64 fragments, MobileNetV2, two starts, two divisions."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from c6seg.data.synthetic import write_dataset

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {
        "source": {"simulate": {"count": 3, "size": "96x96", "seed": 7}},
        "target": {"path": "target", "about": "made by the test"},
    },
    "options": {
        "input_size": "64x64",
        "batch": 2,
        "epochs": 2,
        "precision": "fp32",
        "ema": 0,
        "warmup_epochs": 0,
        "tune_threshold": False,
    },
    "splits": {"repeats": 2, "train": 3, "val": 1, "test": 2},
    "stages": {
        "simulated": {
            "data": "source",
            "init": "random",
            "recipe": "default",
            "options": {"input_size": "64x64", "batch": 2, "epochs": 1, "precision": "fp32"},
        }
    },
    "factors": {"init": ["random", "simulated"]},
    "tests": [{"input": ["native", "64x64"], "score": ["native", "48x48"]}],
}


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the data set ``target`` of the tiny study."""
    root = tmp_path_factory.mktemp("study-data")
    write_dataset(root / "target", count=8, size_hw=(96, 112), seed=3)
    return root


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """Write the tiny study with some parts replaced; None takes a part out."""

    def write(**parts: Any) -> Path:
        path = tmp_path / "tiny.yaml"
        values = {key: value for key, value in {**TINY, **parts}.items() if value is not None}
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def known_graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the exported graph of MobileNetV2, so that a tiny run does not spend its time on making it."""
    from c6seg.config import NetworkConfig
    from c6seg.models.export import export_network
    from c6seg.models.network import build_network

    folder = tmp_path_factory.mktemp("graphs")
    network, _, _ = build_network(NetworkConfig(init="random"), seed=0)
    export_network(network, tmp_path_factory.mktemp("bundle"), graphs=folder)
    entry = next(folder.glob("*.json"))
    entry.write_text(json.dumps({**json.loads(entry.read_text()), "known": True}))
    return folder


@pytest.fixture
def out(tmp_path: Path, known_graphs: Path) -> Path:
    """Output folder of a study that knows the graph of MobileNetV2."""
    folder = tmp_path / "out"
    shutil.copytree(known_graphs, folder / "cache" / "graphs")
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, known_graphs: Path, data_root: Path) -> Path:
    """Output folder in which the tiny study was run to its end. Do not write into it: copy it."""
    from c6seg import api

    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(known_graphs, folder / "out" / "cache" / "graphs")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    outcome, _ = api.run_study(folder / "tiny.yaml", folder / "out", data=[data_root])
    assert outcome.complete
    return folder / "out"


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    """The makers of tests/studies/examples.py: scores of studies that never ran."""
    spec = importlib.util.spec_from_file_location("c6seg_studies_examples", Path(__file__).with_name("examples.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
