"""Segmenting on a real Ray cluster gives what segmenting here gives; a node that is killed costs nothing."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from c6seg.cluster import Resources
from c6seg.config import SegmentConfig
from c6seg.inference import shards
from c6seg.inference.batch import segment_images
from c6seg.inference.budget import most_mb
from c6seg.inference.making import Maker
from c6seg.inference.scale import FoundScale
from c6seg.inference.segmenter import Segmenter
from c6seg.inference.shards import MOST_IMAGES, cut

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra [cluster] is not installed")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twenty small pictures, one of which is none."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(1)
    for number in range(20):
        pixels = rng.integers(0, 40, (80, 90), dtype=np.uint8)
        pixels[20 + number : 50, 10:60] += 150
        Image.fromarray(pixels).save(folder / f"p{number:02}.png")
    (folder / "p07.png").write_text("no picture")
    return folder


def table(folder):
    with (folder / "measurements.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.cluster
@needs_ray
def test_a_cluster_gives_what_one_machine_gives_though_a_node_is_killed(tiny_bundle, pictures, tmp_path, ray_cluster):
    here = segment_images(pictures, tmp_path / "here", model=tiny_bundle)
    command = [sys.executable, "-m", "c6seg", "segment", str(pictures), "--model", str(tiny_bundle)]
    with ray_cluster(2) as nodes:
        command += ["--ray", nodes.address, "--out"]
        with subprocess.Popen([*command, str(tmp_path / "there")], stderr=subprocess.PIPE, text=True) as process:
            until = time.monotonic() + 300
            while not list((tmp_path / "there/masks").glob("*.png")) and time.monotonic() < until:
                time.sleep(0.02)
            nodes.kill_one()
            errors = process.communicate(timeout=300)[1]
        assert process.returncode == 1, errors
        assert "1 of 20 images could not be segmented" in errors
        assert table(tmp_path / "there") == table(tmp_path / "here")
        for mask in (tmp_path / "here/masks").iterdir():
            assert (tmp_path / "there/masks" / mask.name).read_bytes() == mask.read_bytes()
        lines = [json.loads(line) for line in (tmp_path / "there/journal.jsonl").read_text().splitlines()]
        done = [line["name"] for line in lines if line.get("state") == "done"]
        assert sorted(done) == sorted(set(done)), "no image is noted twice"
        again = subprocess.run([*command, str(tmp_path / "there")], check=False, capture_output=True, text=True)
    assert "19 of them before" in again.stdout
    assert len(here.failures) == 1


@pytest.fixture
def one_process(monkeypatch):
    """A cluster of two nodes with 3 and 1 processors, whose units are done one after the other in this process."""
    nodes = [{"Alive": True, "Resources": {"CPU": 3.0}}, {"Alive": True, "Resources": {"CPU": 1.0}}]
    fake = SimpleNamespace(cluster_resources=lambda: {"CPU": 4.0}, nodes=lambda: nodes)
    monkeypatch.setattr(shards, "connected", lambda address: contextlib.nullcontext(fake))
    monkeypatch.setattr(
        shards, "each", lambda ray, function, units, resources: ((n, function(*unit)) for n, unit in enumerate(units))
    )
    return "auto", Resources()


def test_a_file_that_turned_bad_leaves_no_outlines_on_a_cluster_either(tiny_bundle, pictures, tmp_path, one_process):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("p00.png", "p01.png"):
        (images / name).write_bytes((pictures / name).read_bytes())
    options = {"model": tiny_bundle, "cluster": one_process, "export": "imagej,geojson"}
    assert not segment_images(images, tmp_path / "out", **options).failures
    assert (tmp_path / "out/rois/p00.zip").exists()
    (images / "p00.png").write_text("no picture any more")
    again = segment_images(images, tmp_path / "out", **options)
    assert (len(again.failures), again.resumed) == (1, 1)
    left = [path.name for path in (tmp_path / "out").rglob("p0*")]
    assert not [name for name in left if name.startswith("p00")]
    assert {"p01.png", "p01.jpg", "p01.zip", "p01.geojson"} == set(left)


def test_the_workers_of_a_node_share_its_memory(tiny_bundle, pictures, tmp_path, one_process, monkeypatch):
    monkeypatch.setattr("c6seg.machine.available_memory_mb", lambda: 20_000.0)
    segment_images(pictures / "p00.png", tmp_path / "here", model=tiny_bundle)
    seen = []
    right = shards.Maker.begin
    monkeypatch.setattr(
        shards.Maker, "begin", lambda *args, **options: seen.append(most_mb()) or right(*args, **options)
    )
    segment_images(pictures / "p00.png", tmp_path / "there", model=tiny_bundle, cluster=one_process)
    taken = [json.loads((tmp_path / out / "manifest.json").read_text())["memory_mb"] for out in ("here", "there")]
    assert taken == [2000, 20_000 // 4 // 3]
    assert seen == taken[1:]


@pytest.mark.parametrize(("images", "slots"), [(1, 1), (3, 8), (1000, 2), (33, 4)])
def test_shards_hold_every_image_once(images, slots):
    paths = [Path(str(number)) for number in range(images)]
    shards = cut(paths, slots)
    assert [path for shard in shards for path in shard] == paths
    assert max(map(len, shards)) <= MOST_IMAGES
    assert len(shards) >= min(images, slots)


def test_a_cluster_that_is_not_there_is_one_line(tiny_bundle, pictures, tmp_path):
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "c6seg", "segment", str(pictures), "--model", str(tiny_bundle)]
    command += ["--out", str(tmp_path / "out"), "--ray", "auto"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{free.getsockname()[1]}"  # of a cluster that ended without a word
    environment = {**os.environ, "RAY_ADDRESS": gone}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 2
    assert "No Ray cluster at 'auto'" in done.stderr
    assert f"{gone.rpartition(':')[2]} does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_network_sees_a_shard_at_the_scale_of_the_run(tiny_bundle, tmp_path):
    other = shutil.copytree(tiny_bundle, tmp_path / "other")
    spec = other / "bundle.yaml"
    spec.write_text(spec.read_text().replace("name: tiny", "name: other"))
    config = SegmentConfig(clusters="report", cluster_model=str(other))
    segmenter = Segmenter(tiny_bundle, config)
    segmenter.other.scales[64, 64] = FoundScale(1.6, 1.26, 2.0)
    task = shards._task(Maker(tmp_path, segmenter, None), 1)
    assert task.scales == ({}, {(64, 64): FoundScale(1.6, 1.26, 2.0)})
    assert shards._do_shard(task, [], {}) == []
    there = shards._segmenter(task.model, task.config.model_dump_json(), task.threads)
    assert there.other.scales == segmenter.other.scales
