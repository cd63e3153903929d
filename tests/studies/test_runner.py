"""Whole tiny studies: each run once, killed and gone on with, failures kept, reports at any time."""

from __future__ import annotations

import csv
import errno
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from c6seg import api
from c6seg.data.synthetic import write_dataset
from c6seg.errors import DataError, OutputError
from c6seg.studies import work
from c6seg.studies.ledger import Ledger, locked
from c6seg.studies.scores import read_scores


def study_run(study, out, data_root, **options):
    return api.run_study(study, out, data=[data_root], **options)


@pytest.fixture
def begun(finished, tmp_path):
    """Output folder of the finished tiny study, to write into."""
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def test_a_study_gives_rows_for_every_pair_of_sizes(finished):
    rows = read_scores(finished / "tiny/scores.csv")
    assert len(rows) == 2 * 2 * 2 * 4, "starts, divisions, images, pairs of sizes"
    assert {row.sizes for row in rows} == {(a, b) for a in ("native", "64x64") for b in ("native", "48x48")}
    assert all(row.counts.total == (48 * 48 if row.score_size == "48x48" else 96 * 112) for row in rows)
    assert (finished / "tiny/report.html").is_file()
    with (finished / "tiny/curves.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 2 * 2 * 2, "starts, divisions, epochs"
    assert not list(finished.glob("runs/*/checkpoints")), "several times the weights, and never needed again"


def test_the_counts_are_those_of_evaluate(finished, data_root):
    """The score of a run is equation (2) as the verb ``evaluate`` computes it."""
    rows = [row for row in read_scores(finished / "tiny/scores.csv") if row.configuration["init"] == "random"]
    plan = json.loads((finished / "tiny/plan.json").read_text())
    point = next(point for point in plan["points"] if point["configuration"] == {"init": "random"})
    model = finished / "runs" / point["job"] / "bundle"
    found = api.evaluate(data_root / "target", model=model, input_size="64x64", score_size="48x48")
    expected = {score.image: score.counts for score in found.scores}
    mine = [row for row in rows if row.split == point["split"] and row.sizes == ("64x64", "48x48")]
    assert len(mine) == 2
    assert all(row.counts == expected[row.image] for row in mine)


def test_the_same_command_again_does_nothing(begun, write_study, data_root, monkeypatch):
    monkeypatch.setattr(work, "_train", lambda *_: pytest.fail("a run was trained twice"))
    monkeypatch.setattr(work, "_score", lambda *_: pytest.fail("a run was scored twice"))
    before = (begun / "tiny/report.md").read_bytes()
    outcome, _ = study_run(write_study(), begun, data_root)
    assert (outcome.before, outcome.done) == (5, 0)
    assert (begun / "tiny/report.md").read_bytes() == before


def test_another_size_is_scored_without_training(begun, write_study, data_root, monkeypatch):
    monkeypatch.setattr(work, "_train", lambda *_: pytest.fail("a run was trained twice"))
    tests = [{"input": "64x64", "score": ["48x48", "32x32"]}]
    outcome, _ = study_run(write_study(tests=tests), begun, data_root, only=["init=random"])
    assert outcome.done == 2
    rows = read_scores(begun / "tiny/scores.csv")
    assert {row.score_size for row in rows if row.configuration["init"] == "random"} == {"48x48", "32x32"}


def test_a_lost_run_is_done_again_with_the_same_result(begun, write_study, data_root):
    rows = (begun / "tiny/scores.csv").read_bytes()
    plan = json.loads((begun / "tiny/plan.json").read_text())
    shutil.rmtree(begun / "runs" / plan["points"][0]["job"])
    outcome, _ = study_run(write_study(), begun, data_root)
    assert (outcome.before, outcome.done) == (4, 1)
    assert (begun / "tiny/scores.csv").read_bytes() == rows


KILL = """
import os, signal, sys
from c6seg import api
from c6seg.studies import work
seen = [0]
real = {name: getattr(work, name) for name in ("write_csv", "_train", "_score")}
def after(name):
    def call(*args, **options):
        result = real[name](*args, **options)
        seen[0] += 1
        if seen[0] == int(sys.argv[4]): os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call
for name in real: setattr(work, name, after(name))
import c6seg.training.loop as loop
append = loop.append_metrics
def kill(path, line):
    append(path, line)
    seen[0] += 1
    if seen[0] == int(sys.argv[4]): os.kill(os.getpid(), signal.SIGKILL)
loop.append_metrics = kill
api.run_study(sys.argv[1], sys.argv[2], data=[sys.argv[3]], only=["init=random", "split=split00"])
"""


@pytest.mark.parametrize("moment", [1, 3, 5])
def test_killed_at_a_moment_and_run_again_equals_the_uninterrupted_one(finished, out, write_study, data_root, moment):
    """A real process, really killed: after an epoch, after a training, in the middle of scoring."""
    study = write_study()
    done = subprocess.run([sys.executable, "-c", KILL, str(study), str(out), str(data_root), str(moment)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not api.report_study(study, out)[0].progress.complete
    outcome, _ = study_run(study, out, data_root, only=["init=random", "split=split00"])
    assert outcome.complete
    (run,) = out.glob("runs/*/bundle")
    reference = finished / "runs" / run.parent.name
    assert (run / "weights.safetensors").read_bytes() == (reference / "bundle/weights.safetensors").read_bytes()
    for file in reference.glob("counts/*.csv"):
        assert (run.parent / "counts" / file.name).read_bytes() == file.read_bytes()


def test_a_run_that_diverges_is_marked_and_others_go_on(begun, write_study, data_root, monkeypatch):
    factors = {"how": {name: {"init": "random", "learning_rate": rate} for name, rate in (("a", 1e30), ("b", 2e-3))}}
    study = write_study(factors=factors, splits={"repeats": 1, "train": 3, "val": 1, "test": 2}, stages=None)
    outcome, reports = study_run(study, begun, data_root)
    assert outcome.done == 1
    (record,) = outcome.failed
    assert record.state == "diverged"
    assert "diverged" in record.error
    assert "Traceback" in record.traceback
    assert reports[0].progress.states == {"diverged": 1, "done": 1}
    with (begun / "tiny/failures.csv").open() as file:
        assert next(csv.DictReader(file))["state"] == "diverged"
    monkeypatch.setattr(work, "_do", lambda *_: pytest.fail("a failed run was done again without being asked for"))
    outcome, _ = study_run(study, begun, data_root)
    assert [each.key for each in outcome.failed] == [record.key]


def test_failed_runs_are_done_again_on_request_and_hold_up_what_starts_from_them(
    begun, write_study, data_root, monkeypatch
):
    plan = api.plan_study(write_study(), data=[data_root])
    stage = next(job for job in plan.jobs.values() if job.title.startswith("pre-training"))
    for job in plan.select(["init=simulated"]):
        shutil.rmtree(begun / "runs" / job.key)
    real = work._train

    def train(job, *rest):
        if job.key == stage.key:
            raise ValueError("a cable came loose\nhere")
        real(job, *rest)

    monkeypatch.setattr(work, "_train", train)
    outcome, _ = study_run(write_study(), begun, data_root)
    assert outcome.before == 2
    assert [record.error for record in outcome.failed] == ["a cable came loose here"]
    assert len(outcome.blocked) == 2
    monkeypatch.setattr(work, "_train", real)
    outcome, _ = study_run(write_study(), begun, data_root, retry=True, only=["init=simulated", "split=split00"])
    assert outcome.complete
    assert Ledger(begun).read(stage.key).attempts >= 2
    assert not (begun / "tiny/failures.csv").exists()


def test_a_full_disk_ends_the_study_and_nothing_is_lost(begun, write_study, data_root, monkeypatch):
    plan = json.loads((begun / "tiny/plan.json").read_text())
    shutil.rmtree(begun / "runs" / plan["points"][0]["job"])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(work, "_train", full)
    with pytest.raises(OutputError, match="disk is full"):
        study_run(write_study(), begun, data_root)
    assert Ledger(begun).read(plan["points"][0]["job"]).state == "stopped"
    monkeypatch.undo()
    outcome, _ = study_run(write_study(), begun, data_root)
    assert (outcome.before, outcome.done, outcome.failed) == (4, 1, [])


def test_ctrl_c_keeps_what_is_done(begun, write_study, data_root, monkeypatch):
    plan = json.loads((begun / "tiny/plan.json").read_text())
    shutil.rmtree(begun / "runs" / plan["points"][1]["job"])

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "_train", stop)
    outcome, _ = study_run(write_study(), begun, data_root)
    assert outcome.interrupted
    assert outcome.before == 1


def test_a_run_whose_process_dies_again_and_again_is_given_up(begun, write_study, data_root, monkeypatch):
    plan = json.loads((begun / "tiny/plan.json").read_text())
    key = plan["points"][0]["job"]
    shutil.rmtree(begun / "runs" / key)
    ledger = Ledger(begun)
    for _ in range(work.MOST_CRASHES):
        ledger.begin(key, "title", epochs=0)
    outcome, _ = study_run(write_study(), begun, data_root)
    assert [record.key for record in outcome.failed] == [key]
    assert "died 3 times" in outcome.failed[0].error
    outcome, _ = study_run(write_study(), begun, data_root, retry=True)
    assert outcome.complete


def test_a_process_that_got_further_is_not_given_up(tmp_path):
    ledger = Ledger(tmp_path)
    crashes = [ledger.begin("k", "t", epochs=epochs).crashes for epochs in (0, 0, 4, 4, 9)]
    assert crashes == [0, 1, 0, 1, 0]


def test_what_cannot_be_gone_on_with_starts_over(begun, write_study, data_root, finished):
    plan = json.loads((begun / "tiny/plan.json").read_text())
    folder = begun / "runs" / plan["points"][0]["job"]
    shutil.rmtree(folder / "bundle")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/last.pt").write_bytes(b"damaged")
    outcome, _ = study_run(write_study(), begun, data_root)
    assert outcome.done == 1
    weights = Path("runs", folder.name, "bundle/weights.safetensors")
    assert (begun / weights).read_bytes() == (finished / weights).read_bytes()


def test_a_ledger_of_another_version_is_refused(begun, write_study, data_root):
    (begun / "ledger/format.json").write_text('{"format": "c6seg-ledger/0"}')
    with pytest.raises(DataError, match=r"c6seg-ledger/0.*Choose another --out"):
        study_run(write_study(), begun, data_root)
    with pytest.raises(DataError, match="another version"):
        api.report_study(write_study(), begun)


def test_a_damaged_entry_of_the_ledger_costs_that_run_only(begun, write_study, data_root):
    key = json.loads((begun / "tiny/plan.json").read_text())["points"][0]["job"]
    (begun / "ledger" / f"{key}.json").write_text('{"key": "x"')
    outcome, _ = study_run(write_study(), begun, data_root)
    assert (outcome.before, outcome.done) == (4, 1)


def test_two_runners_do_not_work_in_one_folder(begun, write_study, data_root):
    before = (begun / "tiny/plan.json").read_bytes()
    with locked(begun / "ledger", what="it"), pytest.raises(OutputError, match="Another c6seg"):
        study_run(write_study(title="another"), begun, data_root, overrides=["splits.repeats=1"])
    assert (begun / "tiny/plan.json").read_bytes() == before, "the plan of the one that is at work"


def test_a_report_is_of_the_study_as_it_was_run(begun, write_study):
    """The file has changed since, or options of the command line are not said again."""
    (plan_file, report) = (begun / "tiny/plan.json", begun / "tiny/report.md")
    plan = json.loads(plan_file.read_text())
    assert {point["trained"]["overlap"] for point in plan["points"]} == {3 / 8}
    changed = write_study(splits={"repeats": 2, "train": 5, "val": 1, "test": 2}, report={"notes": ["A new note."]})
    api.report_study(changed, begun)
    assert "that of another division: 0.38." in report.read_text()
    assert "A new note." in report.read_text()
    for point in plan["points"]:  # a plan of a version that did not write it
        del point["trained"]
    plan_file.write_text(json.dumps(plan))
    api.report_study(changed, begun)
    assert "that of another division: 0.38." in report.read_text()
    plan_file.write_text(json.dumps({**plan, "study": {**plan["study"], "colour": "red"}}))
    with pytest.raises(DataError, match="made by another version"):
        api.report_study(changed, begun)


def test_a_report_needs_a_study_that_was_begun(tmp_path, write_study):
    with pytest.raises(DataError, match="was not begun"):
        api.report_study(write_study(), tmp_path)


@pytest.mark.slow
def test_a_study_on_real_photographs_scores_better_than_chance(shared_data, out, tmp_path, monkeypatch):
    """Crops of real cells, from ImageNet and from random weights: learning shows after a few steps."""
    monkeypatch.setenv("C6SEG_WEIGHTS", str(shared_data / "weights"))
    values = {
        "name": "real",
        "data": {"t98g": {"path": str(shared_data / "t98g")}},
        "options": {
            "input_size": "128x128", "batch": 4, "crops_per_image": 16, "epochs": 4, "ema": 0.8, "warmup_epochs": 0,
        },
        "splits": {"repeats": 1, "train": 3, "val": 1, "test": 2},
        "factors": {"init": ["imagenet"]},
        "tests": [{"input": ["native", "512x512"], "score": "512x512"}],
    }  # fmt: skip
    (tmp_path / "real.yaml").write_text(json.dumps(values))
    outcome, _ = api.run_study(tmp_path / "real.yaml", out)
    assert outcome.complete
    rows = read_scores(out / "real/scores.csv")
    assert {row.group for row in rows} <= {"large", "small"}
    native = [row for row in rows if row.input_size == "native"]
    everything = [2 * share / (1 + share) for row in native if (share := (row.tp + row.fn) / row.counts.total)]
    assert sum(row.dice for row in native) > sum(everything) + 0.1


def test_masks_of_plain_pictures_are_kept_and_shown(begun, write_study, data_root, tmp_path):
    write_dataset(tmp_path / "other", count=2, size_hw=(96, 112), seed=9)
    data = {
        "source": {"simulate": {"count": 3, "size": "96x96", "seed": 7}},
        "shown": {"path": str(tmp_path / "other/images"), "layout": "images"},
        "target": {"path": "target", "about": "made by the test"},
    }
    study = write_study(data=data, pictures=[{"data": "shown", "images": ["synthetic_00001"], "input": "native"}])
    outcome, _ = study_run(study, begun, data_root, only=["split=split00"])
    assert outcome.done == 2, "scored runs get their pictures; nothing is trained again"
    assert len(list(begun.glob("runs/*/pictures/*/synthetic_00001.png"))) == 2
    assert "clusters" in (begun / "tiny/report.html").read_text()


def test_data_sheets_are_measured_once(begun, write_study, data_root, monkeypatch):
    study = write_study(sheets=["target"])
    study_run(study, begun, data_root)
    text = (begun / "tiny/data_sheets.md").read_text()
    assert "112x96 (8)" in text
    from c6seg.studies import sheets

    monkeypatch.setattr(sheets, "describe_dataset", lambda *_: pytest.fail("measured twice"))
    study_run(study, begun, data_root)
