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
from c6seg.studies.divisions import OWN, divide, overlap_of, own_division
from c6seg.studies.grid import Setting, settings, tested_on, training
from c6seg.studies.jobs import RUN_PREFIX, Asked, Job, Pictures, Point, Scoring, counts_key, run_key, short_hash
from c6seg.studies.plan import Plan
from c6seg.studies.spec import TESTED_ON, TRAINED, ScoreSpec, StudySpec


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


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a training saw: its name, and hashes of the pictures that it learned from and that chose its weights."""

    name: str
    train: set[str]
    val: set[str]


class _Builder:
    """Adds one study to a plan."""

    def __init__(self, plan: Plan, spec: StudySpec, finder: Finder) -> None:
        self.plan, self.spec, self.finder = plan, spec, finder
        self.sources = {name: finder.find(name, data) for name, data in spec.data.items()}
        plan.sources += [source for source in self.sources.values() if source not in plan.sources]
        self.several = len(tested_on(spec)) > 1
        self.stages: dict[str, str] = {}
        self.before: dict[str, _Seen] = {}

    def build(self) -> None:
        for setting in settings(self.spec):
            source = self.sources[setting.data]
            divisions = divide(source, self.spec.splits, seed=self._seed(OWN))
            splits = [self._sized(setting.train_images, source, split) for split in divisions]
            overlap = overlap_of(source, self.spec.splits, splits)
            for split in splits:
                self._point(setting, source, split, overlap)

    def _sized(self, count: int | None, source: Source, split: Split) -> Split:
        """Keep so many training images of a division."""
        if count is None:
            return split
        file = self.spec.splits.file
        if source.missing or (file is not None and not Path(file).is_file()):
            return split.with_training_size(min(count, len(split.train)))  # how many there are is not known yet
        if count > len(split.train):
            raise UsageError(
                f"Study '{self.spec.name}': train_images = {count} is more than the {len(split.train)} training images "
                f"of '{source.name}' in {split.name}. Ask for fewer."
            )
        return split.with_training_size(count)

    def _point(self, setting: Setting, source: Source, split: Split, overlap: float) -> None:
        start = self._start(setting.config, setting.init, setting.stage_options)
        seen = self._seen(source, split, start)
        tests, asked = self._tests(setting, source, split, seen)
        pictures = self._pictures(setting.config, seen)
        what = [f"{factor} {value}" for factor, value in setting.configuration.items()]
        key = self._job(f"{self.spec.name}: {', '.join([*what, split.name])}", setting.config, start, source, split)
        job = self.plan.jobs[key]
        self.plan.jobs[key] = replace(
            job,
            tests=tuple(dict.fromkeys((*job.tests, *tests))),
            pictures=tuple(dict.fromkeys((*job.pictures, *pictures))),
        )
        images = (len(split.train), len(split.val), len(split.test))
        shown = tuple(picture.key for picture in pictures)
        self.plan.points.append(
            Point(self.spec.name, setting.configuration, split.name, key, source.name, images, overlap, asked, shown)
        )

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

    def _tests(
        self, setting: Setting, trained: Source, split: Split, seen: Sequence[_Seen]
    ) -> tuple[list[Scoring], tuple[Asked, ...]]:
        """List what is scored after a training, each once, by whatever name its data set and sizes are given."""
        tests: list[Scoring] = []
        asked: dict[str, Asked] = {}
        for spec in self.spec.tests:
            source = self.sources[spec.data] if spec.data is not None else trained
            names = self._names(spec, source, trained, split)
            self._check_unseen(source, names, seen, what="tested on", validated=spec.part != "val")
            extra = {TESTED_ON: source.name} if self.several else {}
            groups = {entry.name: entry.group or "" for entry in source.entries}
            for given_input in spec.input:
                for given_score in spec.score:
                    input_hw, score_hw = (_size(size, setting.config) for size in (given_input, given_score))
                    key = counts_key(source.digests(names), input_hw, score_hw, self.spec.evaluation)
                    tests.append(Scoring(key, source.place, names, input_hw, score_hw, self.spec.evaluation))
                    asked[f"{source.name}/{key}"] = Asked(
                        key,
                        {**setting.configuration, **extra},
                        format_size(input_hw),
                        format_size(score_hw),
                        names,
                        tuple(groups[name] for name in names),
                    )
        return tests, tuple(asked.values())

    def _names(self, spec: ScoreSpec, source: Source, trained: Source, split: Split) -> tuple[str, ...]:
        """Names of the images of a test."""
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
        return names

    def _seen(self, trained: Source, split: Split, start: _Start) -> list[_Seen]:
        """Pictures of a training and of all that it starts from."""
        found = [_Seen(split.name, trained.pictures(split.train), trained.pictures(split.val))]
        for key in sorted(set().union(*(self.plan.closure(need) for need in start.needs))):
            if key not in self.before:
                job = self.plan.jobs[key]
                source = next(source for source in self.plan.sources if source.place == job.place)
                self.before[key] = _Seen(job.title, source.pictures(job.train), source.pictures(job.val))
            found.append(self.before[key])
        return found

    def _check_unseen(
        self, source: Source, names: Sequence[str], seen: Sequence[_Seen], *, what: str, validated: bool
    ) -> None:
        """Refuse images that a training saw, by whatever name; ``validated``: also those that it was chosen by."""
        if source.missing:  # its images are assumed
            return
        wanted = set(names)
        for each in seen:
            pictures = each.train | each.val if validated else each.train
            both = [entry.name for entry in source.entries if entry.name in wanted and entry.picture in pictures]
            if both:
                raise UsageError(
                    f"Study '{self.spec.name}': {len(both)} images of '{source.name}' are {what} and trained on in "
                    f"{each.name}, such as '{both[0]}', which may have another name there. Take them out of one of the "
                    "two: test on part: test, and pre-train on images that are never tested on."
                )

    def _other(self, source: Source, name: str) -> Split:
        """Division of another data set than that of the training: of the same name, else its own or first one."""
        found = divide(source, self.spec.splits, seed=self._seed(OWN))
        return next((split for split in found if split.name == name), found[0])

    def _pictures(self, config: TrainConfig, seen: Sequence[_Seen]) -> list[Pictures]:
        found = []
        for spec in self.spec.pictures:
            source = self.sources[spec.data]
            known = {entry.name: entry.picture for entry in source.entries}
            names = spec.images or tuple(known)
            unknown = [name for name in names if name not in known]
            if unknown and not source.missing:
                raise UsageError(f"Study '{self.spec.name}': '{source.place.path}' has no image '{unknown[0]}'.")
            self._check_unseen(source, names, seen, what="shown", validated=True)
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
