"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real images; absent: skip, or fail where C6SEG_REQUIRE_SHARED_DATA=1."""
    if not SHARED_DATA.is_dir():
        message = "the folder ../shared/data with real images is not beside the repository"
        if os.environ.get("C6SEG_REQUIRE_SHARED_DATA") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return SHARED_DATA
