"""What a bundle says of its training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from c6seg.config import NetworkConfig, TrainConfig
from c6seg.data.datasets import open_dataset
from c6seg.models.bundle import ScaleSpec
from c6seg.training import outcome
from c6seg.training.outcome import object_size_px, plain_name, start_data, validation_calibration
from c6seg.training.validation import BINS, Validation


@pytest.fixture
def discs(tmp_path):
    """Six images, each with three discs of 12 px across, the first with discs of 24 px."""
    rows, columns = np.mgrid[0:64, 0:96]
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(6):
        radius = 12 if number == 0 else 6
        labels = sum((np.hypot(rows - 32, columns - 16 - 32 * k) < radius) * (k + 1) for k in range(3))
        Image.fromarray(np.uint8(labels * 20 + rows)).save(tmp_path / f"images/{number}.png")
        Image.fromarray(np.uint8(labels)).save(tmp_path / f"masks/{number}.png")
    return open_dataset(tmp_path).items


def test_the_size_of_the_cells_is_the_median_diameter(discs, monkeypatch):
    assert object_size_px(discs) == pytest.approx(12, abs=0.5)
    assert object_size_px(discs[:1]) == pytest.approx(24, abs=0.5)
    assert object_size_px([replace(discs[0], annotation=None)]) is None
    monkeypatch.setattr(outcome, "MOST_MEASURED", 1)  # a large data set: only every sixth, which is the first
    assert object_size_px(discs) == pytest.approx(24, abs=0.5)


def test_files_that_do_not_say_their_pixel_size_give_none(discs):
    assert outcome.training_scale(discs, TrainConfig()) == ScaleSpec(object_size_px=object_size_px(discs))


def test_the_licence_of_the_initial_weights_goes_on(tiny_bundle):
    def before(**network):
        return [(data.name, data.licence) for data in start_data(TrainConfig(network=NetworkConfig(**network)))]

    assert before(init="random") == []
    assert before(encoder="MiT-B3") == [("imagenet-weights", "NVIDIA Source Code License (non-commercial)")]
    assert before(init="a/w.safetensors") == [("w.safetensors", "unspecified")]
    assert before(init=str(tiny_bundle)) == [("generated", "CC0-1.0")]
    assert "through tiny" in start_data(TrainConfig(network=NetworkConfig(init=str(tiny_bundle))))[0].note


def validation(count):
    """Images of 100 px: number k has 20 + k cell pixels, of which 5 lie below 0.5, and one false pixel above."""
    cells, background = np.zeros((count, BINS), int), np.zeros((count, BINS), int)
    cells[:, 40], cells[:, 150] = 5, 15 + np.arange(count)
    background[:, 150], background[:, 10] = 1, 79 - np.arange(count)
    return Validation(0.0, cells, background)


def test_the_validation_images_say_how_far_confluence_is_off():
    found = validation_calibration(validation(6), 0.5, data="mine")
    true = (20 + np.arange(6)) / 100
    error = np.arcsin(np.sqrt(true - 0.04)) - np.arcsin(np.sqrt(true))
    assert found.confluence_mae == pytest.approx(0.04)
    assert found.confluence_bias_arcsine == pytest.approx(error.mean(), abs=1e-6)
    assert found.confluence_sd_arcsine == pytest.approx(error.std(ddof=1), abs=1e-6)
    assert (found.images, found.data) == (6, ("mine",))
    assert "chose epoch and threshold: optimistic" in found.note
    assert validation_calibration(validation(6), 0.2, data="mine").confluence_mae == pytest.approx(0.01)


def test_four_validation_images_are_too_few_for_that():
    assert validation_calibration(validation(4), 0.5, data="mine") is None


@pytest.mark.parametrize(("text", "name"), [("run-1.b", "run-1.b"), ("Zellen (10x)", "Zellen-10x"), ("細胞", "model")])
def test_any_folder_gives_a_name(text, name):
    assert plain_name(text) == name
