"""Options out of YAML files, mappings and ``key=value`` texts, and back to YAML."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from c6seg.config import Config
from c6seg.errors import ConfigError, did_you_mean

ModelT = TypeVar("ModelT", bound=Config)


def shipped_names(folder: Path) -> list[str]:
    """Names of the YAML files in a folder of the package."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def find_file(name_or_file: str | Path, folder: Path, *, what: str) -> Path:
    """Find the YAML file that comes with c6seg in ``folder`` under a name, or else the user's own.

    Raises
    ------
    ConfigError
        There is neither; the nearest name is offered.
    """
    for path in (folder / f"{name_or_file}.yaml", Path(name_or_file)):
        if path.is_file():
            return path
    raise ConfigError(did_you_mean(str(name_or_file), shipped_names(folder), what=what) + " Or give a YAML file.")


def load_config(
    kind: type[ModelT], source: Path | Mapping[str, Any] | None, overrides: list[str] | None = None
) -> ModelT:
    """Build a configuration from a YAML file or mapping, then ``a.b=c`` overrides.

    Parameters
    ----------
    kind
        The configuration class.
    source
        YAML file, mapping, or None for the defaults.
    overrides
        ``key=value`` texts; keys may be dotted; values are read as YAML.

    Raises
    ------
    ConfigError
        Unknown key (the nearest one is named), bad value, unreadable file.
    """
    values: dict[str, Any] = {}
    if isinstance(source, Path):
        try:
            loaded = yaml.safe_load(source.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"Cannot read configuration '{source}': {_first_line(error)}") from error
        if not isinstance(loaded, dict):
            raise ConfigError(f"Configuration '{source}' must be a mapping of keys to values.")
        values = loaded
    elif source is not None:
        values = _copy(source)
    config = validate(kind, values, where=f"'{source}'" if isinstance(source, Path) else "the options")
    for text in overrides or []:
        _override(values, text)
        config = validate(kind, values, where=f"'{text}'")
    return config


def validate(kind: type[ModelT], values: Mapping[str, Any], *, where: str) -> ModelT:
    """Check values against a configuration class; errors name the key, what is allowed, and the place."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"In {where}: " + did_you_mean(key, _keys(kind), what="key")) from error
        why = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise ConfigError(f"In {where}: {key} = {first.get('input')!r} cannot be used: {why}.") from error


def dump_yaml(config: Config) -> str:
    """Write a configuration as YAML that :func:`load_config` reads back to the same object."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _override(values: dict[str, Any], text: str) -> None:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"{text!r} is not an option. Write key=value, such as epochs=50 or augment.flips=false.")
    *parents, last = key.strip().split(".")
    for parent in parents:
        child = values.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"{text!r}: '{parent}' is no group of options.")
        values = child
    try:
        values[last] = _number(yaml.safe_load(value))
    except yaml.YAMLError as error:
        raise ConfigError(f"{text!r}: the value is not valid YAML.") from error


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-4 as text; people mean the number."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    return value


def _copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def _keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    names: list[str] = []
    for name, field in kind.model_fields.items():
        names.append(prefix + name)
        inner = _model_of(field.annotation)
        if inner is not None:
            names += _keys(inner, prefix + name + ".")
    return names


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in {Union, types.UnionType}:
        return next((found for part in get_args(annotation) if (found := _model_of(part))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
