"""A bundle's network as one self-contained ONNX file, for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from c6seg.errors import MissingExtraError
from c6seg.runtime import atomic_path


def self_contained(onnx_path: Path) -> Any:
    """Read an ONNX file with its external weights as one ``onnx.ModelProto``."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("Exporting a network", "train") from error
    model = onnx.load(str(onnx_path), load_external_data=True)
    onnx.external_data_helper.convert_model_from_external_data(model)
    onnx.checker.check_model(model)
    return model


def with_normalisation(onnx_path: Path, mean: Sequence[float], std: Sequence[float], *, channels: int) -> Any:
    """Read a bundle's network as one ``onnx.ModelProto`` that takes the stretched picture, in 0..1.

    Parameters
    ----------
    onnx_path
        The network.
    mean, std
        Three values, subtracted and divided by.
    channels
        Of the picture: 3, or 1, which meets the three values and becomes three channels by that.
    """
    model = self_contained(onnx_path)
    from onnx import TensorProto, checker, helper, numpy_helper

    graph = model.graph
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == "image":
                node.input[place] = "image:normalised"
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", channels, "h", "w"]))
    for name, values in (("image:mean", mean), ("image:std", std)):
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32).reshape(1, 3, 1, 1), name))
    graph.node.insert(0, helper.make_node("Div", ["image:shifted", "image:std"], ["image:normalised"], name="scale"))
    graph.node.insert(0, helper.make_node("Sub", ["image", "image:mean"], ["image:shifted"], name="shift"))
    checker.check_model(model)
    return model


def write_single_file(onnx_path: Path, out: Path) -> Path:
    """Read an ONNX file with its external weights and write both into one file; returns ``out``."""
    model = self_contained(onnx_path)
    with atomic_path(out) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return out
