from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from c6seg.config import PreprocessConfig
from c6seg.config_files import dump_yaml
from c6seg.errors import BundleError, OutputError
from c6seg.inference.engine import predict_pixels
from c6seg.models import bundle_folder
from c6seg.models.bundle import (
    BundleSpec,
    Calibration,
    check_bundle,
    copy_bundle,
    install_bundle,
    list_bundles,
    open_bundle,
    write_bundle,
)


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    monkeypatch.setattr(bundle_folder.sys, "platform", "linux")
    return tmp_path / "user-data" / "c6seg" / "models"


def edit(folder: Path, **changes: object) -> None:
    values = yaml.safe_load((folder / "bundle.yaml").read_text())
    (folder / "bundle.yaml").write_text(yaml.safe_dump({**values, **changes}))


def test_a_written_bundle_opens_and_reproduces_its_example(tiny_bundle: Path) -> None:
    bundle = open_bundle(tiny_bundle)
    assert sorted(bundle.spec.files) == sorted(
        ["model.onnx", "weights.safetensors", "example/input.png", "example/probability.png", "README.md"]
    )
    assert bundle.spec.created
    assert check_bundle(bundle, predict_pixels) < 1e-4
    assert not [path for path in tiny_bundle.parent.iterdir() if path.name.startswith(".")]


def test_bf16_reproduces_the_example_within_its_tolerance(tiny_bundle: Path) -> None:
    def predict(folder: Path, preprocess: PreprocessConfig, pixels: np.ndarray) -> np.ndarray:
        return predict_pixels(folder, preprocess, pixels, precision="bf16")

    bundle = open_bundle(tiny_bundle)
    assert check_bundle(bundle, predict, precision="bf16") <= 0.05

    def off_at(fraction: float) -> Callable[..., np.ndarray]:
        def off(*_: object) -> np.ndarray:
            found = predict(bundle.path, bundle.spec.preprocess, example)
            found.flat[: int(fraction * found.size)] += 0.2
            return found

        return off

    with Image.open(tiny_bundle / "example" / "input.png") as image:
        example = np.asarray(image)
    assert check_bundle(bundle, off_at(0.005), precision="bf16") <= 0.05, "single pixels on edges may differ"
    with pytest.raises(BundleError, match=r"allowed are 0.05 in bf16"):
        check_bundle(bundle, off_at(0.02), precision="bf16")
    with pytest.raises(BundleError, match=r"allowed are 0.02 in f32"):
        check_bundle(bundle, off_at(0.005))


@pytest.mark.parametrize("name", ["model.onnx", "weights.safetensors", "example/probability.png", "README.md"])
def test_an_altered_or_missing_file_is_named(copy: Path, name: str) -> None:
    with (copy / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleError, match=rf"altered.*hash of {re.escape(name)}"):
        open_bundle(copy)
    assert open_bundle(copy, verify=False).spec.name == "tiny"
    (copy / name).unlink()
    with pytest.raises(BundleError, match=rf"incomplete.*{re.escape(name)} is missing"):
        open_bundle(copy)


def test_an_example_that_no_longer_reproduces_is_refused(copy: Path) -> None:
    def wrong(*_: object) -> np.ndarray:
        return np.zeros((70, 90), np.float32)

    with pytest.raises(BundleError, match="does not reproduce its example: probabilities differ by up to"):
        check_bundle(open_bundle(copy), wrong)
    with pytest.raises(BundleError, match="does not reproduce"):
        check_bundle(open_bundle(copy), lambda *_: np.full((70, 90), np.nan, np.float32))
    with pytest.raises(BundleError, match=r"does not reproduce.*shape"):
        check_bundle(open_bundle(copy), lambda *_: np.zeros((7, 9), np.float32))


def test_unknown_keys_and_formats_are_refused(copy: Path) -> None:
    edit(copy, treshold=0.4)
    with pytest.raises(BundleError, match=r"Unknown key 'treshold'.*'threshold'"):
        open_bundle(copy)
    edit(copy, format="c6seg-bundle/9")
    with pytest.raises(BundleError, match=r"c6seg-bundle/9.*Update c6seg"):
        open_bundle(copy)


@pytest.mark.parametrize("text", ["", "- a list", "{broken", "\x00", "a: !!python/object/apply:os.system ['true']"])
def test_a_bad_description_is_one_clear_line(copy: Path, text: str) -> None:
    (copy / "bundle.yaml").write_text(text)
    with pytest.raises(BundleError) as caught:
        open_bundle(copy)
    assert "bundle.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "C:\\x"])
def test_files_outside_the_bundle_are_refused(copy: Path, name: str) -> None:
    files = yaml.safe_load((copy / "bundle.yaml").read_text())["files"]
    edit(copy, files={**files, name: "0"})
    with pytest.raises(BundleError, match="does not lie inside"):
        open_bundle(copy)


def test_a_file_without_a_hash_is_refused(copy: Path) -> None:
    edit(copy, files={})
    with pytest.raises(BundleError, match=r"lists no hash for model\.onnx"):
        open_bundle(copy)


def test_a_failed_write_leaves_the_old_bundle(copy: Path) -> None:
    def fail(*_: object) -> np.ndarray:
        raise BundleError("no")

    before = open_bundle(copy).sha256()
    example = np.zeros((8, 8), np.uint8)
    with pytest.raises(BundleError, match="no"):
        write_bundle(
            copy, spec=BundleSpec(name="x", encoder="e", licence="l"), source=copy, example=example, predict=fail
        )
    assert open_bundle(copy).sha256() == before
    assert [path.name for path in copy.parent.iterdir() if path.name.startswith(".")] == []


def test_a_bundle_never_replaces_something_else(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("important")
    spec = open_bundle(tiny_bundle).spec
    example = np.zeros((8, 8), np.uint8)
    with pytest.raises(OutputError, match="something else"):
        write_bundle(tmp_path / "mine", spec=spec, source=tiny_bundle, example=example, predict=predict_pixels)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "important"


def test_installing_makes_a_name(tiny_bundle: Path, user_folder: Path) -> None:
    with pytest.raises(BundleError, match="Unknown model 'tiny'"):
        open_bundle("tiny")
    installed = install_bundle(tiny_bundle)
    assert installed.path == user_folder / "tiny"
    assert open_bundle("tiny").origin == "installed"
    assert "tiny" in [bundle.spec.name for bundle in list_bundles()]
    with pytest.raises(OutputError, match="already"):
        install_bundle(tiny_bundle)
    assert install_bundle(tiny_bundle, replace=True).sha256() == installed.sha256()
    with pytest.raises(BundleError, match=r"Unknown model 'tinny'.*'tiny'"):
        open_bundle("tinny")


def test_a_broken_installed_bundle_does_not_hide_the_others(
    tiny_bundle: Path, user_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install_bundle(tiny_bundle)
    (user_folder / "broken").mkdir()
    (user_folder / "broken" / "bundle.yaml").write_text("nonsense")
    assert "tiny" in [bundle.spec.name for bundle in list_bundles()]
    assert "broken" in caplog.text


def test_the_card_says_what_a_user_must_know(tiny_bundle: Path) -> None:
    card = (tiny_bundle / "README.md").read_text()
    for text in (
        "# tiny 1.0.0",
        "BSD-3-Clause",
        "CC0-1.0",
        "| dice, generated | 0.9 | 0.85 to 0.95 | 3 |",
        "## Limits",
    ):
        assert text in card


CALIBRATION = Calibration(
    confluence_sd_arcsine=0.05,
    confluence_bias_arcsine=-0.01,
    confluence_mae=0.031,
    images=12,
    data=("a", "b"),
    note="none of them trained the model",
)


def test_a_calibration_is_read_as_it_was_written(copy: Path) -> None:
    before = open_bundle(copy)
    hash_before = before.sha256()
    after = copy_bundle(before, copy, calibration=CALIBRATION, replace=True)
    assert open_bundle(copy).spec.calibration == CALIBRATION
    assert after.sha256() != hash_before
    assert after.spec.model_copy(update={"calibration": None, "files": before.spec.files}) == before.spec
    again = copy_bundle(after, copy, scores={"more": {"mean": 0.5, "n": 2}}, replace=True)
    assert again.spec.calibration == CALIBRATION, "a further score keeps it"


def test_a_bundle_from_before_calibrations_opens_as_it_was(copy: Path) -> None:
    values = yaml.safe_load((copy / "bundle.yaml").read_text())
    values.pop("calibration", None)
    text = yaml.safe_dump(values)
    (copy / "bundle.yaml").write_text(text)
    bundle = open_bundle(copy)
    assert bundle.spec.calibration is None
    assert (copy / "bundle.yaml").read_text() == text
    assert "Error of confluence" not in (copy / "README.md").read_text()
    assert "calibration: null" in dump_yaml(bundle.spec)


@pytest.mark.parametrize(
    "change", [{"images": 1}, {"confluence_mae": 1.2}, {"confluence_sd_arcsine": -0.1}, {"confluence_bias_arcsine": 2}]
)
def test_a_calibration_that_cannot_be_is_refused(copy: Path, change: dict[str, object]) -> None:
    edit(copy, calibration={**CALIBRATION.model_dump(mode="json"), **change})
    with pytest.raises(BundleError, match=rf"calibration\.{next(iter(change))}"):
        open_bundle(copy)


def test_the_card_says_how_far_confluence_is_off(copy: Path) -> None:
    copy_bundle(open_bundle(copy), copy, calibration=CALIBRATION, replace=True)
    card = (copy / "README.md").read_text()
    assert "## Error of confluence" in card
    assert "off by 3.1 points on average (mean absolute), sd 0.0500 and mean -0.0100" in card
    assert "12 images of a and b" in card
    # 0.05 on the scale: sin(asin(sqrt(p)) + 0.05)^2 less p
    assert "about 5.0 points where half of the field is covered and 3.0 where a tenth is" in card
    assert "none of them trained the model." in card


def test_a_name_that_is_no_folder_name_is_refused() -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        BundleSpec(name="../evil", encoder="e", licence="l")
