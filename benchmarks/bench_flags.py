"""Quality flags on degraded copies of real images: hit and false-alarm rates.

    python benchmarks/bench_flags.py [--quick] [--out FILE.md]

The images of t98g and LIVECell are blurred (fresh noise of the strength of the image's own on top, as a camera would
add), lit unevenly, overexposed and made noisy. Thresholds were chosen on every other image, the fit half; what counts
is the check half. Copies are of the middle 704x520 px. The flags are read at the scale of the images, which is that of
the embedded model for t98g. `empty_field` is the network's: its false alarms stand in bench_uncertainty.py, its hits in
bench_empty_field.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from c6seg.data.images import find_images, read_image
from c6seg.data.synthetic import simulate_image
from c6seg.inference.fine_structure import fine_structure
from c6seg.inference.quality import OVEREXPOSED_FRACTION, look, quality_flags, saturated_fraction, structure_of
from c6seg.transforms.preprocess import to_grey
from common import Report, parser, shared

Pixels = NDArray[Any]
WORDS = ("out_of_focus", "uneven_light", "overexposed", "shows nothing")


def main() -> None:
    """Degrade, judge, print."""
    arguments = parser(__doc__, model=False)
    arguments.add_argument("--half", choices=("check", "fit"), default="check", help="default: check")
    options = arguments.parse_args()
    report = Report("Quality flags on degraded copies of real images")
    kinds = dict(list(copies().items())[:: 4 if options.quick else 1])
    rows = []
    for name in ("t98g", "livecell"):
        paths = find_images([shared(name, "images")], recursive=True)[1 if options.half == "check" else 0 :: 2]
        images = [read_image(path).pixels for path in paths[: 3 if options.quick else None]]
        rows += [row(name, kind, make, images) for kind, make in kinds.items()]
    report.say(f"Images with the flag, {options.half} half\n")
    report.table(("images", "n", "copies", *WORDS), rows)
    simulated = [simulate_image(size_hw=(256, 320), seed=seed).pixels for seed in range(3 if options.quick else 30)]
    report.say("Simulated cultures of all looks, some lit unevenly or a little out of focus\n")
    report.table(("images", "n", "copies", *WORDS), [row("simulated", "as they are", lambda pixels: pixels, simulated)])
    large = np.tile(read_image(find_images([shared("t98g", "images")])[0]).pixels, (2, 3))[:1952, :2592]
    grey = to_grey(large)
    started = time.process_time()
    structure = fine_structure(lambda top, end: grey[top:end], (1952, 2592))
    quality_flags(structure, (1952, 2592), grey, 1.0)
    seconds = time.process_time() - started
    report.say(f"`out_of_focus` and `uneven_light` of 2592x1952 px take {seconds:.2f} s of processor time.")
    report.save(options.out)


def row(name: str, kind: str, make: Callable[[Pixels], Pixels], images: list[Pixels]) -> tuple[str, ...]:
    """One line: how many of the copies have each flag."""
    found = [words(make(pixels if kind == "as they are" else middle(pixels))) for pixels in images]
    return name, str(len(images)), kind, *(f"{sum(word in one for one in found)}" for word in WORDS)


def middle(pixels: Pixels) -> Pixels:
    """Cut the middle 704x520 px out: the size of the LIVECell images."""
    top, left = (max(0, (size - side) // 2) for size, side in zip(pixels.shape, (520, 704), strict=False))
    return pixels[top : top + 520, left : left + 704]


def words(pixels: Pixels) -> list[str]:
    """Give the flags of a picture, without a network."""
    grey = to_grey(pixels)
    nothing, blurred = look(pixels)
    size_hw = (grey.shape[0], grey.shape[1])
    found: tuple[str, ...] = ()
    if not nothing:
        structure = structure_of(lambda top, end: grey[top:end], size_hw, 1.0)
        found = quality_flags(structure, size_hw, grey, 1.0, blurred=blurred)
    return [
        *found,
        *(["overexposed"] if saturated_fraction(pixels) > OVEREXPOSED_FRACTION else []),
        *(["shows nothing"] if nothing else []),
    ]


def copies() -> dict[str, Callable[[Pixels], Pixels]]:
    """Give the degraded copies by name."""
    made: dict[str, Callable[[Pixels], Pixels]] = {"as they are": lambda pixels: pixels}
    for sigma in (1, 2, 3, 4, 6, 9):
        made[f"blur, sigma {sigma} px"] = lambda pixels, sigma=sigma: blurred(pixels, sigma)
    for part in (0.1, 0.3, 0.5):
        made[f"slope of light, {part:.0%}"] = lambda pixels, part=part: lit(pixels, part, "slope")
    for part in (0.4,):
        made[f"dark edges, {part:.0%}"] = lambda pixels, part=part: lit(pixels, part, "vignette")
    for part in (0.03, 0.1):
        made[f"{part:.0%} saturated"] = lambda pixels, part=part: saturated(pixels, part)
    made["noise, half the contrast"] = lambda pixels: noisy(pixels, 0.5)
    return made


def noise_sd(grey: NDArray[np.float32]) -> float:
    """Noise of an image: from its mixed second differences (Immerkaer, CVIU 64 (1996) 300) where it is quietest."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    second = ndimage.convolve(grey, kernel)[: grey.shape[0] // 16 * 16, : grey.shape[1] // 16 * 16]
    blocks = second.reshape(second.shape[0] // 16, 16, -1, 16).std(axis=(1, 3))
    return float(np.percentile(blocks, 5) / 6)


def as_taken(grey: NDArray[np.float32], like: Pixels) -> Pixels:
    """Round to the kind of the original."""
    return np.clip(np.round(grey), 0, np.iinfo(like.dtype).max).astype(like.dtype)


def blurred(pixels: Pixels, sigma_px: float) -> Pixels:
    """Blur, and noise as in the original."""
    grey = to_grey(pixels)
    noise = np.random.default_rng(0).normal(0, noise_sd(grey), grey.shape)
    return as_taken(ndimage.gaussian_filter(grey, sigma_px) + noise, pixels)


def lit(pixels: Pixels, part: float, kind: str) -> Pixels:
    """Multiply by a slope from left to right, or by darkness that grows with the square of the distance."""
    grey = to_grey(pixels)
    y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in grey.shape), indexing="ij")
    light = 1 + part * x / 2 if kind == "slope" else 1 - part * (x * x + y * y) / 2
    return as_taken(grey * light.astype(np.float32), pixels)


def saturated(pixels: Pixels, part: float) -> Pixels:
    """Brighten until a part of the pixels is at the top."""
    grey = to_grey(pixels)
    return as_taken(grey * (np.iinfo(pixels.dtype).max / np.percentile(grey, 100 * (1 - part))), pixels)


def noisy(pixels: Pixels, part: float) -> Pixels:
    """Add noise, by the standard deviation of the image."""
    grey = to_grey(pixels)
    return as_taken(grey + np.random.default_rng(0).normal(0, part * grey.std(), grey.shape), pixels)


if __name__ == "__main__":
    main()
