"""Training images to batches.

Raw pixels are kept in memory in their own type (16-bit stays 16-bit) up to a budget and read again beyond it. Examples
are made by threads ahead of the network; each depends on (seed, epoch, index) alone, so their order of making is free.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from c6seg.config import TrainConfig
from c6seg.data.datasets import Item
from c6seg.data.images import probe, read_image
from c6seg.errors import DataError
from c6seg.runtime import seed_for
from c6seg.transforms import augment, chain
from c6seg.transforms.preprocess import contrast_limits, normalise, raise_contrast, select_channels

FloatArray = NDArray[np.float32]
Example = tuple[FloatArray, NDArray[np.bool_]]
MEMORY_BYTES = 4 * 2**30
"""Budget for decoded training images."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A decoded training image: raw pixels, packed mask, contrast limits of the whole image."""

    pixels: NDArray[np.generic]
    packed: NDArray[np.uint8]
    limits: tuple[float, float]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width, px."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def mask(self) -> NDArray[np.bool_]:
        """Return the mask, bool (Y, X)."""
        height, width = self.size_hw
        return np.unpackbits(self.packed, count=height * width).reshape(height, width).astype(bool)

    @property
    def nbytes(self) -> int:
        """Memory held, bytes."""
        return self.pixels.nbytes + self.packed.nbytes


class Examples:
    """Annotated images as network examples.

    Parameters
    ----------
    items
        Images with annotations: what the network is for.
    config
        Preprocessing, augmentation, input size; mean and std are set.
    extra
        Additional annotated images (simulated, or of other cells), of which ``config.extra_per_epoch`` join an epoch.
    """

    def __init__(self, items: Sequence[Item], config: TrainConfig, *, extra: Sequence[Item] = ()) -> None:
        self.items = (*items, *extra)
        self.main_count = len(items)
        self.config = config
        self._kept: dict[int, Prepared] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.items)

    def prepared(self, number: int) -> Prepared:
        """Decode image ``number``, or take it from memory."""
        if number in self._kept:
            return self._kept[number]
        prepared = _prepare(self.items[number], self.config)
        if self._bytes + prepared.nbytes <= MEMORY_BYTES:
            self._kept[number] = prepared
            self._bytes += prepared.nbytes
        return prepared

    def largest_hw(self) -> tuple[int, int]:
        """Size of the largest example, px."""
        if self.config.input_size is not None:
            return self.config.input_size
        sizes = [_input_hw(probe(item.image).size_hw, self.config) for item in self.items]
        return max(sizes, key=lambda size: size[0] * size[1])

    def train(self, number: int, *, epoch: int, index: int) -> Example:
        """Make one random example: image (3, H, W) and mask (1, H, W).

        ``index`` counts the examples of the epoch; with the seed and the epoch it decides every random choice.
        """
        config = self.config
        prepared = self.prepared(number)
        rng = augment.example_rng(config.seed, epoch, index)
        window = _window(prepared.size_hw, config, rng)
        image, mask = self._cut(prepared, window)
        image, mask = augment.turn(image, mask, config.augment, rng)
        image = augment.vary(image, config.augment, rng)
        if config.augment.chain:
            image, mask = chain.apply(image, mask, config.augment, rng)
        return normalise(image, config.preprocess.mean, config.preprocess.std), mask[None]

    def windows(self, number: int) -> list[augment.Window]:
        """Return fixed windows that cover image ``number`` for validation; the last ones overlap their neighbours."""
        height, width = self.prepared(number).size_hw
        size_hw = _input_hw((height, width), self.config)
        if isinstance(self.config.augment.fragment, tuple):
            return _fragments((height, width), size_hw, float(np.mean(self.config.augment.fragment)))
        if self.config.fit == "resize":
            return [augment.Window((0.0, 0.0, float(width), float(height)), size_hw, size_hw)]
        found = []
        for top in _starts(height, size_hw[0]):
            for left in _starts(width, size_hw[1]):
                inner = (min(size_hw[0], height), min(size_hw[1], width))
                box = (float(left), float(top), float(left + inner[1]), float(top + inner[0]))
                found.append(augment.Window(box, inner, size_hw))
        return found

    def fixed(self, number: int, window: augment.Window) -> Example:
        """Make a validation example: no random changes."""
        image, mask = self._cut(self.prepared(number), window)
        return normalise(image, self.config.preprocess.mean, self.config.preprocess.std), mask[None]

    def _cut(self, prepared: Prepared, window: augment.Window) -> Example:
        # Cut generously in raw pixels first: stretching the whole image for each fragment would cost more than the cut.
        left, top, right, bottom = window.box_xyxy
        margin = 2
        x0, y0 = max(0, int(left) - margin), max(0, int(top) - margin)
        x1, y1 = (
            min(prepared.size_hw[1], int(np.ceil(right)) + margin),
            min(prepared.size_hw[0], int(np.ceil(bottom)) + margin),
        )
        local = augment.Window((left - x0, top - y0, right - x0, bottom - y0), window.inner_hw, window.size_hw)
        raw = select_channels(prepared.pixels[y0:y1, x0:x1], self.config.preprocess.channels)
        image = augment.cut(raise_contrast(raw, prepared.limits), local)
        # Half a pixel covered counts as cell: unbiased areas while training; the metric has its own convention.
        mask = augment.cut(prepared.mask()[y0:y1, x0:x1].astype(np.float32), local) >= 0.5
        return image, mask


def epoch_order(examples: Examples, *, epoch: int) -> NDArray[np.int64]:
    """Order in which an epoch visits the images: each main image ``crops_per_image`` times, and the drawn extra ones.

    Decided by seed and epoch alone.
    """
    config = examples.config
    rng = np.random.default_rng(seed_for(config.seed, "order", epoch))
    rounds = [rng.permutation(examples.main_count) for _ in range(config.crops_per_image)]
    extra = examples.main_count + rng.permutation(len(examples) - examples.main_count)[: _extra_count(examples)]
    if not len(extra):
        return np.concatenate(rounds)
    return rng.permutation(np.concatenate([*rounds, extra]))


def _extra_count(examples: Examples) -> int:
    available = len(examples) - examples.main_count
    return min(examples.config.extra_per_epoch or available, available)


def train_batches(
    examples: Examples, *, epoch: int, batch: int, first_step: int = 0, rank: int = 0, processes: int = 1
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the batches of an epoch for one process, from step ``first_step`` on.

    A step takes ``batch * processes`` consecutive examples of the epoch's order, and process ``rank`` its own ``batch``
    of them, so that P processes see together what one process with a P times larger batch sees. The last step may be
    short; it is filled up from the start of the order, so that batch norm never sees a lone example.
    """
    order = epoch_order(examples, epoch=epoch)
    together = batch * processes
    steps = steps_per_epoch(examples, batch=batch, processes=processes)
    order = np.resize(order, steps * together)

    def make(position: int) -> Example:
        return examples.train(int(order[position]), epoch=epoch, index=position)

    positions = [
        list(range(step * together + rank * batch, step * together + (rank + 1) * batch))
        for step in range(first_step, steps)
    ]
    yield from _ahead(positions, make)


def steps_per_epoch(examples: Examples, *, batch: int, processes: int = 1) -> int:
    """Count the steps of an epoch."""
    count = examples.main_count * examples.config.crops_per_image + _extra_count(examples)
    return -(-count // (batch * processes))


def _ahead(positions: list[list[int]], make: Callable[[int], Example]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Make examples in threads, up to three batches ahead, and yield them in order."""
    with ThreadPoolExecutor(max_workers=min(4, max(1, (os.cpu_count() or 2) // 2))) as pool:
        waiting: deque[list[Future[Example]]] = deque()
        upcoming = iter(positions)
        try:
            while True:
                while len(waiting) < 3 and (group := next(upcoming, None)) is not None:
                    waiting.append([pool.submit(make, position) for position in group])
                if not waiting:
                    return
                pairs = [future.result() for future in waiting.popleft()]
                images = torch.from_numpy(np.stack([image for image, _ in pairs]))
                masks = torch.from_numpy(np.stack([mask for _, mask in pairs]))
                yield images, masks
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare(item: Item, config: TrainConfig) -> Prepared:
    frame = read_image(item.image, frame=item.frame)
    if item.annotation is None:
        raise DataError(f"Image '{item.image}' has no annotation and cannot be trained on.")
    mask = item.annotation.mask((frame.pixels.shape[0], frame.pixels.shape[1]))
    channels = select_channels(frame.pixels, config.preprocess.channels)
    limits = contrast_limits(channels, config.preprocess.contrast_percentiles)
    return Prepared(frame.pixels, np.packbits(mask), limits)


def _window(image_hw: tuple[int, int], config: TrainConfig, rng: np.random.Generator) -> augment.Window:
    size_hw = _input_hw(image_hw, config)
    if config.augment.fragment is not None:
        side = augment.draw_side(config.augment, rng)
        return augment.random_fragment(image_hw, size_hw, (image_hw[0] * side, image_hw[1] * side), rng)
    scale = augment.draw_scale(config.augment, rng)
    if config.fit == "crop":
        return augment.random_window(image_hw, size_hw, scale, rng)
    if scale <= 1:
        return augment.Window((0.0, 0.0, float(image_hw[1]), float(image_hw[0])), size_hw, size_hw)
    # A magnified whole image: a fragment with the side 1/scale of the image's side, as in the paper's Fig. 5.
    return augment.random_fragment(image_hw, size_hw, (image_hw[0] / scale, image_hw[1] / scale), rng)


def _fragments(image_hw: tuple[int, int], size_hw: tuple[int, int], side: float) -> list[augment.Window]:
    """Cover an image with fragments whose side is a fraction of its side: validation at the scale of the training."""
    count = math.ceil(1 / side - 1e-9)
    height, width = image_hw[0] * side, image_hw[1] * side
    tops, lefts = (np.linspace(0.0, length * (1 - side), count) for length in image_hw)
    boxes = [(float(left), float(top), float(left + width), float(top + height)) for top in tops for left in lefts]
    return [augment.Window(box, size_hw, size_hw) for box in boxes]


def _input_hw(image_hw: tuple[int, int], config: TrainConfig) -> tuple[int, int]:
    """Size at which the network sees an image or its fragments: as configured, or its own, filled up."""
    height, width = image_hw
    multiple = config.preprocess.multiple
    return config.input_size or (height + -height % multiple, width + -width % multiple)


def _starts(length: int, size: int) -> list[int]:
    if length <= size:
        return [0]
    count = -(-length // size)
    return [round(number * (length - size) / (count - 1)) for number in range(count)]
