from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from c6seg import machine
from c6seg.errors import BundleError, ConfigError, EngineError
from c6seg.inference import engine_openvino
from c6seg.inference.engine import Engine, choose_precision
from c6seg.inference.engine_cache import read_entry
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.models.bundle import open_bundle


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
    assert engine.precision == choose_precision("auto")  # bf16 where the processor has it
    assert np.abs(engine.run(batch) - reference(tiny_bundle / "weights.safetensors", batch)).max() < 0.05


def test_precision_follows_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    def devices(*capabilities: str) -> list[machine.OpenVinoDevice]:
        card = machine.OpenVinoDevice("GPU", "a card", True, ("BF16", "FP16"))
        return [machine.OpenVinoDevice("CPU", "a processor", False, capabilities), card]

    monkeypatch.setattr(machine, "openvino_devices", lambda: devices("FP32", "BF16"))
    assert choose_precision("auto") == "bf16"
    assert choose_precision("f32") == "f32"
    monkeypatch.setattr(machine, "openvino_devices", lambda: devices("FP32", "INT8"))
    assert choose_precision("auto") == "f32"
    with pytest.raises(ConfigError, match=r"Unknown precision 'bf61'.*'bf16'"):
        choose_precision("bf61")


class Core:
    """What is asked of ``openvino.Core`` about a processor with graphics inside, and a card."""

    available_devices = ("CPU", "GPU.0", "GPU.1")

    def get_property(self, name: str, what: str) -> object:
        kind = type("Type", (), {"name": "DISCRETE" if name == "GPU.1" else "INTEGRATED"})()
        words = ["FP32", "BF16"] if name == "CPU" else ["FP32", "FP16"]
        return {"FULL_DEVICE_NAME": name, "DEVICE_TYPE": kind, "OPTIMIZATION_CAPABILITIES": words}[what]


def test_a_card_of_its_own_is_taken_before_graphics_inside_the_processor() -> None:
    assert engine_openvino._find(Core(), "gpu").name == "GPU.1"
    assert engine_openvino._find(Core(), "cpu").name == "CPU"
    only = Core()
    only.available_devices = ("CPU",)
    with pytest.raises(EngineError, match=r"no gpu here, only cpu.*c6seg doctor"):
        engine_openvino._find(only, "gpu")


@pytest.mark.parametrize(
    ("name", "precision", "hint"),
    [("CPU", "auto", "bf16"), ("CPU", "f32", "f32"), ("GPU.1", "auto", "f16"), ("GPU.1", "f32", "f32")],
)
def test_each_device_has_its_precision(name: str, precision: str, hint: str) -> None:
    target = next(device for device in machine.openvino_devices(Core()) if device.name == name)
    assert engine_openvino._hint(target, precision) == hint
    if name == "GPU.1":
        with pytest.raises(ConfigError, match="not in bf16"):
            engine_openvino._hint(target, "bf16")


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


def test_a_device_that_cannot_compile_is_no_fault_of_the_network(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: OpenVinoEngine) -> object:
        raise RuntimeError("Exception from src/plugin.cpp:54:\n[GPU] ProgramBuilder build failed!\n")

    monkeypatch.setattr(OpenVinoEngine, "_compiled", fail)
    monkeypatch.setattr(
        engine_openvino, "_find", lambda core, device: machine.OpenVinoDevice("GPU", "a card", True, ())
    )
    with pytest.raises(EngineError, match=r"openvino on gpu failed: \[GPU\] ProgramBuilder build failed!"):
        OpenVinoEngine(tiny_bundle / "model.onnx", device="gpu")
    with pytest.raises(BundleError, match="ProgramBuilder"):
        OpenVinoEngine(tiny_bundle / "model.onnx")


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
        "import sys; from pathlib import Path; from c6seg.inference.engine_openvino import OpenVinoEngine\n"
        "OpenVinoEngine(Path(sys.argv[1]), precision='f32')\n"
        "print([m for m in sys.modules if m.startswith('openvino_telemetry') or m == 'nncf' or m == 'torch'])"
    )
    command = [sys.executable, "-c", code, str(tiny_bundle / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


FORBIDDEN = """
import json, sys
from pathlib import Path
import numpy as np
from c6seg.inference.engine import choose_precision
from c6seg.inference.engine_openvino import OpenVinoEngine

model, batch, out = sys.argv[1:]
engine = OpenVinoEngine(Path(model))
np.save(out, engine.run(np.load(batch)))
words = [op.get_rt_info()["primitiveType"].astype(str) for op in
         engine._request.get_compiled_model().get_runtime_model().get_ops() if "primitiveType" in op.get_rt_info()]
print(json.dumps([engine.precision, choose_precision("auto"), sorted(set(words))]))
"""


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="these are parts of x86 processors")
@pytest.mark.parametrize(("most", "used"), [("AVX2", "avx2"), ("SSE41", "sse42")])
def test_processors_without_avx512_and_amx(most: str, used: str, tmp_path: Path) -> None:
    model = open_bundle().onnx_path
    image = np.random.default_rng(3).standard_normal((1, 3, 96, 128)).astype(np.float32)
    np.save(tmp_path / "batch.npy", image)
    command = [sys.executable, "-c", FORBIDDEN, str(model), str(tmp_path / "batch.npy"), str(tmp_path / "found.npy")]
    environment = {**os.environ, "OV_CPU_MAX_ISA": most, "ONEDNN_MAX_CPU_ISA": most}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    precision, chosen, primitives = json.loads(done.stdout)
    assert (precision, chosen) == ("f32", "f32")
    assert any(used in word for word in primitives), primitives
    assert not [word for word in primitives if "avx512" in word or "amx" in word or "bf16" in word]
    expected = OpenVinoEngine(model, precision="f32").run(image)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-4)


def test_bf16_that_the_processor_lacks_is_said(tiny_bundle: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from c6seg.inference.engine_openvino import OpenVinoEngine\n"
        "print(OpenVinoEngine(Path(sys.argv[1]), precision='bf16').precision)"
    )
    command = [sys.executable, "-c", code, str(tiny_bundle / "model.onnx")]
    environment = {**os.environ, "OV_CPU_MAX_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "f32"
    assert "does not multiply bfloat16: f32 is used" in done.stderr


@pytest.fixture
def copied(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with the tiny network, which is kept although it is small."""
    monkeypatch.setattr(engine_openvino, "SMALLEST_BYTES", 0)
    for name in ("model.onnx", "weights.safetensors"):
        shutil.copy(tiny_bundle / name, tmp_path)
    return tmp_path


def overwrite(weights: Path) -> None:
    """Put other weights into the same file, as a copy over it would."""
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.seek(size - 100)
        file.write(bytes(100))


def test_a_model_that_changes_or_goes_under_a_running_engine_does_not_matter(copied: Path, batch: np.ndarray) -> None:
    expected = OpenVinoEngine(copied / "model.onnx", precision="f32").run(batch)
    engine = OpenVinoEngine(copied / "model.onnx", precision="f32")
    overwrite(copied / "weights.safetensors")
    np.testing.assert_array_equal(engine.run(batch), expected)
    changed = OpenVinoEngine(copied / "model.onnx", precision="f32")
    assert np.abs(changed.run(batch) - expected).max() > 0.1
    for name in ("model.onnx", "weights.safetensors"):
        (copied / name).unlink()
    np.testing.assert_array_equal(engine.run(batch[:1]), expected[:1])
    assert engine.run(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 1, 32, 32)
    with pytest.raises(BundleError, match="missing"):
        OpenVinoEngine(copied / "model.onnx")


MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from c6seg.inference.engine_openvino import OpenVinoEngine

engine = OpenVinoEngine(Path(sys.argv[1]), precision="f32", threads=int(sys.argv[3]), cache=Path(sys.argv[2]))
large = np.zeros((1, 3, 4096, 4096), np.float32)
small = np.random.default_rng(0).standard_normal((1, 3, 64, 96), np.float32)
before = engine.run(small)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 1_000_000_000, -1))
try:
    engine.run(large)
except MemoryError as error:
    print(error)
print(np.array_equal(engine.run(small), before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only here can the memory of a process be limited")
@pytest.mark.parametrize("threads", [1, 2])  # on one thread OpenVINO says nothing
def test_memory_that_runs_out_costs_one_picture_only(threads: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(open_bundle().onnx_path), str(tmp_path), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    reason, same = done.stdout.splitlines()
    assert "allocate" in reason or "memory runs out" in reason
    assert same == "True"


def test_the_compiled_network_is_kept_and_gives_the_same(
    copied: Path, tmp_path: Path, batch: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "cache"
    made = {
        precision: OpenVinoEngine(copied / "model.onnx", precision=precision, cache=kept).run(batch)
        for precision in ("f32", "auto")
    }
    assert len(list(kept.iterdir())) == len({"f32", choose_precision("auto")})
    with monkeypatch.context() as patch:
        patch.setattr(OpenVinoEngine, "_read", lambda self: pytest.fail("compiled again"))
        for precision, expected in made.items():
            engine = OpenVinoEngine(copied / "model.onnx", precision=precision, threads=1, cache=kept)
            assert engine.precision == choose_precision(precision)
            np.testing.assert_array_equal(engine.run(batch), expected)
    overwrite(copied / "weights.safetensors")  # other weights have an entry of their own
    other = OpenVinoEngine(copied / "model.onnx", precision="f32", cache=kept).run(batch)
    assert np.abs(other - made["f32"]).max() > 0.1


def test_what_is_forbidden_to_the_processor_has_its_own_entry(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    OpenVinoEngine(copied / "model.onnx", precision="f32", cache=tmp_path / "cache")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    OpenVinoEngine(copied / "model.onnx", precision="f32", cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_damaged_or_strange_entry_is_made_again(copied: Path, tmp_path: Path, batch: np.ndarray) -> None:
    kept = tmp_path / "cache"
    expected = OpenVinoEngine(copied / "model.onnx", precision="f32", cache=kept).run(batch)
    (entry,) = kept.iterdir()
    whole = entry.read_bytes()
    at = len(whole) - 150  # inside the weights, where OpenVINO would not notice
    strange = b"of another version"
    for content in (
        whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :],
        whole[: len(whole) // 2],
        b"",
        hashlib.sha256(strange).digest() + strange,
    ):
        entry.write_bytes(content)
        engine = OpenVinoEngine(copied / "model.onnx", precision="f32", cache=kept)
        np.testing.assert_array_equal(engine.run(batch), expected)
        assert entry.stat().st_size == len(whole)
        assert read_entry(kept, entry.stem) is not None


def test_a_folder_that_cannot_be_written_keeps_nothing(copied: Path, tmp_path: Path, batch: np.ndarray) -> None:
    (tmp_path / "file").write_text("in the way")
    engine = OpenVinoEngine(copied / "model.onnx", precision="f32", cache=tmp_path / "file" / "cache")
    assert engine.run(batch).shape == (2, 1, 64, 96)


def test_a_small_network_is_not_kept(tiny_bundle: Path, tmp_path: Path) -> None:
    OpenVinoEngine(tiny_bundle / "model.onnx", cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_two_processes_that_start_at_once(tiny_bundle: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import numpy as np; from c6seg.inference import engine_openvino\n"
        "engine_openvino.SMALLEST_BYTES = 0\n"
        "for _ in range(10):\n"
        "    engine = engine_openvino.OpenVinoEngine(Path(sys.argv[1]), precision='f32', cache=Path(sys.argv[2]))\n"
        "    for path in Path(sys.argv[2]).iterdir(): path.unlink(missing_ok=True)\n"
        "    print(float(engine.run(np.full((1, 3, 32, 64), 0.5, np.float32)).sum()))"
    )
    command = [sys.executable, "-c", code, str(tiny_bundle / "model.onnx"), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].splitlines() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert len(set(said[0] + said[1])) == 1
    assert len(said[0]) == len(said[1]) == 10


BOUND = """
import contextlib, os, sys, threading
from pathlib import Path
import numpy as np
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.models.bundle import open_bundle

engine = OpenVinoEngine(open_bundle().onnx_path, threads=1, cache=Path(sys.argv[1]))
work = threading.Thread(target=engine.run, args=(np.zeros((1, 3, 512, 512), np.float32),))
seen, looks = set(), 0
work.start()
while work.is_alive():  # threads are bound while they work
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended
            seen.add(len(os.sched_getaffinity(int(task.name))))
    looks += 1
    work.join(0.005)
print(looks > 5, *seen)
"""


@pytest.mark.parametrize("start", ["compiled", "from the cache"])
def test_threads_are_not_bound_to_cores(start: str, tmp_path: Path) -> None:
    """Two processes of one thread each would share the first core; see the cluster benchmark."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs Linux and two processors")
    for _ in range(1 if start == "compiled" else 2):
        done = subprocess.run(
            [sys.executable, "-c", BOUND, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
        )
    assert done.stdout.split() == ["True", str(len(os.sched_getaffinity(0)))]
