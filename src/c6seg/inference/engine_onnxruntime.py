"""ONNX Runtime: an optional engine for NVIDIA, for Windows and Apple graphics, and for processors.

Which devices there are is decided by the build that is installed (``onnxruntime``, ``onnxruntime-gpu``,
``onnxruntime-directml``). Its reports of usage are switched off before it is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg import machine
from c6seg.errors import BundleError, ConfigError, EngineError, MissingExtraError
from c6seg.inference.engine import check_precision, failure, one_line
from c6seg.inference.engine_cache import cache_folder

_OWN_CHOICE = ("cuda", "directml", "coreml", "cpu")
"""Devices that are taken unasked, best first. TensorRT compiles each new size for minutes, so it is only on request."""


class OnnxRuntimeEngine:
    """A bundle's ONNX network on whatever the installed ONNX Runtime offers.

    Parameters
    ----------
    onnx_path
        The network; its external weights are found beside it.
    device
        ``cuda``, ``tensorrt``, ``directml``, ``coreml`` or ``cpu``; None = the best that is there.
    precision
        ``auto`` or ``f32``.
    threads
        Processor threads; None = all.

    Raises
    ------
    ConfigError
        Another precision than f32 was asked for.
    MissingExtraError
        ONNX Runtime is not installed.
    EngineError
        It does not load, has no such device, or cannot start on it.
    BundleError
        The file is no network that it reads.
    """

    name = "onnxruntime"

    def __init__(
        self, onnx_path: Path, *, device: str | None = None, precision: str = "auto", threads: int | None = None
    ) -> None:
        check_precision(precision)
        if precision == "bf16":
            raise ConfigError("ONNX Runtime computes in f32 here. Take precision auto or f32, or another engine.")
        if not machine.installed("onnxruntime"):
            raise MissingExtraError("The engine onnxruntime", "ort")
        if not Path(onnx_path).is_file():
            raise BundleError(f"The network '{onnx_path}' is missing. Install the bundle again.")
        self.device = _pick(device)
        # TensorRT and Core ML decide themselves where they compute in less
        self.precision = "mixed" if self.device in {"tensorrt", "coreml"} else "f32"
        runtime = machine.import_onnxruntime()
        settings = runtime.SessionOptions()
        settings.log_severity_level = 4  # what goes wrong is raised; it need not be printed as well
        if threads is not None:
            settings.intra_op_num_threads = int(threads)
        if self.device == "directml":  # it asks for these
            settings.enable_mem_pattern = False
            settings.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        if self.device in {"cuda", "tensorrt"} and hasattr(runtime, "preload_dlls"):
            runtime.preload_dlls()  # CUDA and cuDNN as pip installs them
        try:
            self._session = runtime.InferenceSession(str(onnx_path), settings, providers=_providers(self.device))
        except Exception as error:  # its exceptions have no common class of their own
            if self.device != "cpu":
                raise failure(self, error) from error
            raise BundleError(f"ONNX Runtime cannot run the network '{onnx_path}': {one_line(error)}") from error
        if self._session.get_providers()[0] != machine.PROVIDERS[self.device]:  # it goes on without a word
            raise EngineError(f"ONNX Runtime cannot start on {self.device}; its libraries or driver are missing.")

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give probabilities (N, 1, H, W) for network inputs (N, 3, H, W)."""
        try:
            (found,) = self._session.run(None, {"image": np.ascontiguousarray(batch, np.float32)})
        except Exception as error:
            raise failure(self, error) from error
        return np.asarray(found, np.float32)


def _pick(device: str | None) -> str:
    """Device to start on."""
    there = machine.onnxruntime_devices()
    if not there:
        raise EngineError("ONNX Runtime is there, but does not load. Run: pip install --force-reinstall onnxruntime")
    if device is None:
        usable = [name for name in there if name != "cuda" or machine.cuda_devices()]
        return next(name for name in _OWN_CHOICE if name in usable)
    if device not in there:
        raise EngineError(f"The installed ONNX Runtime has no {device}, only {', '.join(there)}. See: c6seg doctor")
    return device


def _providers(device: str) -> list[Any]:
    """Parts of the build to start with; what one cannot do goes to the processor."""
    options: dict[str, Any] = {}
    if device == "cuda":
        options = {"use_tf32": "0"}  # f32 means f32
    elif device == "tensorrt":
        folder = cache_folder(cache=True)
        options = {} if folder is None else {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}
    first = (machine.PROVIDERS[device], options)
    return [first] if device == "cpu" else [first, machine.PROVIDERS["cpu"]]
