"""A bundle's network as one self-contained ONNX file, for other programs."""

from __future__ import annotations

from pathlib import Path

from c6seg.errors import MissingExtraError
from c6seg.runtime import atomic_path


def write_single_file(onnx_path: Path, out: Path) -> Path:
    """Read an ONNX file with its external weights and write both into one file; returns ``out``."""
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("Exporting a network", "train") from error
    model = onnx.load(str(onnx_path), load_external_data=True)
    onnx.external_data_helper.convert_model_from_external_data(model)
    onnx.checker.check_model(model)
    with atomic_path(out) as temporary:
        temporary.write_bytes(model.SerializeToString())
    return out
