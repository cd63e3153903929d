"""A study as a file: data sets, factors and their values, pre-trainings, divisions, sizes at which is tested.

The fields are explained in ``docs/reference/studies.md``; :mod:`c6seg.studies.files` reads such files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from c6seg.config import Config, SizeHW, parse_size
from c6seg.errors import did_you_mean

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
OWN_KEYS = ("encoder", "init", "train_images", "data")
"""Options of a value of a factor beside those of a training."""

STAGE = "stage."
"""Before an option: of the pre-training that the run starts from, not of the run."""

TESTED_ON = "tested_on"
"""Beside the factors, where a study tests on several data sets: the data set of a score, and of its image."""

TRAINED = "trained"
"""As a size: that of the training where whole images were scaled, else the images as they are."""


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _size(text: str) -> str:
    if text != TRAINED:
        parse_size(text)
    return text


Sizes = Annotated[
    tuple[Annotated[str, AfterValidator(_size)], ...],
    BeforeValidator(_listed),
    Field(min_length=1),
]


class SimulateSpec(Config):
    """A data set that the simulator makes."""

    count: int = Field(ge=1, description="number of pictures")
    size: SizeHW = Field((480, 480), description="WIDTHxHEIGHT, px")
    seed: int = 0
    family: str | None = Field(None, description="kind of culture; None = all kinds")


class DataSpec(Config):
    """A data set: where it lies, or how it is simulated."""

    path: str = Field("", description="relative to --data, or absolute; --data NAME=PATH replaces it")
    layout: str = "auto"
    group: str | None = Field(None, description="only the images of this group of the data set")
    limit: int | None = Field(None, ge=1, description="at most so many annotated images, the first ones by name")
    division: Literal["drawn", "own", "all"] = Field(
        "drawn",
        description="drawn: by the study's splits; own: the train, val and test that the data set brings; all: every "
        "annotated image trains, but a fifth that validates",
    )
    simulate: SimulateSpec | None = None
    images: int | dict[Literal["train", "val", "test"], int] = Field(
        30, description="number of annotated images that a plan assumes while the data are not at hand"
    )
    about: str = Field("", description="what it is, and where it is to be had")

    @model_validator(mode="after")
    def _one_source(self) -> DataSpec:
        if bool(self.path) == (self.simulate is not None):
            raise ValueError("give either path or simulate")
        return self


class SplitSpec(Config):
    """Repeated random sub-sampling: K divisions, the same for all competitors."""

    repeats: int = Field(10, ge=1, description="K")
    train: int = Field(15, ge=1)
    val: int = Field(5, ge=1)
    test: int = Field(10, ge=1, description="N")
    seed: int = 0
    grouped: bool = Field(False, description="images of a group stay in one part")
    stratify: bool = Field(False, description="every part gets the groups in proportion")
    file: str | None = Field(None, description="a splits.json in place of drawing")


class StageSpec(Config):
    """A pre-training that runs of the study may start from; it is done once for each encoder."""

    data: str
    init: str = Field("imagenet", description="random, imagenet, another stage, a bundle or a .safetensors file")
    recipe: str = "paper-pretrain"
    options: dict[str, Any] = Field({}, description="options of the training, keys as in --set")


class ScoreSpec(Config):
    """What is scored after a training: every pair of an input size R and a score size R2."""

    data: str | None = Field(None, description="None = the data set of the training")
    part: Literal["test", "val", "all"] = "test"
    input: Sizes = ("native",)
    score: Sizes = ("native",)


class PictureSpec(Config):
    """Images whose masks are kept, for looking; they need no annotation."""

    data: str
    images: tuple[str, ...] = Field((), description="names; none = all")
    input: Annotated[str, AfterValidator(_size)] = TRAINED


class ReportSpec(Config):
    """What the report says and compares; fields as in :class:`c6seg.studies.info.StudyInfo`."""

    columns: str = Field("", description="factor whose values are the columns of the compact table")
    compare: tuple[str, ...] = Field((), description="factors whose values are compared; none = all")
    against: dict[str, str] = Field({}, description="factor -> value that the others are compared with")
    size_factor: str = Field("", description="factor that holds the number of training images, for Fig. 3")
    labels: dict[str, dict[str, str]] = Field({}, description="factor -> value -> words for people")
    published: str = Field("", description="table of the paper to set beside, such as Table 1")
    overlap: float | None = Field(
        None, ge=0, le=1, description="part that two training sets share; None = training images divided by all"
    )
    data: tuple[str, ...] = Field((), description="names, licences and sources of the data")
    notes: tuple[str, ...] = Field((), description="what a reader must know")


class EvaluationSpec(Config):
    """How the trained networks are run."""

    engine: str = "auto"
    precision: Literal["auto", "bf16", "f32", "int8"] = "auto"
    memory_mb: int = Field(900, ge=64)
    threshold: float | None = Field(None, ge=0, le=1, description="None = that of the bundle")


class StudySpec(Config):
    """A study."""

    name: str = Field(pattern=NAME)
    title: str = ""
    about: str = ""
    include: tuple[str, ...] = Field((), description="other studies; runs that they share are done once")
    data: dict[str, DataSpec] = Field({})
    train_on: str = Field("", description="data set of the trainings; empty = the last one")
    recipe: str = "default"
    options: dict[str, Any] = Field({}, description="options of every training, keys as in --set")
    splits: SplitSpec = SplitSpec()
    stages: dict[str, StageSpec] = Field({})
    factors: dict[str, dict[str, dict[str, Any]]] = Field({})
    grids: tuple[dict[str, tuple[str, ...]], ...] = Field(
        (), description="which values are combined; none = all with all; a factor that is left out has all its values"
    )
    tests: tuple[ScoreSpec, ...] = ()
    pictures: tuple[PictureSpec, ...] = ()
    evaluation: EvaluationSpec = EvaluationSpec()
    sheets: tuple[str, ...] = Field((), description="data sets of which a data sheet is made")
    report: ReportSpec = ReportSpec()
    seed: int = 0

    @field_validator("factors", mode="before")
    @classmethod
    def _levels(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {str(factor): _values(str(factor), levels) for factor, levels in value.items()}

    @field_validator("grids", mode="before")
    @classmethod
    def _labels(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple) or not all(isinstance(grid, Mapping) for grid in value):
            return value
        return [{str(k): [label(v) for v in _listed(chosen)] for k, chosen in grid.items()} for grid in value]

    @model_validator(mode="after")
    def _fits_together(self) -> StudySpec:
        self._check_grids()
        named = [("train_on", self.train_on)] if self.train_on else []
        named += [(f"stages.{name}.data", stage.data) for name, stage in self.stages.items()]
        named += [("tests", test.data) for test in self.tests if test.data is not None]
        named += [("pictures", picture.data) for picture in self.pictures]
        named += [("sheets", name) for name in self.sheets]
        for where, name in named:
            if name not in self.data:
                raise ValueError(did_you_mean(name, self.data, what=f"data set in {where}"))
        if self.trains and not self.data:
            raise ValueError("a study that trains needs a data set: fill in data")
        if self.trains and not self.tests and not self.pictures:
            raise ValueError("nothing is tested: fill in tests or pictures")
        return self

    def _check_grids(self) -> None:
        for grid in self.grids:
            for factor, chosen in grid.items():
                if factor not in self.factors:
                    raise ValueError(did_you_mean(factor, self.factors, what="factor in grids"))
                for value in chosen:
                    if value not in self.factors[factor]:
                        raise ValueError(did_you_mean(value, self.factors[factor], what=f"value of {factor} in grids"))
                if not chosen:
                    raise ValueError(f"in grids, {factor} has no value")

    @property
    def trains(self) -> bool:
        """Whether the study has trainings of its own, not only those of the studies that it includes."""
        return bool(self.factors or self.tests or self.pictures)

    @property
    def main_data(self) -> str:
        """Name of the data set that is trained on where a factor does not say another."""
        return self.train_on or next(reversed(self.data))


def label(value: Any) -> str:
    """Name of a value of a factor."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(factor: str, levels: Any) -> dict[str, Any]:
    """Values of a factor as label -> options; a plain list gives values of the option that the factor is called."""
    if isinstance(levels, Mapping):
        found = {label(name): options for name, options in levels.items()}
        bad = next((name for name, options in found.items() if not isinstance(options, Mapping)), None)
        if bad is not None:
            raise ValueError(f"value {bad!r} of factor '{factor}' must be a mapping of options, such as {{epochs: 50}}")
    elif isinstance(levels, list | tuple):
        found = {label(value): {factor: value} for value in levels}
        if len(found) < len(levels):
            raise ValueError(f"factor '{factor}' has a value twice")
    else:
        raise ValueError(  # noqa: TRY004 (pydantic makes a message of it)
            f"factor '{factor}' must be a list of values, or a mapping of names to options"
        )
    if not found:
        raise ValueError(f"factor '{factor}' is empty: give it at least one value, or take it out")
    return found
