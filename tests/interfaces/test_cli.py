"""The program as a user meets it: verbs, words, exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

import c6seg
from c6seg.interfaces import cli_base
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run


@pytest.fixture(autouse=True)
def own_user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    rows, columns = np.mgrid[0:50, 0:70]
    for number in (1, 2):
        disc = ((rows - 25) ** 2 + (columns - 20 * number) ** 2 < 150) * 160 + rows
        Image.fromarray(disc.astype(np.uint8)).save(folder / f"Phase_B{number}_1_00d0{number}h00m.png")
    return folder


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The only line on stderr; nothing on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    assert captured.err.startswith("c6seg: ")
    return captured.err


def segment(images: Path, out: Path, bundle: Path, *more: str) -> int:
    return run(app, ["segment", str(images), "--out", str(out), "--model", str(bundle), *more])


def test_segment(images: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(images, tmp_path / "out", tiny_bundle, "--pixel-size", "0.5") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert re.match(r"2 images segmented; mean confluence \d+\.\d %\nResults: ", captured.out)
    rows = (tmp_path / "out" / "measurements.csv").read_text().splitlines()
    assert rows[1].startswith("Phase_B1_1_00d01h00m,0,1.0,B1,70,50,0.5,")
    assert segment(images, tmp_path / "out", tiny_bundle, "--pixel-size", "0.5") == 0
    assert "2 of them before" in capsys.readouterr().out


def test_options_reach_the_manifest(images: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    options = ["--threshold", "0.4", "--precision", "f32", "--memory", "500", "--max-pixels", "9999", "--no-overlays"]
    options += ["--engine", "OpenVINO:cpu"]
    assert segment(images, tmp_path / "out", tiny_bundle, *options) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["options"] == {
        "pixel_size_um": None,
        "scale": "auto",
        "fast": False,
        "flips": False,
        "clusters": "include",
        "cluster_model": None,
        "objects": False,
        "ensemble": [],
        "threshold": 0.4,
        "engine": "openvino:cpu",
        "precision": "f32",
        "memory_mb": 500,
        "max_pixels": 9999,
        "overlays": False,
        "recursive": False,
    }


def test_some_bad_files_are_exit_1_and_only_bad_ones_2(
    images: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "text.tif").write_text("no image")
    assert segment(images, tmp_path / "out", tiny_bundle) == 1
    captured = capsys.readouterr()
    assert "2 images segmented" in captured.out
    assert re.fullmatch(r"c6seg: 1 of 3 images could not be segmented: .*text\.tif.*\n", captured.err)
    assert segment(images / "text.tif", tmp_path / "bad", tiny_bundle) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out"),
        (["--out", "out", "--colour"], "No such option"),
        (["--out", "out", "--pixel-size", "abc"], "--pixel-size"),
        (["--out", "out", "--pixel-size", "-1"], "pixel_size_um"),
        (["--out", "out", "--precision", "f16"], "precision = 'f16'"),
        (["--out", "out", "--engine", "opnvino"], "Unknown engine 'opnvino'. Did you mean 'openvino'?"),
        (["--out", "out", "--engine", "torch:gpu"], "Unknown device of the engine torch 'gpu'. Did you mean 'cpu'?"),
        (["--out", "out", "--clusters", "excluded"], "clusters = 'excluded'"),
        (["--out", "out", "--cluster-model", "unet-mobilenetv2"], "leave out --cluster-model"),
        (["--out", "out", "--model", "unet-mobilenet"], "Unknown model 'unet-mobilenet'"),
        (["--out", "out", "--model", "some/where"], "no bundle folder 'some/where'"),
        (["--out", "file/out"], "Cannot make folder"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    images: Path,
    tmp_path: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    model = [] if "--model" in arguments else ["--model", str(tiny_bundle)]
    assert run(app, ["segment", str(images), *arguments, *model]) == 2
    assert message in one_line(capsys)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_images_and_two_of_one_name(
    images: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none").mkdir()
    assert segment(tmp_path / "none", tmp_path / "out", tiny_bundle) == 2
    assert "has no image" in one_line(capsys)
    shutil.copytree(images, images / "again")
    assert segment(images, tmp_path / "out", tiny_bundle, "--recursive") == 2
    line = one_line(capsys)
    assert line.count("Phase_B1_1_00d01h00m.png") == 2
    assert not (tmp_path / "out").exists()


def test_an_unknown_verb_offers_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["segmnt"]) == 2
    assert "Did you mean 'segment'" in one_line(capsys)


def test_debug_shows_where(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["segment", str(images), "--out", str(tmp_path / "o"), "--model", "nope", "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("c6seg: Unknown model 'nope'")


def test_an_unexpected_error_says_so_in_one_line(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr("c6seg.api.segment", broken)
    assert run(app, ["segment", str(images), "--out", str(tmp_path / "o")]) == 2
    line = one_line(capsys)
    assert "unexpected ZeroDivisionError: by zero" in line
    assert "--debug" in line


def test_quiet_and_verbose(images: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segment(images, tmp_path / "a", tiny_bundle, "-q") == 0
    assert capsys.readouterr() == ("", "")
    assert run(app, ["-q", "models", "check", str(tiny_bundle)]) == 0
    assert capsys.readouterr() == ("", "")
    (images / "text.tif").write_text("no image")
    assert segment(images, tmp_path / "b", tiny_bundle, "-vv") == 1
    cli_base.set_verbosity(0)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["--version"]) == 0
    assert capsys.readouterr().out == f"c6seg {c6seg.__version__}\n"


def verbs() -> list[str]:
    found = []
    pending = [("", typer.main.get_command(app))]
    while pending:
        path, command = pending.pop()
        inner = getattr(command, "commands", None)
        if inner is None:
            found.append(path)
        else:
            pending += [(f"{path} {name}".strip(), child) for name, child in inner.items()]
    return sorted(found)


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, [*verb.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert f"c6seg {verb}" in text.split("Example")[-1], "no example"
    for option in ("--verbose", "--quiet", "--debug"):
        assert option in text


def test_the_verbs_are_there() -> None:
    wanted = {"segment", "growth", "demo", "evaluate", "doctor", "data check", "models list", "models info"}
    assert wanted | {"models check", "models install"} <= set(verbs())


def test_models(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(app, ["models", "check", str(tiny_bundle)]) == 0
    assert "the example reproduces" in capsys.readouterr().out
    assert run(app, ["models", "install", str(tiny_bundle)]) == 0
    assert "tiny 1.0.0 is installed in" in capsys.readouterr().out
    assert run(app, ["models", "list"]) == 0
    assert re.search(r"^tiny +1\.0\.0 +installed +BSD-3-Clause +Marks bright places\.$", capsys.readouterr().out, re.M)
    assert run(app, ["models", "info", "tiny"]) == 0
    assert "## Training data" in capsys.readouterr().out
    assert run(app, ["models", "install", str(tiny_bundle)]) == 2
    assert "--force" in one_line(capsys)
    assert run(app, ["models", "install", str(tiny_bundle), "--force"]) == 0


def test_an_altered_model_is_exit_2(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Path(shutil.copytree(tiny_bundle, tmp_path / "broken"))
    (broken / "weights.safetensors").write_bytes(b"other weights")
    assert run(app, ["models", "check", str(broken)]) == 2
    assert "hash of weights.safetensors" in one_line(capsys)


def test_a_model_that_does_not_reproduce_is_exit_2(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hashes are right, the example is another model's."""
    import yaml

    from c6seg.runtime import sha256

    other = Path(shutil.copytree(tiny_bundle, tmp_path / "other"))
    Image.fromarray(np.full((70, 90), 30000, np.uint16)).save(other / "example" / "probability.png")
    values = yaml.safe_load((other / "bundle.yaml").read_text())
    values["files"]["example/probability.png"] = sha256(other / "example" / "probability.png")
    (other / "bundle.yaml").write_text(yaml.safe_dump(values))
    assert run(app, ["models", "check", str(other)]) == 2
    assert "does not reproduce its example" in one_line(capsys)


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from c6seg import machine

    monkeypatch.setitem(machine.EXTRAS, "train", ("json", "no_such_module"))
    monkeypatch.setitem(machine.EXTRAS, "moon", ("no_such_module",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a driver says while it is asked for its devices
        assert run(app, ["doctor"]) == 0
    out = capsys.readouterr().out
    for text in (f"{c6seg.__version__} on Python", "openvino", "precision auto = ", "GB free", "OpenVINO devices"):
        assert text in out
    assert re.search(r"engine auto +(openvino|torch|onnxruntime) on \w+\n", out)
    assert re.search(r"extra \[train\] +incomplete, without no_such_module\n +-> pip install 'c6seg\[train\]'", out)
    assert re.search(r"extra \[moon\] +missing\n +-> pip install 'c6seg\[moon\]'", out)


# tests that a shell runs in the background ignore Ctrl-C, and so would all that they start
LISTENING = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def test_ctrl_c_is_130_and_keeps_what_is_done(images: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    picture = Image.open(images / "Phase_B1_1_00d01h00m.png").resize((300, 300))
    for number in range(400):
        picture.save(images / f"more{number}.png")
    out = tmp_path / "out"
    verb = ["-m", "c6seg", "segment", str(images), "--out", str(out), "--model", str(tiny_bundle)]
    command = [sys.executable, "-c", LISTENING, *verb]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        deadline = time.monotonic() + 60
        journal = out / "journal.jsonl"
        while time.monotonic() < deadline and process.poll() is None:
            if journal.exists() and journal.read_text().count('"done"') >= 2:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        message = process.stderr.read()
    assert process.returncode == 130, message
    assert re.fullmatch(r"c6seg: stopped by Ctrl-C; \d+ images are in '.*'\. The same command continues\.\n", message)
    rows = (out / "measurements.csv").read_text().splitlines()
    assert len(rows) > 1
    assert {row.split(",")[0] for row in rows[1:]} <= {path.stem for path in (out / "masks").iterdir()}
    assert not list((out / "masks").glob(".*"))


def test_ctrl_c_before_the_first_image_is_one_line(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("c6seg.inference.batch.share_scales", stop)
    assert run(app, ["segment", str(images), "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err == "c6seg: stopped by Ctrl-C\n"


@pytest.mark.parametrize("words", [["--out", ""], ["-o", ""], ["--out="]])
def test_an_empty_out_is_not_the_folder_where_one_is(
    words: list[str], images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(app, ["segment", str(images), *words]) == 2
    assert capsys.readouterr().err.startswith("c6seg: --out is empty")


def test_a_closed_pipe_is_no_error(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "c6seg", "models", "info", str(tiny_bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
