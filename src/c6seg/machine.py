"""What this machine and this installation can do: the facts behind ``c6seg doctor``."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c6seg import runtime

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": (
        "torch",
        "torchvision",
        "segmentation_models_pytorch",
        "timm",
        "accelerate",
        "safetensors",
        "onnx",
        "onnxscript",
    ),
    "ort": ("onnxruntime",),
    "int8": ("nncf",),
    "plates": ("wellmap",),
}
"""Extra and the modules that it brings."""

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Devices of ONNX Runtime and what it calls their part of a build."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the doctor's report.

    Parameters
    ----------
    topic
        Such as ``"processor"``.
    text
        What was found.
    advice
        What to do about it; empty where nothing need be done.
    """

    topic: str
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class OpenVinoDevice:
    """A device that OpenVINO sees.

    Parameters
    ----------
    name
        Such as ``CPU`` or ``GPU.1``.
    label
        What its maker calls it.
    discrete
        Whether it is a graphics card of its own.
    capabilities
        Words of OpenVINO, such as ``BF16``.
    """

    name: str
    label: str
    discrete: bool
    capabilities: tuple[str, ...]


def installed(module: str) -> bool:
    """Whether a module could be imported; nothing is loaded."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with its reports of usage switched off."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # from 1.29 on it reports, and writes an identity into the home folder
    return importlib.import_module("onnxruntime")


def onnxruntime_devices() -> tuple[str, ...]:
    """Devices for which the installed build of ONNX Runtime is made; empty where there is none that loads."""
    if not installed("onnxruntime"):
        return ()
    try:
        built = import_onnxruntime().get_available_providers()
    except (ImportError, OSError, AttributeError):
        return ()
    return tuple(device for device, provider in PROVIDERS.items() if provider in built)


def openvino_devices(core: Any = None) -> list[OpenVinoDevice]:
    """Devices that OpenVINO sees; empty where it does not load. ``core`` is an open ``openvino.Core``."""
    try:
        core = runtime.import_openvino().Core() if core is None else core
        return [_openvino_device(core, name) for name in core.available_devices]
    except (ImportError, OSError, RuntimeError):
        return []


def _openvino_device(core: Any, name: str) -> OpenVinoDevice:
    label = str(core.get_property(name, "FULL_DEVICE_NAME")).strip()
    kind = getattr(core.get_property(name, "DEVICE_TYPE"), "name", "")
    return OpenVinoDevice(name, label, kind == "DISCRETE", tuple(core.get_property(name, "OPTIMIZATION_CAPABILITIES")))


def cuda_devices() -> int:
    """How many CUDA devices the driver lets this process use; asks the driver itself, so nothing heavy is loaded."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int()
        return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0
    except (OSError, AttributeError):
        return 0


def facts(out: Path, *, picked: str = "") -> list[Fact]:
    """Look at versions, devices, precision, memory, disk, engines and extras.

    Parameters
    ----------
    out
        Folder whose disk is looked at.
    picked
        The engine that runs networks where none is asked for; empty = leave that line out.
    """
    found = runtime.versions()
    lines = [Fact("c6seg", f"{found.pop('c6seg')} on Python {found.pop('python')}, {platform.platform()}")]
    lines.append(Fact("libraries", ", ".join(f"{name} {version}" for name, version in found.items())))
    lines += [_processor(), _memory(), *_devices(), _disk(out), *_engines()]
    if picked:
        lines.append(Fact("engine auto", picked))
    return lines + [_extra(name, modules) for name, modules in EXTRAS.items()]


def _processor() -> Fact:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if runtime.cpu_has_bf16():
        return Fact("processor", f"{usable} usable cores, multiplies bfloat16 in hardware: precision auto = bf16")
    return Fact("processor", f"{usable} usable cores, no bfloat16 in hardware: precision auto = f32")


def _memory() -> Fact:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return Fact("memory", "unknown")
    return Fact("memory", f"{total:.1f} GB, {free:.1f} GB unused")


def available_memory_mb() -> float | None:
    """Memory that this process could still get, MB; None where the system does not say (it does on Linux).

    The least of what the machine has and what is left to the control groups of the process, by which containers and
    batch systems such as Slurm limit a job.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = [next(int(line.split()[1]) / 1000 for line in lines if line.startswith("MemAvailable:"))]
    except (OSError, ValueError, StopIteration):
        free = []
    left = control_group_mb()
    return min(free if left is None else [*free, left], default=None)


def control_group_mb(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Memory that the control groups of this process leave it, MB; None where none of them has a limit.

    Parameters
    ----------
    groups
        The file that names them, of version 1, 2 or both.
    root
        Where their folders are.
    """
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return None
    left = []
    for line in lines:
        _, kinds, path = ([*line.split(":", 2), "", ""])[:3]
        if kinds and "memory" not in kinds.split(","):
            continue
        top = root / "memory" if kinds else root
        names = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if kinds
            else ("memory.max", "memory.current", "inactive_file")
        )
        folder = top / path.strip("/")
        for room in (folder, *folder.parents):  # the limit of any group around it holds, too
            if not room.is_relative_to(top):
                break
            left.append(_left_mb(room, *names))
    return min((value for value in left if value is not None), default=None)


def _left_mb(room: Path, limit: str, usage: str, cached: str) -> float | None:
    """Memory that one control group leaves, MB; None where it has no limit. Files that are only cached give way."""
    try:
        most, used = int((room / limit).read_text()), int((room / usage).read_text())
    except (OSError, ValueError):  # no such group, or "max"
        return None
    try:
        words = [line.split() for line in (room / "memory.stat").read_text().splitlines()]
        gives_way = next((int(value) for name, value in words if name == cached), 0)
    except (OSError, ValueError):
        gives_way = 0
    return max(0, most - max(0, used - gives_way)) / 1e6


def _devices() -> list[Fact]:
    names = [f"{device.name} ({device.label})" for device in openvino_devices()]
    lines = [Fact("OpenVINO devices", ", ".join(names) or "none", "" if names else "Install openvino again.")]
    if installed("torch"):
        import torch

        count = torch.cuda.device_count()
        gpus = ", ".join(torch.cuda.get_device_name(index) for index in range(count))
        lines.append(Fact("GPUs for training", gpus or "none that torch can use; training runs on the processor"))
    return lines


def _engines() -> list[Fact]:
    """List what can run networks, on what, and how to get the rest."""
    names = ", ".join(device.name.lower() for device in openvino_devices())
    broken = Fact("engine openvino", "does not load", "pip install --force-reinstall openvino")
    return [Fact("engine openvino", names) if names else broken, _onnxruntime(), _torch()]


def _onnxruntime() -> Fact:
    if not installed("onnxruntime"):
        return Fact("engine onnxruntime", "missing", "pip install 'c6seg[ort]'")
    devices = onnxruntime_devices()
    if not devices:
        return Fact("engine onnxruntime", "installed, but does not load", "pip install --force-reinstall onnxruntime")
    advice = ""
    if cuda_devices() and "cuda" not in devices:
        advice = "For the NVIDIA device: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
    elif sys.platform == "win32" and "directml" not in devices:
        advice = "For a graphics device: pip uninstall onnxruntime, then pip install onnxruntime-directml"
    return Fact("engine onnxruntime", ", ".join(devices), advice)


def _torch() -> Fact:
    missing = [module for module in ("torch", "segmentation_models_pytorch", "safetensors") if not installed(module)]
    if missing:
        return Fact("engine torch", "missing", "pip install 'c6seg[train]'")
    count = cuda_devices()
    return Fact("engine torch", f"cpu, {count} CUDA device{'s' * (count != 1)}" if count else "cpu")


def _disk(out: Path) -> Fact:
    free = shutil.disk_usage(out).free / 1e9
    advice = "Free some space before a long run." if free < 1 else ""
    return Fact("disk", f"{free:.1f} GB free at '{out}'", advice)


def _extra(name: str, modules: tuple[str, ...]) -> Fact:
    missing = [module for module in modules if not installed(module)]
    if not missing:
        return Fact(f"extra [{name}]", "present")
    what = "missing" if len(missing) == len(modules) else f"incomplete, without {', '.join(missing)}"
    return Fact(f"extra [{name}]", what, f"pip install 'c6seg[{name}]'")
