"""From studies and their data to the plan: every configuration in every division becomes a training and its tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from c6seg.config import TrainConfig, format_size, parse_size
from c6seg.data.splits import Split
from c6seg.errors import MissingExtraError, UsageError, WeightsNotFoundError
from c6seg.runtime import seed_for, sha256
from c6seg.studies.data import Finder, Source
from c6seg.studies.divisions import OWN, divide, own_division
from c6seg.studies.grid import Setting, settings, training
from c6seg.studies.jobs import RUN_PREFIX, Asked, Job, Pictures, Point, Scoring, counts_key, run_key, short_hash
from c6seg.studies.plan import Plan
from c6seg.studies.spec import TRAINED, ScoreSpec, StudySpec


def make_plan(specs: Sequence[StudySpec], finder: Finder) -> Plan:
    """Look at the data of studies and list their runs.

    Parameters
    ----------
    specs
        The studies, included ones first.
    finder
        Finds the data; where they are not there their images are assumed, and :meth:`Plan.require` refuses to run.

    Raises
    ------
    C6segError
        More images are asked for than there are, a file of divisions does not fit, or test images that
        are trained on.
    """
    plan = Plan(tuple(specs))
    for spec in specs:
        _Builder(plan, spec, finder).build()
    finder.close()
    return plan


@dataclass(frozen=True, slots=True)
class _Start:
    """Weights that a training starts from: their hash, ``network.init``, runs that make them, why they are missing."""

    digest: str
    init: str
    needs: tuple[str, ...] = ()
    missing: str = ""


class _Builder:
    """Adds one study to a plan."""

    def __init__(self, plan: Plan, spec: StudySpec, finder: Finder) -> None:
        self.plan, self.spec, self.finder = plan, spec, finder
        self.sources = {name: finder.find(name, data) for name, data in spec.data.items()}
        plan.sources += [source for source in self.sources.values() if source not in plan.sources]
        self.several = len({test.data or "" for test in spec.tests}) > 1
        self.stages: dict[str, str] = {}

    def build(self) -> None:
        for setting in settings(self.spec):
            source = self.sources[setting.data]
            for split in divide(source, self.spec.splits, seed=self._seed(OWN)):
                chosen = split if setting.train_images is None else split.with_training_size(setting.train_images)
                self._point(setting, source, chosen)

    def _point(self, setting: Setting, source: Source, split: Split) -> None:
        tests, asked = self._tests(setting, source, split)
        pictures = self._pictures(setting.config)
        what = [f"{factor} {value}" for factor, value in setting.configuration.items()]
        start = self._start(setting.config, setting.init, setting.stage_options)
        key = self._job(f"{self.spec.name}: {', '.join([*what, split.name])}", setting.config, start, source, split)
        job = self.plan.jobs[key]
        self.plan.jobs[key] = replace(
            job,
            tests=tuple(dict.fromkeys((*job.tests, *tests))),
            pictures=tuple(dict.fromkeys((*job.pictures, *pictures))),
        )
        shown = tuple(picture.key for picture in pictures)
        self.plan.points.append(Point(self.spec.name, setting.configuration, split.name, key, asked, shown))

    def _job(self, title: str, config: TrainConfig, start: _Start, source: Source, split: Split) -> str:
        config = config.model_copy(update={"seed": self._seed(split.name)})
        key = run_key(config, start.digest, source.digests(split.train), source.digests(split.val))
        if key not in self.plan.jobs:
            network = config.network.model_copy(update={"init": start.init})
            config = config.model_copy(update={"network": network, "name": f"run-{key}"})
            self.plan.jobs[key] = Job(key, title, config, source.place, split.train, split.val, start.needs)
        if start.missing:
            self.plan.no_weights[key] = start.missing
        return key

    def _start(self, config: TrainConfig, init: str, options: Mapping[str, Any]) -> _Start:
        if init == "random":
            return _Start(init, init)
        if init in self.spec.stages:
            needed = self._stage(init, config.network.encoder, options)
            return _Start(RUN_PREFIX + needed, RUN_PREFIX + needed, (needed,))
        if init == "imagenet":
            return _imagenet(config)
        path = Path(init).expanduser().absolute()
        if path.suffix == ".safetensors":
            found = path.is_file()
            return _Start(_file_hash(path) if found else init, str(path), missing="" if found else f"No '{path}'.")
        from c6seg.models.bundle import open_bundle

        return _Start(open_bundle(path).sha256(), str(path))

    def _stage(self, name: str, encoder: str, options: Mapping[str, Any]) -> str:
        """Plan a pre-training with an encoder."""
        changes = ", ".join(f"{key}={value}" for key, value in options.items())
        known = f"pre-training {name}, {encoder}{changes and f', {changes}'}"
        if known not in self.stages:
            stage = self.spec.stages[name]
            source = self.sources[stage.data]
            config = training(stage.recipe, {**stage.options, **options}, encoder=encoder)
            split = own_division(source, seed=self._seed(OWN))
            self.stages[known] = self._job(known, config, self._start(config, stage.init, {}), source, split)
        return self.stages[known]

    def _tests(self, setting: Setting, trained: Source, split: Split) -> tuple[list[Scoring], tuple[Asked, ...]]:
        tests: list[Scoring] = []
        asked: list[Asked] = []
        for spec in self.spec.tests:
            source = self.sources[spec.data] if spec.data is not None else trained
            names = self._names(spec, source, trained, split)
            extra = {"tested_on": source.name} if self.several else {}
            groups = {entry.name: entry.group or "" for entry in source.entries}
            for given_input in spec.input:
                for given_score in spec.score:
                    input_hw, score_hw = (_size(size, setting.config) for size in (given_input, given_score))
                    key = counts_key(source.digests(names), input_hw, score_hw, self.spec.evaluation)
                    tests.append(Scoring(key, source.place, names, input_hw, score_hw, self.spec.evaluation))
                    asked.append(
                        Asked(
                            key,
                            {**setting.configuration, **extra},
                            format_size(input_hw),
                            format_size(score_hw),
                            names,
                            tuple(groups[name] for name in names),
                        )
                    )
        return tests, tuple(asked)

    def _names(self, spec: ScoreSpec, source: Source, trained: Source, split: Split) -> tuple[str, ...]:
        """Names of the images of a test; images of the training are refused."""
        if spec.part == "all":
            names = tuple(entry.name for entry in source.annotated)
        elif source.name == trained.name:
            names = split.part(spec.part)
        else:
            names = self._other(source, split.name).part(spec.part)
        if not names:
            raise UsageError(
                f"Study '{self.spec.name}': '{source.name}' has no images in part '{spec.part}' to test on."
            )
        if source.name != trained.name or spec.part == "all":
            seen = {entry.picture for entry in trained.entries if entry.name in {*split.train, *split.val}}
            both = [entry.name for entry in source.entries if entry.name in names and entry.picture in seen]
            if both:
                raise UsageError(
                    f"Study '{self.spec.name}': {len(both)} images of '{source.name}' are tested on and trained on in "
                    f"{split.name}, such as '{both[0]}'. Scoring on part: test of the data set of the training."
                )
        return names

    def _other(self, source: Source, name: str) -> Split:
        """Division of another data set than that of the training: of the same name, else its own or first one."""
        found = divide(source, self.spec.splits, seed=self._seed(OWN))
        return next((split for split in found if split.name == name), found[0])

    def _pictures(self, config: TrainConfig) -> list[Pictures]:
        found = []
        for spec in self.spec.pictures:
            source = self.sources[spec.data]
            known = {entry.name: entry.picture for entry in source.entries}
            names = spec.images or tuple(known)
            unknown = [name for name in names if name not in known]
            if unknown and not source.missing:
                raise UsageError(f"Study '{self.spec.name}': '{source.place.path}' has no image '{unknown[0]}'.")
            input_hw = _size(spec.input, config)
            digests = [known.get(name, name) for name in names]
            key = short_hash(["pictures", counts_key(digests, input_hw, None, self.spec.evaluation)])
            found.append(Pictures(key, source.place, tuple(names), input_hw, self.spec.evaluation))
        return found

    def _seed(self, split: str) -> int:
        return seed_for(self.spec.seed, "training", split)


def _size(text: str, config: TrainConfig) -> tuple[int, int] | None:
    if text != TRAINED:
        return parse_size(text)
    return config.input_size if config.fit == "resize" else None


def _imagenet(config: TrainConfig) -> _Start:
    from c6seg.models.encoders import find_encoder

    encoder = find_encoder(config.network.encoder)
    try:
        from c6seg.models.network import find_imagenet_weights

        return _Start(_file_hash(find_imagenet_weights(encoder, config.network.weights_dir)), "imagenet")
    except (WeightsNotFoundError, MissingExtraError) as error:
        return _Start(f"imagenet:{encoder.name}", "imagenet", missing=str(error))


_KNOWN: dict[tuple[str, int, int], str] = {}


def _file_hash(path: Path) -> str:
    state = path.stat()
    key = (str(path), state.st_size, state.st_mtime_ns)
    if key not in _KNOWN:
        _KNOWN[key] = sha256(path)
    return _KNOWN[key]
