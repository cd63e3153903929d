"""Build the network: U-Net with a pre-trained encoder and a bilinear decoder (paper, section 3)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from c6seg.config import NetworkConfig
from c6seg.errors import BundleError, MissingExtraError, WeightsNotFoundError
from c6seg.models.encoders import Encoder, find_encoder

try:
    import torch
    from torch import nn
except ImportError as error:  # pragma: no cover - the message is tested in a subprocess
    raise MissingExtraError("Training", "train") from error

Triple = tuple[float, float, float]

WEIGHTS_VARIABLE = "C6SEG_WEIGHTS"
"""Environment variable: a folder with ImageNet weights files."""


def build_network(config: NetworkConfig, *, seed: int | None = None) -> tuple[nn.Module, Triple, Triple]:
    """Build and initialise a network.

    Parameters
    ----------
    config
        Encoder and initialisation.
    seed
        Decides the weights that are drawn at random; None = torch's generator as it stands.

    Returns
    -------
    tuple[nn.Module, Triple, Triple]
        The network, (N, 3, H, W) normalised input to (N, 1, H, W) logits, H and W multiples of 32; and the mean and
        standard deviation that its initial weights expect of input in 0..1.

    Raises
    ------
    WeightsNotFoundError
        ImageNet weights are not on this machine; the message says where to put them.
    BundleError
        Weights that belong to another network.
    """
    encoder = find_encoder(config.encoder)
    if seed is not None:
        torch.manual_seed(seed)
    network = _unet(encoder)
    if config.init == "random":
        return network, encoder.mean, encoder.std
    if config.init == "imagenet":
        path = find_imagenet_weights(encoder, config.weights_dir)
        state, mean, std = read_weights(path)
        load_encoder(network, state, path)
        return network, mean or encoder.mean, std or encoder.std
    path = Path(config.init)
    if path.suffix != ".safetensors":
        return _from_bundle(network, encoder, config.init)
    if not path.is_file():
        raise WeightsNotFoundError(
            f"Weights file '{path}' does not exist. Give a .safetensors file or a bundle folder."
        )
    state, mean, std = read_weights(path)
    if any(key.startswith("decoder.") for key in state):
        load_network(network, state, path)
    else:
        load_encoder(network, state, path)
    return network, mean or encoder.mean, std or encoder.std


def _unet(encoder: Encoder) -> nn.Module:
    import segmentation_models_pytorch as smp

    from c6seg.models.attention import fuse_attention

    # Weights are loaded by this module: non-None encoder_weights would download while the network is built.
    network: nn.Module = smp.Unet(
        encoder.library_name, encoder_weights=None, decoder_interpolation="bilinear", in_channels=3, classes=1
    )
    for name in ("_conv_head", "_bn1"):
        # Of EfficientNet smp keeps the classifier's first layers without using them: several processes would wait for
        # their gradient.
        if hasattr(network.encoder, name):
            getattr(network.encoder, name).requires_grad_(False)
    fuse_attention(network)
    return network


def _from_bundle(network: nn.Module, encoder: Encoder, name: str) -> tuple[nn.Module, Triple, Triple]:
    from c6seg.models.bundle import open_bundle

    bundle = open_bundle(name)
    if find_encoder(bundle.spec.encoder) != encoder:
        raise BundleError(
            f"Bundle '{name}' has encoder {bundle.spec.encoder}, the training asks for {encoder.name}. "
            f"Pass --encoder {bundle.spec.encoder}."
        )
    path = bundle.path / "weights.safetensors"
    state, _, _ = read_weights(path)
    load_network(network, state, path)
    preprocess = bundle.spec.preprocess
    return network, preprocess.mean or encoder.mean, preprocess.std or encoder.std


def find_imagenet_weights(encoder: Encoder, weights_dir: str | None = None) -> Path:
    """Find ImageNet weights of an encoder on this machine; nothing is downloaded.

    Looked for, in this order: ``<library name>_imagenet.safetensors`` or ``<library name>.safetensors`` in
    ``weights_dir``, in the folder that the environment variable ``C6SEG_WEIGHTS`` names; the Hugging Face cache.

    Raises
    ------
    WeightsNotFoundError
        With every place that was tried.
    """
    stem = encoder.library_name.removeprefix("tu-")
    names = [f"{stem}_imagenet.safetensors", f"{stem}.safetensors"]
    folders = [Path(folder) for folder in (weights_dir, os.environ.get(WEIGHTS_VARIABLE)) if folder]
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(encoder.weights, "model.safetensors", revision=_revision(encoder))
    if isinstance(cached, str):
        return Path(cached)
    tried = ", ".join(f"'{folder}'" for folder in folders) or "no folder given"
    raise WeightsNotFoundError(
        f"No ImageNet weights of {encoder.name} on this machine (looked in: {tried}; the Hugging Face cache for "
        f"{encoder.weights}). Put '{names[0]}' in a folder and set {WEIGHTS_VARIABLE} or network.weights_dir to it, "
        "or train with --init random."
    )


def _revision(encoder: Encoder) -> str | None:
    from segmentation_models_pytorch.encoders import encoders

    if encoder.library_name.startswith("tu-"):
        return None
    for settings in encoders[encoder.library_name]["pretrained_settings"].values():
        if settings.get("repo_id") == encoder.weights:
            return str(settings["revision"])
    return None


def read_weights(path: Path) -> tuple[dict[str, torch.Tensor], Triple | None, Triple | None]:
    """Read a safetensors file: float32 tensors, and mean and std where its metadata say ``input_mean``/``input_std``.

    Raises
    ------
    BundleError
        The file is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: _as_float32(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise BundleError(f"'{path}' is no readable safetensors file: {error}") from error
    return state, _triple(metadata.get("input_mean")), _triple(metadata.get("input_std"))


def load_network(network: nn.Module, state: dict[str, torch.Tensor], source: Path) -> None:
    """Load a whole network; every tensor must be there.

    Raises
    ------
    BundleError
        Missing, unknown or misshapen tensors: the weights belong to another network.
    """
    # Batch counters are bookkeeping of training and are not stored in bundles.
    own = network.state_dict()
    state = {**{key: value for key, value in own.items() if key.endswith("num_batches_tracked")}, **state}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise BundleError(f"Weights in '{source}' belong to another network: {_second_line(error)}") from error


def load_encoder(network: nn.Module, state: dict[str, torch.Tensor], source: Path) -> None:
    """Load encoder weights; classifier tensors are ignored, every encoder tensor must be there.

    timm numbers the stages of a feature extractor ``stages_0`` where the checkpoint has ``stages.0``, so names are
    compared without regard to that.
    """
    encoder: Any = network.encoder
    own = encoder.state_dict()
    given = {_plain(key): value for key, value in state.items()}
    new, missing = {}, []
    for key, value in own.items():
        found = given.get(_plain(key))
        if found is not None and found.shape == value.shape:
            new[key] = found.to(value.dtype)
        elif key.endswith("num_batches_tracked"):
            new[key] = value
        else:
            missing.append(key)
    if missing:
        raise BundleError(
            f"Weights in '{source}' belong to another encoder: {len(missing)} of {len(own)} tensors are missing or "
            f"have another shape, first '{missing[0]}'."
        )
    encoder.load_state_dict(new)


def _plain(key: str) -> str:
    return key.removeprefix("model.").removeprefix("encoder.").replace(".", "_")


def _as_float32(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def _triple(text: str | None) -> Triple | None:
    if text is None:
        return None
    first, second, third = (float(part) for part in text.split(","))
    return first, second, third


def _second_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return (lines[1] if len(lines) > 1 else lines[0]).strip()
