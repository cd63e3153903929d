"""Recipes: trainings by name, as YAML files beside this module, or the user's own file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from c6seg.config import TrainConfig
from c6seg.config_files import find_file, load_config, shipped_names

FOLDER = Path(__file__).parent / "recipes"


def list_recipes() -> list[str]:
    """Names of the recipes that come with c6seg."""
    return shipped_names(FOLDER)


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
    path = find_file(name_or_file, FOLDER, what="recipe")
    given = [f"network.init={init}"] if init is not None else []
    given += [f"network.encoder={encoder}"] if encoder is not None else []
    return load_config(TrainConfig, path, [*given, *overrides])
