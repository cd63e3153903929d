"""What the benchmarks share: command line, place of the real images, tables, and how a process is measured."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
SPLIT = Path(__file__).with_name("embedded_split.json")

BLOCK_TORCH = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "timm", "segmentation_models_pytorch", "accelerate", "onnx"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


def parser(doc: str, *, model: bool = True) -> argparse.ArgumentParser:
    """Give the options that every benchmark has."""
    made = argparse.ArgumentParser(
        description=doc.splitlines()[0], epilog=f"Needs, for some, the real images in {DATA}."
    )
    made.add_argument("--quick", action="store_true", help="fewer or smaller pieces: does it run at all?")
    made.add_argument("--out", type=Path, metavar="FILE.md", help="write the table there, too")
    if model:
        made.add_argument(
            "--model", default="unet-mobilenetv2", metavar="NAME_OR_DIR", help="default: the embedded one"
        )
    return made


def shared(*parts: str) -> Path:
    """Path of real data; ends the program with a clear message where there is none."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        sys.exit(f"This benchmark needs real images: '{path}' is not there. See its README for what belongs there.")
    return path


@dataclass
class Report:
    """Tables in Markdown, printed as they come."""

    title: str
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with what was measured on."""
        self.say(f"## {self.title}\n")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        self.say(f"{processor()}, {cores} cores, load at the start {load:.1f}; Python {platform.python_version()}.\n")

    def say(self, text: str = "") -> None:
        """Add and print a line."""
        self.lines.append(text)
        print(text, flush=True)

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add and print a table; numbers are formatted by the caller."""
        self.say("| " + " | ".join(titles) + " |")
        self.say("|" + "---|" * len(titles))
        for row in rows:
            self.say("| " + " | ".join(str(cell) for cell in row) + " |")
        self.say()

    def save(self, path: Path | None) -> None:
        """Write everything that was said."""
        if path is not None:
            path.write_text("\n".join(self.lines).rstrip() + "\n", encoding="utf-8")


def processor() -> str:
    """Name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), "?")


@dataclass(frozen=True)
class Measured:
    """A process that has ended."""

    seconds: float
    peak_mb: float
    stdout: str
    stderr: str


def measure(command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Measured:
    """Run a command; its wall time, and the peak of the memory that it and its children hold together (resident, MB).

    Ends the program if the command fails.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}, cwd=cwd
    ) as process:
        peak = [0.0]
        watcher = threading.Thread(target=_watch, args=(process, peak))
        watcher.start()
        stdout, stderr = process.communicate()
        seconds = time.perf_counter() - started
        watcher.join()
    if process.returncode:
        sys.exit(f"`{' '.join(command)}` ended with {process.returncode}:\n{stdout}{stderr}")
    return Measured(seconds, peak[0], stdout, stderr)


def _watch(process: subprocess.Popen[str], peak: list[float]) -> None:
    import psutil

    try:
        top = psutil.Process(process.pid)
        while process.returncode is None:
            total = 0
            for one in (top, *top.children(recursive=True)):
                try:
                    total += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak[0] = max(peak[0], total / 1e6)
            time.sleep(0.02)
    except psutil.NoSuchProcess:
        return


def alternate(tasks: Mapping[str, Callable[[], object]], *, warm_up: int, rounds: int) -> dict[str, float]:
    """Median seconds of each task, measured side by side: the order turns round with every round."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(warm_up + rounds):
        names = list(tasks) if number % 2 == 0 else list(reversed(tasks))
        for name in names:
            started = time.perf_counter()
            tasks[name]()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - started)
    return {name: median(values) for name, values in seconds.items()}
