"""Studies on a real Ray cluster of several nodes on this machine; one of them is killed in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib.util import find_spec

import pytest

from c6seg import api
from c6seg.cluster import Resources
from c6seg.errors import MissingExtraError, UsageError

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra [cluster] is not installed")


def start(study, out, data_root, address):
    command = [sys.executable, "-m", "c6seg", "study", "run", str(study), "--out", str(out), "--data", str(data_root)]
    return subprocess.Popen([*command, "--ray", address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def records(out):
    return [json.loads(path.read_text()) for path in (out / "ledger").glob("*.json") if path.stem != "format"]


@pytest.mark.cluster
@needs_ray
def test_a_node_is_killed_and_nothing_is_lost_or_done_twice(finished, out, write_study, data_root, ray_cluster):
    with ray_cluster(2) as nodes, start(write_study(), out, data_root, nodes.address) as process:
        until = time.monotonic() + 400
        while time.monotonic() < until and process.poll() is None:
            found = records(out) if (out / "ledger").is_dir() else []
            if sum(record["state"] == "running" for record in found) == 2:
                break
            time.sleep(0.05)
        assert process.poll() is None, process.communicate()
        finished_before = {record["key"] for record in records(out) if record["state"] == "done"}
        nodes.kill_one()
        output, errors = process.communicate(timeout=500)
    assert process.returncode == 0, output + errors
    assert "5 of 5 runs done" in output
    ended = records(out)
    assert {record["state"] for record in ended} == {"done"}
    attempts = {record["key"]: record["attempts"] for record in ended}
    assert sum(attempts.values()) == len(attempts) + 1, "the run of the lost node was begun once more, and no other"
    assert all(attempts[key] == 1 for key in finished_before)
    for name in ("scores.csv", "report.md", "report.html"):
        assert (out / "tiny" / name).read_bytes() == (finished / "tiny" / name).read_bytes(), name


@pytest.mark.cluster
@needs_ray
def test_failures_come_back_and_what_is_too_large_is_refused(out, write_study, data_root, ray_cluster):
    factors = {"how": {"good": {"init": "random"}, "bad": {"init": "random", "learning_rate": 1e30}}}
    study = write_study(factors=factors, stages=None, splits={"repeats": 1, "train": 3, "val": 1, "test": 2})
    with ray_cluster(1) as nodes:
        with start(study, out, data_root, nodes.address) as process:
            output, errors = process.communicate(timeout=500)
        assert process.returncode == 1, output + errors
        assert "1 of 2 runs done" in output
        assert "diverged" in errors
        command = [sys.executable, "-m", "c6seg", "study", "run", str(study), "--out", str(out)]
        command += ["--data", str(data_root), "--retry", "--ray", nodes.address, "--cpus", "64"]
        refused = subprocess.run(command, check=False, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "the largest has 1 and 0" in refused.stderr


def test_without_ray_the_install_line_is_printed(monkeypatch, out, write_study, data_root):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"c6seg\[cluster\]"):
        api.run_study(write_study(), out, data=[data_root], only=["init=random"], ray="auto")


@pytest.mark.parametrize("values", [(0, 0), (-1, 0), (1, -1)])
def test_a_unit_needs_a_processor(values):
    with pytest.raises(UsageError, match="cannot run"):
        Resources(*values)


def test_ray_sends_no_usage(monkeypatch):
    """The switch is set in code, before Ray is imported."""
    import os

    from c6seg import cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError):
        cluster.import_ray()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
