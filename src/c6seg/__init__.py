"""c6seg: from phase-contrast photographs of living cells to masks, confluence, growth curves and doubling times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from c6seg.api import (
        check_data,
        check_model,
        convert_data,
        demo,
        describe_data,
        evaluate,
        export_model,
        grow,
        list_models,
        segment,
        split_data,
        train,
        watch,
    )
    from c6seg.data.images import Frame, read_frames, read_image
    from c6seg.inference.segmenter import Segmentation, Segmenter

_WHERE = {
    "Frame": "c6seg.data.images",
    "Segmentation": "c6seg.inference.segmenter",
    "Segmenter": "c6seg.inference.segmenter",
    "check_data": "c6seg.api",
    "check_model": "c6seg.api",
    "convert_data": "c6seg.api",
    "demo": "c6seg.api",
    "describe_data": "c6seg.api",
    "evaluate": "c6seg.api",
    "export_model": "c6seg.api",
    "grow": "c6seg.api",
    "list_models": "c6seg.api",
    "read_frames": "c6seg.data.images",
    "read_image": "c6seg.data.images",
    "segment": "c6seg.api",
    "split_data": "c6seg.api",
    "train": "c6seg.api",
    "watch": "c6seg.api",
}

__all__ = [
    "Frame",
    "Segmentation",
    "Segmenter",
    "__version__",
    "check_data",
    "check_model",
    "convert_data",
    "demo",
    "describe_data",
    "evaluate",
    "export_model",
    "grow",
    "list_models",
    "read_frames",
    "read_image",
    "segment",
    "split_data",
    "train",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import c6seg`` stays light."""
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'c6seg' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
