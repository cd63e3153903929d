"""The mean over flips."""

from __future__ import annotations

import numpy as np
import pytest

from c6seg.config import SegmentConfig
from c6seg.data.images import Frame
from c6seg.inference.engine import describe
from c6seg.inference.flips import FlippingEngine
from c6seg.inference.segmenter import Segmenter


class Corner:
    """Gives the picture, and doubt in its first corner."""

    name, device, precision = "corner", "cpu", "f32"
    notes = ("replaced",)

    def run(self, batch: np.ndarray) -> np.ndarray:
        found = batch[:, :1].copy()
        found[:, :, 0, 0] += 0.4
        return found


def test_every_flip_counts_a_quarter_and_is_turned_back() -> None:
    picture = np.random.default_rng(0).random((2, 3, 32, 64), np.float32)
    off = FlippingEngine(Corner()).run(picture) - picture[:, :1]
    corners = off[:, :, ::31, ::63]
    assert corners == pytest.approx(np.full((2, 1, 2, 2), 0.1), abs=1e-6)
    assert np.abs(off).sum() == pytest.approx(0.8, abs=1e-3)


def test_the_manifest_names_the_engine_beneath() -> None:
    assert describe(FlippingEngine(Corner())) == {
        "name": "corner", "device": "cpu", "precision": "f32", "notes": ["replaced"],
    }  # fmt: skip


def test_a_mirrored_image_gives_the_mirrored_probability(tiny_bundle) -> None:
    segmenter = Segmenter(tiny_bundle, SegmentConfig(flips=True, precision="f32"))
    pixels = np.random.default_rng(1).integers(0, 255, (64, 96), np.uint8)
    pixels[20:40, 30:60] //= 4
    there, back = (segmenter.segment(Frame(one, "a", pixel_size_um=1.0)) for one in (pixels, pixels[:, ::-1]))
    assert np.abs(there.probability - back.probability[:, ::-1]).max() < 1e-4
