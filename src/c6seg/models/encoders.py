"""The paper's 16 encoders in one table (section 3). No torch here.

To add an encoder, add a row; ``tests/models/test_network.py`` then builds, trains and exports it.
"""

from __future__ import annotations

from dataclasses import dataclass

from c6seg.errors import ConfigError, did_you_mean

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_DPN = ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3)
_NVIDIA = "NVIDIA Source Code License (non-commercial)"

# Where the library's encoders keep their blocks.
_ALL = ("features",)
_DENSE = tuple(f"features.denseblock{n}" for n in (1, 2, 3, 4))
_MIT = tuple(f"block{n}" for n in (1, 2, 3, 4))
_RESNET = tuple(f"layer{n}" for n in (1, 2, 3, 4))
_TIMM_RESNET = tuple(f"model.layer{n}" for n in (1, 2, 3, 4))
_GERNET = tuple(f"model.stages_{n}" for n in range(5))
_REGNET = tuple(f"model.s{n}" for n in (1, 2, 3, 4))

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Encoder:
    """One row of the table.

    Parameters
    ----------
    name
        The paper's name.
    library_name
        Name in segmentation-models-pytorch; ``tu-`` means the universal timm encoder.
    weights
        Hugging Face repository of the ImageNet weights.
    licence
        Licence of these weights.
    mean, std
        Normalisation that the weights expect, for input in 0..1.
    min_batch
        Smallest batch that trains (batch norm over a single value has no variance).
    blocks
        Parts of the library's encoder that hold its blocks ("" = the encoder itself); where memory is short, each
        block is computed again for the gradient.
    """

    name: str
    library_name: str
    weights: str
    licence: str
    mean: Triple = _IMAGENET[0]
    std: Triple = _IMAGENET[1]
    min_batch: int = 1
    blocks: tuple[str, ...] = ()


ENCODERS: tuple[Encoder, ...] = (
    Encoder("DenseNet169", "densenet169", "smp-hub/densenet169.imagenet", "Apache-2.0", blocks=_DENSE),
    Encoder("DPN92", "dpn92", "smp-hub/dpn92.imagenet-5k", "Apache-2.0", *_DPN, blocks=_ALL),
    Encoder(
        "EfficientNet-b5", "efficientnet-b5", "smp-hub/efficientnet-b5.imagenet", "Apache-2.0", blocks=("_blocks",)
    ),
    Encoder("InceptionV4", "inceptionv4", "smp-hub/inceptionv4.imagenet", "Apache-2.0", *_HALF, blocks=_ALL),
    Encoder("MiT-B3", "mit_b3", "smp-hub/mit_b3.imagenet", _NVIDIA, blocks=_MIT),
    Encoder("MobileNetV2", "mobilenet_v2", "smp-hub/mobilenet_v2.imagenet", "Apache-2.0", blocks=_ALL),
    Encoder("ResNet50", "resnet50", "smp-hub/resnet50.imagenet", "Apache-2.0", blocks=_RESNET),
    Encoder("ResNeXt50_32x4d", "resnext50_32x4d", "smp-hub/resnext50_32x4d.imagenet", "Apache-2.0", blocks=_RESNET),
    Encoder("SE-ResNet50", "se_resnet50", "smp-hub/se_resnet50.imagenet", "Apache-2.0", blocks=_RESNET),
    Encoder(
        "SE-ResNeXt50_32x4d", "se_resnext50_32x4d", "smp-hub/se_resnext50_32x4d.imagenet", "Apache-2.0", blocks=_RESNET
    ),
    Encoder("GERNet-L", "tu-gernet_l", "timm/gernet_l.idstcv_in1k", "Apache-2.0", blocks=_GERNET),
    Encoder("RegNetX-064", "tu-regnetx_064", "timm/regnetx_064.pycls_in1k", "MIT", blocks=_REGNET),
    Encoder("Res2Net50_26w_4s", "tu-res2net50_26w_4s", "timm/res2net50_26w_4s.in1k", "unknown", blocks=_TIMM_RESNET),
    Encoder("ResNeSt50d", "tu-resnest50d", "timm/resnest50d.in1k", "Apache-2.0", min_batch=2, blocks=_TIMM_RESNET),
    Encoder("VGG19", "vgg19", "smp-hub/vgg19.imagenet", "BSD-3-Clause", blocks=_ALL),
    Encoder("Xception", "xception", "smp-hub/xception.imagenet", "Apache-2.0", *_HALF, blocks=("",)),
)


def find_encoder(name: str) -> Encoder:
    """Find an encoder by the paper's or the library's name, whatever the case.

    Raises
    ------
    ConfigError
        Unknown name; the nearest one is offered.
    """
    wanted = _key(name)
    for encoder in ENCODERS:
        if wanted in {_key(encoder.name), _key(encoder.library_name), _key(encoder.library_name.removeprefix("tu-"))}:
            return encoder
    raise ConfigError(did_you_mean(name, [encoder.name for encoder in ENCODERS], what="encoder"))


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
