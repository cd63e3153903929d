"""What this machine and this installation can do: the facts behind ``c6seg doctor``."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

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
    "plates": ("wellmap",),
}
"""Extra and the modules that it brings."""


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


def facts(out: Path) -> list[Fact]:
    """Look at versions, devices, precision, memory, disk and extras.

    Parameters
    ----------
    out
        Folder whose disk is looked at.
    """
    found = runtime.versions()
    lines = [Fact("c6seg", f"{found.pop('c6seg')} on Python {found.pop('python')}, {platform.platform()}")]
    lines.append(Fact("libraries", ", ".join(f"{name} {version}" for name, version in found.items())))
    lines += [_processor(), _memory(), *_devices(), _disk(out)]
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


def _devices() -> list[Fact]:
    core = runtime.import_openvino().Core()
    names = [f"{device} ({core.get_property(device, 'FULL_DEVICE_NAME').strip()})" for device in core.available_devices]
    lines = [Fact("OpenVINO devices", ", ".join(names) or "none", "" if names else "Install openvino again.")]
    if importlib.util.find_spec("torch") is not None:
        import torch

        count = torch.cuda.device_count()
        gpus = ", ".join(torch.cuda.get_device_name(index) for index in range(count))
        lines.append(Fact("GPUs for training", gpus or "none that torch can use; training runs on the processor"))
    return lines


def _disk(out: Path) -> Fact:
    free = shutil.disk_usage(out).free / 1e9
    advice = "Free some space before a long run." if free < 1 else ""
    return Fact("disk", f"{free:.1f} GB free at '{out}'", advice)


def _extra(name: str, modules: tuple[str, ...]) -> Fact:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return Fact(f"extra [{name}]", "present")
    what = "missing" if len(missing) == len(modules) else f"incomplete, without {', '.join(missing)}"
    return Fact(f"extra [{name}]", what, f"pip install 'c6seg[{name}]'")
