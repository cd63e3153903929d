"""``c6seg study``: what it shows, what it refuses, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from c6seg.data.synthetic import write_dataset
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run
from c6seg.interfaces.cli_study import _duration
from c6seg.studies import work
from c6seg.studies.ledger import Ledger


@pytest.fixture
def failing() -> set[float]:
    """Learning rates at which the pretended training fails."""
    return set()


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: set[float]) -> Path:
    """A study of two runs whose trainings are pretended: the embedded model takes their place."""
    from c6seg.models.bundle import open_bundle

    write_dataset(tmp_path / "mine", count=5, size_hw=(64, 64), seed=1)
    values = {
        "name": "two",
        "title": "Two of a kind",
        "about": "Which is better?",
        "data": {"mine": {"path": "mine"}},
        "splits": {"repeats": 1, "train": 2, "val": 1, "test": 2},
        "factors": {"learning_rate": [0.1, 0.2]},
        "options": {"network.init": "random"},
        "tests": [{}],
    }

    def pretend(job, out, folder, tell):
        if job.config.learning_rate in failing:
            raise ValueError("no luck")
        (folder / "bundle").parent.mkdir(parents=True, exist_ok=True)
        (folder / "bundle").symlink_to(open_bundle("unet-mobilenetv2").path)

    monkeypatch.setattr(work, "_train", pretend)
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def call(*words: object) -> int:
    return run(app, ["study", *map(str, words)])


def test_the_studies_of_the_paper_are_listed(capsys):
    assert call("list") == 0
    output = capsys.readouterr().out
    assert "initialisation" in output
    assert len(output.splitlines()) == 10


def test_show_says_what_a_study_is(study, capsys):
    assert call("show", study) == 0
    output = capsys.readouterr().out
    for words in ("two: Two of a kind", "Factor learning_rate: 0.1; 0.2", "1 times 2 training", "input native"):
        assert words in output


def test_show_measures_at_which_scale_source_and_target_match(tmp_path, capsys):
    for name, size in (("source", (96, 96)), ("target", (128, 128))):
        write_dataset(tmp_path / name, count=4, size_hw=size, seed=2)
    assert call("show", "scale_matched", "--data", tmp_path / "source", "--data", tmp_path / "target") == 0
    output = capsys.readouterr().out
    assert "s* = " in output
    assert "95 % interval" in output
    assert call("show", "scale_matched", "--data", tmp_path / "source", "--data", tmp_path / "gone") == 2
    assert "gone' for glioma" in capsys.readouterr().err


def test_plan_lists_runs_and_what_is_not_there(study, tmp_path, capsys):
    assert call("plan", study, "--data", tmp_path, "--no-probe") == 0
    output = capsys.readouterr().out
    assert "1 x  two: learning_rate 0.1" in output
    assert "2 runs for 2 configurations and divisions" in output
    assert call("plan", study, "--data", tmp_path / "elsewhere", "--no-probe", "--all") == 0
    captured = capsys.readouterr()
    assert "elsewhere/mine' for mine" in captured.err
    assert "two: learning_rate 0.1, split00" in captured.out


def test_plan_forecasts_time_and_memory(study, tmp_path, capsys):
    assert (
        call("plan", study, "--data", tmp_path, "--only", "learning_rate=0.1", "--set", "options.input_size=64x64") == 0
    )
    output = capsys.readouterr().out
    assert " each; " in output
    assert "GB" in output
    assert "one after the other on this machine (cpu" in output
    assert "Left: about " in output, "a short probe is no upper bound"


def test_run_and_report(study, tmp_path, capsys):
    out = tmp_path / "out"
    assert call("run", study, "--data", tmp_path, "--out", out) == 0
    captured = capsys.readouterr()
    assert "2 of 2 runs done, 0 of them before" in captured.out
    assert "[0/2] training two: learning_rate 0.1, split00" in captured.err
    assert call("run", study, "--data", tmp_path, "--out", out) == 0
    assert "2 of 2 runs done, 2 of them before" in capsys.readouterr().out
    assert call("report", study, "--out", out) == 0
    assert "report.html (2 done)" in capsys.readouterr().out
    assert call("plan", study, "--data", tmp_path, "--out", out, "--no-probe") == 0
    assert "[done 1]" in capsys.readouterr().out


def test_a_run_that_fails_is_told_and_ends_with_1(study, tmp_path, capsys, failing):
    failing.add(0.1)
    out = tmp_path / "out"
    assert call("run", study, "--data", tmp_path, "--out", out) == 1
    captured = capsys.readouterr()
    assert "failed: two: learning_rate 0.1, split00: no luck" in captured.err
    assert "1 of 2 runs done" in captured.out
    failing.clear()
    assert call("run", study, "--data", tmp_path, "--out", out) == 1, "not without being asked"
    assert call("run", study, "--data", tmp_path, "--out", out, "--retry") == 0


def test_runs_that_fail_are_told_also_when_quiet(study, tmp_path, capsys, failing):
    failing.add(0.1)
    assert call("run", study, "--data", tmp_path, "--out", tmp_path / "out", "-q") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "failed: two: learning_rate 0.1, split00: no luck\n"


def test_where_none_is_done_it_ends_with_2(study, tmp_path, capsys, failing):
    failing.update({0.1, 0.2})
    assert call("run", study, "--data", tmp_path, "--out", tmp_path / "out", "-q") == 2
    assert capsys.readouterr().err.count("failed: two: ") == 2


def test_what_starts_from_a_failed_run_is_told_also_when_quiet(study, tmp_path, capsys, failing):
    failing.add(0.5)
    values = yaml.safe_load(study.read_text())
    values["data"]["source"] = {"simulate": {"count": 4, "size": "64x64"}}
    values["stages"] = {
        "first": {"data": "source", "init": "random", "recipe": "default", "options": {"learning_rate": 0.5}}
    }
    values |= {"train_on": "mine", "factors": {"init": ["random", "first"]}}
    study.write_text(yaml.safe_dump(values, sort_keys=False))
    assert call("run", study, "--data", tmp_path, "--out", tmp_path / "out", "-q") == 1
    error = capsys.readouterr().err
    assert "failed: pre-training first" in error
    assert "not begun, as what it starts from failed: two: init first, split00" in error


def test_the_help_says_what_the_exit_codes_are_and_offers_no_division_for_a_recipe(capsys):
    assert call("run", "--help") == 0
    assert "0 all runs are done, 1 some failed, 2 none is done" in " ".join(capsys.readouterr().out.split())
    assert call("recipe", "--help") == 0
    assert "split=split" not in capsys.readouterr().out


def test_a_recipe_of_one_division_is_refused(study, tmp_path, capsys):
    assert call("recipe", study, "--out", tmp_path, "--only", "split=split99") == 2
    assert capsys.readouterr().err == (
        "c6seg: --only split=split99: a recipe is chosen over all divisions together. Leave split out.\n"
    )


def test_wrong_use_is_one_line_and_nothing_starts(study, tmp_path, capsys):
    out = tmp_path / "out"
    for words, said in (
        (["run", "initialization"], "Did you mean 'initialisation'"),
        (["run", study, "--data", tmp_path / "no"], "no/mine' for mine"),
        (["run", study, "--data", tmp_path, "--only", "learning_rate=3"], "value of learning_rate"),
        (["run", study, "--data", tmp_path, "--set", "splits.trains=3"], "'splits.train'"),
        (["run", study, "--data", tmp_path, "--set", "splits.train=30"], "30 training + 1 validation"),
        (["report", study], "was not begun"),
    ):
        assert call(*words, "--out", out) == 2, words
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
        assert not (out / "ledger").exists()


def test_a_ledger_of_another_version_is_one_line(study, tmp_path, capsys):
    Ledger(tmp_path / "out")
    (tmp_path / "out/ledger/format.json").write_text(json.dumps({"format": "c6seg-ledger/9"}))
    assert call("run", study, "--data", tmp_path, "--out", tmp_path / "out") == 2
    assert "another version (c6seg-ledger/9" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (90, "90 s"), (600, "10 min"), (9000, "2.5 h")])
def test_times_are_said_as_people_do(seconds, said):
    assert _duration(seconds) == said
