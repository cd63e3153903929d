"""A network in int8: it runs, its masks are near those in f32, and the card says how near."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from c6seg import api
from c6seg.config import SegmentConfig
from c6seg.data.images import read_image
from c6seg.errors import BundleError, ConfigError, ImageReadError, MissingExtraError, OutputError, UsageError
from c6seg.inference import quantise as module
from c6seg.inference.engine import open_engine
from c6seg.inference.quantise import quantise
from c6seg.inference.segmenter import Segmenter
from c6seg.models import bundle_folder
from c6seg.models.bundle import install_bundle, open_bundle


def picture(radius: float) -> np.ndarray:
    rows, columns = np.mgrid[0:90, 0:110]
    smooth = 1 / (1 + np.exp((np.hypot(rows - 45, columns - 50) - radius) / 3))
    return (smooth * 170 + rows / 3 + 20).astype(np.uint8)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    Image.fromarray(picture(20)).save(folder / "a.png")
    tifffile.imwrite(folder / "film.tif", np.stack([picture(15), picture(30)]), photometric="minisblack")
    Image.fromarray(np.full((90, 110), 7, np.uint8)).save(folder / "nothing.png")
    return folder


@pytest.fixture(scope="module")
def made(tiny_bundle: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8") / "model"
    return quantise(open_bundle(tiny_bundle), images, out, pixel_size_um=1.0).path


def masks(model: Path, images: Path, precision: str) -> list[np.ndarray]:
    segmenter = Segmenter(model, SegmentConfig(precision=precision, pixel_size_um=1.0), cache=False)  # type: ignore[arg-type]
    places = [("a.png", 0), ("film.tif", 0), ("film.tif", 1), ("nothing.png", 0)]
    return [segmenter.segment(read_image(images / name, frame=frame)).mask for name, frame in places]


def test_the_card_says_how_near_the_masks_are(made: Path, tiny_bundle: Path, images: Path) -> None:
    bundle = open_bundle(made)
    found = bundle.spec.int8
    assert found is not None
    assert (bundle.spec.name, found.images, found.data) == ("tiny-int8", 4, (f"{images.parent.name}/{images.name}",))
    pairs = list(zip(masks(made, images, "int8"), masks(tiny_bundle, images, "f32"), strict=True))
    dice = [2 * (one & other).sum() / (one.sum() + other.sum()) if other.any() else 1.0 for one, other in pairs]
    assert sum(bool(other.any()) for _, other in pairs) == 3
    assert found.dice_mean == pytest.approx(np.mean(dice), abs=1e-5)
    assert found.dice_worst == pytest.approx(min(dice), abs=1e-5)
    assert found.dice_worst > 0.95
    card = (made / "README.md").read_text()
    assert f"Dice of {found.dice_mean:.4f} on average, {found.dice_worst:.4f} at worst" in card
    assert "4 images that it was quantised with" in card


def test_which_network_runs(made: Path, tiny_bundle: Path, images: Path) -> None:
    bundle = open_bundle(made)
    assert open_engine(bundle, cache=False).precision == "int8"
    assert open_engine(bundle, "openvino", cache=False).precision == "int8"
    assert open_engine(bundle, precision="f32", cache=False).precision == "f32"
    same = zip(masks(made, images, "f32"), masks(tiny_bundle, images, "f32"), strict=True)
    assert all(np.array_equal(one, other) for one, other in same), "the network in f32 is still there"
    with pytest.raises(ConfigError, match=r"holds no network in int8.*--format openvino-int8"):
        open_engine(open_bundle(tiny_bundle), precision="int8", cache=False)
    with pytest.raises(ConfigError, match="openvino:cpu"):
        open_engine(bundle, "onnxruntime:cpu", precision="int8")


def test_segment_runs_it_and_says_so(made: Path, images: Path, tmp_path: Path) -> None:
    result = api.segment(images, tmp_path / "out", model=made, config={"pixel_size_um": 1.0})
    assert not result.failures
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["engine"] == {"name": "openvino", "device": "cpu", "precision": "int8"}
    assert manifest["model"]["name"] == "tiny-int8"


def test_the_compiled_network_is_kept_like_others(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: Path
) -> None:
    from c6seg.inference import engine_openvino

    monkeypatch.setattr(engine_openvino, "SMALLEST_BYTES", 1)
    first = open_engine(open_bundle(made), "openvino", cache=tmp_path)
    (entry,) = tmp_path.glob("*.network")
    again = open_engine(open_bundle(made), "openvino", cache=tmp_path)
    batch = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    assert np.array_equal(first.run(batch), again.run(batch))
    open_engine(open_bundle(made), "openvino", precision="f32", cache=tmp_path)
    assert len(list(tmp_path.glob("*.network"))) == 2, "the one in f32 is another"
    assert entry.exists()


def test_it_is_checked_and_installed_like_others(
    made: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.check_model(made) < 1e-4
    assert api.check_model(made, precision="int8") < 0.2
    with pytest.raises(ConfigError, match="holds no network in int8"):
        api.check_model(tiny_bundle, precision="int8")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(bundle_folder.sys, "platform", "linux")
    installed = install_bundle(made)
    assert installed.int8_path is not None
    assert installed.int8_path.is_file()
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    with (copy / "model_int8.bin").open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=r"altered.*model_int8\.bin"):
        open_bundle(copy)


def test_no_path_of_the_machine_goes_into_it(made: Path) -> None:
    text = (made / "model_int8.xml").read_text() + (made / "bundle.yaml").read_text()
    assert str(made.parent) not in text
    assert "/tmp" not in text


def test_wrong_use(
    made: Path, tiny_bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(tiny_bundle)
    with pytest.raises(OutputError, match="already a bundle"):
        quantise(bundle, images, made)
    with pytest.raises(OutputError, match="something else of that name"):
        quantise(bundle, tmp_path / "no images", images)
    with pytest.raises(UsageError, match="model itself lies"):
        quantise(bundle, images, bundle.path, replace=True)
    with pytest.raises(ImageReadError, match="None of the images shows anything"):
        quantise(bundle, images / "nothing.png", tmp_path / "out")
    with pytest.raises(UsageError, match="--data"):
        api.export_model(tiny_bundle, tmp_path / "out", format="openvino-int8")
    with pytest.raises(UsageError, match="takes no images"):
        api.export_model(tiny_bundle, tmp_path / "out", data=images)
    with pytest.raises(UsageError, match=r"Unknown format 'int8'.*openvino-int8"):
        api.export_model(tiny_bundle, tmp_path / "out", format="int8")
    real = importlib.util.find_spec
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None if name == "nncf" else real(name))
    with pytest.raises(MissingExtraError, match=r"c6seg\[int8\]"):
        quantise(bundle, images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_many_frames_are_thinned_out_evenly() -> None:
    assert module._even(5, 100) == [0, 1, 2, 3, 4]
    assert module._even(1000, 3) == [0, 500, 999] or module._even(1000, 3) == [0, 499, 999]
    assert module._even(0, 3) == []
