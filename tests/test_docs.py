"""The guides do what they say: their commands run, their links lead somewhere, their tables are complete.

A fenced block whose first line says ``console run`` or ``python run`` is run, page by page from top to bottom, in a
folder of its own that holds what the page asks for in a comment, ``<!-- needs: photographs -->``. In a console block
the lines after ``$`` are commands and the others what they must say: numbers may differ, ``...`` stands for anything.
``exit=1`` behind ``run`` is the exit code of the block's last command. Trainings are made short (``QUICK``) unless
it says ``as-is``.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import functools
import importlib
import io
import itertools
import math
import re
import shlex
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

import c6seg
from c6seg.interfaces.cli import app
from c6seg.interfaces.cli_base import run

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted(Path(c6seg.__file__).parent.rglob("*.py"))

# What makes a command of the guides short: fewer and smaller pictures, one epoch, no weights.
QUICK = {
    "train": shlex.split(
        "--init random --encoder VGG19 --set epochs=1 --set input_size=64x64 --set batch=2 --set precision=fp32"
    )
}
QUICK_CULTURE = {"size_hw": (96, 112), "times_h": [0.0, 8.0, 16.0, 24.0, 32.0], "start_count": 4}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    where: str
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def runs(self) -> bool:
        return "run" in self.words

    @property
    def exit_code(self) -> int:
        return next((int(word.removeprefix("exit=")) for word in self.words if word.startswith("exit=")), 0)


def blocks(text: str, name: str) -> Iterator[Block]:
    """Find the fenced blocks of a page."""
    pattern = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```\s*$", re.MULTILINE | re.DOTALL)
    for match in pattern.finditer(text):
        language, *words = match[2].split() or [""]
        indent = len(match[1])
        body = "\n".join(line[indent:] for line in match[3].splitlines())
        yield Block(f"{name}:{text[: match.start()].count(chr(10)) + 1}", language, tuple(words), body)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Split a console block into commands and what each must say."""
    command, said = "", []
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(said)
            command, said = line[2:].strip(), []
        else:
            said.append(line)
    if command:
        yield command, "\n".join(said)


def alike(expected: str, given: str) -> bool:
    """Whether a command said what the page shows; numbers and spaces may differ, ``...`` stands for anything."""

    def plain(text: str) -> str:
        return re.sub(r"\s+", " ", re.sub(r"\d+(?:\.\d+)?", "0", text)).strip()

    pattern = ".*".join(re.escape(part) for part in plain(expected).split("..."))
    return re.fullmatch(pattern, plain(given), re.DOTALL) is not None


def run_command(command: str, *, quick: bool = True) -> tuple[int, str]:
    """Run one line through the real command line; exit code, and all that it said."""
    program, *arguments = shlex.split(command)
    assert program == "c6seg", f"only c6seg can be run, not {program}"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = run(app, [*arguments, *(QUICK.get(arguments[0], []) if quick else [])])
    return code, said.getvalue()


def run_block(block: Block, names: dict[str, Any]) -> None:
    """Run a block; an AssertionError says where and why it does not do what the page says."""
    if block.language == "python":
        try:
            exec(compile(block.text, block.where, "exec"), names)
        except Exception as error:
            raise AssertionError(f"{block.where}: {type(error).__name__}: {error}") from error
        return
    assert block.language == "console", f"{block.where}: {block.language} cannot be run"
    pairs = list(commands(block.text))
    assert pairs, f"{block.where}: no command"
    for number, (command, expected) in enumerate(pairs, start=1):
        code, said = run_command(command, quick="as-is" not in block.words)
        wanted = block.exit_code if number == len(pairs) else 0
        assert code == wanted, f"{block.where}: {command}\nexit code {code}, expected {wanted}\n{said}"
        if expected.strip():
            assert alike(expected, said), f"{block.where}: {command}\nsaid:\n{said}\nthe page shows:\n{expected}"


def run_page(text: str, name: str) -> int:
    """Run all blocks of a page that are marked; how many."""
    for what in re.findall(r"<!-- needs: (.*?) -->", text):
        for need in what.split(","):
            NEEDS[need.strip()]()
    names: dict[str, Any] = {}
    marked = [block for block in blocks(text, name) if block.runs]
    for block in marked:
        run_block(block, names)
    return len(marked)


# ---- what pages ask for, written into the current folder


def write_photographs() -> None:
    """Write plate1/: two wells, two fields of each, six times, doubling every 24 hours."""
    from c6seg.data.synthetic import simulate_image

    folder = Path("plate1")
    folder.mkdir()
    rows, columns = np.mgrid[0:96, 0:112]
    for number, well in enumerate(("B2", "B3")):
        for field in (1, 2):
            back = simulate_image(size_hw=(96, 112), seed=10 * number + field).pixels
            noise = 20 * (back - back.min()) / max(1, int(back.max()) - int(back.min()))
            for step in range(6):
                radius = math.sqrt(300 * 2 ** (8 * step / (24 + 12 * number)) / math.pi) + 0.5 * field
                disc = (rows - 48) ** 2 + (columns - 50) ** 2 < radius**2
                name = f"T98G_Phase_{well}_{field}_{8 * step // 24:02}d{8 * step % 24:02}h00m.png"
                Image.fromarray((disc * 180 + noise).astype(np.uint8)).save(folder / name)


def scenes() -> Iterator[tuple[str, Any, Any]]:
    """Name, 8-bit pixels and label map of six simulated sparse cultures."""
    from c6seg.data.synthetic import SceneStyle, simulate_image

    for number in range(6):
        style = SceneStyle.random(np.random.default_rng(number), "islands", "microscope")
        style = replace(style, bits=8, diameter_px=22.0, packing=0.6, region_fraction=0.4, wall=0.0)
        scene = simulate_image(size_hw=(128, 160), seed=number, style=style)
        yield f"field{number}", scene.pixels, scene.labels


def write_annotated() -> None:
    """Write my-cells/images and my-cells/masks."""
    from c6seg.data.images import write_mask

    for name, pixels, labels in scenes():
        for part in ("images", "masks"):
            Path("my-cells", part).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(Path("my-cells", "images", f"{name}.png"))
        write_mask(Path("my-cells", "masks", f"{name}.png"), labels > 0)


def write_cvat() -> None:
    """Write my-export.zip, "CVAT for images 1.1" with a mask for each cell."""
    nodes = []
    with zipfile.ZipFile("my-export.zip", "w") as archive:
        for number, (name, pixels, labels) in enumerate(scenes()):
            picture = io.BytesIO()
            Image.fromarray(pixels).save(picture, "PNG")
            archive.writestr(f"images/{name}.png", picture.getvalue())
            shapes = "".join(cvat_mask(labels == label) for label in range(1, int(labels.max()) + 1))
            nodes.append(f'<image id="{number}" name="{name}.png" width="160" height="128">{shapes}</image>')
        head = "<version>1.1</version><meta><job><labels><label><name>cell</name></label></labels></job></meta>"
        archive.writestr("annotations.xml", f"<annotations>{head}{''.join(nodes)}</annotations>")


def cvat_mask(mask: np.ndarray[Any, Any]) -> str:
    """Write a cell as CVAT does: run lengths within its box, background first."""
    if not mask.any():
        return ""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    changes = np.flatnonzero(np.diff(np.concatenate([[False], box.ravel()]).astype(int)))
    runs = np.diff(np.concatenate([[0], changes, [box.size]]))
    text = ", ".join(str(number) for number in runs)
    place = f'left="{columns[0]}" top="{rows[0]}" width="{box.shape[1]}" height="{box.shape[0]}"'
    return f'<mask label="cell" occluded="0" rle="{text}" {place}></mask>'


def write_flawed() -> None:
    """Write my-cells/ with a mask of another size, an empty one, a missing one, and a file that is no image."""
    write_annotated()
    folder = Path("my-cells")
    Image.fromarray(np.zeros((64, 80), np.uint8)).save(folder / "masks" / "field1.png")
    Image.fromarray(np.zeros((128, 160), np.uint8)).save(folder / "masks" / "field2.png")
    (folder / "masks" / "field3.png").unlink()
    (folder / "images" / "field4.png").write_text("no picture")


def write_bundle_folder() -> None:
    """Write runs/first/bundle, which the stand-in for the embedded model is."""
    import shutil

    from c6seg.models.bundle import open_bundle

    shutil.copytree(open_bundle("unet-mobilenetv2").path, "runs/first/bundle")


NEEDS: dict[str, Callable[[], None]] = {
    "photographs": write_photographs,
    "annotated": write_annotated,
    "cvat": write_cvat,
    "flawed": write_flawed,
    "bundle": write_bundle_folder,
}


@pytest.fixture
def workplace(tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with a small stand-in for the embedded model and a small demo."""
    import shutil

    import yaml

    from c6seg.evaluation import demo
    from c6seg.models import bundle
    from c6seg.models.card import model_card

    copy = tmp_path / "embedded" / bundle.DEFAULT_MODEL
    shutil.copytree(tiny_bundle, copy)
    spec = bundle.read_spec(copy).model_copy(update={"name": bundle.DEFAULT_MODEL})
    (copy / "README.md").write_text(model_card(spec), encoding="utf-8")
    values = spec.model_dump(mode="json")
    values["files"]["README.md"] = c6seg.runtime.sha256(copy / "README.md")
    (copy / "bundle.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    monkeypatch.setattr(bundle, "EMBEDDED", tmp_path / "embedded")
    monkeypatch.setattr(demo, "DEMO_CULTURE", {**demo.DEMO_CULTURE, **QUICK_CULTURE})
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    if "huggingface_hub.constants" in sys.modules:  # it has read the environment already
        monkeypatch.setattr(sys.modules["huggingface_hub.constants"], "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("C6SEG_WEIGHTS", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def title(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


RUNNABLE = [page for page in PAGES if any(block.runs for block in blocks(page.read_text(encoding="utf-8"), ""))]


@pytest.mark.parametrize("page", RUNNABLE, ids=title)
def test_a_page_does_what_it_says(page: Path, workplace: Path) -> None:
    assert run_page(page.read_text(encoding="utf-8"), title(page)) > 0


def test_the_guides_are_run() -> None:
    wanted = {"README.md", "docs/tutorial/first-growth-curve.md", "docs/tutorial/train-from-cvat.md"}
    wanted |= {f"docs/how-to/{name}.md" for name in ("segment", "check-your-data", "growth", "train")}
    assert wanted <= {title(page) for page in RUNNABLE}


@pytest.mark.parametrize(
    "text",
    [
        "```console run\n$ c6seg segmnt\n```",
        "```console run\n$ c6seg segment nowhere --out results\n```",
        "```console run exit=2\n$ c6seg --version\n```",
        "```console run\n$ c6seg --version\nsomething else\n```",
        "```console run\n$ rm -r plate1\n```",
        "```python run\nimport c6seg\nc6seg.no_such_name\n```",
        "1. in a list\n   ```console run\n   $ c6seg growht\n   ```",
    ],
)
def test_a_broken_page_fails(text: str, workplace: Path) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:\d|only c6seg"):
        run_page(text, "page.md")


def test_numbers_may_differ_and_words_may_not() -> None:
    assert alike("6 images segmented; mean confluence 20.1 %", "24 images segmented;  mean confluence 3 %\n")
    assert alike("first\n...\nlast", "first\n1\n2\nlast\n")
    assert not alike("6 images segmented", "6 images failed")
    assert not alike("first", "first\nsecond")


# ---- commands that are shown


def shown_commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in blocks(text, title(page)):
            if block.language == "console":
                found += [(block.where, line) for line, _ in commands(block.text)]
        found += [(title(page), line) for line in re.findall(r"`(c6seg [^`\n]+)`", text)]
    return found


@functools.cache
def program() -> Any:
    """The parser of the whole program."""
    return typer.main.get_command(app)


def fault(line: str) -> str | None:
    """What is wrong with a shown command line: an unknown verb, option, key of a recipe, or make target."""
    words = shlex.split(line, comments=True)
    if words and words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return next((f"no target {word}" for word in words[1:] if "=" not in word and word not in targets), None)
    if "c6seg" not in words:
        return None
    command = program()
    allowed = {"-v", "-q", "--verbose", "--quiet", "--debug", "-vv"}
    rest = words[words.index("c6seg") + 1 :]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return None if rest[0].isupper() or "|" in rest[0] or rest[0] == "..." else f"no verb {rest[0]}"
        command = command.commands[rest.pop(0)]
    allowed |= {"-h", "--help"} | {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    unknown = [word for word in rest if word.startswith("-") and word.split("=")[0] not in allowed]
    return f"no option {unknown[0]}" if unknown else bad_key(command.name, rest)


def bad_key(verb: str, rest: list[str]) -> str | None:
    """What is wrong with ``--set`` and ``--recipe`` of a shown training."""
    from c6seg.errors import ConfigError
    from c6seg.training.recipe import load_recipe

    if verb != "train":
        return None
    sets = [value for name, value in itertools.pairwise(rest) if name == "--set" and "=" in value]
    recipe = rest[rest.index("--recipe") + 1] if "--recipe" in rest else "default"
    try:
        load_recipe("default" if recipe.endswith(".yaml") else recipe, overrides=sets)
    except ConfigError as error:
        return str(error)
    return None


def test_shown_commands_are_known() -> None:
    lines = shown_commands()
    assert len(lines) > 40
    assert [f"{where}: {line}: {wrong}" for where, line in lines if (wrong := fault(line))] == []


@pytest.mark.parametrize(
    "line",
    [
        "c6seg segmnt a --out b",
        "c6seg segment a --ouput b",
        "c6seg data chek a",
        "c6seg train --data a --out b --set epoch=3",
        "c6seg train --data a --out b --recipe papre",
        "make demoo",
    ],
)
def test_an_unknown_command_is_found(line: str) -> None:
    assert fault(line) is not None


def test_shown_extras_are_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shown = {
        extra.strip()
        for page in PAGES
        for names in re.findall(r"pip install[^\n`]*?\[([a-z,]+)\]", page.read_text(encoding="utf-8"))
        for extra in names.split(",")
    }
    assert shown
    assert shown <= set(project["optional-dependencies"])


# ---- links


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page, as code hosts make them."""
    heads = re.findall(r"^#+ +(.+?)\s*$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    wrong = []
    for link in re.findall(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target) if target else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            wrong.append(f"{page.name}: {link}")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Head line\n[a](gone.md) [b](#head-line) [c](#gone) [d](https://example.org/x) ![e](no.png)\n")
    assert broken_links(page) == ["page.md: gone.md", "page.md: #gone", "page.md: no.png"]


def test_every_page_is_found_from_the_index() -> None:
    seen: set[Path] = set()
    pending = [ROOT / "README.md", ROOT / "docs" / "index.md"]
    while pending:
        page = pending.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        links = re.findall(r"\]\(([^)#\s:]+)", page.read_text(encoding="utf-8"))
        pending += [path for link in links if (path := (page.parent / link).resolve()).is_file()]
    assert [title(page) for page in PAGES if page not in seen] == []


# ---- reference pages that must be complete


def reference(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def verbs(command: Any, path: str = "c6seg") -> Iterator[tuple[str, Any]]:
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from verbs(inner, f"{path} {name}")
        else:
            yield f"{path} {name}", inner


def test_the_reference_of_commands_is_complete() -> None:
    parts = re.split(r"^#+ `(c6seg [a-z ]+)`.*$", reference("commands.md"), flags=re.MULTILINE)
    described = dict(zip(parts[1::2], parts[2::2], strict=True))
    given = dict(verbs(program()))
    assert described.keys() == given.keys()
    shared = {"--verbose", "--quiet", "--debug", "--help"}
    for verb, command in given.items():
        options = {max(param.opts, key=len) for param in command.params if param.param_type_name == "option"} - shared
        shown = set(re.findall(r"`(--[a-z-]+)", described[verb]))
        assert options == shown & options, f"{verb}: {options - shown} missing"
        known = options | shared | {name for param in command.params for name in param.secondary_opts}
        assert shown <= known, f"{verb}: {shown - known} unknown"


def keys(kind: Any, prefix: str = "") -> Iterator[str]:
    for name, field in kind.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def value(config: Any, key: str) -> str:
    """A value as the table of recipes shows it."""
    found = config.model_dump(mode="json")
    for part in key.split("."):
        found = found[part]
    return shown(found)


def shown(found: Any) -> str:
    if isinstance(found, list):
        return f"[{', '.join(shown(part) for part in found)}]" if found else "none"
    if isinstance(found, bool):
        return str(found).lower()
    names = {None: "none", "": "empty"}
    return names[found] if found in names else f"{found:g}" if isinstance(found, float) else str(found)


def test_the_reference_of_recipes_is_complete() -> None:
    from c6seg.config import TrainConfig
    from c6seg.models.encoders import ENCODERS
    from c6seg.training.recipe import list_recipes, load_recipe

    text = reference("recipes.md")
    assert all(f"| `{name}` |" in text for name in list_recipes())
    options, encoders = text.partition("## Options")[2].split("## Encoders")
    rows = [re.split(r"(?<!\\) *\| *", line)[1:-1] for line in options.splitlines() if line.startswith("| `")]
    base, recipes = TrainConfig(), [load_recipe(name) for name in ("default", "paper")]
    wanted = []
    for key in keys(TrainConfig):
        cells = [value(recipe, key) for recipe in recipes]
        wanted.append([f"`{key}`", value(base, key), *("" if cell == value(base, key) else cell for cell in cells)])
    assert [[key, *cells] for key, _, *cells in rows] == wanted
    assert load_recipe("paper-pretrain") == recipes[1].model_copy(update={"epochs": 60})
    names = re.findall(r"^\| ([\w-]+) \| `([\w./-]+)` \| (.*?) \|", encoders, re.MULTILINE)
    assert names == [(row.name, row.weights, row.licence) for row in ENCODERS]


def test_the_reference_of_errors_is_complete() -> None:
    from c6seg import errors

    names = {name for name in errors.__all__ if name.endswith("Error")}
    assert set(re.findall(r"`(\w+Error)`", reference("errors.md"))) >= names


def test_the_reference_of_formats_is_complete() -> None:
    from c6seg.data.convert import COLUMNS as DATASET_COLUMNS
    from c6seg.data.datasets import LAYOUTS
    from c6seg.growth.reporting.tables import FIT_COLUMNS, GROWTH_COLUMNS
    from c6seg.inference.tables import COLUMNS
    from c6seg.models.bundle_spec import BundleSpec

    words = set(re.findall(r"`([^`\n]+)`", reference("formats.md")))
    wanted = {*LAYOUTS, *COLUMNS, *GROWTH_COLUMNS, *FIT_COLUMNS, *DATASET_COLUMNS, *BundleSpec.model_fields}
    assert wanted - words == set()


def test_the_house_is_described_as_it_is() -> None:
    text = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    package = Path(c6seg.__file__).parent
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}

    def there(name: str) -> bool:
        return (package / name).is_file() or (ROOT / name).is_file()

    assert {room for room in rooms if f"`{room}/`" not in text} == set()
    gone = [name for name in re.findall(r"`((?:[a-z0-9_]+/)+[a-z0-9_]+\.py)`", text) if not there(name)]
    assert gone == []


def test_pages_hold_no_paths_of_a_machine() -> None:
    pattern = re.compile(r"(?<![\w.])/(?:home|Users|tmp|root|work|var)/|[A-Z]:\\\\")
    assert [title(page) for page in PAGES if pattern.search(page.read_text(encoding="utf-8"))] == []


# ---- docstrings


def examples(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return any(">>>" in (ast.get_docstring(node) or "") for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("path", [path for path in SOURCES if examples(path)], ids=lambda path: path.stem)
def test_docstring_examples(path: Path) -> None:
    parts = path.relative_to(Path(c6seg.__file__).parents[1]).with_suffix("").parts
    module = importlib.import_module(".".join(parts))
    said = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(test, out=said.write)
    assert runner.tries > 0
    assert runner.failures == 0, said.getvalue()
