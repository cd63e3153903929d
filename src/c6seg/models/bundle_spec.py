"""What ``bundle.yaml`` holds, and how it is read."""

from __future__ import annotations

import math
import re
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from c6seg.config import Config, PreprocessConfig, SizeHW
from c6seg.config_files import validate
from c6seg.errors import BundleError, ConfigError

FORMAT: Literal["c6seg-bundle/1"] = "c6seg-bundle/1"
SPEC_FILE = "bundle.yaml"
MAX_SPEC_BYTES = 1_000_000


class ScaleSpec(Config):
    """The scale at which the model was trained."""

    pixel_size_um: float | None = Field(None, gt=0, description="um per pixel of the training images; None = mixed")
    object_size_px: float | None = Field(None, gt=0, description="median equivalent diameter of the cells, px")
    whole_image: SizeHW = Field(
        None, description="WIDTHxHEIGHT to which whole images were scaled in training; native = they were not"
    )


class TrainingData(Config):
    """One source of training images."""

    name: str
    licence: str
    source: str = ""
    images: int | None = Field(None, ge=0)
    note: str = ""


class Calibration(Config):
    """How far the model's confluence is off, measured on images with truth.

    An error is asin(sqrt(predicted)) - asin(sqrt(true)): on this scale the variance of a counted fraction hardly
    depends on its size (Anscombe, Biometrika 35 (1948) 246), so that one number can serve sparse and dense fields. The
    errors of a segmentation follow that roughly; images of one cell line share a part of them.
    """

    confluence_sd_arcsine: float = Field(ge=0, le=math.pi, description="standard deviation of the error over images")
    confluence_bias_arcsine: float = Field(ge=-math.pi / 2, le=math.pi / 2, description="mean of the error over images")
    confluence_mae: float = Field(ge=0, le=1, description="mean of |predicted - true| over images")
    images: int = Field(ge=2, description="how many were compared")
    data: tuple[str, ...] = Field((), description="names of their data sets")
    note: str = Field("", description="what a reader must know of these images")


class Int8(Config):
    """How near the masks of the network in int8 come to those in f32, on the images that it was made with."""

    dice_mean: float = Field(ge=0, le=1, description="mean over the images of the Dice of the two masks")
    dice_worst: float = Field(ge=0, le=1, description="the least of them")
    images: int = Field(ge=1, description="how many were compared")
    data: tuple[str, ...] = Field((), description="names of their folders or files, with the folder above")


class Familiar(Config):
    """What the training images measure, to tell images that are unlike them; see ``inference/familiar.py``."""

    measures: tuple[str, ...] = Field(description="names of the measures")
    centre: tuple[float, ...] = Field(description="mean of each over the training images")
    whitening: tuple[tuple[float, ...], ...] = Field(
        description="matrix; times deviations from the centre gives uncorrelated ones of variance 1"
    )
    threshold: float = Field(gt=0, description="root mean square of these above which an image is unlike the training")
    images: int = Field(ge=2, description="how many were measured")
    data: tuple[str, ...] = Field((), description="names of their data sets")

    @model_validator(mode="after")
    def _fit(self) -> Familiar:
        sizes = {len(self.measures), len(self.centre), len(self.whitening), *(len(row) for row in self.whitening)}
        if len(sizes) != 1:
            raise ValueError("measures, centre and the rows and columns of whitening must be equal in number")
        return self


class BundleSpec(Config):
    """Everything in ``bundle.yaml``."""

    format: Literal["c6seg-bundle/1"] = FORMAT
    name: str
    version: str = "1.0.0"
    description: str = ""
    encoder: str
    licence: str
    created: str = ""
    preprocess: PreprocessConfig = PreprocessConfig()
    scale: ScaleSpec = ScaleSpec()
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which a pixel counts as cell")
    clusters: Literal["include", "exclude", "report"] = Field("include", description="policy for dense clusters")
    training_data: tuple[TrainingData, ...] = ()
    limits: tuple[str, ...] = Field((), description="what the model is known not to do well, one sentence each")
    scores: dict[str, dict[str, Any]] = Field(default_factory=dict, description="name: mean, lower, upper, n, ...")
    calibration: Calibration | None = Field(None, description="error of confluence; None = not measured")
    familiar: Familiar | None = Field(None, description="what its training images measure; None = not measured")
    int8: Int8 | None = Field(None, description="the network in int8 for OpenVINO; None = not in this bundle")
    provenance: dict[str, Any] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict, description="relative path: SHA-256")

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise ValueError("use letters, digits, '.', '_' and '-' only, as the name becomes a folder")
        return name

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, str]) -> dict[str, str]:
        for file in files:
            path = PurePosixPath(file)
            if path.is_absolute() or ".." in path.parts or "\\" in file or ":" in file or not path.parts:
                raise ValueError(f"{file!r} does not lie inside the bundle")
        return files


def read_spec(folder: Path) -> BundleSpec:
    """Read ``bundle.yaml`` of a folder.

    Raises
    ------
    BundleError
        It is missing, no YAML, too large, or has keys or values that are not allowed.
    """
    file = folder / SPEC_FILE
    try:
        if file.stat().st_size > MAX_SPEC_BYTES:
            raise BundleError(f"'{file}' is larger than {MAX_SPEC_BYTES} bytes: it is no c6seg bundle.")
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"'{folder}' is no c6seg bundle: {SPEC_FILE} is missing.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise BundleError(f"Cannot read '{file}': {(str(error).splitlines() or ['unreadable'])[0]}.") from error
    if not isinstance(values, dict):
        raise BundleError(f"'{file}' must be a mapping of keys to values.")
    if values.get("format") != FORMAT:
        given = values.get("format")
        raise BundleError(f"'{file}' has format {given!r}; this version of c6seg reads {FORMAT!r}. Update c6seg.")
    try:
        return validate(BundleSpec, values, where=f"'{file}'")
    except ConfigError as error:
        raise BundleError(str(error)) from error
