"""The flag `unlike_training`: false alarms on phase contrast, hits on what is none.

    python benchmarks/bench_unlike.py [--quick] [--model NAME_OR_DIR] [--out FILE.md]

Phase contrast: images of t98g that did not train, its time-lapse, LIVECell (other cell lines, another instrument),
PHANTAST, frames of the demo, simulated pictures of another seed. None of these: the photographs and stained pictures in
the wheels of scikit-image (extra `bench`), scikit-learn and matplotlib; cells drawn from the true masks as in
fluorescence, as a stain in bright field, and as the faint rims of bright field; inverted images. Also blurred and noisy
copies, and images whose pixel size is given wrong. The measures were chosen on the groups that are not called `check`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from bench_flags import as_taken, blurred, noisy
from c6seg.data.datasets import open_dataset
from c6seg.data.images import Frame, find_images, read_image
from c6seg.data.splits import select_text
from c6seg.data.synthetic import simulate_image
from c6seg.data.synthetic_culture import simulate_culture
from c6seg.evaluation.demo import DEMO_CULTURE
from c6seg.inference.familiar import describe, distance
from c6seg.inference.quality import structure_of
from c6seg.inference.segmenter import Segmenter
from c6seg.transforms.preprocess import to_grey
from common import SPLIT, Report, parser, shared

Frames = Iterator[Frame]
ELSEWHERE = {"sklearn": "datasets/images/*.jpg", "matplotlib": "mpl-data/sample_data/*.jp*g"}
SMALLEST_PX = 128


def main() -> None:
    """Segment and count."""
    options = parser(__doc__).parse_args()
    report = Report("Images unlike the training")
    segmenter = Segmenter(options.model)
    familiar = segmenter.bundle.spec.familiar
    if familiar is None:
        raise SystemExit("This model does not know its training images. Teach it with: c6seg models familiar")
    report.say(f"{familiar.images} training images; unlike them is a distance above {familiar.threshold:g}.\n")
    for title, groups in (("Phase contrast: false alarms", phase_contrast()), ("Something else: hits", others())):
        report.say(f"{title}\n")
        rows = [row(segmenter, name, list(islice(frames, 2 if options.quick else None))) for name, frames in groups]
        head = ("images", "n", "`unlike_training`", "or out of focus or empty", "least, median, largest distance")
        report.table(head, [one for one in rows if one])
    report.save(options.out)


def row(segmenter: Segmenter, name: str, frames: list[Frame]) -> tuple[str, ...] | None:
    """One line: how many have the flag, how many have it or another that takes them out of use, and the distances."""
    if not frames:
        return None
    flags, far = zip(*(judged(segmenter, frame) for frame in frames), strict=True)
    unlike = sum("unlike_training" in one for one in flags)
    out = sum(bool({"unlike_training", "out_of_focus", "empty_field"} & set(one)) for one in flags)
    known = [one for one in far if one is not None]
    spread = ", ".join(f"{value:.2f}" for value in np.percentile(known, (0, 50, 100))) if known else ""
    return name, f"{len(frames)}", f"{unlike}", f"{out}", spread


def judged(segmenter: Segmenter, frame: Frame) -> tuple[tuple[str, ...], float | None]:
    """Give the flags of an image, and its distance from the training."""
    found, familiar, answer = segmenter.segment(frame), segmenter.bundle.spec.familiar, segmenter.answer()
    answer.add(found.probability)
    height, width = frame.pixels.shape[:2]
    structure = structure_of(lambda top, end: frame.pixels[top:end], (height, width), found.scale)
    measured = None if structure is None else describe(structure, answer, found.scale)
    return found.flags, None if measured is None or familiar is None else distance(familiar, measured)


def phase_contrast() -> Iterator[tuple[str, Frames]]:
    """Give groups that should have no flag."""
    yield "t98g, validation", (frame for frame, _ in t98g("val"))
    yield "t98g, test", (frame for frame, _ in t98g("test"))
    yield "t98g, time-lapse", (read_image(path) for path in find_images([shared("t98g_timelapse")])[::3])
    for half, name in enumerate(("chosen on", "check")):
        yield f"LIVECell, {name}", (read_image(path) for path in livecell()[half::2])
    yield "PHANTAST", (read_image(path) for path in find_images([shared("phantast")]))
    yield "demo", demo()
    pictures = (simulate_image(size_hw=(480, 480), seed=seed) for seed in range(1000, 1016))
    yield "simulated, another seed", (Frame(one.pixels, "simulated", pixel_size_um=0.8708) for one in pictures)


def others() -> Iterator[tuple[str, Frames]]:
    """Give groups that should have it."""
    yield "pictures of scikit-image", pictures("skimage", "data/*.[pj][np]g")
    for package, pattern in ELSEWHERE.items():
        yield f"photographs of {package}, check", pictures(package, pattern)
    yield "drawn: fluorescence", drawn(fluorescent)
    yield "drawn: stained", drawn(stained)
    yield "drawn: bright field", drawn(bright_field)
    yield "inverted t98g", (replace(frame, pixels=inverted(frame.pixels)) for frame, _ in half_of_t98g())
    few = (read_image(path) for path in livecell()[::6])
    yield "inverted LIVECell", (replace(frame, pixels=inverted(frame.pixels)) for frame in few)
    for factor in (3.0, 1 / 3):
        size_um = 0.8708 * factor
        yield f"t98g, pixel size {factor:.2g} times", (replace(f, pixel_size_um=size_um) for f, _ in half_of_t98g())
    yield "t98g, blur, sigma 3 px", (replace(f, pixels=blurred(f.pixels, 3)) for f, _ in half_of_t98g())
    yield "t98g, blur, sigma 6 px", (replace(f, pixels=blurred(f.pixels, 6)) for f, _ in half_of_t98g())
    yield "t98g, noise, twice the contrast", (replace(f, pixels=noisy(f.pixels, 2.0)) for f, _ in half_of_t98g())


def t98g(part: str) -> Iterator[tuple[Frame, NDArray[np.bool_]]]:
    """Give images of t98g that did not train, with their true masks."""
    for item in select_text(open_dataset(shared("t98g")), f"{SPLIT}:split00", part=part):
        frame = read_image(item.image)
        yield frame, item.annotation.mask((int(frame.pixels.shape[0]), int(frame.pixels.shape[1])))


def half_of_t98g() -> Iterator[tuple[Frame, NDArray[np.bool_]]]:
    """Give every other test image."""
    return islice(t98g("test"), 0, None, 2)


def livecell() -> list[Path]:
    """Give all images of LIVECell."""
    return sorted(find_images([shared("livecell", "images")], recursive=True), key=lambda path: path.stem)


def demo() -> Frames:
    """Give first, middle and last frames of the wells of the demo."""
    shape = {key: DEMO_CULTURE[key] for key in ("size_hw", "start_count", "seed")}
    for rate in DEMO_CULTURE["growth_rates_per_h"].values():
        for one in simulate_culture(times_h=[0.0, 24.0, 48.0], growth_rate_per_h=rate, **shape):
            yield Frame(one.pixels, "demo", pixel_size_um=0.87)


def pictures(package: str, pattern: str) -> Frames:
    """Give pictures that come with a package, where it is installed; small ones are passed over."""
    found = importlib.util.find_spec(package)
    for folder in found.submodule_search_locations or [] if found else []:
        for path in sorted(Path(folder).glob(pattern)):
            with Image.open(path) as picture:
                if min(picture.size) >= SMALLEST_PX:
                    mode = "L" if picture.mode in {"1", "L", "I", "P"} else "RGB"
                    yield Frame(np.asarray(picture.convert(mode)), path.stem)


def drawn(draw: Callable[[NDArray[np.float32], np.random.Generator], NDArray[Any]]) -> Frames:
    """Draw the cells of half of the test images in another way."""
    for number, (frame, mask) in enumerate(half_of_t98g()):
        picture = draw(mask.astype(np.float32), np.random.default_rng(number))
        yield Frame(np.clip(np.round(picture), 0, 255).astype(np.uint8), "drawn", pixel_size_um=frame.pixel_size_um)


def fluorescent(mask: NDArray[np.float32], rng: np.random.Generator) -> NDArray[Any]:
    """Bright cells, thickest in the middle, on a dark ground with shot noise."""
    thick = ndimage.gaussian_filter(mask * np.sqrt(ndimage.distance_transform_edt(mask)), 2)
    return np.asarray(10 + 30 * thick + rng.poisson(10, mask.shape))


def stained(mask: NDArray[np.float32], rng: np.random.Generator) -> NDArray[Any]:
    """Dark, grainy cells on a bright ground."""
    grain = 0.5 + 1.2 * ndimage.gaussian_filter(rng.normal(0, 1, mask.shape), 3)
    return np.asarray(220 - 110 * ndimage.gaussian_filter(mask, 1.5) * grain + rng.normal(0, 3, mask.shape))


def bright_field(mask: NDArray[np.float32], rng: np.random.Generator) -> NDArray[Any]:
    """Faint light and dark rims, as a little out of focus in bright field."""
    grain = 0.2 * ndimage.gaussian_filter(rng.normal(0, 1, mask.shape), 2) * mask
    rims = ndimage.laplace(ndimage.gaussian_filter(mask + grain, 2))
    return np.asarray(128 + 600 * rims + rng.normal(0, 3, mask.shape))


def inverted(pixels: NDArray[Any]) -> NDArray[Any]:
    """Turn bright into dark."""
    grey = to_grey(pixels)
    return as_taken(grey.max() + grey.min() - grey, pixels)


if __name__ == "__main__":
    main()
