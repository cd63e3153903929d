"""The data verbs and ``evaluate`` through the real command line: words, files, exit codes."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from c6seg.config import PreprocessConfig
from c6seg.config_files import dump_yaml
from c6seg.data.splits import read_splits
from c6seg.evaluation.protocol import COLUMNS
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run
from c6seg.models.bundle import Bundle
from c6seg.models.bundle_spec import BundleSpec


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve good images of bright blobs with masks, in two groups."""
    root = tmp_path / "data"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    lines = ["name,group"]
    for number in range(12):
        field = ndimage.gaussian_filter(np.random.default_rng(number).standard_normal((64, 80)), 4)
        pixels = np.interp(field, (field.min(), field.max()), (10, 250)).astype(np.uint8)
        tifffile.imwrite(
            root / "images" / f"im{number}.tif", pixels, resolution=(10000, 10000), resolutionunit=3, metadata=None
        )
        Image.fromarray((field > np.quantile(field, 0.6)).astype(np.uint8)).save(root / "masks" / f"im{number}.png")
        lines.append(f"im{number},{'even' if number % 2 == 0 else 'odd'}")
    (root / "dataset.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def test_check_of_good_data(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["data", "check", str(data)]) == 0
    assert capsys.readouterr().out == f"Nothing is wrong with {data}\n"


def test_check_lists_faults_and_ends_with_1_on_errors_only(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((64, 80), np.uint8)).save(data / "masks" / "im2.png")
    assert run(app, ["data", "check", str(data)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("WARNING\timages/im2.tif\tnothing is annotated")
    assert out[-1] == "0 errors, 1 warning, 0 notes"
    (data / "masks" / "im3.png").unlink()
    assert run(app, ["data", "check", str(data)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("ERROR\timages/im3.tif\twithout annotation\t")
    assert out[-1] == "1 error, 1 warning, 0 notes"


def test_check_names_files_of_an_export_as_they_are_in_it(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(data.parent / "cache"))
    Image.fromarray(np.zeros((64, 80), np.uint8)).save(data / "masks" / "im2.png")
    export = shutil.make_archive(str(data.parent / "my export"), "zip", data)
    assert run(app, ["data", "check", export]) == 0
    assert capsys.readouterr().out.startswith("WARNING\tmy export.zip/images/im2.tif\tnothing is annotated")


def test_check_folds_many_findings_of_one_kind(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, 12):
        (data / "masks" / f"im{number}.png").unlink()
    assert run(app, ["data", "check", str(data)]) == 1
    out = capsys.readouterr().out
    assert "and 6 more of this kind (missing_mask)" in out
    assert out.count("without annotation") == 5
    run(app, ["data", "check", str(data), "--all"])
    assert capsys.readouterr().out.count("without annotation") == 11


def test_check_as_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "images" / "im5.tif").write_bytes(b"II*\0")
    assert run(app, ["data", "check", str(data), "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert (finding["severity"], finding["rule"]) == ("error", "unreadable_file")
    assert finding["file"].endswith("im5.tif")
    assert set(finding) == {"severity", "file", "rule", "problem", "advice"}


def test_describe(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["data", "describe", str(data)]) == 0
    rows = dict(line.split("\t", 1) for line in capsys.readouterr().out.splitlines())
    assert rows["images"] == "12, 12 annotated, 0 unreadable"
    assert rows["size, px"] == "80x64 (12)"
    assert rows["pixel size, um"] == "1 (12)"
    assert run(app, ["data", "describe", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"] == {"even": 6, "odd": 6}


def test_convert_reports_failures_with_1(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(app, ["data", "convert", str(data), str(out)]) == 0
    assert f"12 images with masks written to {out}" in capsys.readouterr().out
    assert run(app, ["data", "convert", str(data), str(out)]) == 2
    assert "is not empty" in capsys.readouterr().err
    (data / "images" / "im5.tif").write_bytes(b"II*\0")
    assert run(app, ["data", "convert", str(data), str(out), "--force"]) == 1
    captured = capsys.readouterr()
    assert "11 images with masks" in captured.out
    assert captured.err.startswith("failed: im5: ")


def test_split_writes_the_file_that_evaluate_reads(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "split", str(data), "--counts", "4/2/4", "--repeats", "3", "--stratify", "--seed", "5"]
    assert run(app, words) == 0
    assert "3 divisions (split00 to split02) of 4 training, 2 validation and 4 test" in capsys.readouterr().out
    splits = read_splits(data / "splits.json")
    for split in splits:
        assert sum(int(name[2:]) % 2 for name in split.test) == 2
    assert run(app, words) == 2
    assert "is there already" in capsys.readouterr().err
    assert run(app, [*words, "--force"]) == 0
    assert read_splits(data / "splits.json") == splits


def test_split_leaves_a_twin_out(data: Path, tmp_path: Path) -> None:
    (data / "images" / "im7.tif").write_bytes((data / "images" / "im3.tif").read_bytes())
    out = tmp_path / "s.json"
    assert run(app, ["data", "split", str(data), "--counts", "6/2/3", "--out", str(out)]) == 0
    for split in read_splits(out):
        names = {*split.train, *split.val, *split.test}
        assert len(names) == 11
        assert not {"im3", "im7"} <= names
    assert json.loads(out.read_text(encoding="utf-8"))["duplicates"] == [["im3", "im7"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["split", "--counts", "9/9/9"], "= 27 images are asked for, but there are 12"),
        (["split", "--counts", "nine"], "is not TRAIN/VAL/TEST"),
        (["split", "--counts", "4/2/4", "--grouped", "--stratify"], "not both"),
        (["check", "--layout", "cooc"], "Did you mean"),
    ],
)
def test_wrong_use_is_one_line_and_2(
    data: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, ["data", words[0], str(data), *words[1:]]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert not (data / "splits.json").exists()


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["data", "check"], ["data", "describe"], ["data", "convert"], ["data", "split"], ["evaluate"]):
        assert run(app, [*verb, "--help"]) == 0
        assert f"c6seg {' '.join(verb)}" in capsys.readouterr().out.split("Example:")[1]


class Brightness:
    """In place of the engine: the probability is the stretched grey value."""

    name, device = "formula", "cpu"
    precision = "f32"

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return batch[:, :1] * np.float32(0.5) + np.float32(0.5)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Folder of a bundle whose network is a formula; only its description is real."""
    import c6seg.inference.segmenter as module

    preprocess = PreprocessConfig(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    spec = BundleSpec(name="formula", encoder="none", licence="MIT", preprocess=preprocess, threshold=0.55)
    folder = tmp_path / "formula"
    folder.mkdir()
    (folder / "bundle.yaml").write_text(dump_yaml(spec), encoding="utf-8")
    monkeypatch.setattr(module, "open_engine", Brightness)
    monkeypatch.setattr(module, "open_bundle", lambda path: Bundle(Path(path), spec))
    return str(folder)


def test_evaluate_writes_table_and_summary(
    data: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(app, ["data", "split", str(data), "--counts", "4/2/4", "--repeats", "2"])
    out = tmp_path / "scores.csv"
    words = ["evaluate", "--model", model, "--data", str(data), "--out", str(out)]
    assert run(app, [*words, "--split", f"{data / 'splits.json'}:split01", "--input-size", "96x64"]) == 0
    printed = capsys.readouterr().out
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["image"] for row in rows] == list(read_splits(data / "splits.json")[1].test)
    assert {(row["input_size"], row["score_size"]) for row in rows} == {("96x64", "native")}
    summary = json.loads((tmp_path / "scores.summary.json").read_text(encoding="utf-8"))
    assert summary["scores"]["dice"]["mean"] == pytest.approx(np.mean([float(row["dice"]) for row in rows]))
    assert summary["split"].endswith("splits.json:split01")
    assert f"dice\t{summary['scores']['dice']['mean']:.4f}" in printed


def test_nothing_scored_or_converted_is_bad_input(data: Path, model: str, tmp_path: Path) -> None:
    for file in (data / "images").iterdir():
        file.write_bytes(b"II*\0")
    out = tmp_path / "scores.csv"
    assert run(app, ["evaluate", "--model", model, "--data", str(data), "--out", str(out)]) == 2
    assert json.loads((tmp_path / "scores.summary.json").read_text(encoding="utf-8"))["failed"] == 12
    assert run(app, ["data", "convert", str(data), str(tmp_path / "converted")]) == 2


def test_evaluate_counts_failures_and_says_what_has_no_truth(
    data: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "images" / "im5.tif").write_bytes(b"II*\0")
    (data / "masks" / "im6.png").unlink()
    out = tmp_path / "scores.csv"
    assert run(app, ["evaluate", "--model", model, "--data", str(data), "--out", str(out)]) == 1
    assert "1 of 11 images could not be scored" in capsys.readouterr().err
    summary = json.loads((tmp_path / "scores.summary.json").read_text(encoding="utf-8"))
    assert (summary["images"], summary["scored"], summary["failed"]) == (11, 10, 1)
    assert summary["failures"][0]["image"] == "im5"
    assert summary["unannotated"] == ["im6"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input-size", "big"], "is not a size"),
        (["--split", "splits.json"], "is not FILE:NAME"),
        (["--split", "test"], "brings no division of its own"),
        (["--split", "gone.json:split00"], "Cannot read splits"),
    ],
)
def test_evaluate_refuses_with_one_line(
    data: Path, model: str, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.csv"
    assert run(app, ["evaluate", "--model", model, "--data", str(data), "--out", str(out), *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not out.exists()


def test_real_sample_has_no_errors(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["data", "check", str(shared_data / "livecell")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 errors, 40 warnings, 0 notes"
