"""`c6seg segment` beside the same network in torch, from file to mask, in f32 and bf16, on all cores and on one.

    python benchmarks/bench_segment.py [--quick] [--rounds N] [--images N] [--out FILE.md]

Pictures: a t98g image (MIT licence) enlarged to 2592x1952, without pixel size. "As a user would": the same weights in
smp and torch, fp32, whole image, tifffile in, Pillow out. Both read the same files and write the same masks at the
size of the images, no overlays, in new processes; seconds per image are those of 1 image taken from those of n, divided
by n - 1, and the whole command is given as well. UNet-VGG19 is trained here for a few epochs, as masks of random
weights agree with nothing. The last tables: share of the engine in a folder of images with everything that the
command writes, and how near to the processor's own bf16 matrix product VGG19 comes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import tifffile
from PIL import Image

from c6seg.config import NetworkConfig, SegmentConfig, TrainConfig
from c6seg.data.datasets import open_dataset
from c6seg.data.images import read_image
from c6seg.data.splits import select_text
from c6seg.inference.batch import segment_images
from c6seg.inference.engine_openvino import OpenVinoEngine
from c6seg.inference.segmenter import Segmenter
from c6seg.models.bundle import Bundle, open_bundle
from c6seg.transforms.preprocess import resize
from common import SPLIT, Measured, Report, measure, parser, shared

PRECISIONS = ("f32", "bf16")
SIZE_HW = (1952, 2592)
PARTS = ("all-cores", "one-core", "share", "product")
ENCODERS = ("MobileNetV2", "VGG19")

AS_A_USER_WOULD = """
import json, os, sys
from pathlib import Path
import numpy as np, tifffile, torch
from PIL import Image
from c6seg.config import NetworkConfig
from c6seg.models.network import build_network

settings = json.loads(sys.argv[1])
torch.set_num_threads(len(os.sched_getaffinity(0)))
network, _, _ = build_network(NetworkConfig(encoder=settings["encoder"], init=settings["bundle"]))
network.eval()
mean, std = (np.float32(settings[key])[:, None, None] for key in ("mean", "std"))
for path in sorted(Path(settings["images"]).iterdir()):
    pixels = tifffile.imread(path).astype(np.float32)
    low, high = np.percentile(pixels, settings["percentiles"]).astype(np.float32)
    grey = np.clip((pixels - low) / (high - low), 0, 1)
    image = (np.repeat(grey[None], 3, axis=0) - mean) / std
    height, width = grey.shape
    image = np.pad(image, ((0, 0), (0, -height % 32), (0, -width % 32)), mode="reflect")
    with torch.inference_mode():
        probability = torch.sigmoid(network(torch.from_numpy(image)[None]))[0, 0].numpy()[:height, :width]
    mask = (probability >= settings["threshold"]).astype(np.uint8) * 255
    Image.fromarray(mask).save(Path(settings["out"]) / f"{path.stem}.png")
"""


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
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=2, metavar="N", help="times that each command runs")
    arguments.add_argument("--images", type=int, default=4, metavar="N", help="images of the longer command")
    arguments.add_argument(
        "--part", choices=PARTS, action="append", help="all-cores, one-core, share or product; repeatable; all of them"
    )
    arguments.add_argument(
        "--encoder", choices=ENCODERS, action="append", help="beside torch: these; repeatable; MobileNetV2 and VGG19"
    )
    arguments.add_argument("--many", type=int, default=50, metavar="N", help="images of --part share")
    options = arguments.parse_args()
    parts, encoders = options.part or PARTS, options.encoder or ENCODERS
    report = Report("Segmenting, beside torch")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        size_hw, many = ((256, 256), 3) if options.quick else (SIZE_HW, options.many)
        count, rounds = (2, 1) if options.quick else (options.images, options.rounds)
        beside = [part for part in ("all-cores", "one-core") if part in parts]
        images = {number: pictures(place / f"images-{number}", number, size_hw) for number in (1, count) if beside}
        bundles = {"MobileNetV2": open_bundle(options.model)}
        if "product" in parts or (beside and "VGG19" in encoders):
            bundles["VGG19"] = small_vgg(place / "vgg", quick=options.quick)
        for part in beside:
            report.say(f"### {size_hw[1]}x{size_hw[0]}, {part.replace('-', ' ')}\n")
            chosen = {name: bundle for name, bundle in bundles.items() if name in encoders}
            beside_torch(report, chosen, images, place, rounds, one_core=part == "one-core")
        if "share" in parts:
            share_of_engine(report, bundles["MobileNetV2"], pictures(place / "many", many, size_hw), place)
        if "product" in parts:
            near_the_processor(report, bundles["VGG19"], rounds=1 if options.quick else 5)
    report.save(options.out)


def pictures(folder: Path, count: int, size_hw: tuple[int, int]) -> Path:
    """Write different parts of real light: one image, shifted, enlarged; no tag tells a pixel size."""
    folder.mkdir(parents=True)
    pixels = read_image(sorted(shared("t98g", "images").iterdir())[0]).pixels.astype(np.float32)
    for number in range(count):
        shifted = np.roll(pixels, 37 * number, axis=1)
        large = np.clip(np.round(resize(shifted, size_hw)), 0, 65535).astype(np.uint16)
        tifffile.imwrite(folder / f"{number:02d}.tif", large)
    return folder


def small_vgg(folder: Path, *, quick: bool) -> Bundle:
    """Train UNet-VGG19 until it finds cells."""
    from c6seg.training.run import TrainingSet, run_training

    data = open_dataset(shared("t98g"))
    items = {part: tuple(select_text(data, f"{SPLIT}:split00", part=part)) for part in ("train", "val")}
    config = TrainConfig(
        network=NetworkConfig(encoder="VGG19", init="random"),
        input_size=(128, 128) if quick else (256, 256),
        epochs=1 if quick else 8,
        batch=4,
        validate_every=1 if quick else 8,
    )
    return run_training(TrainingSet(items["train"], items["val"][:1]), folder, config)


def beside_torch(
    report: Report,
    bundles: dict[str, Bundle],
    images: dict[int, Path],
    place: Path,
    rounds: int,
    *,
    one_core: bool,
) -> None:
    """Time both ways in turn, and compare their masks."""
    few, count = sorted(images)
    rows = []
    for name, bundle in bundles.items():
        taken: dict[tuple[str, int], list[Measured]] = {}
        for turn in range(rounds):
            ways = ("torch", *PRECISIONS)
            for way in ways if turn % 2 == 0 else reversed(ways):
                for number in (few, count):
                    out = place / f"{name}-{way}-{number}"
                    shutil.rmtree(out, ignore_errors=True)
                    command = way_of(way, bundle, images[number], out, one_core=one_core)
                    env = {"C6SEG_CACHE": str(place / "kept")}
                    taken.setdefault((way, number), []).append(measure(command, env=env))
        each = {way: per_image(taken, way, few, count) for way in ("torch", *PRECISIONS)}
        for way in PRECISIONS:
            whole = whole_of(taken, "torch", count) / whole_of(taken, way, count)
            agreement = agree(place / f"{name}-torch-{count}", place / f"{name}-{way}-{count}" / "masks")
            peak = max(one.peak_mb for one in taken[way, count])
            rows.append(
                (
                    name,
                    way,
                    f"{each['torch']:.2f}",
                    f"{each[way]:.2f}",
                    f"**{each['torch'] / each[way]:.1f}**",
                    f"{whole:.1f}",
                    f"{agreement:.4f}",
                    f"{max(one.peak_mb for one in taken['torch', count]):.0f}",
                    f"{peak:.0f}",
                )
            )
    titles = (
        "encoder",
        "precision",
        "torch fp32, s per image",
        "c6seg, s per image",
        "times faster",
        f"whole command of {count} images, times faster",
        "Dice between the masks (worst)",
        "peak MB torch",
        "c6seg",
    )
    report.table(titles, rows)


def way_of(way: str, bundle: Bundle, images: Path, out: Path, *, one_core: bool) -> list[str]:
    """Give the command of a way to make masks."""
    start = ["taskset", "-c", str(min(os.sched_getaffinity(0)))] if one_core else []
    if way == "torch":
        out.mkdir()
        spec = bundle.spec.preprocess
        settings = {
            "encoder": bundle.spec.encoder,
            "bundle": str(bundle.path),
            "mean": spec.mean,
            "std": spec.std,
            "percentiles": spec.contrast_percentiles,
            "threshold": bundle.spec.threshold,
            "images": str(images),
            "out": str(out),
        }
        return [*start, sys.executable, "-c", AS_A_USER_WOULD, json.dumps(settings)]
    verb = [*start, sys.executable, "-m", "c6seg", "segment", str(images), "--out", str(out), "--no-overlays"]
    return [*verb, "--model", str(bundle.path), "--scale", "native", "--engine", "openvino", "--precision", way]


def per_image(taken: dict[tuple[str, int], list[Measured]], way: str, few: int, count: int) -> float:
    """Seconds of one more image."""
    return (whole_of(taken, way, count) - whole_of(taken, way, few)) / (count - few)


def whole_of(taken: dict[tuple[str, int], list[Measured]], way: str, count: int) -> float:
    """Seconds of a whole command."""
    return min(one.seconds for one in taken[way, count])


def agree(first: Path, second: Path) -> float:
    """Return the worst Dice between masks of the same names."""
    worst = 1.0
    for path in sorted(first.iterdir()):
        one, two = np.asarray(Image.open(path)) > 0, np.asarray(Image.open(second / path.name)) > 0
        total = int(one.sum() + two.sum())
        worst = min(worst, 2 * int((one & two).sum()) / total if total else 1.0)
    return worst


def share_of_engine(report: Report, bundle: Bundle, images: Path, place: Path) -> None:
    """Run a folder with masks and overlays, and say how much of the time the network runs."""
    rows = []
    for precision in PRECISIONS:
        engine = TimedEngine(bundle.onnx_path, precision=precision)
        segmenter = Segmenter(bundle, SegmentConfig(scale="native"), engine=engine)
        started = time.perf_counter()
        result = segment_images(images, place / f"share-{precision}", segmenter=segmenter, config=segmenter.config)
        seconds = time.perf_counter() - started
        count = len(result.rows)
        rows.append((count, precision, f"{seconds / count:.2f}", f"{engine.seconds / seconds:.0%}"))
    report.say("### A folder of images, masks and overlays written\n")
    report.table(("images", "precision", "s per image", "share of the time in the engine"), rows)


def near_the_processor(report: Report, bundle: Bundle, *, rounds: int) -> None:
    """Set the speed of VGG19 at 704x512 beside a large bf16 matrix product of torch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from c6seg.models.network import build_network

    network, _, _ = build_network(NetworkConfig(encoder=bundle.spec.encoder, init=str(bundle.path)))
    network.eval()
    image = np.random.default_rng(0).standard_normal((1, 3, 512, 704), dtype=np.float32)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(torch.from_numpy(image))
    engine = OpenVinoEngine(bundle.onnx_path, precision="bf16")
    left, right = (torch.randn(4096, 4096, dtype=torch.bfloat16) for _ in range(2))
    product, inference = [], []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        torch.mm(left, right)
        middle = time.perf_counter()
        engine.run(image)
        product.append(middle - started)
        inference.append(time.perf_counter() - middle)
    peak = 2 * 4096**3 / median(product[1:]) / 1e9
    reached = counter.get_total_flops() / median(inference[1:]) / 1e9
    report.say("### VGG19 at 704x512, bf16, beside a matrix product of 4096x4096\n")
    titles = ("matrix product, GFLOP/s", "VGG19 in the engine, GFLOP/s", "fraction")
    report.table(titles, [(f"{peak:.0f}", f"{reached:.0f}", f"{reached / peak:.0%}")])


if __name__ == "__main__":
    main()
