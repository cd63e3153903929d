"""What a training runs on: device, precision, and the batch that fits."""

from __future__ import annotations

import os

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import find_executable_batch_size
from numpy.typing import NDArray
from torch import nn

from c6seg.errors import TrainingError
from c6seg.runtime import cpu_has_bf16, logger


def make_accelerator(precision: str) -> Accelerator:
    """Choose device and precision: bf16 where the processor or GPU multiplies it in hardware.

    Parameters
    ----------
    precision
        ``auto``, ``bf16`` or ``fp32``.
    """
    cpu = not torch.cuda.is_available()
    if precision == "auto":
        has_bf16 = cpu_has_bf16() if cpu else torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if has_bf16 else "fp32"
    # Accelerate keeps one state per process; a second training in it may want another precision.
    if AcceleratorState._shared_state:
        AcceleratorState._reset_state()
    if not cpu:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(mode=True, warn_only=True)
    return Accelerator(mixed_precision="bf16" if precision == "bf16" else "no", cpu=cpu)


def largest_batch(accelerator: Accelerator, network: nn.Module, image: NDArray[np.float32], *, most: int) -> int:
    """Find the largest batch that fits on the device: try a step, take a tenth less after each failure (section 4).

    Parameters
    ----------
    accelerator
        All its processes get the same answer, the smallest of theirs.
    network
        Not wrapped for several processes, so that one of them may fail alone; it is left as it was.
    image
        (3, H, W), one example.
    most
        Largest batch to try.

    Raises
    ------
    TrainingError
        Not even one image fits.
    """
    saved = {key: value.detach().clone() for key, value in network.state_dict().items()}
    # A real step also holds Adam's two numbers for every weight and, for several processes, a copy of the gradient.
    reserve = [torch.empty_like(weight) for weight in network.parameters() for _ in range(3)]

    def attempt(batch_size: int) -> int:
        images = torch.from_numpy(image)[None].repeat(batch_size, 1, 1, 1).to(accelerator.device)
        loss = network(images.contiguous(memory_format=torch.channels_last)).float().mean()
        accelerator.backward(loss)
        return batch_size

    network.train()
    for module in network.modules():
        if isinstance(module, nn.SyncBatchNorm):
            module.eval()  # a process that fails must not leave the others waiting for its statistics
    try:
        found = int(find_executable_batch_size(attempt, starting_batch_size=most)())
    except RuntimeError as error:
        if "reached zero" not in str(error):
            raise
        height, width = image.shape[1:]
        raise TrainingError(
            f"Not even one image of {width}x{height} px fits into the memory of the device. "
            "Choose a smaller input_size or encoder."
        ) from error
    finally:
        del reserve
        network.train()
        network.zero_grad(set_to_none=True)
        network.load_state_dict(saved)
    found = int(accelerator.gather(torch.tensor([found], device=accelerator.device)).min())
    logger.info("batch %d fits on the device", found)
    return found
