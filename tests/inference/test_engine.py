from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from c6seg import runtime
from c6seg.errors import BundleError, ConfigError
from c6seg.inference.engine import Engine, OpenVinoEngine, choose_precision


def reference(weights: Path, batch: np.ndarray) -> np.ndarray:
    """Compute the tiny network with scipy, straight from the safetensors file."""
    from safetensors.numpy import load_file
    from scipy import ndimage

    tensors = {name: value.astype(np.float32) for name, value in load_file(weights).items()}
    results = []
    for image in batch:
        fine = sum(
            ndimage.correlate(plane, kernel, mode="constant")
            for plane, kernel in zip(image, tensors["blur.weight"][0], strict=True)
        )
        height, width = fine.shape
        pooled = fine.reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3))
        mixed = ndimage.correlate(pooled, tensors["coarse.weight"][0, 0], mode="constant")
        rows, columns = ((np.arange(size) + 0.5) / 4 - 0.5 for size in (height, width))
        grid = np.meshgrid(rows.clip(0, height // 4 - 1), columns.clip(0, width // 4 - 1), indexing="ij")
        coarse = ndimage.map_coordinates(mixed, grid, order=1)
        results.append(1 / (1 + np.exp(-12 * (fine + coarse - 1))))
    return np.stack(results)[:, None]


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(1).random((2, 3, 64, 96), dtype=np.float32)


def test_it_computes_the_network_from_weights_in_the_safetensors_file(tiny_bundle: Path, batch: np.ndarray) -> None:
    engine = OpenVinoEngine(tiny_bundle / "model.onnx", precision="f32")
    assert isinstance(engine, Engine)
    found = engine.run(batch)
    assert found.shape == (2, 1, 64, 96)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(tiny_bundle / "weights.safetensors", batch), atol=1e-4)
    wide = np.random.default_rng(2).random((1, 3, 32, 160), dtype=np.float32)  # another size, same engine
    np.testing.assert_allclose(engine.run(wide), reference(tiny_bundle / "weights.safetensors", wide), atol=1e-4)


def test_half_precision_weights_give_the_same_within_their_rounding(
    write_tiny_network: Callable[..., None], tmp_path: Path, batch: np.ndarray
) -> None:
    for name, half in (("half", True), ("full", False)):
        (tmp_path / name).mkdir()
        write_tiny_network(tmp_path / name, half=half)
    half = OpenVinoEngine(tmp_path / "half" / "model.onnx", precision="f32").run(batch)
    full = OpenVinoEngine(tmp_path / "full" / "model.onnx", precision="f32").run(batch)
    assert 0 < np.abs(half - full).max() < 0.01
    np.testing.assert_allclose(half, reference(tmp_path / "half" / "weights.safetensors", batch), atol=1e-4)
    assert (tmp_path / "half" / "weights.safetensors").stat().st_size < 500


def test_bf16_stays_close(tiny_bundle: Path, batch: np.ndarray) -> None:
    engine = OpenVinoEngine(tiny_bundle / "model.onnx", precision="bf16", threads=1)
    assert engine.precision == "bf16"
    assert np.abs(engine.run(batch) - reference(tiny_bundle / "weights.safetensors", batch)).max() < 0.05


def test_a_cached_network_gives_the_same(tiny_bundle: Path, tmp_path: Path, batch: np.ndarray) -> None:
    first = OpenVinoEngine(tiny_bundle / "model.onnx", precision="f32", cache_dir=tmp_path).run(batch)
    assert list(tmp_path.iterdir())
    second = OpenVinoEngine(tiny_bundle / "model.onnx", precision="f32", cache_dir=tmp_path).run(batch)
    np.testing.assert_array_equal(first, second)


def test_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "cpu_flags", lambda: frozenset({"avx2", "amx_bf16"}))
    assert choose_precision("auto") == "bf16"
    assert choose_precision("f32") == "f32"
    monkeypatch.setattr(runtime, "cpu_flags", lambda: frozenset({"avx2"}))
    assert choose_precision("auto") == "f32"
    with pytest.raises(ConfigError, match=r"Unknown precision 'bf61'.*'bf16'"):
        choose_precision("bf61")


def test_a_file_that_is_no_network_is_one_clear_line(tiny_bundle: Path, tmp_path: Path) -> None:
    for content in (b"", b"not a network", (tiny_bundle / "model.onnx").read_bytes()[:150]):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(BundleError, match=r"model\.onnx") as caught:
            OpenVinoEngine(tmp_path / "model.onnx")
        assert "\n" not in str(caught.value)
    with pytest.raises(BundleError, match="missing"):
        OpenVinoEngine(tmp_path / "none.onnx")


def test_missing_weights_are_one_clear_line(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_bundle / "model.onnx", tmp_path)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        OpenVinoEngine(tmp_path / "model.onnx", precision="f32")


def test_a_network_of_another_shape_is_refused(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    def port(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", "w"])

    node = helper.make_node("Sigmoid", ["image"], ["probability"])
    graph = helper.make_graph([node], "g", [port("image")], [port("probability")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=r"maps \(\?,3,\?,\?\) to \(\?,3,\?,\?\)"):
        OpenVinoEngine(tmp_path / "model.onnx")


def test_the_engine_loads_nothing_that_reports_usage(tiny_bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from c6seg.inference.engine import OpenVinoEngine\n"
        "OpenVinoEngine(Path(sys.argv[1]), precision='f32')\n"
        "print([m for m in sys.modules if m.startswith('openvino_telemetry') or m == 'nncf' or m == 'torch'])"
    )
    command = [sys.executable, "-c", code, str(tiny_bundle / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
