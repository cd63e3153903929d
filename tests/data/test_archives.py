"""Archives are unpacked once, and not at all if they are unsafe or broken."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from c6seg.data import archives
from c6seg.data.datasets import open_dataset
from c6seg.errors import LayoutError


def write_zip(path: Path, name: str, *, mode: int = 0o644) -> Path:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, b"x")
    return path


@pytest.mark.parametrize("name", ["../evil.json", "/evil.json", "a/../../evil.json", "..\\evil.json", "C:/evil.json"])
def test_zip_that_leads_out_of_its_folder_is_refused(name: str, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(LayoutError, match="leads out of its folder"):
        open_dataset(write_zip(tmp_path / "a.zip", name))
    assert not list(cache.rglob("*.json"))
    assert not (tmp_path / "evil.json").exists()
    assert not list(cache.rglob(".unpacking*"))


def test_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="leads out"):
        open_dataset(write_zip(tmp_path / "a.zip", "a.json", mode=stat.S_IFLNK | 0o777))


def test_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b" " * 2000)
    with pytest.raises(LayoutError, match="would unpack to"):
        open_dataset(tmp_path / "a.zip")


def test_broken_zip_is_refused(tmp_path: Path, examples: ModuleType, cache: Path) -> None:
    examples.cvat(tmp_path / "export")
    archive = examples.pack(tmp_path / "export", tmp_path / "a.zip")
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(LayoutError, match="no readable zip"):
        open_dataset(archive)
    assert not [path for path in cache.rglob("*") if path.is_file()]
