"""The model that comes with c6seg: small, licence-clean, and as good as its card says."""

from __future__ import annotations

import numpy as np
import pytest

from c6seg import api
from c6seg.data.datasets import open_dataset
from c6seg.data.images import Frame, read_image
from c6seg.data.synthetic import SceneStyle, simulate_image
from c6seg.evaluation.metrics import count, dice
from c6seg.inference.segmenter import Segmenter
from c6seg.models.bundle import DEFAULT_MODEL, open_bundle

FREE = {"MIT", "BSD-3-Clause", "Apache-2.0"}


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(DEFAULT_MODEL)


def test_it_is_small_unaltered_and_reproduces_its_example():
    bundle = open_bundle(DEFAULT_MODEL)
    assert bundle.origin == "embedded"
    assert sum(file.stat().st_size for file in bundle.path.rglob("*") if file.is_file()) <= 16_000_000
    assert api.check_model(DEFAULT_MODEL) <= 0.02


def test_everything_it_learnt_from_may_be_used_commercially():
    spec = open_bundle(DEFAULT_MODEL).spec
    assert spec.licence in FREE
    assert {data.licence for data in spec.training_data} <= FREE
    assert {"t98g", "simulated"} <= {data.name for data in spec.training_data}


def test_the_card_names_ten_test_images_that_it_has_not_seen():
    spec = open_bundle(DEFAULT_MODEL).spec
    score = spec.scores["test_dice"]
    seen = {*spec.provenance["train"], *spec.provenance["val"]}
    assert score["n"] == len(set(score["images"])) == 10
    assert not seen & set(score["images"])
    card = (open_bundle(DEFAULT_MODEL).path / "README.md").read_text(encoding="utf-8")
    assert all(name in card for name in score["images"])


def test_it_says_how_far_its_confluence_is_off():
    bundle = open_bundle(DEFAULT_MODEL)
    found = bundle.spec.calibration
    assert (found.images, found.data) == (21, ("t98g", "livecell"))
    assert "none of them trained or tuned the model" in found.note
    assert 0 < found.confluence_mae < 0.03
    assert abs(found.confluence_bias_arcsine) < found.confluence_sd_arcsine < 0.05
    assert "Confluence is off by" in (bundle.path / "README.md").read_text(encoding="utf-8")


def test_it_finds_the_cells_of_unseen_photographs(segmenter, shared_data):
    names = segmenter.bundle.spec.scores["test_dice"]["images"]
    items = [item for item in open_dataset(shared_data / "t98g").items if item.name in names[:3]]
    found = []
    for item in items:
        frame = read_image(item.image)
        mask = segmenter.segment(frame).mask
        found.append(dice(count(mask, item.annotation.mask(mask.shape))))
    assert len(found) == 3
    assert np.mean(found) > 0.8


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_empty_field_is_empty(segmenter, seed):
    style = SceneStyle.random(np.random.default_rng(seed), family="empty").with_(
        debris=30, floaters=0, scratches=0, wall=0
    )
    picture = simulate_image(size_hw=(512, 512), seed=seed, style=style)
    found = segmenter.segment(Frame(picture.pixels, "empty", pixel_size_um=0.87))
    assert found.confluence < 0.005
    assert "empty_field" in found.flags
