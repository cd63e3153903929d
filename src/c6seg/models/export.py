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
from c6seg.models.graphs import GraphStore
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
_DTYPES: dict[str, Any] = {"F16": np.float16, "F32": np.float32}


class _Probability(nn.Module):
    """The network with the sigmoid at its end."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return probabilities (N, 1, H, W)."""
        return torch.sigmoid(self.network(image))


def export_network(
    network: nn.Module,
    folder: Path,
    *,
    weights: Literal["float16", "float32"] = "float16",
    graphs: Path | None = None,
) -> None:
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
    graphs
        Folder in which graphs are kept; see :mod:`c6seg.models.graphs`. None = the graph is made anew.
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
    store = None if graphs is None else GraphStore(graphs, folder / WEIGHTS_NAME, torch.__version__)
    graph = None if store is None else store.find()
    if graph is None:
        model = _to_onnx(network)
        _move_weights_out(model, folder / WEIGHTS_NAME)
        graph = model.SerializeToString()
        if store is not None:
            store.keep(graph)
    with atomic_path(folder / ONNX_NAME) as temporary:
        temporary.write_bytes(graph)


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
    from onnx import TensorProto, numpy_helper

    size, header = _safetensors_header(weights)
    stored = {key: _stored(weights, size, entry) for key, entry in header.items() if entry.get("dtype") in _DTYPES}
    # The exporter stores the weight of a linear layer transposed, under a name of its own.
    matrices = {array.tobytes(): name for name, array in stored.items() if array.ndim == 2}
    nodes: list[Any] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        value = numpy_helper.to_array(tensor)
        key = tensor.name.removeprefix("network.")
        # A layer may have been folded into a weight of the same name; such a weight must stay in the graph.
        if key in stored and np.array_equal(stored[key], value.astype(stored[key].dtype)):
            nodes += _point(tensor, weights.name, size, header[key], transposed=False)
        elif value.ndim == 2 and value.size > LARGEST_FOLDED:
            match = next((matrices[data] for data in _bytes_transposed(value) if data in matrices), None)
            if match is not None:
                nodes += _point(tensor, weights.name, size, header[match], transposed=True)
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def _bytes_transposed(value: np.ndarray[Any, Any]) -> list[bytes]:
    return [value.T.astype(dtype).tobytes() for dtype in (np.float16, np.float32)]


def _point(tensor: Any, location: str, start: int, entry: dict[str, Any], *, transposed: bool) -> list[Any]:
    """Make an initializer a pointer into the weights file; return the nodes that make its value of what lies there."""
    from onnx import TensorProto, helper

    name, half = tensor.name, entry["dtype"] == "F16"
    first, last = entry["data_offsets"]
    for kind in ("raw_data", "float_data", "dims"):
        tensor.ClearField(kind)
    tensor.dims.extend(entry["shape"])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", start + first), ("length", last - first)):
        tensor.external_data.add(key=key, value=str(value))
    nodes = []
    if half:
        tensor.data_type = TensorProto.FLOAT16
    if half or transposed:
        tensor.name = f"{name}:stored"
    if half:
        target = f"{name}:float32" if transposed else name
        nodes.append(helper.make_node("Cast", [tensor.name], [target], to=TensorProto.FLOAT, name=f"cast:{name}"))
    if transposed:
        source = f"{name}:float32" if half else tensor.name
        nodes.append(helper.make_node("Transpose", [source], [name], perm=[1, 0], name=f"transpose:{name}"))
    return nodes


def _safetensors_header(path: Path) -> tuple[int, dict[str, Any]]:
    """Return where the data begin and the table of tensors (safetensors format: 8-byte length, JSON, data)."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    return 8 + length, header


def _stored(path: Path, start: int, entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    dtype = _DTYPES[entry["dtype"]]
    first, last = entry["data_offsets"]
    count = (last - first) // np.dtype(dtype).itemsize
    return np.fromfile(path, dtype=dtype, count=count, offset=start + first).reshape(entry["shape"])
