"""The names that users rely on."""

from __future__ import annotations

import importlib
import inspect

import pytest

import c6seg

PUBLIC = [
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


def test_the_public_names_are_these() -> None:
    assert c6seg.__all__ == PUBLIC
    assert c6seg.__all__ == sorted(c6seg.__all__)
    assert dir(c6seg) == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_a_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(c6seg, name)
    assert inspect.getdoc(value)
    assert value.__module__.startswith("c6seg.")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmnt'"):
        c6seg.segmnt  # noqa: B018


@pytest.mark.parametrize("name", ["c6seg.errors", "c6seg.models.bundle", "c6seg.data.images"])
def test_a_module_has_what_it_lists(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__, key=lambda text: (not text.isupper(), text))
    assert all(hasattr(module, item) for item in module.__all__)
