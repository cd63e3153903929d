"""Engines: what runs a bundle's network. One protocol, one class per runtime, and the choice between them.

The default is OpenVINO's runtime (``engine_openvino``): it needs no torch and multiplies in bfloat16 where the
processor can. ONNX Runtime (``engine_onnxruntime``) and torch (``engine_torch``) are optional; they are taken where
they have a graphics device that OpenVINO has not. Whatever fails while it runs is replaced once by OpenVINO in f32 on
the processor (``engine_guard``).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from c6seg import machine, runtime
from c6seg.config import PreprocessConfig, parse_engine
from c6seg.errors import ConfigError, EngineError, MissingExtraError, UsageError, did_you_mean
from c6seg.models.bundle_folder import INT8_FILES, MODEL_FILE, Bundle

PRECISIONS = ("auto", "bf16", "f32", "int8")


@runtime_checkable
class Engine(Protocol):
    """Runs a network on prepared pictures.

    ``name`` and ``device`` are words of :data:`c6seg.config.ENGINES`. ``precision`` is what it really computes in:
    ``f32``, ``bf16``, ``f16``, ``int8`` (the rest in f32), or ``mixed`` where the device decides.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (described above)

    @property
    def device(self) -> str: ...  # noqa: D102

    @property
    def precision(self) -> str: ...  # noqa: D102

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give probabilities (N, 1, H, W) for network inputs (N, 3, H, W); H and W are multiples of 32 px.

        Raises
        ------
        EngineError
            It failed.
        MemoryError
            The batch does not fit into the memory of the processor; a smaller one may.
        """
        ...


class EngineAround:
    """An engine that runs another one; ``name``, ``device`` and ``precision`` are those of the one beneath.

    Parameters
    ----------
    engine
        The one beneath.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def name(self) -> str:
        """Of the engine beneath."""
        return self._engine.name

    @property
    def device(self) -> str:
        """Of the engine beneath."""
        return self._engine.device

    @property
    def precision(self) -> str:
        """Of the engine beneath."""
        return self._engine.precision


def open_engine(
    bundle: Bundle,
    engine: str = "auto",
    *,
    precision: str = "auto",
    threads: int | None = None,
    cache: Path | bool = True,
) -> Engine:
    """Load a bundle's network into an engine that is replaced when it fails.

    Parameters
    ----------
    bundle
        The model.
    engine
        ``auto`` = the best that is there; ``openvino``, ``onnxruntime``, ``torch``; ``NAME:DEVICE`` picks the device.
    precision
        ``auto`` = ``int8`` where the bundle holds that and OpenVINO runs on the processor, else the fastest that the
        device computes in; ``bf16``, ``f32`` or ``int8``.
    threads
        Processor threads; None = all that the process may use.
    cache
        Where the compiled network is kept for the next start: True = the user's cache folder, False = nowhere.

    Raises
    ------
    ConfigError
        No such engine or precision, or an engine that cannot compute in it.
    MissingExtraError
        The engine asked for is not installed; the message has the install line.
    EngineError
        The engine asked for cannot start, or none can.
    BundleError
        The files are missing, or no network of a bundle.
    """
    from c6seg.inference.engine_guard import GuardedEngine

    check_precision(precision)
    network_file(bundle, precision)  # refuses int8 where there is none
    name, device = parse_engine(engine)
    options: dict[str, Any] = {"threads": threads, "cache": cache}

    def spare() -> Engine:
        return _open(bundle, "openvino", "cpu", precision="f32", **options)

    notes: list[str] = []
    if name == "auto" and precision == "int8":
        name, device = "openvino", "cpu"
    for choice, place in candidates() if name == "auto" else [(name, device)]:
        try:
            return GuardedEngine(_open(bundle, choice, place, precision=precision, **options), spare, notes)
        except MemoryError as error:
            raise EngineError(f"The network does not fit into memory: {one_line(error)}") from error
        except (EngineError, UsageError, MissingExtraError) as error:
            if name != "auto":
                raise
            notes.append(f"{choice} on {place} was not used: {error}")
            runtime.logger.warning("%s", notes[-1])
    raise EngineError(f"No engine can run the network. {notes[-1]}")


def candidates() -> list[tuple[str, str]]:
    """Engines and devices that this machine seems to have, best first.

    A graphics device counts where it is clearly meant to be used: an NVIDIA one with torch or a CUDA build of ONNX
    Runtime, any one with its DirectML build, which nobody installs by accident, and an Intel one that is a card of its
    own. A graphics unit inside the processor is used on request (``openvino:gpu``).
    """
    found = []
    cuda = machine.cuda_devices() > 0
    if cuda and all(machine.installed(module) for module in ("torch", "segmentation_models_pytorch", "safetensors")):
        found.append(("torch", "cuda"))
    built = machine.onnxruntime_devices() if cuda or sys.platform == "win32" else ()  # looking takes a moment
    if cuda and "cuda" in built:
        found.append(("onnxruntime", "cuda"))
    if "directml" in built:
        found.append(("onnxruntime", "directml"))
    if any(device.discrete for device in machine.openvino_devices() if device.name.startswith("GPU")):
        found.append(("openvino", "gpu"))
    found.append(("openvino", "cpu"))
    if machine.installed("onnxruntime"):
        found.append(("onnxruntime", "cpu"))
    return found


def _open(
    bundle: Bundle, name: str, device: str | None, *, precision: str, threads: int | None, cache: Path | bool
) -> Engine:
    if precision == "int8" and (name != "openvino" or device not in {None, "cpu"}):
        raise ConfigError(f"{name} on {device or 'its own choice'} does not run int8 here; openvino:cpu does.")
    if name == "openvino":
        from c6seg.inference.engine_openvino import OpenVinoEngine

        path = network_file(bundle, precision, device or "cpu")
        return OpenVinoEngine(path, device=device or "cpu", precision=precision, threads=threads, cache=cache)
    if name == "onnxruntime":
        from c6seg.inference.engine_onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(bundle.onnx_path, device=device, precision=precision, threads=threads)
    from c6seg.inference.engine_torch import TorchEngine

    return TorchEngine(bundle, device=device, precision=precision, threads=threads)


def network_file(bundle: Bundle, precision: str, device: str = "cpu") -> Path:
    """File that OpenVINO runs: the network in int8 where it is asked for, or is there and nothing else is asked for.

    Raises
    ------
    ConfigError
        The bundle holds no network in int8.
    """
    if precision == "int8" and bundle.int8_path is None:
        raise ConfigError(
            f"The model {bundle.spec.name!r} holds no network in int8. Make one with: c6seg models export "
            f"{bundle.spec.name} --format openvino-int8 --data IMAGES --out {bundle.spec.name}-int8"
        )
    if bundle.int8_path is not None and device == "cpu" and precision in {"auto", "int8"}:
        return bundle.int8_path
    return bundle.onnx_path


def describe(engine: Engine) -> dict[str, Any]:
    """Give what a manifest says of an engine: name, device, precision; notes, where it is not what was begun with."""
    told: dict[str, Any] = {"name": engine.name, "device": engine.device, "precision": engine.precision}
    notes = list(getattr(engine, "notes", ()))
    return told | ({"notes": notes} if notes else {})


def check_precision(precision: str) -> None:
    """Raise ConfigError if the name is none of :data:`PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ConfigError(did_you_mean(precision, PRECISIONS, what="precision"))


def choose_precision(precision: str) -> str:
    """Turn ``auto`` into what OpenVINO computes in on this processor: ``bf16`` where that is fast, else ``f32``.

    Raises
    ------
    ConfigError
        The name is none of ``auto``, ``bf16``, ``f32``, ``int8``.
    """
    check_precision(precision)
    if precision != "auto":
        return precision
    found = [device for device in machine.openvino_devices() if device.name == "CPU"]
    return "bf16" if any("BF16" in device.capabilities for device in found) else "f32"


def failure(engine: Engine, error: BaseException) -> EngineError | MemoryError:
    """Make the exception that stands for what an engine's library raised, with its reason in one line.

    Memory that runs out on the processor is a matter of the picture, and becomes a MemoryError; on another device it is
    a matter of the engine.
    """
    text = str(error).lower()
    signs = ("out of memory", "bad_alloc", "failed to allocate", "can't allocate memory")
    if engine.device == "cpu" and (isinstance(error, MemoryError) or any(sign in text for sign in signs)):
        return MemoryError(one_line(error))
    return EngineError(f"The engine {engine.name} on {engine.device} failed: {one_line(error)}")


def one_line(error: BaseException) -> str:
    """Reason in one line; OpenVINO begins with where it was and ends with what it was."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if lines[0].startswith("Exception from") else lines[0]


def predict_pixels(
    folder: Path, preprocess: PreprocessConfig, pixels: NDArray[np.generic], *, precision: str = "f32"
) -> NDArray[np.float32]:
    """Run the network of a bundle folder once on one picture at its own scale; bundles make and check examples with it.

    Parameters
    ----------
    folder
        Folder with ``model.onnx`` and ``weights.safetensors``; for ``int8``, with ``model_int8.xml`` and its weights.
    preprocess
        From pixels to network input.
    pixels
        (Y, X) or (Y, X, C).
    precision
        ``f32``, ``bf16``, ``int8``, or ``auto``, which is one of the first two.

    Returns
    -------
    NDArray
        Probability of cell, float32 (Y, X).
    """
    from c6seg.inference.engine_openvino import OpenVinoEngine
    from c6seg.inference.tiling import predict
    from c6seg.transforms.preprocess import Preprocess

    engine = OpenVinoEngine(folder / (INT8_FILES[0] if precision == "int8" else MODEL_FILE), precision=precision)
    image = Preprocess(preprocess).network_input(pixels)
    return predict(engine, image, multiple=preprocess.multiple)
