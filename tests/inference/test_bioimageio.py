"""A BioImage Model Zoo package, tested as the Zoo tests it."""

from __future__ import annotations

import gc
import inspect
import re
import shutil
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import yaml
from PIL import Image

from c6seg import api
from c6seg.config import PreprocessConfig
from c6seg.errors import OutputError
from c6seg.inference.bioimageio import write_package
from c6seg.inference.engine import predict_pixels
from c6seg.models.bundle import open_bundle, write_bundle


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make ``bioimageio.core`` usable with the installed pydantic, and keep it from the user's cache.

    bioimageio.core 0.11 asks for bioimageio.spec 0.5.12, which passes a second argument to pydantic's handlers that
    pydantic 2.14 refuses; bioimageio.spec 0.5.14 leaves it out. The same is done here, where it is still there.
    """
    monkeypatch.setenv("BIOIMAGEIO_CACHE_PATH", str(tmp_path / "zoo-cache"))
    from bioimageio.spec._internal import io_packaging
    from bioimageio.spec.model import v0_4

    for function in (io_packaging.package_file_descr_serializer, v0_4.package_weights):
        source = textwrap.dedent(inspect.getsource(function))
        mended = re.sub(r"handler\(\s*value,\s*info,.*?\n\s*\)", "handler(value)", source)
        names = dict(function.__globals__)
        exec(mended, names)
        monkeypatch.setattr(function, "__code__", names[function.__name__].__code__)


def unpacked(package: Path, folder: Path) -> tuple[dict[str, object], Path]:
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    return yaml.safe_load((folder / "rdf.yaml").read_text()), folder


@pytest.mark.filterwarnings("ignore")  # files that it leaves open
@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_the_zoo_finds_nothing_wrong(channels: str, tiny_bundle: Path, tmp_path: Path) -> None:
    from bioimageio.core import test_model as judge

    bundle = open_bundle(tiny_bundle)
    if channels == "rgb":
        values = bundle.spec.preprocess.model_dump() | {"channels": "rgb"}
        spec = bundle.spec.model_copy(update={"preprocess": PreprocessConfig(**values), "licence": "only for us"})
        example = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)
        bundle = write_bundle(
            tmp_path / "colour", spec=spec, source=tiny_bundle, example=example, predict=predict_pixels
        )
    package = write_package(bundle, tmp_path / "package.zip")
    summary = judge(package)
    gc.collect()  # or the warnings come in a later test
    assert summary.status == "passed", summary.format()
    assert {detail.name for detail in summary.details if detail.status == "passed"} >= {
        "Reproduce test outputs from test inputs (onnx)"
    }


def test_it_is_what_segment_computes(tiny_bundle: Path, tmp_path: Path) -> None:
    """The network of the package, fed as rdf.yaml says, gives what c6seg gives, at another size too."""
    api.export_model(tiny_bundle, tmp_path / "package.zip", format="bioimageio")
    described, folder = unpacked(tmp_path / "package.zip", tmp_path / "package")
    (entry,) = described["inputs"]  # type: ignore[misc]
    steps = {step["id"]: step["kwargs"] for step in entry["preprocessing"]}
    raw = np.random.default_rng(1).integers(0, 200, (96, 160), np.uint8)
    low, high = np.percentile(raw, [steps["scale_range"][f"{end}_percentile"] for end in ("min", "max")])
    fed = np.clip((raw.astype(np.float32) - low) / (high - low + 1e-6), steps["clip"]["min"], steps["clip"]["max"])
    session = onnxruntime.InferenceSession(folder / "network.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": fed[None, None].astype(np.float32)})
    wanted = predict_pixels(tiny_bundle, open_bundle(tiny_bundle).spec.preprocess, raw)
    assert np.abs(found[0, 0] - wanted).max() < 1e-4
    stored = np.load(folder / "test_output.npy")
    assert stored.shape == (1, 1, 96, 96)
    with Image.open(tiny_bundle / "example" / "probability.png") as image:
        example = np.asarray(image) / 65535
    assert np.median(np.abs(stored[0, 0, :70, :90] - example)) < 0.01, "the example, but for its mirrored border"


def test_what_it_says_of_itself(tiny_bundle: Path, tmp_path: Path) -> None:
    described, folder = unpacked(write_package(open_bundle(tiny_bundle), tmp_path / "a.zip"), tmp_path / "a")
    assert described["name"] == "c6seg tiny"
    assert described["license"] == "BSD-3-Clause"
    assert described["cite"]
    assert {path.name for path in folder.iterdir()} == {
        "rdf.yaml",
        "network.onnx",
        "test_input.npy",
        "test_output.npy",
        "README.md",
    }
    card = (folder / "README.md").read_text()
    assert "Bring pictures to 1 µm per pixel first" in card
    assert "## Validation" in card


def test_a_place_that_cannot_be_written_is_one_clear_error(tiny_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bundle, tmp_path / "a.zip")
    with pytest.raises(OutputError, match="in the way"):
        write_package(open_bundle(tiny_bundle), tmp_path / "a.zip")
