"""Seconds per image and memory of `c6seg segment` on real images of two sizes, in f32 and bf16, beside smp in torch.

    python benchmarks/bench_segment.py [--quick] [--out FILE.md]

1024x1022 is a t98g image as it is; 2592x1952 is the same image enlarged. The first table is the command as a user runs
it; the second says where the time of an image goes; the third sets the network beside the same network in smp, torch
fp32, whole image at once, in the same process with alternating order.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import tifffile

from c6seg.config import NetworkConfig, SegmentConfig
from c6seg.data.images import Frame, read_image, write_mask
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.inference.overlay import write_overlay
from c6seg.inference.segmenter import Segmenter
from c6seg.models.bundle import Bundle, open_bundle
from c6seg.transforms.preprocess import Preprocess, pad_to_multiple, resize
from common import Report, alternate, measure, parser, shared

PRECISIONS = ("f32", "bf16")


class TimedEngine(OpenVinoEngine):
    """Adds up the seconds within the network."""

    seconds = 0.0

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Run and take the time."""
        started = time.perf_counter()
        try:
            return super().run(batch)
        finally:
            self.seconds += time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    options = parser(__doc__).parse_args()
    report = Report("Segmenting")
    bundle = open_bundle(options.model)
    rounds, copies = (1, 2) if options.quick else (5, 6)
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"256x256": (256, 256)} if options.quick else {"1024x1022": None, "2592x1952": (1952, 2592)}
        frames = {name: picture(Path(folder) / f"{name}.tif", size_hw) for name, size_hw in sizes.items()}
        command(report, bundle, frames, Path(folder), copies)
        stages(report, bundle, frames, Path(folder), rounds)
        beside_torch(report, bundle, frames, rounds)
    report.save(options.out)


def picture(path: Path, size_hw: tuple[int, int] | None) -> Frame:
    """Write the image at a size, and read it back; it is given the scale of the model, so that it is not resampled."""
    frame = read_image(sorted(shared("t98g", "images").iterdir())[0])
    pixels = frame.pixels
    if size_hw is not None:
        pixels = np.clip(np.round(resize(pixels.astype(np.float32), size_hw)), 0, 65535).astype(np.uint16)
    tifffile.imwrite(path, pixels)
    return replace(read_image(path), source=path)


def command(report: Report, bundle: Bundle, frames: dict[str, Frame], place: Path, copies: int) -> None:
    """Run the program as a whole on a folder of images of one size."""
    rows = []
    for name, frame in frames.items():
        images = place / f"images-{name}"
        images.mkdir()
        for number in range(copies):
            (images / f"{number}.tif").write_bytes(Path(str(frame.source)).read_bytes())
        for precision in PRECISIONS:
            out = place / f"out-{name}-{precision}"
            verb = [
                sys.executable,
                "-m",
                "c6seg",
                "segment",
                str(images),
                "--out",
                str(out),
                "--model",
                str(bundle.path),
            ]
            whole = measure([*verb, "--precision", precision])
            inputs = json.loads((out / "manifest.json").read_text())["inputs"]
            each = median(one["seconds"] for one in inputs[1:])
            rows.append((name, precision, f"{each:.2f}", f"{whole.seconds / copies:.2f}", f"{whole.peak_mb:.0f}"))
    titles = (
        "image",
        "precision",
        "s per image (median)",
        f"s per image, start-up included, {copies} images",
        "peak MB",
    )
    report.table(titles, rows)


def stages(report: Report, bundle: Bundle, frames: dict[str, Frame], place: Path, rounds: int) -> None:
    """Say where the time of an image goes."""
    rows = []
    for name, frame in frames.items():
        for precision in PRECISIONS:
            engine = TimedEngine(bundle.onnx_path, precision=precision)
            segmenter = Segmenter(bundle, SegmentConfig(), engine=engine)
            parts: dict[str, list[float]] = {key: [] for key in ("read", "network", "rest", "mask", "overlay")}
            for _ in range(rounds + 1):
                engine.seconds = 0.0
                times = [time.perf_counter()]
                read_image(Path(str(frame.source)))
                times.append(time.perf_counter())
                found = segmenter.segment(frame)
                times.append(time.perf_counter())
                write_mask(place / "mask.png", found.mask)
                times.append(time.perf_counter())
                write_overlay(place / "overlay.jpg", frame.pixels, found.mask)
                times.append(time.perf_counter())
                read, whole, mask, overlay = np.diff(times)
                values = (read, engine.seconds, whole - engine.seconds, mask, overlay)
                for key, value in zip(parts, values, strict=True):
                    parts[key].append(float(value))
            middle = {key: median(values[1:]) for key, values in parts.items()}
            share = middle["network"] / sum(middle.values())
            rows.append((name, precision, *(f"{1000 * value:.0f}" for value in middle.values()), f"{share:.0%}"))
    titles = (
        "image",
        "precision",
        "read, ms",
        "network",
        "rest of segmenting",
        "write mask",
        "write overlay",
        "share of the network",
    )
    report.table(titles, rows)


def beside_torch(report: Report, bundle: Bundle, frames: dict[str, Frame], rounds: int) -> None:
    """Compare with the same network in torch, fp32, whole image at once."""
    try:
        import torch
    except ImportError:
        report.say("torch is not installed, so there is nothing to compare with.\n")
        return
    from c6seg.models.network import build_network

    network, _, _ = build_network(NetworkConfig(encoder=bundle.spec.encoder, init=str(bundle.path)))
    network.eval()
    segmenters = {
        name: Segmenter(bundle, engine=OpenVinoEngine(bundle.onnx_path, precision=name)) for name in PRECISIONS
    }
    preprocess = Preprocess(bundle.spec.preprocess)
    rows = []
    for name, frame in frames.items():

        def plain(frame: Frame = frame) -> np.ndarray:
            image = pad_to_multiple(preprocess.network_input(frame.pixels), bundle.spec.preprocess.multiple)
            with torch.inference_mode():
                probability = torch.sigmoid(network(torch.from_numpy(image)[None]))[0, 0].numpy()
            return probability >= bundle.spec.threshold

        tasks = {"torch": plain} | {
            key: lambda one=one, frame=frame: one.segment(frame) for key, one in segmenters.items()
        }
        seconds = alternate(tasks, warm_up=1, rounds=rounds)
        ratios = [f"{seconds[key] / seconds['torch']:.2f}" for key in PRECISIONS]
        rows.append((name, *(f"{seconds[key]:.2f}" for key in ("torch", *PRECISIONS)), *ratios))
    titles = ("image", "smp in torch fp32, s", "c6seg f32, s", "c6seg bf16, s", "ratio f32", "ratio bf16")
    report.table(titles, rows)


if __name__ == "__main__":
    main()
