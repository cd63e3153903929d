"""Start of `c6seg segment one.tif`, and how far the engines agree and how long they take.

    python benchmarks/bench_engines.py [--quick] [--out FILE.md]

The first table is the whole command on one small image (704x520), in new processes, the compiled network kept by the
process before or not; files lie in the machine's file cache. The second sets every engine that is installed beside
OpenVINO in f32 on real images. Its last lines forbid OpenVINO all that is newer than AVX2 or SSE4.1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import tifffile

from c6seg import machine
from c6seg.config import SegmentConfig
from c6seg.data.images import Frame, read_image
from c6seg.inference.engine import describe
from c6seg.inference.segmenter import Segmenter
from common import Report, measure, parser, shared

LIVECELL_UM = 1.24  # see README.md


def main() -> None:
    """Measure and print."""
    options = parser(__doc__).parse_args()
    if os.environ.get("C6SEG_BENCH_PART"):
        part(options.model, os.environ["C6SEG_BENCH_PART"])
        return
    report = Report("Engines")
    rounds, images = (1, 2) if options.quick else (7, 16)
    with tempfile.TemporaryDirectory() as folder:
        start(report, options.model, Path(folder), rounds)
        agreement(report, options.model, Path(folder), images)
    report.save(options.out)


def start(report: Report, model: str, place: Path, rounds: int) -> None:
    """Time the first result of a new process, with and without a kept network, in turn."""
    image = place / "one.tif"
    tifffile.imwrite(image, read_image(real()[0][0]).pixels[:520, :704])
    names = ["openvino", *(["onnxruntime"] if machine.installed("onnxruntime") else [])]
    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for name in names:
            for state in ("no", "yes") if name == "openvino" else ("",):
                kept = str(place / f"kept-{number}")
                verb = [sys.executable, "-m", "c6seg", "segment", str(image), "--out", str(place / "out"), "--force"]
                took = measure([*verb, "--model", model, "--engine", name], env={"C6SEG_CACHE": kept}).seconds
                if number:  # the first round fills the machine's file cache
                    seconds.setdefault((name, state), []).append(took)
    rows = [(name, state, f"{median(all_):.2f}", f"{min(all_):.2f}") for (name, state), all_ in seconds.items()]
    report.table(("engine", "network kept", "s to the first result (median)", "least"), rows)


def real() -> list[tuple[Path, float | None]]:
    """Real images, t98g and LIVECell by turns, with the pixel size where the file does not say it."""
    first = [(path, None) for path in sorted(shared("t98g", "images").iterdir())[::4]]
    second = [(path, LIVECELL_UM) for path in sorted(shared("livecell", "images").rglob("*.tif"))[::5]]
    return [one for pair in zip(first, second, strict=False) for one in pair]


def frames(count: int) -> list[Frame]:
    """Read the images."""
    found = []
    for path, size_um in real()[:count]:
        frame = read_image(path)
        found.append(replace(frame, pixel_size_um=size_um or frame.pixel_size_um))
    return found


def agreement(report: Report, model: str, place: Path, images: int) -> None:
    """Compare masks and times with OpenVINO in f32."""
    parts: list[tuple[str, str, str]] = [("openvino", "f32", ""), ("openvino", "auto", "")]
    if machine.installed("onnxruntime"):
        parts.append(("onnxruntime", "f32", ""))
    if machine.installed("segmentation_models_pytorch"):
        parts += [("torch", "f32", ""), ("torch", "auto", "")]
    parts += [("openvino", "f32", "AVX2"), ("openvino", "f32", "SSE41")]
    rows = []
    expected: list[np.ndarray] = []
    for engine, precision, most in parts:
        out = place / "masks.npz"
        wanted = json.dumps([engine, precision, images, str(out)])
        limit = {"OV_CPU_MAX_ISA": most, "ONEDNN_MAX_CPU_ISA": most} if most else {}
        command = [sys.executable, __file__, "--model", model]
        environment = {**os.environ, **limit, "C6SEG_BENCH_PART": wanted}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        told = json.loads(done.stdout)
        with np.load(out) as file:
            masks = [file[name] for name in file.files]
        expected = expected or masks
        dices = [2 * (a & b).sum() / max(1, a.sum() + b.sum()) for a, b in zip(masks, expected, strict=True)]
        points = [100 * abs(a.mean() - b.mean()) for a, b in zip(masks, expected, strict=True)]
        name = f"{told['name']} on {told['device']}" + (f", at most {most}" if most else "")
        row = (name, told["precision"], f"{min(dices):.4f}", f"{np.mean(dices):.5f}", f"{max(points):.2f}")
        rows.append((*row, f"{told['seconds']:.2f}"))
    titles = ("engine", "precision", "least Dice", "mean Dice", "largest difference of confluence, points")
    report.say(f"{images} images of t98g and LIVECell, beside the masks of the first line:\n")
    report.table((*titles, "s per image (median)"), rows)


def part(model: str, wanted: str) -> None:
    """Segment the images with one engine, in a process of its own."""
    engine, precision, images, out = json.loads(wanted)
    segmenter = Segmenter(model, SegmentConfig(engine=engine, precision=precision))
    masks, seconds = [], []
    for frame in frames(images):
        segmenter.segment(frame)  # each size once before it is timed
        started = time.perf_counter()
        masks.append(segmenter.segment(frame).mask)
        seconds.append(time.perf_counter() - started)
    np.savez(out, *masks)
    print(json.dumps({**describe(segmenter.engine), "seconds": median(seconds)}))


if __name__ == "__main__":
    main()
