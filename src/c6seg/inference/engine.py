"""Engines: what runs a bundle's network. One protocol, one class per runtime.

The default is OpenVINO's runtime: it needs no torch, runs the ONNX file as it lies in the bundle (its weights are
external data inside ``weights.safetensors``), and multiplies in bfloat16 where the processor can. Its conversion
tools never get to load their reporter of usage.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from c6seg import runtime
from c6seg.config import PreprocessConfig
from c6seg.errors import BundleError, ConfigError, did_you_mean

PRECISIONS = ("auto", "bf16", "f32")


@runtime_checkable
class Engine(Protocol):
    """Runs a network on prepared pictures."""

    name: str
    precision: str

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give probabilities (N, 1, H, W) for network inputs (N, 3, H, W); H and W are multiples of 32 px."""
        ...


def choose_precision(precision: str) -> str:
    """Turn ``auto`` into ``bf16`` where the processor multiplies bfloat16 in hardware, else ``f32``.

    Raises
    ------
    ConfigError
        The name is none of ``auto``, ``bf16``, ``f32``.
    """
    if precision not in PRECISIONS:
        raise ConfigError(did_you_mean(precision, PRECISIONS, what="precision"))
    if precision != "auto":
        return precision
    return "bf16" if runtime.cpu_has_bf16() else "f32"


class OpenVinoEngine:
    """A bundle's ONNX network on the processor, through OpenVINO.

    Parameters
    ----------
    onnx_path
        The network; its external weights are found beside it.
    precision
        ``auto``, ``bf16`` or ``f32``; the attribute of the same name is what was chosen.
    threads
        Processor threads; None = all that the process may use.
    cache_dir
        Folder in which OpenVINO keeps the compiled network; None = none.

    Raises
    ------
    BundleError
        The file is no network that OpenVINO reads, or its input or output is not as a bundle's must be.
    """

    name = "openvino"

    def __init__(
        self, onnx_path: Path, *, precision: str = "auto", threads: int | None = None, cache_dir: Path | None = None
    ) -> None:
        self.precision = choose_precision(precision)
        self._lock = threading.Lock()
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = int(threads)
        if cache_dir is not None:
            options["CACHE_DIR"] = str(cache_dir)
        self._request = _compile(Path(onnx_path), options).create_infer_request()

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give probabilities (N, 1, H, W) for network inputs (N, 3, H, W)."""
        with self._lock:  # a request holds one job; threads that share an engine take turns
            self._request.infer({0: np.ascontiguousarray(batch, np.float32)})
            return np.array(self._request.get_output_tensor(0).data, np.float32)


def _compile(path: Path, options: dict[str, Any]) -> Any:
    """Read and compile; whatever OpenVINO raises becomes one line that names the file."""
    if not path.is_file():
        raise BundleError(f"The network '{path}' is missing. Install the bundle again.")
    openvino = runtime.import_openvino()
    try:
        core = openvino.Core()
        model = core.read_model(path)
        found = _shapes(model)
        if found != ("?,3,?,?", "?,1,?,?"):
            raise BundleError(
                f"The network '{path}' maps ({found[0]}) to ({found[1]}); a bundle's maps (N,3,H,W) to (N,1,H,W) "
                "with free N, H and W. Export it with c6seg."
            )
        return core.compile_model(model, "CPU", options)
    except RuntimeError as error:
        reason = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "unknown reason")
        raise BundleError(f"OpenVINO cannot run the network '{path}': {reason}") from error


def _shapes(model: Any) -> tuple[str, str]:
    def text(port: Any) -> str:
        return ",".join("?" if size.is_dynamic else str(size.get_length()) for size in port.partial_shape)

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return f"{len(model.inputs)} inputs", f"{len(model.outputs)} outputs"
    return text(model.input(0)), text(model.output(0))


def predict_pixels(
    folder: Path, preprocess: PreprocessConfig, pixels: NDArray[np.generic], *, precision: str = "f32"
) -> NDArray[np.float32]:
    """Run the network of a bundle folder once on one picture at its own scale; bundles make and check examples with it.

    Parameters
    ----------
    folder
        Folder with ``model.onnx`` and ``weights.safetensors``.
    preprocess
        From pixels to network input.
    pixels
        (Y, X) or (Y, X, C).
    precision
        ``f32``, ``bf16`` or ``auto``.

    Returns
    -------
    NDArray
        Probability of cell, float32 (Y, X).
    """
    from c6seg.inference.tiling import predict
    from c6seg.transforms.preprocess import Preprocess

    engine = OpenVinoEngine(folder / "model.onnx", precision=precision)
    image = Preprocess(preprocess).network_input(pixels)
    return predict(engine, image, multiple=preprocess.multiple)
