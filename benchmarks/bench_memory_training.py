"""Memory of one training step, MiT-B3 and VGG19 at the paper's three sizes: plain smp against c6seg.

    python benchmarks/bench_memory_training.py [--quick] [--measure-gb GB] [--encoders NAME...] [--sizes WxH...]
                                              [--ways N...] [--out FILE.md]

Counted: activations that the forward pass keeps, and the largest sum of weights, Adam's numbers, gradients, activations
and input at any moment, on tensors without contents. Measured: peak resident memory (VmHWM) of a process that makes one
real step with Adam on the processor, beside that of a process that has only loaded the same libraries; steps whose
count is above --measure-gb are not tried. Batch 1. Aim: MiT-B3 at 2592x1952 within a card of 24 GB.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from c6seg.config import NetworkConfig, format_size, parse_size
from c6seg.models.encoders import find_encoder
from c6seg.models.network import build_network
from c6seg.training.losses import segmentation_loss
from c6seg.training.memory import step_memory
from c6seg.training.recompute import recompute_blocks
from common import Report, measure, parser

SIZES = ("704x512", "1472x1120", "2592x1952")
WAYS = ("plain smp, fp32", "fused attention, fp32", "+ checkpointing, fp32", "+ checkpointing, bf16")
GIB = 2**30
CARD_GIB = 24e9 / GIB


def build(name: str, way: str) -> nn.Module:
    """Make the network of one way of training."""
    if way.startswith("plain"):
        import segmentation_models_pytorch as smp

        library = find_encoder(name).library_name
        plain: nn.Module = smp.Unet(
            library, encoder_weights=None, decoder_interpolation="bilinear", in_channels=3, classes=1
        )
        return plain
    network, _, _ = build_network(NetworkConfig(encoder=name, init="random"))
    if "checkpointing" in way:
        recompute_blocks(network, find_encoder(name))
    return network


def step(name: str, way: str, size: str) -> None:
    """Make one real step in this process and print its seconds and its peak of resident memory, MB."""
    height, width = parse_size(size) or (0, 0)
    network = build(name, way).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    image, mask = torch.randn(1, 3, height, width), torch.rand(1, 1, height, width) > 0.5
    started = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=way.endswith("bf16")):
        logits = network(image)
    segmentation_loss(logits, mask, "bce+dice").backward()
    optimizer.step()
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    print(f"{seconds:.1f} {int(peak) / 1024:.0f}")


def measured(name: str, way: str, size: str) -> tuple[float, float]:
    """Make one real step in a process of its own; its seconds, and its memory beyond that of the libraries, GiB."""
    seconds, peak = in_a_process(name, way, size)
    weights = step_memory(build(name, way), (64, 64)).peak / GIB
    return seconds, (peak - base_mb(name)) / 1024 + weights


@functools.cache
def base_mb(name: str) -> float:
    """Peak of a process whose step is of a tiny picture: libraries, weights, gradients and Adam."""
    return in_a_process(name, WAYS[1], "64x64")[1]


def in_a_process(name: str, way: str, size: str) -> tuple[float, float]:
    """Seconds and peak, MB."""
    done = measure([sys.executable, str(Path(__file__).resolve()), "--step", name, way, size])
    seconds, peak = (float(part) for part in done.stdout.split())
    return seconds, peak


def main() -> None:
    """Count, measure and print."""
    if sys.argv[1:2] == ["--step"]:
        step(*sys.argv[2:5])
        return
    made = parser(__doc__, model=False)
    made.add_argument(
        "--measure-gb", type=float, default=8.0, metavar="GB", help="largest step to make really; 0 = none"
    )
    made.add_argument("--encoders", nargs="+", default=["MiT-B3", "VGG19"], metavar="NAME")
    made.add_argument("--sizes", nargs="+", default=SIZES, metavar="WxH")
    ways = ", ".join(f"{number} = {way}" for number, way in enumerate(WAYS, start=1))
    made.add_argument("--ways", nargs="+", type=int, default=[1, 2, 3, 4], metavar="N", help=ways)
    options = made.parse_args()
    sizes: Sequence[str] = options.sizes[:1] if options.quick else options.sizes
    chosen = [WAYS[number - 1] for number in options.ways]
    report = Report(f"Memory of a training step, batch 1: {', '.join(options.encoders)}")
    rows = (row(name, size, way, options.measure_gb) for name in options.encoders for size in sizes for way in chosen)
    titles = ("encoder", "input", "way", "activations kept, GiB", "peak counted, GiB", "peak measured, GiB", "s")
    report.table((*titles, "24 GB card"), rows)
    report.say(
        "A dash: not tried, its count is above the limit. Seconds are of one step on this processor. The last column "
        "adds a tenth to the count for what a card's own libraries need; it is not measured on one.\n"
    )
    report.save(options.out)


def row(name: str, size: str, way: str, limit_gb: float) -> list[str]:
    """Count one way of training at one size, and measure it where it is small enough."""
    size_hw = parse_size(size)
    if size_hw is None:
        raise ValueError(size)
    bf16 = way.endswith("bf16")
    found = step_memory(build(name, way), size_hw, bf16=bf16)
    seconds, peak = "-", "-"
    if found.peak < limit_gb * 1e9:
        taken, memory = measured(name, way, size)
        seconds, peak = f"{taken:.1f}", f"{memory:.2f}"
    verdict = "yes" if found.peak / GIB * 1.1 < CARD_GIB else "no"
    kept, counted = f"{found.kept / GIB:.2f}", f"{found.peak / GIB:.2f}"
    return [name, format_size(size_hw), way, kept, counted, peak, seconds, verdict]


if __name__ == "__main__":
    main()
