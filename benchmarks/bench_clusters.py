"""Dense clusters: how many are found, how much of them, and how often cultures without clusters show any.

Clusters of dead cells are simulated, in simulated cultures and on photographs of t98g that have none. The thresholds of
the detector were chosen on the even-numbered half of each; the odd-numbered half is measured here. Real clusters in
LIVECell images have no outlines: images are named below by eye, and only whether something is found there is counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from c6seg.config import SegmentConfig
from c6seg.data.datasets import open_dataset
from c6seg.data.images import Frame, read_image
from c6seg.data.synthetic_clusters import pile_up, simulate_clusters
from c6seg.data.synthetic_optics import phase_contrast
from c6seg.data.synthetic_style import SceneStyle
from c6seg.inference.clusters import cell_width_px, compare_masks
from c6seg.inference.segmenter import Segmenter
from common import Report, parser, shared

FAMILIES = ("spread", "confluent", "islands", "round", "plump", "spindle", "large")
FOUND = 0.3
"""Part of a cluster that must be marked for it to count as found."""

BY_EYE = {
    "piles and clumps of debris": (
        "A172_Phase_A7_1_01d08h00m_2", "Huh7_Phase_A11_1_02d08h00m_3", "SkBr3_Phase_E3_1_02d20h00m_2",
        "SHSY5Y_Phase_D10_1_02d08h00m_4", "Huh7_Phase_A10_1_02d12h00m_3",
    ),
    "clumps that the annotators left out": ("BT474_Phase_B3_2_02d12h00m_3", "MCF7_Phase_H4_1_03d08h00m_4"),
    "crowds of round living cells": ("BV2_Phase_B4_2_02d04h00m_3", "BV2_Phase_C4_2_02d20h00m_4"),
    "none, used to choose": (
        "A172_Phase_B7_1_01d08h00m_3", "A172_Phase_B7_2_00d00h00m_2", "BT474_Phase_C3_1_00d00h00m_2",
        "BV2_Phase_B4_2_01d08h00m_4", "BV2_Phase_D4_2_00d16h00m_2", "MCF7_Phase_E4_2_00d08h00m_4",
        "MCF7_Phase_F4_2_00d00h00m_4", "MCF7_Phase_G4_2_02d00h00m_3", "SKOV3_Phase_F4_1_00d00h00m_2",
        "SkBr3_Phase_E3_2_00d04h00m_1", "BT474_Phase_D3_1_02d16h00m_1",
    ),
    "none, not used before": (
        "A172_Phase_B7_2_02d04h00m_1", "A172_Phase_C7_1_00d20h00m_4", "A172_Phase_C7_2_02d00h00m_4",
        "BT474_Phase_C3_1_01d04h00m_4", "BT474_Phase_C3_2_03d04h00m_4", "Huh7_Phase_A12_1_02d12h00m_3",
        "MCF7_Phase_E4_2_01d08h00m_2", "MCF7_Phase_G4_1_02d04h00m_4", "MCF7_Phase_G4_2_02d16h00m_1",
        "SHSY5Y_Phase_D10_1_03d00h00m_2", "SKOV3_Phase_E4_2_00d08h00m_4", "SkBr3_Phase_E3_2_00d16h00m_4",
        "SkBr3_Phase_F3_1_02d00h00m_4",
    ),
}  # fmt: skip

Bools = np.ndarray


@dataclass
class Score:
    """What was found in a group of pictures."""

    found: int = 0
    clusters: int = 0
    dices: list[float] = field(default_factory=list)
    alarms: int = 0
    marked: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)

    def add(self, marked: Bools, true: Bools, mask: Bools) -> None:
        """Count one picture."""
        if true.any():
            labels, count = ndimage.label(true)
            self.clusters += count
            self.found += sum(bool(marked[labels == one].mean() >= FOUND) for one in range(1, count + 1))
            self.dices.append(float(2 * (marked & true).sum() / (marked.sum() + true.sum())))
        else:
            self.alarms += bool(marked.any())
            self.marked.append(float(marked.mean()))
            cells = int((mask | marked).sum())
            self.lost.append(float(marked.sum() / cells) if cells else 0.0)

    def row(self, name: str) -> list[object]:
        """One line of the table."""
        return [
            name,
            f"{self.found} of {self.clusters}",
            f"{np.mean(self.dices):.2f}",
            f"{self.alarms} of {len(self.marked)}",
            f"{100 * np.mean(self.marked):.2f} %",
            f"{100 * np.mean(self.lost):.2f} %",
        ]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--part", choices=("simulated", "photographs", "livecell"), help="one part only")
    given = options.parse_args()
    report = Report("Dense clusters")
    segmenter = Segmenter(given.model, SegmentConfig(clusters="report"))
    few = 2 if given.quick else None
    rows = []
    if given.part in {None, "simulated"}:
        rows += _rows("simulated cultures", _simulated(few or 14), segmenter)
    if given.part in {None, "photographs"}:
        rows += _rows("simulated clusters on photographs of t98g", _implanted(shared("t98g"), few), segmenter)
    if rows:
        titles = ("odd half", "found", "Dice", "alarms without clusters", "area marked there", "of the cells there")
        report.table(titles, rows)
    if given.part in {None, "livecell"}:
        lines = [_line(name, names[:few], segmenter) for name, names in BY_EYE.items()]
        report.table(("LIVECell images, by eye", "images", "with a cluster found", "area marked"), lines)
    report.save(given.out)


def _rows(name: str, pictures: Iterator[tuple[Frame, Bools]], segmenter: Segmenter) -> list[list[object]]:
    """One line for one network, and one for two ideal ones: with the true clusters marked, and with them left out.

    The second shows what the restriction to thick and bright regions costs, not how well real pairs differ.
    """
    one, two = Score(), Score()
    for frame, true in pictures:
        alone = segmenter.segment(frame)
        mask = alone.probability >= segmenter.threshold
        one.add(alone.clusters, true, mask)
        cell_px = cell_width_px(segmenter.bundle.spec.scale, pixel_size_um=frame.pixel_size_um, factor=alone.scale)
        two.add(compare_masks(frame.pixels, mask | true, mask & ~true, cell_px=cell_px), true, mask)
    return [one.row(f"{name}: one network"), two.row(f"{name}: two ideal networks")]


def _simulated(count: int) -> Iterator[tuple[Frame, Bools]]:
    for number in range(count):
        seed = 2 * number + 1
        optics = ("imager", "microscope")[number // len(FAMILIES) % 2]
        family = FAMILIES[number % len(FAMILIES)]
        style = SceneStyle.random(np.random.default_rng(seed), family=family, optics=optics)
        for clusters in (0, 2):
            picture = simulate_clusters(size_hw=(420, 560), seed=seed, count=clusters, style=style)
            yield Frame(picture.pixels, f"{seed}"), picture.clusters


def _implanted(folder: Path, few: int | None) -> Iterator[tuple[Frame, Bools]]:
    """Photographs as they are, and with clusters that light passes after the cells."""
    style = SceneStyle()
    for number, item in list(enumerate(open_dataset(folder).items))[1::2][:few]:
        frame = read_image(item.image)
        size_hw = (int(frame.pixels.shape[0]), int(frame.pixels.shape[1]))
        yield frame, np.zeros(size_hw, bool)
        pile = pile_up(size_hw, 2, style, np.random.default_rng(number))
        light = phase_contrast(pile.phase_rad, halo_px=5, ring_amplitude=0.6, defocus=2, blur_px=1) - 1
        gain = 1 + style.contrast * (light + style.lens / 9 * pile.phase_rad**2)
        pixels = (frame.pixels * gain).astype(np.float32)
        yield Frame(pixels, frame.name, pixel_size_um=frame.pixel_size_um), pile.mask


def _line(name: str, names: Sequence[str], segmenter: Segmenter) -> list[object]:
    parts = []
    for image in names:
        (path,) = shared("livecell").rglob(f"{image}.tif")
        parts.append(segmenter.segment(read_image(path)).cluster_fraction or 0.0)
    return [name, len(parts), sum(part > 0 for part in parts), f"{100 * np.mean(parts):.2f} %"]


if __name__ == "__main__":
    main()
