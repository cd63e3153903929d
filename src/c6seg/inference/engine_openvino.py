"""OpenVINO: the default engine, for processors and Intel graphics.

It runs the ONNX file as it lies in the bundle (its weights are external data inside ``weights.safetensors``). Its
conversion tools never get to load their reporter of usage. The files are read, not mapped into memory: a file that is
cut short under a mapping ends the process, and one that is overwritten changes the results.
"""

from __future__ import annotations

import io
import os
import platform
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from c6seg import machine, runtime
from c6seg.errors import BundleError, ConfigError, EngineError
from c6seg.inference.engine import check_precision, failure, one_line
from c6seg.inference.engine_cache import (
    SMALLEST_BYTES,
    cache_folder,
    cache_key,
    drop_entry,
    read_entry,
    write_entry,
)
from c6seg.models.bundle_folder import WEIGHTS_FILE

_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OV_CPU_MAX_ISA")
"""Environment variables that forbid OpenVINO parts of the processor."""

_UNTOUCHED = np.float32(-1)
"""No probability. On one thread OpenVINO may return without a word, and without a result, when memory runs out; what is
read then would be the picture before."""


class OpenVinoEngine:
    """A bundle's ONNX network on a processor or an Intel graphics device.

    Parameters
    ----------
    path
        The network: ``.onnx``, or ``.xml`` in int8; its weights are found beside it.
    device
        ``cpu`` or ``gpu``; of several graphics devices one that is a card of its own is taken.
    precision
        ``auto``, ``bf16`` or ``f32``; the attribute of the same name is what it computes in. ``auto`` is ``bf16`` on a
        processor that multiplies it in hardware, ``f16`` on graphics, else ``f32``. A network in int8 is computed in
        int8, what is not quantised as ``auto`` says.
    threads
        Processor threads; None = all that the process may use.
    cache
        Where the compiled network is kept: True = the user's cache folder, False = nowhere.

    Raises
    ------
    ConfigError
        A precision that there is not, or not on this device.
    EngineError
        OpenVINO does not load, or there is no such device.
    BundleError
        The file is no network that OpenVINO reads, or its input or output is not as a bundle's must be.
    """

    name = "openvino"

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        precision: str = "auto",
        threads: int | None = None,
        cache: Path | bool = False,
    ) -> None:
        check_precision(precision)
        self.device = device
        self.precision = precision  # until OpenVINO has said what it computes in
        self._path = Path(path)
        self._int8 = self._path.suffix == ".xml"
        self._cache = cache_folder(cache)
        self._lock = threading.Lock()
        try:
            openvino = runtime.import_openvino()
            self._core, self._tensor = openvino.Core(), openvino.Tensor
            self._core.set_property({"ENABLE_MMAP": False})
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineError(
                f"OpenVINO does not load: {error}. Install it again (pip install --force-reinstall openvino), or take "
                "another --engine."
            ) from error
        self._target = _find(self._core, device)
        hint = _hint(self._target, "auto" if self._int8 else precision)
        self._options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        if device == "cpu":
            # by default every process binds its threads to the first cores: two of one thread would share one core
            self._options["ENABLE_CPU_PINNING"] = False
            if threads is not None:
                self._options["INFERENCE_NUM_THREADS"] = int(threads)
        self._request: Any = self._start()
        if precision == "bf16" != self.precision:
            runtime.logger.warning("this processor does not multiply bfloat16: %s is used", self.precision)

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give probabilities (N, 1, H, W) for network inputs (N, 3, H, W)."""
        with self._lock:  # a request holds one job; threads that share an engine take turns
            if self._request is None:
                self._request = self._start()
            try:
                found = np.full((len(batch), 1, *batch.shape[2:]), _UNTOUCHED)
                self._request.set_output_tensor(self._tensor(found, shared_memory=True))
                self._request.infer({0: np.ascontiguousarray(batch, np.float32)})
                if (found == _UNTOUCHED).any():
                    raise MemoryError("OpenVINO gave no result, as it does when memory runs out")  # noqa: TRY301
            except (RuntimeError, MemoryError) as error:
                # Once memory has run out in it, a compiled network asks for as much again whatever the size of the
                # picture, or mixes up sizes: the next picture gets a new one.
                self._request = None
                raise failure(self, error) from error
            self._output = found  # as long as the request may write there
            return found

    def _start(self) -> Any:
        """Compile the network, or take it from the cache."""
        if not self._path.is_file():
            raise BundleError(f"The network '{self._path}' is missing. Install the bundle again.")
        try:
            compiled = self._compiled()
            computed = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
            self.precision = "int8" if self._int8 else computed
            return compiled.create_infer_request()
        except (RuntimeError, MemoryError) as error:
            # a graphics device may fail where the processor does not; there it is the network
            if isinstance(found := failure(self, error), MemoryError) or self.device != "cpu":
                raise found from error
            raise BundleError(f"OpenVINO cannot run the network '{self._path}': {one_line(error)}") from error

    def _compiled(self) -> Any:
        weights = self._path.with_suffix(".bin") if self._int8 else self._path.with_name(WEIGHTS_FILE)
        folder = self._cache if weights.is_file() and weights.stat().st_size >= SMALLEST_BYTES else None
        key = ""
        if folder is not None and "EXPORT_IMPORT" in self._target.capabilities:
            key = self._key([self._path, weights])
            kept = read_entry(folder, key)
            if kept is not None:
                try:
                    return self._import(kept)
                except RuntimeError as error:
                    runtime.logger.info("the compiled network is not as OpenVINO made it, and is made again: %s", error)
                    drop_entry(folder, key)
        compiled = self._core.compile_model(self._read(), self._target.name, self._options)
        if folder is not None and key:
            try:
                exported = io.BytesIO()
                compiled.export_model(exported)
                write_entry(folder, key, exported.getvalue())
            except (RuntimeError, MemoryError) as error:
                runtime.logger.debug("the compiled network cannot be kept: %s", error)
        return compiled

    def _import(self, compiled: NDArray[np.uint8]) -> Any:
        try:
            self._kept = compiled  # what is imported computes with the weights in it
            return self._core.import_model(self._tensor(compiled, shared_memory=True), self._target.name, self._options)
        except TypeError:  # OpenVINO 2025.0 reads a copy
            return self._core.import_model(io.BytesIO(compiled.tobytes()), self._target.name, self._options)

    def _read(self) -> Any:
        model = self._core.read_model(self._path)
        found = _shapes(model)
        if found != ("?,3,?,?", "?,1,?,?"):
            raise BundleError(
                f"The network '{self._path}' maps ({found[0]}) to ({found[1]}); a bundle's maps (N,3,H,W) to (N,1,H,W) "
                "with free N, H and W. Export it with c6seg."
            )
        return model

    def _key(self, files: list[Path]) -> str:
        version = runtime.import_openvino().get_version()
        processor = [self._target, platform.machine(), sorted(runtime.cpu_flags())]
        limits = [os.environ.get(name, "") for name in _LIMITS]
        return cache_key(files, version, processor, limits, self._options["INFERENCE_PRECISION_HINT"])


def _find(core: Any, device: str) -> machine.OpenVinoDevice:
    """Choose the device; among several graphics devices a card of its own."""
    there = machine.openvino_devices(core)
    fitting = [found for found in there if found.name.split(".")[0] == device.upper()]
    if not fitting:
        names = ", ".join(found.name.lower() for found in there) or "nothing"
        raise EngineError(f"OpenVINO finds no {device} here, only {names}. See what there is with: c6seg doctor")
    return next((found for found in fitting if found.discrete), fitting[0])


def _hint(target: machine.OpenVinoDevice, precision: str) -> str:
    """Precision to ask OpenVINO for."""
    if target.name == "CPU":
        return precision if precision != "auto" else "bf16" if "BF16" in target.capabilities else "f32"
    if precision == "bf16":
        raise ConfigError("OpenVINO computes in f16 or f32 on graphics devices, not in bf16. Take auto or f32.")
    return "f16" if precision == "auto" and "FP16" in target.capabilities else "f32"


def _shapes(model: Any) -> tuple[str, str]:
    def text(port: Any) -> str:
        return ",".join("?" if size.is_dynamic else str(size.get_length()) for size in port.partial_shape)

    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return f"{len(model.inputs)} inputs", f"{len(model.outputs)} outputs"
    return text(model.input(0)), text(model.output(0))
