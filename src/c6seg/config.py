"""Every option in one place: frozen models with units, defaults and strict keys.

Sizes are written ``704x512`` (width x height) by people and are ``size_hw`` (height, width) inside; the conversion is
:func:`parse_size` and happens here only.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from c6seg.errors import ConfigError, did_you_mean

ENGINES: dict[str, tuple[str, ...]] = {
    "openvino": ("cpu", "gpu"),
    "onnxruntime": ("cpu", "cuda", "tensorrt", "directml", "coreml"),
    "torch": ("cpu", "cuda"),
}
"""What can run a network, and on which devices."""


def parse_size(text: str | tuple[int, int] | list[int] | None) -> tuple[int, int] | None:
    """Read a size as people write it.

    Parameters
    ----------
    text
        ``"704x512"`` (WIDTHxHEIGHT), ``"native"`` or None, or an already parsed ``(height, width)``.

    Returns
    -------
    tuple[int, int] | None
        ``size_hw`` in pixels, or None for ``native``.

    Raises
    ------
    ConfigError
        If the text is no size.

    Examples
    --------
    >>> parse_size("704x512")
    (512, 704)
    >>> parse_size("native") is None
    True
    """
    if text is None or isinstance(text, tuple | list):
        return None if text is None else (int(text[0]), int(text[1]))
    if text.strip().lower() == "native":
        return None
    match = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*", text)
    if not match or "0" in {match[1], match[2]}:
        raise ConfigError(f"{text!r} is not a size. Write WIDTHxHEIGHT in pixels, such as 704x512, or 'native'.")
    return int(match[2]), int(match[1])


def format_size(size_hw: tuple[int, int] | None) -> str:
    """Write a size as people read it: ``(512, 704)`` becomes ``"704x512"``, None becomes ``"native"``."""
    return "native" if size_hw is None else f"{size_hw[1]}x{size_hw[0]}"


SizeHW = Annotated[tuple[int, int] | None, BeforeValidator(parse_size), PlainSerializer(format_size, return_type=str)]


def parse_engine(text: str) -> tuple[str, str | None]:
    """Read ``NAME`` or ``NAME:DEVICE`` of an engine; the device is None where it is left to the engine.

    Raises
    ------
    ConfigError
        No such engine, or not on that device; the nearest name is given.

    Examples
    --------
    >>> parse_engine("torch:cpu")
    ('torch', 'cpu')
    >>> parse_engine("auto")
    ('auto', None)
    """
    name, colon, device = text.strip().lower().partition(":")
    if name == "auto" and not colon:
        return name, None
    if name not in ENGINES:
        raise ConfigError(did_you_mean(name, ["auto", *ENGINES], what="engine"))
    if colon and device not in ENGINES[name]:
        raise ConfigError(did_you_mean(device, ENGINES[name], what=f"device of the engine {name}"))
    return name, device or None


def _engine(text: str) -> str:
    name, device = parse_engine(text)
    return name if device is None else f"{name}:{device}"


class Config(BaseModel):
    """A frozen group of options that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class PreprocessConfig(Config):
    """From pixels to network input (paper, section 3: three channels, contrast raised before every pass)."""

    channels: Literal["grey", "rgb"] = Field("grey", description="grey: one channel copied to three; rgb: kept")
    contrast_percentiles: tuple[float, float] = Field(
        (0.5, 99.5), description="percentiles of the whole image that are stretched to 0 and 1"
    )
    mean: tuple[float, float, float] | None = Field(
        None,
        description="subtracted per channel after the stretch; None = what the encoder's weights were trained with",
    )
    std: tuple[float, float, float] | None = Field(None, description="divided by per channel; None = likewise")
    multiple: int = Field(32, ge=1, description="height and width are padded to a multiple of this, px")


ChainOperation = Literal[
    "brightness", "contrast", "gamma", "sharpen", "blur", "noise", "shading", "rotate", "shear", "stretch"
]
"""A change that a chain may draw."""


class AugmentConfig(Config):
    """Random changes of a training example. Ranges are inclusive; a range of equal ends switches a change off."""

    scale: tuple[float, float] = Field((1.0, 1.0), description="magnification of the objects, drawn log-uniformly")
    fragment: (
        tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] | Literal["auto"] | None
    ) = Field(
        None,
        description="random fragments whose side is a fraction of the image's side, drawn evenly from this range, "
        "brought to input_size whatever fit and scale say (paper, Fig. 5); auto = so that objects get object_px",
    )
    fragment_spread: float = Field(
        0.53, ge=0, lt=1, description="half width of the range that fragment = auto takes, as a part of its middle"
    )
    object_px: float | None = Field(
        None, gt=0, description="diameter that objects shall have at the network's input where fragment is auto, px"
    )
    flips: bool = True
    quarter_turns: bool = True
    brightness: float = Field(0.0, ge=0, le=1, description="largest shift, as a fraction of the full range")
    contrast: float = Field(0.0, ge=0, lt=1, description="largest relative change")
    gamma: float = Field(0.0, ge=0, lt=1, description="largest relative change of the exponent")
    sharpness: float = Field(0.0, ge=0, description="largest amount of unsharp masking")
    blur_px: float = Field(0.0, ge=0, description="largest standard deviation of a Gaussian blur, px")
    noise: float = Field(0.0, ge=0, le=1, description="largest standard deviation of added noise, fraction of range")
    shading: float = Field(0.0, ge=0, le=1, description="largest amplitude of a smooth illumination field")
    invert: float = Field(0.0, ge=0, le=1, description="probability of inverted grey values")
    chain: int = Field(
        0, ge=0, le=8, description="changes drawn one after the other for each example, after those above (RandAugment)"
    )
    chain_of: tuple[ChainOperation, ...] = Field(
        get_args(ChainOperation), min_length=1, description="what the chain draws from, each as likely, with repetition"
    )
    magnitude: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = Field(
        (0.1, 0.9), description="strength of each change of the chain, drawn evenly; 1 = the strongest that is sensible"
    )

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name in ("scale", "fragment", "magnitude"):
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} = [{value[0]:g}, {value[1]:g}] is no range: write the smaller number first")
        return self


class NetworkConfig(Config):
    """Which network: U-Net with bilinear up-sampling (paper, section 3)."""

    encoder: str = Field("MobileNetV2", description="one of the paper's 16 encoders")
    init: str = Field("imagenet", description="random, imagenet, a bundle, or a weights file (.safetensors)")
    weights_dir: str | None = Field(None, description="folder with ImageNet weights files; else the usual places")


class DataSource(Config):
    """What the model card says of one training data set; matched to a data set by the name of its folder."""

    name: str
    licence: str = "unspecified"
    source: str = ""
    note: str = ""


class TrainConfig(Config):
    """A training: recipe, in the paper's terms."""

    network: NetworkConfig = NetworkConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    augment: AugmentConfig = AugmentConfig()
    input_size: SizeHW = Field((512, 512), description="WIDTHxHEIGHT of the network input; native = whole image")
    fit: Literal["crop", "resize"] = Field(
        "crop", description="crop: random fragments at the original scale; resize: the whole image scaled (section 4)"
    )
    epochs: int = Field(100, ge=1)
    crops_per_image: int = Field(1, ge=1, description="fragments drawn from each image in each epoch")
    extra_per_epoch: int = Field(
        0, ge=0, description="images drawn per epoch from the additional data sets; 0 = all of them"
    )
    batch: int | Literal["auto"] = Field(4, description="images per step and process; auto = as large as fits")
    accumulate: int = Field(
        1, ge=1, description="batches whose gradients are put together before a step: as one batch so many times larger"
    )
    checkpointing: bool | Literal["auto"] = Field(
        "auto",
        description="compute activations again for the gradient rather than keep them: far less memory, a third more "
        "time, the same result; auto = where they would not fit",
    )
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["fixed", "cosine"] = "cosine"
    warmup_epochs: float = Field(0.0, ge=0)
    loss: Literal["bce", "dice", "bce+dice"] = "bce+dice"
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the moving average of the weights per step; 0 = none")
    early_stopping: int = Field(0, ge=0, description="epochs without a better validation loss before stopping; 0 = no")
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    checkpoint_steps: int = Field(0, ge=0, description="steps between checkpoints within an epoch; 0 = each epoch")
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    tune_threshold: bool = True
    name: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$",
        description="name of the bundle (letters, digits, '.', '_', '-'); empty = the run folder's name",
    )
    licence: str = Field("unspecified", description="licence of the bundle")
    limits: tuple[str, ...] = Field((), description="what the model is known not to do well, for its card")
    data_sources: tuple[DataSource, ...] = Field((), description="licences and sources of the training data")
    description: str = Field("", description="what the bundle is for, in a sentence or two")
    seed: int = 0


class SegmentConfig(Config):
    """How images are segmented."""

    pixel_size_um: float | None = Field(None, gt=0, description="um per pixel; overrides what the file says")
    scale: Literal["auto", "pixel-size", "native"] = Field(
        "auto",
        description="how images come to the scale of the model: by pixel size, else by an estimate from the image "
        "(auto); by pixel size alone; or never (native)",
    )
    fast: bool = Field(False, description="the network sees no more pixels than 704x512 has, the paper's least size")
    flips: bool = Field(
        False, description="mean of the probabilities over four flips of the image, in four times the time"
    )
    clusters: Literal["include", "exclude", "report"] = Field(
        "include",
        description="dense clusters of dead or detached cells: part of the mask, left out of it, or apart from it",
    )
    cluster_model: str | None = Field(
        None, description="bundle of another pre-training, which marks what this one leaves out or the reverse"
    )
    ensemble: tuple[str, ...] = Field(
        (), description="further bundles: the mean of the probabilities of all, each at its own scale"
    )
    objects: bool = Field(False, description="part touching cells and count them: an estimate")
    threshold: float | None = Field(None, ge=0, le=1, description="None = the bundle's")
    engine: Annotated[str, AfterValidator(_engine)] = Field(
        "auto", description="auto, openvino, onnxruntime or torch; NAME:DEVICE, such as openvino:gpu, picks the device"
    )
    precision: Literal["auto", "bf16", "f32", "int8"] = "auto"
    memory_mb: int | None = Field(
        None,
        ge=64,
        description="budget for one image in the network, MB; larger ones are tiled. None: 900, and up to a quarter of "
        "the free memory where tiles would cost more than half of the work again",
    )
    max_pixels: int = Field(400_000_000, ge=1, description="images above this are refused before decoding")
    overlays: bool = True


class GrowthConfig(Config):
    """How images become series, and how growth curves are fitted."""

    interval_h: float | None = Field(None, gt=0, description="hours between frames where the files carry no time")
    pattern: str | None = Field(
        None, description="what file names mean: {line}_{well}_{field}_{time}h, or a regular expression"
    )
    exclude_flags: tuple[str, ...] = Field(
        ("no_contrast", "out_of_focus", "overexposed"),
        description="quality flags of images that stay in the tables, but count for nothing",
    )
    confidence: float = Field(0.95, gt=0, lt=1)
    bootstrap: int = Field(1000, ge=100, description="resamples for the intervals")
    saturation: float = Field(0.85, gt=0, le=1, description="confluence above which growth is not exponential")
    mask_error: float = Field(
        0.01, ge=0, le=0.2, description="standard deviation of a constant confluence error of model-made masks"
    )
    min_times: int = Field(4, ge=3, description="distinct usable times below which no rate is given")
    fastest_doubling_h: float = Field(
        6.0,
        ge=0,
        description="doubling times below this are no cell division; mouse embryonic stem cells take 8 to 10 h",
    )
    seed: int = 0
