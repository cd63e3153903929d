"""The shape of the house: imports go down only, and the light parts stay light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

import c6seg

PACKAGE = Path(c6seg.__file__).parent

# Lowest first. Rooms on one line are independent of each other, except those joined by "+".
LAYERS = (
    {"errors"},
    {"config+config_files+runtime+machine+cluster"},
    {"transforms", "models"},
    {"data"},  # above transforms: its doctor uses the one conversion to grey
    {"inference", "growth"},
    {"evaluation"},
    {"training"},
    {"studies"},
    {"demo"},  # data and drawing of the demonstration; api runs it
    {"api+api_data+api_growth+api_models+api_study+api_watch"},
    {"interfaces"},
)
RANK = {room: rank for rank, line in enumerate(LAYERS) for group in line for room in group.split("+")}
TOGETHER = [set(group.split("+")) for line in LAYERS for group in line]

HEAVY = ("torch", "torchvision", "timm", "segmentation_models_pytorch", "accelerate", "onnx", "onnxscript")
# machine only looks for graphics processors, engine_torch runs a network on one: each inside one function
IN_A_FUNCTION = ("machine", "inference.engine_torch")
MAY_IMPORT_TORCH = ("training.", "models.network", "models.export", "models.attention", "models.onnx_file")
MAY_IMPORT_TORCH += IN_A_FUNCTION


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        if name and name != "__main__":
            found[name] = path
    return found


def imports(path: Path, *, types: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, wherever it stands; ``from a import b`` counts as a and a.b.

    With ``types=False`` those for type checkers only are left out.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen: set[ast.AST] = set()
    for node in ast.walk(tree):
        if not types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            unseen.update(child for statement in node.body for child in ast.walk(statement))
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, str(node.module)
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def forbidden(importer: str, imported: str) -> bool:
    """Whether a module may not import another one of this package."""
    here, there = (name.split(".")[0] for name in (importer, imported))
    if here == there or {here, there} in TOGETHER or any({here, there} <= group for group in TOGETHER):
        return False
    if here == "interfaces":
        return there not in {"api", "config", "config_files", "errors", "runtime"}
    return RANK[there] >= RANK[here]


@pytest.mark.parametrize("name", modules())
def test_imports_go_down_only(name: str) -> None:
    room = name.split(".", maxsplit=1)[0]
    assert room in RANK, f"{name} belongs to no layer: add it to the list here and in docs/explanation/architecture.md"
    rooms = set(RANK)
    # an interface shows what api returns, and may name its type
    for line, target in imports(modules()[name], types=room != "interfaces"):
        package, _, inner = target.partition(".")
        if package == "c6seg" and inner.split(".")[0] in rooms:
            assert not forbidden(name, inner), f"{name}, line {line}: imports {target}, which lies above or beside it"


def test_the_rule_can_fail() -> None:
    assert forbidden("data.images", "inference.engine")
    assert forbidden("growth.series", "inference.batch")
    assert forbidden("models.bundle", "transforms.preprocess")
    assert forbidden("interfaces.cli", "inference.batch")
    assert forbidden("errors", "config")
    assert not forbidden("config", "runtime")
    assert not forbidden("inference.batch", "data.images")
    assert list(imports(PACKAGE / "inference" / "segmenter.py"))


@pytest.mark.parametrize("name", modules())
def test_torch_stays_in_its_rooms(name: str) -> None:
    if f"{name}.".startswith(tuple(f"{room.rstrip('.')}." for room in MAY_IMPORT_TORCH)):
        return
    for line, target in imports(modules()[name]):
        assert target.split(".")[0] not in HEAVY, f"{name}, line {line}: imports {target}"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*/__init__.py")), ids=lambda path: path.parent.name)
def test_rooms_open_with_a_docstring_only(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert len(body) == 1
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def python(code: str, *arguments: str, **environment: str) -> str:
    """Run code in a fresh process; its output, or a failure with what it said."""
    import os

    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Absent())
"""


def test_segmenting_and_growth_need_no_torch(tiny_bundle: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:64, 0:64]
    film = [
        (((rows - 32) ** 2 + (columns - 32) ** 2 < radius**2) * 150 + rng.integers(0, 9, (64, 64))).astype(np.uint8)
        for radius in range(5, 13)
    ]
    tifffile.imwrite(tmp_path / "film.tif", np.stack(film), photometric="minisblack")
    code = WITHOUT + (
        "from c6seg.interfaces.cli import app\n"
        "from c6seg.interfaces.cli_base import run\n"
        "film, out, bundle = sys.argv[2:]\n"
        "assert run(app, ['segment', film, '--out', out, '--model', bundle]) == 0\n"
        "assert run(app, ['growth', out, '--out', out + '-growth', '--interval', '1']) == 0\n"
        "assert not {name.split('.')[0] for name in sys.modules} & BLOCKED\n"
    )
    blocked = ",".join((*HEAVY, "safetensors", "huggingface_hub", "onnxruntime"))
    python(code, blocked, str(tmp_path / "film.tif"), str(tmp_path / "out"), str(tiny_bundle))
    assert (tmp_path / "out" / "masks" / "film.tif").is_file()
    assert (tmp_path / "out-growth" / "growth.csv").is_file()


def test_every_light_module_imports_without_torch() -> None:
    heavy = tuple(f"{room.rstrip('.')}." for room in MAY_IMPORT_TORCH if room not in IN_A_FUNCTION)
    light = [name for name in modules() if not f"{name}.".startswith(heavy)]
    assert len(light) > 30
    code = (
        WITHOUT
        + "import importlib, json\nfor name in json.loads(sys.argv[2]): importlib.import_module('c6seg.' + name)"
    )
    python(code, ",".join(HEAVY), json.dumps(light))


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["--version"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom c6seg.interfaces.cli import app\nfrom c6seg.interfaces.cli_base import run\n"
        "assert run(app, sys.argv[1:]) == 0\n"
        "heavy = {'torch', 'scipy.stats', 'matplotlib', 'openvino', 'pycocotools', 'scipy.optimize', 'onnxruntime'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)))"
    )
    assert "LOADED []" in python(code, *arguments)


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, c6seg; print([m for m in sys.modules if m.startswith(('c6seg.', 'numpy', 'pydantic'))])"
    assert python(code).strip() == "[]"
