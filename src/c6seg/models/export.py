"""A trained network to ``model.onnx`` + ``weights.safetensors``, with the weights lying on disk once.

The graph takes ``image`` (N, 3, H, W), float32, preprocessed, and gives ``probability`` (N, 1, H, W); N, H and W are
free (H and W multiples of 32). Its large tensors are ONNX external data that point into the safetensors file.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import struct
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np

from c6seg.errors import MissingExtraError
from c6seg.runtime import atomic_path

try:
    import torch
    from torch import nn
except ImportError as error:  # pragma: no cover
    raise MissingExtraError("Exporting a network", "train") from error

ONNX_NAME = "model.onnx"
WEIGHTS_NAME = "weights.safetensors"
LARGEST_FOLDED = 4096
"""Constants with more elements are not folded: a transposed weight would lie on disk a second time."""


class _Probability(nn.Module):
    """The network with the sigmoid at its end."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return probabilities (N, 1, H, W)."""
        return torch.sigmoid(self.network(image))


def export_network(network: nn.Module, folder: Path, *, weights: Literal["float16", "float32"] = "float16") -> None:
    """Write ``model.onnx`` and ``weights.safetensors`` into a folder.

    Parameters
    ----------
    network
        (N, 3, H, W) to logits (N, 1, H, W).
    folder
        Exists already.
    weights
        Type on disk of convolution and matrix weights; batch-norm tensors stay float32. With float16 the probability
        changes by less than 0.01 and the bundle is half as large.
    """
    from safetensors.torch import save_file

    half = weights == "float16"
    state = {
        key: (value.half() if half and value.ndim >= 2 else value).detach().cpu().contiguous()
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    with atomic_path(folder / WEIGHTS_NAME) as temporary:
        save_file(state, temporary)
    model = _to_onnx(network)
    _move_weights_out(model, folder / WEIGHTS_NAME)
    with atomic_path(folder / ONNX_NAME) as temporary:
        temporary.write_bytes(model.SerializeToString())


def _to_onnx(network: nn.Module) -> Any:
    wrapped = _Probability(network).eval().cpu().float()
    dynamic = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    # Batch 2: the exporter would take a batch of 1 for a constant. The exporter prints and warns about itself.
    example = torch.zeros(2, 3, 64, 96)
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                wrapped,
                (example,),
                dynamo=True,
                dynamic_shapes=(dynamic,),
                input_names=["image"],
                output_names=["probability"],
                external_data=False,
                verbose=False,
                optimize=False,
            )
    finally:
        exporter_log.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return _simplify(program)


def _simplify(program: Any) -> Any:
    """Fold constants, but not batch norms into convolutions: the weights must stay those of the safetensors file."""
    import onnxscript.optimizer

    model = program.model
    onnxscript.optimizer.fold_constants(
        model, onnx_shape_inference=False, input_size_limit=LARGEST_FOLDED, output_size_limit=LARGEST_FOLDED
    )
    onnxscript.optimizer.remove_unused_nodes(model)
    proto = program.model_proto
    for node in proto.graph.node:
        # stack traces of the exporter: half of the file, and paths of the machine that exported
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        value.ClearField("metadata_props")
    proto.graph.ClearField("metadata_props")
    proto.ClearField("metadata_props")
    proto.ClearField("functions")
    return proto


def _move_weights_out(model: Any, weights: Path) -> None:
    """Replace each initializer that is a tensor of the safetensors file by a pointer into it."""
    from onnx import TensorProto, helper, numpy_helper

    size, header = _safetensors_header(weights)
    cast_from: list[Any] = []
    for tensor in model.graph.initializer:
        entry = header.get(tensor.name.removeprefix("network."))
        if entry is None or entry["shape"] != list(tensor.dims) or tensor.data_type != TensorProto.FLOAT:
            continue
        start, end = entry["data_offsets"]
        original = numpy_helper.to_array(tensor)
        stored = _stored(weights, size + start, end - start, entry)
        # The exporter may fold a layer into a weight of the same name; such a weight must stay in the graph.
        if not np.array_equal(stored, original.astype(stored.dtype)):
            continue
        name = tensor.name
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", weights.name), ("offset", size + start), ("length", end - start)):
            tensor.external_data.add(key=key, value=str(value))
        if entry["dtype"] == "F16":
            tensor.data_type = TensorProto.FLOAT16
            tensor.name = name + ":float16"
            cast_from.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT, name=f"cast:{name}"))
    for node in reversed(cast_from):
        model.graph.node.insert(0, node)


def _safetensors_header(path: Path) -> tuple[int, dict[str, Any]]:
    """Return where the data begin and the table of tensors (safetensors format: 8-byte length, JSON, data)."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    return 8 + length, header


def _stored(path: Path, offset: int, length: int, entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    dtype = np.float16 if entry["dtype"] == "F16" else np.float32
    return np.fromfile(path, dtype=dtype, count=length // np.dtype(dtype).itemsize, offset=offset).reshape(
        entry["shape"]
    )
