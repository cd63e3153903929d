"""What the doctor finds: engines, devices, and how to get the rest."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest

from c6seg import machine


class Driver:
    """An NVIDIA driver with three devices, or one that does not start."""

    def __init__(self, code: int = 0) -> None:
        self.code = code

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        return self.code

    def cuDeviceGetCount(self, count: object) -> int:
        count._obj.value = 3  # type: ignore[attr-defined]
        return 0


def test_cuda_devices_are_those_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    assert machine.cuda_devices() == 3
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(100))
    assert machine.cuda_devices() == 0

    def absent(name: str) -> object:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert machine.cuda_devices() == 0


def test_a_module_counts_without_being_loaded() -> None:
    assert machine.installed("json")
    assert not machine.installed("no_such_module")
    assert not machine.installed("no_such_module.inside")


def texts(topic: str) -> list[tuple[str, str]]:
    return [(fact.text, fact.advice) for fact in machine.facts(Path()) if fact.topic == topic]


def test_openvino_names_the_processor() -> None:
    found = {device.name: device for device in machine.openvino_devices()}
    assert "FP32" in found["CPU"].capabilities
    assert not found["CPU"].discrete
    assert "cpu" in texts("engine openvino")[0][0]


def test_an_openvino_that_does_not_load_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> object:
        raise ImportError("libopenvino.so")

    monkeypatch.setattr("c6seg.runtime.import_openvino", broken)
    assert machine.openvino_devices() == []
    assert texts("engine openvino") == [("does not load", "pip install --force-reinstall openvino")]


def test_what_is_missing_comes_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "installed", lambda module: False)
    assert texts("engine onnxruntime") == [("missing", "pip install 'c6seg[ort]'")]
    assert texts("engine torch") == [("missing", "pip install 'c6seg[train]'")]
    assert texts("extra [ort]") == [("missing", "pip install 'c6seg[ort]'")]


@pytest.mark.parametrize(
    ("built", "cards", "system", "advice"),
    [
        (["CPUExecutionProvider"], 0, "linux", ""),
        (["CPUExecutionProvider"], 1, "linux", "onnxruntime-gpu"),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], 1, "linux", ""),
        (["CPUExecutionProvider"], 0, "win32", "onnxruntime-directml"),
        ([], 0, "linux", "--force-reinstall onnxruntime"),
    ],
)
def test_the_build_that_fits_the_machine_is_advised(
    built: list[str], cards: int, system: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = SimpleNamespace(get_available_providers=lambda: built)
    monkeypatch.setattr(machine, "import_onnxruntime", lambda: fake)
    monkeypatch.setattr(machine, "cuda_devices", lambda: cards)
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform=system))
    fact = machine._onnxruntime()
    assert advice in fact.advice
    assert bool(fact.advice) == bool(advice)


def room(folder: Path, **values: int | str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{value}\n")


def test_memory_is_what_the_control_groups_leave(tmp_path: Path) -> None:
    (tmp_path / "groups").write_text("0::/job/step\n")
    room(tmp_path / "job" / "step", memory_max="max", memory_current=10**9)
    assert machine.control_group_mb(tmp_path / "groups", tmp_path) is None
    room(tmp_path / "job", memory_max=4 * 10**9, memory_current=3 * 10**9)
    assert machine.control_group_mb(tmp_path / "groups", tmp_path) == 1000
    room(tmp_path / "job", memory_stat="anon 2\ninactive_file 500000000")
    assert machine.control_group_mb(tmp_path / "groups", tmp_path) == 1500, "what is only cached gives way"
    room(tmp_path / "job", memory_max=10**9)
    assert machine.control_group_mb(tmp_path / "groups", tmp_path) == 0
    assert machine.control_group_mb(tmp_path / "no such file", tmp_path) is None


def test_memory_is_what_control_groups_of_the_first_version_leave(tmp_path: Path) -> None:
    (tmp_path / "groups").write_text("5:cpu,cpuacct:/other\n4:memory:/docker/as-the-host-sees-it\n0::/\n")
    room(tmp_path / "memory", memory_limit_in_bytes=2 * 10**9, memory_usage_in_bytes=5 * 10**8)
    assert machine.control_group_mb(tmp_path / "groups", tmp_path) == 1500


def test_the_least_of_machine_and_control_groups_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "control_group_mb", lambda: 7.0)
    assert machine.available_memory_mb() == 7.0
