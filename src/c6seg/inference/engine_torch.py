"""torch: the engine for CUDA devices where the training part of c6seg is installed.

The network is built again from the bundle's description and weights, so it needs no ONNX runtime.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg import machine
from c6seg.config import NetworkConfig
from c6seg.errors import EngineError, MissingExtraError
from c6seg.inference.engine import check_precision, failure, one_line
from c6seg.models.bundle_folder import Bundle


class TorchEngine:
    """A bundle's network in torch.

    Parameters
    ----------
    bundle
        The model; its encoder must be one of the paper's.
    device
        ``cuda`` or ``cpu``; None = ``cuda`` where there is one.
    precision
        ``auto``, ``bf16`` or ``f32``; ``auto`` is ``f16`` on a CUDA device with tensor cores, else ``f32``. In torch's
        bf16 the masks of the embedded model agree with f32 to a Dice of 0.993 only, in f16 to 0.9997.
    threads
        Processor threads, for all of torch in this process; None = leave them as they are.

    Raises
    ------
    ConfigError
        The encoder or the precision is unknown.
    MissingExtraError
        The training part is not installed.
    EngineError
        torch does not load, or sees no such device.
    BundleError
        The weights belong to another network.
    """

    name = "torch"

    def __init__(
        self, bundle: Bundle, *, device: str | None = None, precision: str = "auto", threads: int | None = None
    ) -> None:
        check_precision(precision)
        if not all(machine.installed(module) for module in ("torch", "segmentation_models_pytorch", "safetensors")):
            raise MissingExtraError("The engine torch", "train")
        try:
            import torch

            from c6seg.models.network import build_network
        except (ImportError, OSError) as error:
            raise EngineError(f"torch does not load: {one_line(error)}") from error
        cuda = torch.cuda.is_available()
        if device == "cuda" and not cuda:
            raise EngineError("torch finds no CUDA device here. See what there is with: c6seg doctor")
        self.device = device or ("cuda" if cuda else "cpu")
        if threads is not None:
            torch.set_num_threads(int(threads))
        if precision == "auto":
            tensor_cores = self.device == "cuda" and torch.cuda.get_device_capability() >= (7, 0)
            precision = "f16" if tensor_cores else "f32"
        self.precision = precision
        self._half = {"bf16": torch.bfloat16, "f16": torch.float16}.get(precision)
        self._torch: Any = torch
        self._exact = (self.device, precision) == ("cuda", "f32")
        network, _, _ = build_network(NetworkConfig(encoder=bundle.spec.encoder, init=str(bundle.weights_path)))
        try:
            self._network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        except RuntimeError as error:
            raise failure(self, error) from error

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give probabilities (N, 1, H, W) for network inputs (N, 3, H, W)."""
        torch = self._torch
        half = torch.autocast(self.device, self._half, enabled=self._half is not None)
        # f32 means f32; what is left out here would be switched off
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False) if self._exact else contextlib.nullcontext()
        try:
            with torch.inference_mode(), half, exact:
                image = torch.from_numpy(np.ascontiguousarray(batch, np.float32)).to(self.device)
                logits = self._network(image.contiguous(memory_format=torch.channels_last))
                found: NDArray[np.float32] = torch.sigmoid(logits.float()).cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            if self.device == "cuda":
                torch.cuda.empty_cache()
            raise failure(self, error) from error
        return found
