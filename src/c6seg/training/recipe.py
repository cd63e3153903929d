"""Recipes: trainings by name, as YAML files beside this module, or the user's own file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from c6seg.config import TrainConfig, load_config
from c6seg.errors import ConfigError, did_you_mean

FOLDER = Path(__file__).parent / "recipes"


def list_recipes() -> list[str]:
    """Names of the recipes that come with c6seg."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_recipe(
    name_or_file: str | Path = "default",
    *,
    init: str | None = None,
    encoder: str | None = None,
    overrides: Sequence[str] = (),
) -> TrainConfig:
    """Build a training's options: recipe, then initialisation and encoder where given, then ``key=value`` overrides.

    Raises
    ------
    ConfigError
        Unknown recipe, key or value; the nearest name is offered.
    """
    path = FOLDER / f"{name_or_file}.yaml"
    if not path.is_file():
        path = Path(name_or_file)
        if not path.is_file():
            raise ConfigError(did_you_mean(str(name_or_file), list_recipes(), what="recipe") + " Or give a YAML file.")
    given = [f"network.init={init}"] if init is not None else []
    given += [f"network.encoder={encoder}"] if encoder is not None else []
    return load_config(TrainConfig, path, [*given, *overrides])
