"""Read study files; everything that can be checked without data is checked here."""

from __future__ import annotations

from pathlib import Path

import yaml

from c6seg.config_files import find_file, load_config, shipped_names, validate
from c6seg.errors import ConfigError
from c6seg.studies.grid import check_settings
from c6seg.studies.spec import DataSpec, PictureSpec, ScoreSpec, StageSpec, StudySpec
from c6seg.studies.spec_checks import check_names

FOLDER = Path(__file__).parent / "paper"


def list_studies() -> list[str]:
    """Names of the studies that come with c6seg."""
    return shipped_names(FOLDER)


def load_study(name_or_file: str | Path, overrides: list[str] | None = None) -> StudySpec:
    """Read a study.

    Parameters
    ----------
    name_or_file
        Name of a study that comes with c6seg, or a YAML file.
    overrides
        ``key=value`` texts, such as ``splits.repeats=2``.

    Raises
    ------
    ConfigError
        Unknown study, key or value; the nearest name is offered.
    """
    path = find_file(name_or_file, FOLDER, what="study")
    _check_parts(path)
    spec = load_config(StudySpec, path, overrides)
    check_names(spec, where=str(path))
    check_settings(spec, where=str(path))
    return spec.model_copy(update={"include": tuple(_beside(path, name) for name in spec.include)})


def _beside(path: Path, name: str) -> str:
    """Name of an included study as it is found from everywhere: a file beside the one that includes it comes first."""
    file = path.parent / name
    return str(file) if file.is_file() else name


def with_included(spec: StudySpec, overrides: list[str] | None = None) -> list[StudySpec]:
    """Return the study and all that it includes, each once, the included ones first.

    Raises
    ------
    ConfigError
        An included study does not exist, includes the one that includes it, or is called like another one.
    """
    found: dict[str, StudySpec] = {}

    def add(study: StudySpec, above: tuple[str, ...]) -> None:
        if study.name in above:
            raise ConfigError(f"Study '{study.name}' includes itself: {' > '.join((*above, study.name))}.")
        for name in study.include:
            add(load_study(name, overrides), (*above, study.name))
        if found.setdefault(study.name, study) != study:
            raise ConfigError(
                f"Two different studies are called '{study.name}'; their results would lie in one folder. Rename one."
            )

    add(spec, ())
    return list(found.values())


def _check_parts(path: Path) -> None:
    """Check the parts that stand under free names, so that an error offers the keys of the part."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # load_config says it
    if not isinstance(raw, dict):
        return
    for key, kind in (("data", DataSpec), ("stages", StageSpec)):
        parts = raw.get(key)
        for name, values in parts.items() if isinstance(parts, dict) else ():
            if isinstance(values, dict):
                validate(kind, values, where=f"'{path}', {key}.{name}")
    for key, part in (("tests", ScoreSpec), ("pictures", PictureSpec)):
        entries = raw.get(key)
        for number, values in enumerate(entries if isinstance(entries, list) else (), start=1):
            if isinstance(values, dict):
                validate(part, values, where=f"'{path}', {key} {number}")
