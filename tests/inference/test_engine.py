"""The choice of an engine, and that all engines give the same masks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from c6seg import machine
from c6seg.config import SegmentConfig, parse_engine
from c6seg.config_files import load_config
from c6seg.data.images import Frame, read_image
from c6seg.errors import BundleError, ConfigError, EngineError, MissingExtraError
from c6seg.inference import engine as engines
from c6seg.inference.engine import Engine, candidates, describe, failure, open_engine
from c6seg.inference.segmenter import Segmenter
from c6seg.models.bundle import open_bundle


def test_names_of_engines() -> None:
    assert parse_engine(" OpenVINO ") == ("openvino", None)
    assert parse_engine("onnxruntime:TensorRT") == ("onnxruntime", "tensorrt")
    assert SegmentConfig(engine="Torch:CPU").engine == "torch:cpu"
    for text, message in (
        ("opnvino", "Unknown engine 'opnvino'. Did you mean 'openvino'?"),
        ("torch:gpu", "Unknown device of the engine torch 'gpu'. Did you mean 'cpu'? Allowed: cpu, cuda."),
        ("auto:cpu", "Unknown engine 'auto'"),
        ("openvino:", "Unknown device of the engine openvino ''"),
        ("", "Unknown engine ''"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse_engine(text)
        assert message in str(caught.value)
    with pytest.raises(ConfigError, match=r"engine = 'opnvino' cannot be used: Unknown engine.*openvino, torch\.$"):
        load_config(SegmentConfig, {"engine": "opnvino"})


CARD = machine.OpenVinoDevice("GPU.1", "a card", discrete=True, capabilities=("FP16",))
INSIDE = machine.OpenVinoDevice("GPU.0", "inside the processor", discrete=False, capabilities=("FP16",))


@pytest.mark.parametrize(
    ("cards", "modules", "built", "graphics", "expected"),
    [
        (0, "", (), [], ["openvino cpu"]),
        (0, "onnxruntime torch", ("cuda", "cpu"), [INSIDE], ["openvino cpu", "onnxruntime cpu"]),
        (0, "", (), [INSIDE, CARD], ["openvino gpu", "openvino cpu"]),
        (1, "torch", (), [], ["openvino cpu"]),  # without the rest of the training part
        (1, "torch segmentation_models_pytorch safetensors", (), [], ["torch cuda", "openvino cpu"]),
        (
            2,
            "torch segmentation_models_pytorch safetensors onnxruntime",
            ("cuda", "tensorrt", "cpu"),
            [],
            ["torch cuda", "onnxruntime cuda", "openvino cpu", "onnxruntime cpu"],
        ),
        (1, "onnxruntime", ("cpu",), [], ["openvino cpu", "onnxruntime cpu"]),
    ],
)
def test_a_graphics_device_is_taken_where_it_is_clearly_meant(
    cards: int,
    modules: str,
    built: tuple[str, ...],
    graphics: list[machine.OpenVinoDevice],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "cuda_devices", lambda: cards)
    monkeypatch.setattr(machine, "installed", lambda module: module in modules.split())
    monkeypatch.setattr(machine, "onnxruntime_devices", lambda: built)
    monkeypatch.setattr(machine, "openvino_devices", lambda: graphics)
    assert [f"{name} {device}" for name, device in candidates()] == expected


def test_directml_is_taken_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(machine, "openvino_devices", list)
    monkeypatch.setattr(machine, "cuda_devices", lambda: 0)
    monkeypatch.setattr(machine, "installed", lambda module: module == "onnxruntime")
    monkeypatch.setattr(machine, "onnxruntime_devices", lambda: ("directml", "cpu"))
    assert candidates()[0] == ("onnxruntime", "directml")


def test_auto_goes_on_where_the_best_cannot_start(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = [("torch", "cuda"), ("onnxruntime", "cuda"), ("openvino", "cpu")]
    monkeypatch.setattr(engines, "candidates", lambda: found)
    monkeypatch.setattr(machine, "onnxruntime_devices", lambda: ("cpu",))
    with caplog.at_level(logging.WARNING, "c6seg"):
        opened = open_engine(open_bundle(tiny_bundle), precision="f32")
    assert (opened.name, opened.device, opened.precision) == ("openvino", "cpu", "f32")
    assert len(caplog.messages) == 2
    assert describe(opened)["notes"] == caplog.messages
    assert "torch on cuda was not used: " in caplog.messages[0]
    monkeypatch.setattr(engines, "candidates", lambda: found[1:2])
    with pytest.raises(EngineError, match=r"No engine can run the network\. onnxruntime on cuda was not used"):
        open_engine(open_bundle(tiny_bundle))


def test_an_engine_that_was_asked_for_is_not_replaced_by_another(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(tiny_bundle)
    processor = machine.OpenVinoDevice("CPU", "a processor", discrete=False, capabilities=("FP32",))
    monkeypatch.setattr(machine, "openvino_devices", lambda core: [processor])
    with pytest.raises(EngineError, match="finds no gpu here, only cpu"):
        open_engine(bundle, "openvino:gpu")
    monkeypatch.setattr(machine, "installed", lambda module: False)
    with pytest.raises(MissingExtraError, match=r"pip install 'c6seg\[ort\]'"):
        Segmenter(bundle, SegmentConfig(engine="onnxruntime"))
    with pytest.raises(MissingExtraError, match=r"pip install 'c6seg\[train\]'"):
        Segmenter(bundle, SegmentConfig(engine="torch"))


def test_openvino_that_does_not_load_leaves_the_next(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise ImportError("libopenvino.so: cannot open shared object file")

    monkeypatch.setattr("c6seg.runtime.import_openvino", broken)
    monkeypatch.setattr(machine, "cuda_devices", lambda: 0)
    opened = open_engine(open_bundle(tiny_bundle))
    assert opened.name == "onnxruntime"
    assert "openvino on cpu was not used: OpenVINO does not load" in describe(opened)["notes"][0]
    with pytest.raises(EngineError, match="OpenVINO does not load: libopenvino"):
        open_engine(open_bundle(tiny_bundle), "openvino")


def test_a_network_that_does_not_fit_is_one_clear_error(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Engine:
        raise MemoryError

    monkeypatch.setattr(engines, "_open", full)
    with pytest.raises(EngineError, match="does not fit into memory"):
        open_engine(open_bundle(tiny_bundle))


def test_a_missing_network_is_no_matter_of_the_engine(tiny_bundle: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    bundle = open_bundle(tmp_path / "bundle")
    bundle.onnx_path.unlink()
    for name in ("auto", "openvino", "onnxruntime"):
        with pytest.raises(BundleError, match=r"model\.onnx' is missing"):
            open_engine(bundle, name)


def test_reasons_in_one_line() -> None:
    class Card:
        name, device, precision = "openvino", "gpu", "f16"

        def run(self, batch: np.ndarray) -> np.ndarray:
            return batch

    text = "Exception from src/infer_request.cpp:224:\n[GPU] clWaitForEvents, error code: -5 CL_OUT_OF_RESOURCES\n\n"
    told = failure(Card(), RuntimeError(text))
    assert str(told) == ("The engine openvino on gpu failed: [GPU] clWaitForEvents, error code: -5 CL_OUT_OF_RESOURCES")
    cuda = "CUDA out of memory. Tried to allocate 2 GiB.\nCompile with TORCH_USE_CUDA_DSA"
    assert str(failure(Card(), RuntimeError(cuda))).endswith("CUDA out of memory. Tried to allocate 2 GiB.")
    assert str(failure(Card(), RuntimeError(""))).endswith("failed: RuntimeError")


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / max(1, first.sum() + second.sum()))


def test_all_engines_agree_on_the_tiny_network(tiny_bundle: Path) -> None:
    rows, columns = np.mgrid[0:120, 0:150]
    noise = np.random.default_rng(0).integers(0, 60, (120, 150))
    pixels = ((((rows - 50) ** 2 + (columns - 70) ** 2) < 900) * 120 + noise).astype(np.uint8)
    masks = {}
    for name in ("openvino", "onnxruntime"):
        found = Segmenter(tiny_bundle, SegmentConfig(engine=name, precision="f32")).segment(Frame(pixels, "a"))
        masks[name] = found.mask
    assert 0.1 < masks["openvino"].mean() < 0.5
    assert dice(masks["openvino"], masks["onnxruntime"]) >= 0.999


REAL = {"t98g/images/set01.tif": None, "livecell/images/*/MCF7_*": 1.24}
"""Images and their pixel sizes in um, where the file does not say."""


@pytest.fixture(scope="module")
def real(shared_data: Path) -> list[Frame]:
    """Parts of real images at their own scale."""
    frames = []
    for pattern, pixel_size_um in REAL.items():
        frame = read_image(sorted(shared_data.glob(pattern))[0])
        part = np.ascontiguousarray(frame.pixels[:512, :512])
        frames.append(replace(frame, pixels=part, pixel_size_um=pixel_size_um or frame.pixel_size_um))
    return frames


@pytest.fixture(scope="module")
def masks(real: list[Frame]) -> Callable[[str, str], list[np.ndarray]]:
    """Masks of the real images by an engine in a precision, with the embedded model."""
    known: dict[tuple[str, str], list[np.ndarray]] = {}

    def make(engine: str, precision: str) -> list[np.ndarray]:
        if (engine, precision) not in known:
            segmenter = Segmenter(config=SegmentConfig(engine=engine, precision=precision))  # type: ignore[arg-type]
            known[engine, precision] = [segmenter.segment(frame).mask for frame in real]
        return known[engine, precision]

    return make


@pytest.mark.parametrize(
    ("engine", "precision", "least"),
    [
        ("onnxruntime", "f32", 0.999),
        ("torch:cpu", "auto", 0.999),
        ("openvino", "auto", 0.995),
    ],
)
def test_engines_agree_on_real_images(
    engine: str, precision: str, least: float, masks: Callable[[str, str], list[np.ndarray]], real: list[Frame]
) -> None:
    for frame, found, expected in zip(real, masks(engine, precision), masks("openvino", "f32"), strict=True):
        assert expected.mean() > 0.02, f"{frame.name}: next to nothing to compare"
        assert dice(found, expected) >= least, frame.name
