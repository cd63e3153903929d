"""Whole trainings on a tiny data set: exact resume, bundles, refusals."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from c6seg import api
from c6seg.config import SegmentConfig
from c6seg.data.datasets import open_dataset
from c6seg.data.images import read_image
from c6seg.data.synthetic import write_dataset
from c6seg.errors import ConfigError, DataError, DivergedError, OutputError, TrainingError, UsageError
from c6seg.models.bundle import open_bundle
from c6seg.training import run
from c6seg.training.checkpoint import read_metrics
from c6seg.training.validation import BINS, Validation

from .conftest import TINY

STEPS = "crops_per_image=3"  # 4 training images, batch 2: 6 steps an epoch


def train(data, out, *more, **options):
    return api.train(data, out, init=options.pop("init", "random"), overrides=[*TINY, *more], **options)


@pytest.fixture(scope="module")
def finished(tiny_data, tmp_path_factory):
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("runs") / "whole run (1)"
    train(tiny_data, out, STEPS)
    return out


@pytest.fixture
def without_export(monkeypatch):
    """Leave out the export, which takes most of the time of a tiny training."""
    monkeypatch.setattr(run, "_write", lambda training, spec, graphs: None)
    monkeypatch.setattr(run, "open_bundle", lambda folder: None)


@pytest.fixture
def best_at_first(monkeypatch):
    """Let the first validation of each training find a loss of 1, and all later ones 2."""

    def start():
        losses, none = itertools.chain([1.0], itertools.repeat(2.0)), np.zeros((1, BINS), int)
        monkeypatch.setattr("c6seg.training.loop.validate", lambda *_, **__: Validation(next(losses), none, none))

    return start


def state(out):
    return torch.load(out / "checkpoints/last.pt", weights_only=True)


def assert_same(a, b):
    """Compare checkpoints bit for bit."""
    assert a["progress"] == b["progress"]
    for part in (lambda s: s["network"], lambda s: s["average"]["state"]):
        for key, value in part(a).items():
            assert torch.equal(value, part(b)[key]), key
    for key, moments in a["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, b["optimizer"]["state"][key][name])


def comparable(out):
    return [
        {key: value for key, value in line.items() if key not in {"seconds", "images_per_s"}}
        for line in read_metrics(out / "metrics.jsonl")
    ]


def test_a_run_gives_a_bundle_that_says_what_it_is(finished):
    bundle = open_bundle(finished / "bundle")
    assert bundle.spec.encoder == "MobileNetV2"
    assert bundle.spec.name == "whole-run-1", "a folder may have any name, a bundle may not"
    assert bundle.spec.scale.object_size_px is not None
    assert len(bundle.spec.provenance["train"]) == 4
    assert 0.2 <= bundle.spec.threshold <= 0.8
    assert api.check_model(finished / "bundle") < 0.02
    lines = list(read_metrics(finished / "metrics.jsonl"))
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert all(np.isfinite(line["val_loss"]) for line in lines)


@pytest.mark.usefixtures("without_export")
def test_the_same_seed_gives_the_same_run_and_another_one_does_not(finished, tiny_data, tmp_path):
    train(tiny_data, tmp_path / "again", STEPS)
    assert_same(state(finished), state(tmp_path / "again"))
    train(tiny_data, tmp_path / "other", STEPS, "seed=1")
    key = "decoder.blocks.0.conv1.0.weight"
    assert not torch.equal(state(finished)["network"][key], state(tmp_path / "other")["network"][key])


@pytest.mark.usefixtures("without_export")
def test_activations_computed_again_change_nothing(finished, tiny_data, tmp_path):
    train(tiny_data, tmp_path / "again", STEPS, "checkpointing=true")
    assert_same(state(finished), state(tmp_path / "again"))


@pytest.mark.usefixtures("without_export")
def test_accumulated_batches_make_the_steps_of_larger_ones(finished, tiny_data, tmp_path):
    """Two batches of one image are a step of two; batch norm sees one at a time, so weights differ."""
    seen = []
    train(tiny_data, tmp_path / "run", STEPS, "batch=1", "accumulate=2", report=seen.append)
    assert [(status.step, status.steps) for status in seen[:6]] == [(step, 6) for step in range(1, 7)]
    ours, theirs = comparable(tmp_path / "run"), comparable(finished)
    assert [line["learning_rate"] for line in ours] == [line["learning_rate"] for line in theirs]
    assert ours[0]["train_loss"] == pytest.approx(theirs[0]["train_loss"], rel=0.1)
    assert ours != theirs


@pytest.mark.parametrize("kill_after", [1, 8, 16])
def test_killed_at_any_step_and_resumed_equals_the_uninterrupted_run(finished, tiny_data, tmp_path, kill_after):
    """A real process, really killed (SIGKILL) after some steps."""
    out = tmp_path / "killed"
    script = (
        "import sys, os, signal\n"
        "from c6seg import api\n"
        "seen = [0]\n"
        "def report(status):\n"
        "    seen[0] += 1\n"
        f"    if seen[0] == {kill_after}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "api.train(sys.argv[1], sys.argv[2], init='random', overrides=sys.argv[3:], report=report)\n"
    )
    overrides = [*TINY, STEPS, "checkpoint_steps=2"]
    done = subprocess.run([sys.executable, "-c", script, str(tiny_data), str(out), *overrides], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (out / "bundle").exists()
    train(tiny_data, out, STEPS, "checkpoint_steps=2", resume=True)
    assert_same(state(finished), state(out))
    assert comparable(out) == comparable(finished)
    weights = "bundle/weights.safetensors"
    assert (out / weights).read_bytes() == (finished / weights).read_bytes()


def test_ctrl_c_leaves_a_run_that_can_be_resumed(finished, tiny_data, tmp_path):
    out = tmp_path / "stopped"
    command = [sys.executable, "-m", "c6seg", "train", "--data", str(tiny_data), "--out", str(out), "--init", "random"]
    for override in [*TINY, STEPS]:
        command += ["--set", override]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        while line and "epoch 1/3" not in line:
            line = process.stderr.readline()
        assert line, "the training ended before its first epoch was told"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert "--resume" in rest
    assert "Traceback" not in rest
    done = subprocess.run([*command, "--resume"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert_same(state(finished), state(out))


def test_a_run_folder_is_not_written_over(finished, tiny_data):
    with pytest.raises(OutputError, match="--resume"):
        train(tiny_data, finished, STEPS)


def test_resuming_with_other_options_or_images_is_refused(finished, tiny_data, tmp_path):
    with pytest.raises(UsageError, match="learning_rate"):
        train(tiny_data, finished, STEPS, "learning_rate=0.5", resume=True)
    write_dataset(tmp_path, count=4, size_hw=(64, 64), seed=0)
    with pytest.raises(UsageError, match="other images"):
        train(tmp_path, finished, STEPS, resume=True)


@pytest.mark.usefixtures("without_export")
def test_a_damaged_checkpoint_is_one_line(tiny_data, tmp_path):
    out = tmp_path / "run"
    train(tiny_data, out, "epochs=1")
    (out / "checkpoints/last.pt").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match=r"last\.pt"):
        train(tiny_data, out, "epochs=1", resume=True)


def test_a_training_that_diverges_stops(tiny_data, tmp_path):
    with pytest.raises(DivergedError, match="diverged"):
        train(tiny_data, tmp_path / "run", "learning_rate=1e30", "warmup_epochs=0", STEPS)
    assert not (tmp_path / "run/bundle").exists()


def test_a_bundle_starts_a_training_and_a_worse_result_is_not_shipped(tiny_data, tmp_path):
    with pytest.raises(TrainingError, match="no bundle was written"):
        train(
            tiny_data,
            tmp_path / "worse",
            "learning_rate=3",
            "warmup_epochs=0",
            "epochs=1",
            "ema=0",
            init="unet-mobilenetv2",
        )
    assert not (tmp_path / "worse/bundle").exists()


def test_the_score_at_the_start_is_kept(finished, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr("c6seg.training.run.is_worse", lambda result, start: False)
    bundle = train(tiny_data, tmp_path / "on", "epochs=1", init=str(finished / "bundle"))
    assert bundle.spec.scores["validation_dice_at_start"]["n"] == 1


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.usefixtures("without_export")
def test_early_stopping_ends_a_training_that_no_longer_learns(tiny_data, tmp_path, every):
    """It is decided where there is a validation, and a stopped training stays stopped."""
    options = ["epochs=30", f"validate_every={every}", "early_stopping=2", "learning_rate=1e-12", "ema=0"]
    for resume in (False, True):
        train(tiny_data, tmp_path / "run", *options, resume=resume)
        lines = list(read_metrics(tmp_path / "run/metrics.jsonl"))
        assert len(lines) < 30
        best = min((line for line in lines if "val_loss" in line), key=lambda line: line["val_loss"])["epoch"]
        assert len(lines) == best + 1 + -(-2 // every) * every


@pytest.mark.parametrize("killed_in", [3, 6])
@pytest.mark.usefixtures("without_export")
def test_killed_between_validations_it_ends_where_the_uninterrupted_run_does(
    best_at_first, tiny_data, tmp_path, killed_in
):
    options = ["epochs=12", "validate_every=4", "early_stopping=2", "checkpoint_steps=1"]
    best_at_first()
    train(tiny_data, tmp_path / "whole", *options)
    assert [line["epoch"] for line in read_metrics(tmp_path / "whole/metrics.jsonl")] == list(range(8))

    def kill(status):
        if (status.epoch, status.step) == (killed_in, 2):
            raise InterruptedError

    best_at_first()
    with pytest.raises(InterruptedError):
        train(tiny_data, tmp_path / "killed", *options, report=kill)
    assert state(tmp_path / "killed")["progress"]["epoch"] == killed_in
    train(tiny_data, tmp_path / "killed", *options, resume=True)
    assert comparable(tmp_path / "killed") == comparable(tmp_path / "whole")
    assert_same(state(tmp_path / "killed"), state(tmp_path / "whole"))


def test_unknown_names_offer_the_nearest(tiny_data, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'MobileNetV2'"):
        api.train(tiny_data, tmp_path / "run", encoder="MobilNetV2")
    with pytest.raises(ConfigError, match=r"Did you mean 'epochs'"):
        train(tiny_data, tmp_path / "run", "epoch=3")
    with pytest.raises(ConfigError, match=r"Did you mean 'paper'"):
        api.train(tiny_data, tmp_path / "run", recipe="papre")
    with pytest.raises(ConfigError, match="name = 'my model'"):
        train(tiny_data, tmp_path / "run", "name=my model")
    assert not (tmp_path / "run").exists()


def test_a_folder_without_annotations_is_refused(tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "images/a.png")
    with pytest.raises(DataError):
        train(tmp_path, tmp_path / "run")


def test_every_recipe_that_comes_with_c6seg_is_valid():
    from c6seg.training.recipe import list_recipes, load_recipe

    names = list_recipes()
    assert {"default", "paper", "paper-pretrain"} <= set(names)
    for name in names:
        load_recipe(name)
    paper, pretrain = load_recipe("paper"), load_recipe("paper-pretrain")
    assert (paper.optimizer, paper.learning_rate, paper.schedule) == ("adam", 1e-4, "fixed")
    assert (paper.epochs, pretrain.epochs) == (300, 60)
    assert paper.early_stopping > 0
    assert paper.batch == "auto"
    assert paper.input_size == (512, 704)


def test_training_in_bf16_learns_real_cells(shared_data, tmp_path, monkeypatch):
    """Three photographs, a few steps from ImageNet weights: the validation Dice beats marking everything."""
    monkeypatch.setenv("C6SEG_WEIGHTS", str(shared_data / "weights"))
    splits = {"train": ["set01", "set15"], "val": ["set03"]}
    from c6seg.training.recipe import load_recipe
    from c6seg.training.run import choose_items, run_training

    data = open_dataset(shared_data / "t98g")
    config = load_recipe(
        "default",
        overrides=["input_size=128x128", "batch=4", "crops_per_image=12", "epochs=4", "precision=bf16", "ema=0.8"],
    )
    items = choose_items(data, names=(splits["train"], splits["val"]), seed=0)
    bundle = run_training(items, tmp_path / "run", config)
    everything = items.val[0].annotation.mask((1022, 1024)).mean()
    assert bundle.spec.scores["validation_dice"]["mean"] > 2 * everything / (1 + everything) + 0.1
    assert bundle.spec.scale.pixel_size_um == pytest.approx(0.8708, abs=1e-3)


def test_without_torch_the_install_line_is_printed(tiny_data, tmp_path):
    script = "import sys; sys.modules['torch'] = None\nfrom c6seg.interfaces.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", script, "train", "--data", str(tiny_data), "--out", str(tmp_path / "run")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "c6seg[train]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_of_whole_resized_images_says_at_which_size_and_scale(tiny_data, tmp_path):
    from c6seg.inference.segmenter import Segmenter

    options = ["fit=resize", "input_size=64x64", "epochs=1"]
    bundle = train(tiny_data, tmp_path / "run", *options)
    native = train(tiny_data, tmp_path / "native", "epochs=1").spec.scale
    assert bundle.spec.scale.whole_image == (64, 64)
    assert native.whole_image is None
    shrunk = np.sqrt(96 * 112 / 64**2)
    assert bundle.spec.scale.object_size_px == pytest.approx(native.object_size_px / shrunk, abs=0.1)
    picture = read_image(open_dataset(tiny_data).items[0].image)
    found = Segmenter(bundle).segment(picture)
    assert found.scale == pytest.approx(1 / shrunk)
    assert found.mask.shape == picture.pixels.shape
    # A pixel size says nothing to a model that does not know its own.
    assert Segmenter(bundle, SegmentConfig(pixel_size_um=3.0)).segment(picture).scale == found.scale


def test_the_score_of_an_evaluation_goes_on_the_card(finished, tiny_data, tmp_path):
    import shutil

    shutil.copytree(finished / "bundle", tmp_path / "bundle")
    api.evaluate(tiny_data, model=str(tmp_path / "bundle"), out=tmp_path / "scores.csv")
    bundle = api.record_score(tmp_path / "bundle", "own_dice", tmp_path / "scores.summary.json")
    score = bundle.spec.scores["own_dice"]
    assert score["n"] == len(score["images"]) == 5
    assert score["lower"] <= score["mean"] <= score["upper"]
    assert "own_dice" in (bundle.path / "README.md").read_text()
    with pytest.raises(DataError, match="no summary"):
        api.record_score(tmp_path / "bundle", "own_dice", tmp_path / "scores.csv")


@pytest.mark.usefixtures("without_export")
def test_a_finished_training_goes_on_when_resumed_with_more_epochs(tiny_data, tmp_path):
    train(tiny_data, tmp_path / "run", "epochs=1")
    train(tiny_data, tmp_path / "run", "epochs=2", resume=True)
    assert [line["epoch"] for line in read_metrics(tmp_path / "run/metrics.jsonl")] == [0, 1]
    assert "epochs: 2" in (tmp_path / "run/config.yaml").read_text()


@pytest.mark.usefixtures("without_export")
def test_an_end_by_epochs_between_validations_is_no_early_stop(best_at_first, tiny_data, tmp_path):
    """More epochs go on from there, up to the next validation that may stop it."""
    options = ["validate_every=4", "early_stopping=2"]
    best_at_first()
    train(tiny_data, tmp_path / "run", "epochs=7", *options)
    train(tiny_data, tmp_path / "run", "epochs=12", *options, resume=True)
    assert [line["epoch"] for line in read_metrics(tmp_path / "run/metrics.jsonl")] == list(range(8))
