"""Fixtures for all tests."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# a busy machine is no fault of the code
settings.register_profile("c6seg", deadline=None)
settings.load_profile("c6seg")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def compiled_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep compiled networks out of the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("C6SEG_CACHE", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture(autouse=True)
def messages_as_at_the_start() -> None:
    """Undo what commands, fixtures of modules and libraries did to the messages: a --quiet would hide those of all."""
    logger = logging.getLogger("c6seg")
    logger.handlers.clear()
    logger.disabled, logger.propagate = False, True
    logger.setLevel(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real images; absent: skip, or fail where C6SEG_REQUIRE_SHARED_DATA=1."""
    if not SHARED_DATA.is_dir():
        message = "the folder ../shared/data with real images is not beside the repository"
        if os.environ.get("C6SEG_REQUIRE_SHARED_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED_DATA


def _write_tiny_network(folder: Path, *, half: bool = False) -> None:
    """Write model.onnx + weights.safetensors of a tiny network with a fine and a coarse path (stride 4).

    Input in 0..1; the probability is high where the surroundings are bright. With ``half`` the weights are stored as
    float16 and cast to float32 inside the graph.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper
    from safetensors.numpy import save_file

    rng = np.random.default_rng(7)
    weights = {
        "blur.weight": rng.uniform(0.5, 1.5, (1, 3, 5, 5)).astype(np.float32),
        "coarse.weight": rng.uniform(0.5, 1.5, (1, 1, 3, 3)).astype(np.float32),
    }
    stored = {name: (value / value.sum()).astype(np.float16 if half else np.float32) for name, value in weights.items()}
    save_file(stored, folder / "weights.safetensors")
    raw = (folder / "weights.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    initialisers, nodes = [], []
    for name, value in stored.items():
        tensor = onnx.TensorProto(name=name + (".half" if half else ""), dims=value.shape)
        tensor.data_type = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        tensor.data_location = TensorProto.EXTERNAL
        first, last = header[name]["data_offsets"]
        for key, text in {"location": "weights.safetensors", "offset": start + first, "length": last - first}.items():
            tensor.external_data.add(key=key, value=str(text))
        initialisers.append(tensor)
        if half:
            nodes.append(helper.make_node("Cast", [name + ".half"], [name], to=TensorProto.FLOAT))
    constants = {"scales": np.array([1, 1, 4, 4], np.float32), "gain": np.array(12, np.float32)}
    constants["middle"] = np.array(1.0, np.float32)
    initialisers += [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    nodes += [
        helper.make_node("Conv", ["image", "blur.weight"], ["fine"], pads=[2, 2, 2, 2]),
        helper.make_node("AveragePool", ["fine"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["pooled", "coarse.weight"], ["mixed"], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["mixed", "", "scales"], ["coarse"], mode="linear"),
        helper.make_node("Add", ["fine", "coarse"], ["both"]),
        helper.make_node("Sub", ["both", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "gain"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])
    probability = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n", 1, "h", "w"])
    graph = helper.make_graph(nodes, "tiny", [image], [probability], initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def write_tiny_network() -> Callable[..., None]:
    """Write model.onnx and weights.safetensors of the tiny network into a folder; ``half=True`` for float16."""
    return _write_tiny_network


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a real bundle around a tiny network that marks bright places. Do not write into it: copy it."""
    import numpy as np

    from c6seg.config import PreprocessConfig
    from c6seg.inference.engine import predict_pixels
    from c6seg.models.bundle import BundleSpec, ScaleSpec, TrainingData, write_bundle

    source = tmp_path_factory.mktemp("tiny-source")
    _write_tiny_network(source)
    rows, columns = np.mgrid[0:70, 0:90]
    example = (((rows - 35) ** 2 + (columns - 40) ** 2 < 400) * 120 + rows + 20).astype(np.uint8)
    spec = BundleSpec(
        name="tiny",
        description="Marks bright places.",
        encoder="none",
        licence="BSD-3-Clause",
        preprocess=PreprocessConfig(mean=(0, 0, 0), std=(1, 1, 1)),
        scale=ScaleSpec(pixel_size_um=1.0, object_size_px=40),
        training_data=(TrainingData(name="generated", licence="CC0-1.0", images=1),),
        scores={"dice, generated": {"mean": 0.9, "lower": 0.85, "upper": 0.95, "n": 3}},
    )
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    return write_bundle(folder, spec=spec, source=source, example=example, predict=predict_pixels).path


@pytest.fixture(scope="session")
def ray_cluster() -> Callable[..., Any]:
    """Start a real Ray cluster: ``with ray_cluster(2) as nodes``; see ``cluster_tools.py``."""
    import importlib.util

    path = Path(__file__).with_name("cluster_tools.py")
    spec = importlib.util.spec_from_file_location("cluster_tools", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ray_nodes
