"""One epoch of UNet-MobileNetV2 on 15 real images, 512x512, batch 3, bf16: c6seg against a plain PyTorch + smp loop.

    python benchmarks/bench_epoch.py [--quick] [--out FILE.md]

Both do the same work on the same decoded images: the same random crops and changes (c6seg's own functions, called one
after the other by the plain loop), the same loss, Adam, autocast to bf16, channels_last. Epochs alternate. Validation
is not in the ratio and reported apart. Aim: at most 1.1.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import segmentation_models_pytorch as smp
import torch

from c6seg.config import NetworkConfig, TrainConfig
from c6seg.data.datasets import open_dataset
from c6seg.models.network import build_network
from c6seg.training.batches import Examples, epoch_order
from c6seg.training.loop import Training
from c6seg.training.losses import segmentation_loss
from c6seg.training.recipe import load_recipe
from common import Report, parser, shared

BATCH = 3


class PlainLoop:
    """What a user would write herself."""

    def __init__(self, examples: Examples, network: torch.nn.Module, config: TrainConfig, device: torch.device) -> None:
        self.examples, self.config, self.device = examples, config, device
        self.network = network.to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate)

    def epoch(self, number: int) -> float:
        """Train one epoch; the mean loss."""
        self.network.train()
        order = epoch_order(self.examples, epoch=number)
        total = 0.0
        for start in range(0, len(order), BATCH):
            pairs = [
                self.examples.train(int(order[index]), epoch=number, index=index)
                for index in range(start, min(start + BATCH, len(order)))
            ]
            images = torch.from_numpy(np.stack([image for image, _ in pairs])).to(self.device)
            masks = torch.from_numpy(np.stack([mask for _, mask in pairs])).to(self.device)
            with torch.autocast(self.device.type, dtype=torch.bfloat16):
                logits = self.network(images.contiguous(memory_format=torch.channels_last))
            loss = segmentation_loss(logits, masks, self.config.loss)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            total += float(loss.detach())
        return total / (len(order) / BATCH)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, model=False).parse_args()
    size, count, rounds = ("96x96", 6, 1) if options.quick else ("512x512", 15, 3)
    report = Report(f"One epoch of UNet-MobileNetV2, {count} images, {size}, batch {BATCH}, bf16")
    validated = 1 if options.quick else 5
    items = open_dataset(shared("t98g")).items[: count + validated]
    settings = [f"input_size={size}", f"batch={BATCH}", "precision=bf16", "ema=0", "epochs=1000", "validate_every=1000"]
    config = load_recipe("default", init="random", encoder="MobileNetV2", overrides=settings)
    first, mean, std = build_network(NetworkConfig(encoder="MobileNetV2", init="random"))
    config = config.model_copy(update={"preprocess": config.preprocess.model_copy(update={"mean": mean, "std": std})})
    second = smp.Unet("mobilenet_v2", encoder_weights=None, decoder_interpolation="bilinear", in_channels=3, classes=1)
    second.load_state_dict(first.state_dict())
    examples = Examples(items[:count], config)
    for number in range(count):
        examples.prepared(number)  # decoding is done once by both
    with tempfile.TemporaryDirectory() as folder:
        ours, plain, apart = run(
            Training(first, examples, Examples(items[count:], config), config, Path(folder)),
            PlainLoop(examples, second, config, torch.device("cuda" if torch.cuda.is_available() else "cpu")),
            rounds=rounds,
        )
    rows = [
        ("c6seg", f"{median(ours):.2f}", " ".join(f"{value:.2f}" for value in ours)),
        ("plain loop", f"{median(plain):.2f}", " ".join(f"{value:.2f}" for value in plain)),
    ]
    report.table(("loop", "s per epoch (median)", "each"), rows)
    report.say(f"Ratio c6seg / plain: **{median(ours) / median(plain):.2f}** (aim: at most 1.1).")
    report.say(f"Validation on {validated} images, not counted above: {median(apart):.2f} s.\n")
    report.save(options.out)


def run(training: Training, plain: PlainLoop, *, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """Alternate epochs after one to warm up; seconds of ours, of the plain loop, and of our validation."""
    training.progress.batch = BATCH
    ours: list[float] = []
    others: list[float] = []
    apart: list[float] = []
    for number in range(rounds + 1):
        tasks = [
            (ours, lambda: training._epoch([False])),
            (others, lambda number=number: plain.epoch(number)),
        ]
        for seconds, task in tasks if number % 2 == 0 else reversed(tasks):
            started = time.perf_counter()
            task()
            seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        training._validate()
        apart.append(time.perf_counter() - started)
    return ours[1:], others[1:], apart[1:]


if __name__ == "__main__":
    main()
