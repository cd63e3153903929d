"""Two processes that train together, as under ``accelerate launch``, and what one process with all images does."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

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
run._write = lambda training, spec, *others: tell("described", spec.name)  # the export takes longest
run.open_bundle = lambda folder: tell("opened")
api.train(sys.argv[1], sys.argv[2], init="random", overrides=sys.argv[3:],
          report=lambda status: tell("step", status.epoch, status.step))
"""


OPTIONS = ["input_size=64x64", "epochs=2", "precision=fp32", "ema=0.9", "warmup_epochs=0", "learning_rate=1e-4"]


def train(data, out, *overrides, processes):
    """Train in processes of their own; what they said."""
    script = out.parent / "train.py"
    script.write_text(SCRIPT)
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    launch = [sys.executable, *(several if processes > 1 else []), str(script)]
    done = subprocess.run(
        [*launch, str(data), str(out), *OPTIONS, *overrides],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def test_two_processes_are_one_with_the_same_images(tiny_data, tmp_path):
    """4 training images, 2 in each of 2 processes: one step an epoch, told and written once, its losses those of one
    process with 4, batch norms and dice included."""
    said = train(tiny_data, tmp_path / "two", "batch=2", processes=2)
    assert said == ["described two", "opened", "opened", "step 0 1", "step 1 1"]
    train(tiny_data, tmp_path / "one", "batch=4", processes=1)
    two, one = (list(read_metrics(tmp_path / name / "metrics.jsonl")) for name in ("two", "one"))
    assert [line["epoch"] for line in two] == [0, 1]
    assert two[0]["train_loss"] == pytest.approx(one[0]["train_loss"], rel=1e-5)
    # Adam's first step is by the sign of the gradient: where that is rounding, weights differ.
    assert two[1]["train_loss"] == pytest.approx(one[1]["train_loss"], rel=5e-3)
    assert two[0]["val_loss"] == pytest.approx(one[0]["val_loss"], rel=2e-2)


GRADIENTS = """
import sys
import torch
from torch import nn
from c6seg.models.encoders import Encoder
from c6seg.training.device import make_accelerator
from c6seg.training.recompute import recompute_blocks
from c6seg.training.step import add_gradient
from c6seg.training.together import join_norms
from timm.layers import BatchNormAct2d

torch.set_num_threads(1)
torch.manual_seed(0)
layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), BatchNormAct2d(8), nn.Conv2d(8, 1, 3)]

class Net(nn.Module):  # with the parts that have blocks in a U-Net; some of its layers are one block
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Sequential(*layers), nn.Sequential()
        self.decoder.center, self.decoder.blocks = nn.Identity(), nn.Identity()

    def forward(self, images):
        return self.encoder(images)

net = Net()
images = torch.randn(4, 3, 16, 16)
masks = torch.rand(4, 1, 10, 10) < torch.tensor([0.05, 0.2, 0.6, 0.9])[:, None, None, None]
accelerator = make_accelerator("fp32")
rank, count = accelerator.process_index, accelerator.num_processes
net = join_norms(net.train(), count, accelerator.device)
if len(sys.argv) > 2:
    assert recompute_blocks(net, Encoder("", "", "", "", blocks=("",))) == 2
net = accelerator.prepare(net)
mine = slice(rank * 4 // count, (rank + 1) * 4 // count)
loss = add_gradient(accelerator, net, images[mine], masks[mine], loss="bce+dice", pieces=1, seed=0)
loss = accelerator.reduce(loss, reduction="mean")
raw = accelerator.unwrap_model(net)
if accelerator.is_main_process:
    found = {name: weight.grad for name, weight in raw.named_parameters()} | dict(raw.named_buffers()) | {"loss": loss}
    torch.save(found, sys.argv[1])
"""


def test_gradients_and_statistics_of_two_processes_are_those_of_one(tmp_path):
    """The two compute their activations again, the one keeps them."""
    script = tmp_path / "gradients.py"
    script.write_text(GRADIENTS)
    for count in (1, 2):
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count), str(script)]
        done = subprocess.run(
            [sys.executable, *launch, str(tmp_path / f"{count}.pt"), *(["again"] if count == 2 else [])],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
        assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / f"{count}.pt", weights_only=True) for count in (1, 2))
    assert list(one) == list(two)
    for name, value in one.items():
        torch.testing.assert_close(
            two[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
