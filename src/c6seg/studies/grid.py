"""From factors to configurations: all combinations of a study, and the training that each stands for."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c6seg.config import TrainConfig
from c6seg.errors import ConfigError, UsageError, did_you_mean
from c6seg.models.encoders import find_encoder
from c6seg.studies.divisions import DRAWN
from c6seg.studies.spec import OWN_KEYS, STAGE, StudySpec
from c6seg.training.recipe import load_recipe

STARTS = ("random", "imagenet")
"""Starts that are no pre-training of the study."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One configuration of a study.

    Parameters
    ----------
    configuration
        Factor -> name of its value, in the order of the study.
    init
        How it starts: ``random``, ``imagenet``, a stage, a bundle or a file.
    data
        Name of the data set that it trains on.
    train_images
        Number of training images; None = all of the division.
    config
        The training; ``network.init`` is that of the recipe.
    stage_options
        Options of the pre-training that it starts from, beside those of the stage.
    """

    configuration: Mapping[str, str]
    init: str
    data: str
    train_images: int | None
    config: TrainConfig
    stage_options: Mapping[str, Any] = field(default_factory=dict)


def settings(spec: StudySpec) -> list[Setting]:
    """Return all configurations of a study, each once, in the order of its grids and factors.

    Raises
    ------
    ConfigError
        An option of a factor does not exist or cannot have that value.
    """
    return [_setting(spec, configuration) for configuration in _configurations(spec)]


def tested_on(spec: StudySpec) -> list[str]:
    """Names of the data sets that a study tests on, each once."""
    pairs = itertools.product(_configurations(spec), spec.tests)
    return list(dict.fromkeys(test.data or _trained_on(spec, configuration) for configuration, test in pairs))


def check_settings(spec: StudySpec, *, where: str) -> None:
    """Build every configuration once, so that a wrong option is found when the file is read.

    Raises
    ------
    ConfigError
        Names the place and the nearest option.
    """
    try:
        _check_stages(spec)
        for name, stage in spec.stages.items():
            _check_start(spec, stage.init, f"stages.{name}.init", exclude=name)
            training(stage.recipe, stage.options, encoder=None)
        for setting in settings(spec):
            _check_start(spec, setting.init, "init")
            _check_stage(spec, setting)
            _check_data(spec, setting)
            _check_parts(spec, setting)
    except ConfigError as error:
        raise ConfigError(f"In '{where}': {error}") from error


def training(recipe: str, options: Mapping[str, Any], *, encoder: str | None) -> TrainConfig:
    """Build a training of a recipe and options.

    Raises
    ------
    ConfigError
        Unknown recipe, key or value; or a seed, which a study sets itself.
    """
    if "seed" in options:
        raise ConfigError(
            "seed cannot be an option or a factor: a study gives each division a seed of its own, the same for all "
            "configurations. Take it out, or change that of the whole study: seed, beside name."
        )
    overrides = [f"{key}={json.dumps(value)}" for key, value in options.items()]
    config = load_recipe(recipe, encoder=encoder, overrides=overrides)
    name = find_encoder(config.network.encoder).name
    return config.model_copy(update={"network": config.network.model_copy(update={"encoder": name})})


def choose(
    specs: Sequence[StudySpec], only: Sequence[str], *, divisions: bool = True
) -> tuple[dict[str, set[str]], set[str]]:
    """Read ``--only KEY=VALUE``: factor -> values that are wanted, and wanted divisions.

    Parameters
    ----------
    only
        Such as ``init=imagenet``; a key given twice allows both values; ``split`` names a division.
    divisions
        Whether divisions may be named.

    Raises
    ------
    UsageError
        No study has such a factor or value; the nearest one is offered. Or a division that may not be named.
    """
    levels: dict[str, list[str]] = {}
    for spec in specs:
        for factor, values in spec.factors.items():
            levels.setdefault(factor, []).extend(values)
    wanted: dict[str, set[str]] = {}
    splits: set[str] = set()
    for text in only:
        key, sign, value = text.partition("=")
        if not sign:
            example = "init=imagenet or split=split00" if divisions else "init=imagenet"
            raise UsageError(f"--only {text!r} is not KEY=VALUE, such as {example}.")
        if key == "split":
            if not divisions:
                raise UsageError(f"--only {text}: a recipe is chosen over all divisions together. Leave split out.")
            splits.add(value)
            continue
        if key not in levels:
            raise UsageError(did_you_mean(key, [*levels, *(["split"] if divisions else [])], what="factor"))
        if value not in levels[key]:
            raise UsageError(did_you_mean(value, set(levels[key]), what=f"value of {key}"))
        wanted.setdefault(key, set()).add(value)
    return wanted, splits


def matches(configuration: Mapping[str, str], wanted: Mapping[str, set[str]]) -> bool:
    """Whether a configuration has one of the wanted values of each factor."""
    return all(configuration.get(factor) in values for factor, values in wanted.items())


def _configurations(spec: StudySpec) -> list[dict[str, str]]:
    """Return the combinations of values that a study asks for, each once."""
    if not spec.trains:
        return []
    combinations = (
        itertools.product(*(grid.get(factor, tuple(levels)) for factor, levels in spec.factors.items()))
        for grid in spec.grids or ({},)
    )
    unique = dict.fromkeys(itertools.chain.from_iterable(combinations))
    return [dict(zip(spec.factors, chosen, strict=True)) for chosen in unique]


def _trained_on(spec: StudySpec, configuration: Mapping[str, str]) -> str:
    """Name of the data set that a configuration is trained on: where two factors name one, the later counts."""
    named = [spec.factors[factor][name].get("data") for factor, name in configuration.items()]
    return str(next((data for data in reversed(named) if data is not None), spec.main_data))


def _setting(spec: StudySpec, configuration: dict[str, str]) -> Setting:
    own: dict[str, Any] = {}
    stage: dict[str, Any] = {}
    options = dict(spec.options)
    for factor, name in configuration.items():
        for key, value in spec.factors[factor][name].items():
            if key.startswith(STAGE):
                stage[key.removeprefix(STAGE)] = value
            else:
                (own if key in OWN_KEYS else options)[key] = value
    config = training(spec.recipe, options, encoder=own.get("encoder"))
    count = own.get("train_images")
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise ConfigError(f"train_images = {count!r} cannot be used: a whole number of 1 or more.")
    return Setting(
        configuration=configuration,
        init=str(own.get("init", config.network.init)),
        data=_trained_on(spec, configuration),
        train_images=count,
        config=config,
        stage_options=stage,
    )


def _check_stages(spec: StudySpec) -> None:
    """Refuse pre-trainings that are called like another start, or that start from each other."""
    for name in spec.stages:
        if name in STARTS:
            raise ConfigError(f"a pre-training may not be called '{name}', which is a start by itself: rename it.")
        chain = [name]
        while chain[-1] in spec.stages:
            start = spec.stages[chain[-1]].init
            if start in chain:
                circle = " > ".join([*chain[chain.index(start) :], start])
                raise ConfigError(
                    f"pre-trainings start from each other: {circle}. Let one of them start from random or imagenet."
                )
            chain.append(start)


def _check_start(spec: StudySpec, init: str, where: str, *, exclude: str = "") -> None:
    known = [*STARTS, *(name for name in spec.stages if name != exclude)]
    if init in known or init.endswith(".safetensors") or Path(init).is_dir():
        return
    raise ConfigError(did_you_mean(init, known, what=f"start in {where}") + " Or give a bundle or weights file.")


def _check_data(spec: StudySpec, setting: Setting) -> None:
    if setting.data not in spec.data:
        raise ConfigError(did_you_mean(setting.data, spec.data, what="data set"))
    drawn = spec.data[setting.data].division == DRAWN and spec.splits.file is None  # else only the data tell
    if drawn and setting.train_images is not None and setting.train_images > spec.splits.train:
        raise ConfigError(
            f"train_images = {setting.train_images} is more than the {spec.splits.train} training images of a "
            "division: raise splits.train."
        )


def _check_parts(spec: StudySpec, setting: Setting) -> None:
    """Refuse two parts of one data set: their scores would be one mean."""
    parts: dict[str, str] = {}
    for test in spec.tests:
        data = test.data or setting.data
        first = parts.setdefault(data, test.part)
        if first != test.part:
            raise ConfigError(
                f"tests ask for two parts of '{data}', {first} and {test.part}, whose scores would be one mean: keep "
                "one here, and ask for the other in a study of its own; the runs are shared."
            )


def _check_stage(spec: StudySpec, setting: Setting) -> None:
    if not setting.stage_options:
        return
    if setting.init not in spec.stages:
        raise ConfigError(
            f"Options of a stage ({', '.join(setting.stage_options)}) are given where the start is {setting.init!r}, "
            "which is no stage."
        )
    stage = spec.stages[setting.init]
    training(stage.recipe, {**stage.options, **setting.stage_options}, encoder=None)
