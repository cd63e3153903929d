"""Fixtures for the tests of growth."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def examples() -> ModuleType:
    """The makers of tests/growth/report_examples.py: series, fits, plates and wounds filled by hand."""
    name = "report_examples"
    spec = importlib.util.spec_from_file_location(f"c6seg_growth_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
