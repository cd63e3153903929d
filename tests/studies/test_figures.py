"""Figures 3 to 6: what is drawn is what was measured, and what is not there is not drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from c6seg.errors import DataError
from c6seg.studies.figures import cluster_figure, crop_figure, epoch_figure, size_figure
from c6seg.studies.info import ClusterPicture, CropPicture, StudyInfo
from c6seg.studies.summary import summarise

INFO = StudyInfo("study", "A study", size_factor="train_images")
SIZES = [{"encoder": e, "train_images": n} for e in ("MiT-B3", "VGG19") for n in ("5", "10", "15")]


def drawn(figure: Any) -> Any:
    """Fail where a figure cannot be drawn."""
    figure.canvas.draw()
    return figure


def test_loss_against_training_images_is_that_of_the_means(examples: ModuleType) -> None:
    rows = examples.study_rows(SIZES[:5], lambda c, s: 0.93 + 0.0005 * int(c["train_images"]))
    arms = summarise(rows, replace(INFO, configurations=SIZES))
    (axes,) = drawn(size_figure(arms, INFO)).axes
    assert axes.get_legend_handles_labels()[1] == ["MiT-B3", "VGG19"]
    whole, partial = (container[0] for container in axes.containers)
    assert np.round(whole.get_xdata()).tolist() == [5, 10, 15]
    assert whole.get_ydata() == pytest.approx([1 - arm.estimate.mean for arm in arms[:3]])
    assert len(partial.get_xdata()) == 2
    ends = axes.containers[0][2][0].get_segments()
    assert ends[0][:, 1] == pytest.approx([1 - (arms[0].estimate.high or 0), 1 - (arms[0].estimate.low or 0)])


def test_one_number_of_training_images_is_no_figure(examples: ModuleType) -> None:
    assert size_figure(summarise(examples.study_rows(SIZES[:1], lambda c, s: 0.9), INFO), INFO) is None
    assert size_figure([], INFO) is None


def epochs(*lengths: int, init: str = "random", encoder: str = "MiT-B3", start: float = 0.5) -> list[dict[str, Any]]:
    factors = {"init": init, "encoder": encoder}
    return [
        {**factors, "split": f"split{run}", "epoch": epoch + 1, "val_dice": 1 - start / (epoch + 1 + run)}
        for run, length in enumerate(lengths)
        for epoch in range(length)
    ]


def test_mean_of_the_runs_ends_where_the_first_one_ends() -> None:
    lines = epochs(6, 4) + epochs(5, 5, init="livecell", start=0.2)
    (axes,) = drawn(epoch_figure(lines, StudyInfo("s", "S"))).axes
    thick = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(thick) == ["livecell (2 runs)", "random (2 runs)"]
    mean = thick["random (2 runs)"]
    assert list(mean.get_xdata()) == [1, 2, 3, 4]
    assert list(mean.get_ydata()) == pytest.approx([(0.5 / e + 0.5 / (e + 1)) / 2 for e in (1, 2, 3, 4)])
    assert len(axes.lines) == 2 + 4
    assert axes.get_yscale() == "log"
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_a_start_looks_alike_in_all_panels() -> None:
    lines = epochs(3) + epochs(3, init="livecell") + epochs(3, init="livecell", encoder="VGG19")
    first, second = drawn(epoch_figure(lines, StudyInfo("s", "S"))).axes
    (one,) = [line for line in first.lines if line.get_label() == "livecell (1 run)"]
    (two,) = [line for line in second.lines if line.get_label() == "livecell (1 run)"]
    assert one.get_color() == two.get_color()
    (other,) = [line for line in first.lines if line.get_label() == "random (1 run)"]
    assert other.get_color() != one.get_color()


def test_other_factors_are_panels_and_the_plan_orders_the_lines() -> None:
    lines = epochs(3, encoder="VGG19") + epochs(3) + epochs(3, init="livecell")
    plan = [{"encoder": e, "init": i} for e in ("MiT-B3", "VGG19") for i in ("random", "livecell")]
    first, second = drawn(epoch_figure(lines, StudyInfo("s", "S", configurations=plan))).axes
    assert (first.get_title(), second.get_title()) == ("MiT-B3", "VGG19")
    assert first.get_legend_handles_labels()[1] == ["random (1 run)", "livecell (1 run)"]


def test_a_factor_called_like_something_noted_is_a_factor() -> None:
    lines = [{**line, "learning_rate": rate} for rate in ("0.1", "0.01") for line in epochs(4)]
    plan = [{"learning_rate": rate} for rate in ("0.1", "0.01")]
    for info in (StudyInfo("s", "S", configurations=plan), StudyInfo("s", "S")):
        (axes,) = drawn(epoch_figure(lines, info)).axes
        assert sorted(axes.get_legend_handles_labels()[1]) == ["0.01 (1 run)", "0.1 (1 run)"]
        assert all(len(line.get_xdata()) == 4 for line in axes.lines)


def test_values_with_the_same_words_are_not_joined() -> None:
    labels = {name: {"one": "same", "two": "same"} for name in ("init", "encoder")}
    lines = [line for a in labels["init"] for b in labels["encoder"] for line in epochs(3, init=a, encoder=b)]
    first, second = drawn(epoch_figure(lines, StudyInfo("s", "S", labels=labels))).axes
    for axes in (first, second):
        assert axes.get_title() == "same"
        assert axes.get_legend_handles_labels()[1] == ["same (1 run)", "same (1 run)"]
        assert all(len(line.get_xdata()) == 3 for line in axes.lines)


def test_epochs_without_a_score_are_left_out() -> None:
    lines = [{**line, "val_dice": None} for line in epochs(3)]
    assert epoch_figure(lines, StudyInfo("s", "S")) is None
    bad = [*epochs(3), {**epochs(1)[0], "epoch": 4, "val_dice": float("nan")}]
    (axes,) = drawn(epoch_figure(bad, StudyInfo("s", "S"))).axes
    assert axes.get_xlim()[1] < 4


def picture(path: Path, size_hw: tuple[int, int] = (60, 90)) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, size_hw, dtype=np.uint8)).save(path)
    return path


def test_fragments_are_parts_of_the_side(tmp_path: Path) -> None:
    """Of the side, not of the area: half a side is a quarter of the picture."""
    figure = drawn(crop_figure(CropPicture(picture(tmp_path / "a.png"), (0.5, 0.9), "96x64")))
    whole, *parts = figure.axes
    frames = [patch for patch in whole.patches if patch.get_edgecolor()[:3] != (1.0, 1.0, 1.0)]
    assert [(f.get_height() + 1, f.get_width() + 1) for f in frames] == [(30, 45), (42, 63), (54, 81)]
    assert [part.images[0].get_array().shape for part in parts] == [(30, 45), (42, 63), (54, 81)]
    for frame in frames:
        assert frame.get_x() >= 0
        assert frame.get_x() + frame.get_width() < 90
        assert frame.get_y() + frame.get_height() < 60
    pixels = np.asarray(whole.images[0].get_array())
    left, top = int(frames[0].get_x()), int(frames[0].get_y())
    assert np.array_equal(np.asarray(parts[0].images[0].get_array()), pixels[top : top + 30, left : left + 45])


def test_clusters_show_every_mask_with_its_share(tmp_path: Path) -> None:
    mask = np.zeros((60, 90), np.uint8)
    mask[:30] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    pictures = [
        ClusterPicture(picture(tmp_path / "a.png"), {"from ImageNet": tmp_path / "m.png"}),
        ClusterPicture(picture(tmp_path / "b.png"), {"from LIVECell": tmp_path / "m.png"}),
    ]
    figure = drawn(cluster_figure(pictures))
    assert [axes.get_title() for axes in figure.axes] == ["image", "from ImageNet", "from LIVECell", "", "", ""]
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "50.0 % marked", "", "", "", "50.0 % marked"]
    assert cluster_figure([]) is None


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 90), np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(DataError):
        cluster_figure([ClusterPicture(picture(tmp_path / "a.png"), {"x": tmp_path / "m.png"})])


def test_real_photographs_are_drawn(shared_data: Path, tmp_path: Path) -> None:
    """Sixteen bits and eight, square and not; LIVECell images have clumps that their annotators left out."""
    figure = drawn(crop_figure(CropPicture(min((shared_data / "t98g").rglob("*.tif")), (0.27, 0.87), "512x512")))
    assert np.asarray(figure.axes[0].images[0].get_array()).std() > 10
    image = next((shared_data / "livecell").rglob("BT474_Phase_B3_2_02d12h00m_3.tif"))
    Image.fromarray(np.full((520, 704), 255, np.uint8)).save(tmp_path / "m.png")
    figure = drawn(cluster_figure([ClusterPicture(image, {"all": tmp_path / "m.png"})]))
    assert figure.axes[1].get_xlabel() == "100.0 % marked"
