"""Two processes that train together, as under ``accelerate launch``."""

from __future__ import annotations

import os
import subprocess
import sys

from c6seg.training.checkpoint import read_metrics

SCRIPT = """
import os
import sys
import torch
from c6seg import api
from c6seg.training import run

def tell(*words):  # one write: the processes share the pipe
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

torch.set_num_threads(1)
run._write = lambda training, spec: tell("described", spec.name)  # the export takes longest
run.open_bundle = lambda folder: tell("opened")
api.train(sys.argv[1], sys.argv[2], init="random", overrides=sys.argv[3:],
          report=lambda status: tell("step", status.epoch, status.step))
"""


def test_one_process_writes_and_all_end(tiny_data, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    overrides = ["input_size=64x64", "batch=2", "epochs=2", "precision=fp32", "ema=0.9"]
    done = subprocess.run(
        [*launch, str(tiny_data), str(tmp_path / "run"), *overrides],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    # 4 training images, 2 in each of 2 processes: one step an epoch, told once
    assert sorted(done.stdout.splitlines()) == ["described run", "opened", "opened", "step 0 1", "step 1 1"]
    assert [line["epoch"] for line in read_metrics(tmp_path / "run/metrics.jsonl")] == [0, 1]
