"""From phase delay to a photograph: Zernike phase contrast, contaminants, uneven light, camera."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from c6seg.data.synthetic_style import SceneStyle

__all__ = ["Matter", "floating_cells", "phase_contrast", "photograph", "random_field", "smooth"]

Image = NDArray[np.float32]


class Matter(NamedTuple):
    """What the light passes: (Y, X) phase delay in radians; (Y, X) light that thick balls gather, background = 1."""

    phase_rad: Image
    lens: Image


def phase_contrast(
    phase_rad: Image, *, halo_px: float, ring_amplitude: float, defocus: float = 0.0, blur_px: float = 0.0
) -> Image:
    """Image of a phase object in a positive phase-contrast microscope, background = 1.

    The field behind the object, ``u = exp(i phi)``, is split at the phase ring: the part that passes the ring is
    attenuated to ``zeta`` and shifted by a quarter wave, the rest passes unchanged:

    ``I = |u + (-i zeta - 1) (h * u)|^2``

    ``h`` is the low pass of the ring: light that the object diffracts by small angles still hits the ring, which is
    what makes the halo outside an edge and the shade-off inside a wide object. Yin, Kanade and Chen (2012, eqs 6-12)
    take an obscured Airy pattern for ``h``; here its transfer function is ``1 / (1 + (2 pi s q)^2)``, close to the
    overlap of an annulus with itself shifted by the spatial frequency ``q``.

    Parameters
    ----------
    phase_rad
        (Y, X) phase delay in radians; the field repeats beyond the border.
    halo_px
        Length scale ``s`` of the halo in px.
    ring_amplitude
        Amplitude transmission ``zeta`` of the ring in 0..1; less makes more contrast.
    defocus
        Wavelength times distance over pixel area; the sign tells above from below.
    blur_px
        Standard deviation of the blur of the recorded intensity in px.

    Returns
    -------
    intensity
        (Y, X) float32, 1 where there is nothing.

    References
    ----------
    F. Zernike, Physica 9 (1942) 686. Z. Yin, T. Kanade, M. Chen, Medical Image Analysis 16 (2012) 1047.
    """
    height, width = phase_rad.shape
    q2 = (fft.fftfreq(height)[:, None] ** 2 + fft.fftfreq(width)[None, :] ** 2).astype(np.float32)
    low_pass = 1 / (1 + np.float32((2 * np.pi * halo_px) ** 2) * q2)
    transfer = 1 + np.complex64(-1j * ring_amplitude - 1) * low_pass
    if defocus:
        transfer *= np.exp(np.complex64(1j * np.pi * defocus) * q2)
    # the objective takes no detail finer than about two pixels
    transfer *= np.exp(-((q2 / np.float32(0.24)) ** 4))
    field = fft.ifft2(fft.fft2(np.exp(1j * phase_rad).astype(np.complex64)) * transfer)
    intensity = (field.real**2 + field.imag**2) / np.float32(ring_amplitude**2)
    return smooth(intensity, blur_px) if blur_px > 0.2 else np.asarray(intensity, dtype=np.float32)


def smooth(image: NDArray[np.floating], sigma_px: float) -> Image:
    """Blur with a Gaussian; wide ones at reduced size, because nobody sees the difference."""
    values = np.asarray(image, dtype=np.float32)
    step = int(sigma_px // 4)
    if step < 2:
        return np.asarray(ndimage.gaussian_filter(values, sigma_px, mode="reflect", truncate=3.0), dtype=np.float32)
    coarse = ndimage.uniform_filter(values, step)[::step, ::step]
    coarse = ndimage.gaussian_filter(coarse, sigma_px / step, mode="reflect", truncate=3.0)
    return enlarge(coarse, (values.shape[0], values.shape[1]))


def enlarge(coarse: Image, size_hw: tuple[int, int]) -> Image:
    """Stretch a coarse map bilinearly to a size."""
    rows = np.linspace(0, coarse.shape[0] - 1, size_hw[0], dtype=np.float32)
    columns = np.linspace(0, coarse.shape[1] - 1, size_hw[1], dtype=np.float32)
    low_y = np.minimum(rows.astype(np.intp), max(coarse.shape[0] - 2, 0))
    low_x = np.minimum(columns.astype(np.intp), max(coarse.shape[1] - 2, 0))
    part_y = (rows - low_y)[:, None]
    part_x = (columns - low_x)[None, :]
    next_y = np.minimum(low_y + 1, coarse.shape[0] - 1)
    next_x = np.minimum(low_x + 1, coarse.shape[1] - 1)
    tall = coarse[low_y] * (1 - part_y) + coarse[next_y] * part_y
    stretched: Image = (tall[:, low_x] * (1 - part_x) + tall[:, next_x] * part_x).astype(np.float32)
    return stretched


def random_field(size_hw: tuple[int, int], scale_px: float, rng: np.random.Generator) -> Image:
    """Smooth Gaussian random field of mean 0 and variance about 1 with a correlation length in px."""
    step = max(1.0, scale_px / 3)
    shape = (int(size_hw[0] / step) + 4, int(size_hw[1] / step) + 4)
    coarse = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), scale_px / step / 2, mode="wrap")
    coarse /= max(float(coarse.std()), 1e-6)
    return enlarge(coarse, size_hw) if step > 1 else coarse[: size_hw[0], : size_hw[1]]


def photograph(
    matter: Matter,
    mask: NDArray[np.bool_],
    style: SceneStyle,
    rng: np.random.Generator,
    *,
    moving: np.random.Generator | None = None,
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Photograph cells with everything that comes between a culture and a file.

    Parameters
    ----------
    matter
        Phase delay and lens effect of the adherent cells, each (Y, X).
    mask
        (Y, X) where they are; floating cells prefer the places where they are not.
    style
        The look.
    rng
        Source of chance for all that stays the same in a time-lapse: light, dust, walls, scratches.
    moving
        Source of chance for floating cells and noise; None takes ``rng``.

    Returns
    -------
    pixels
        (Y, X) uint8 or uint16.
    """
    size_hw = (mask.shape[0], mask.shape[1])
    moving = moving or rng
    optics = {"halo_px": style.halo_px, "ring_amplitude": style.ring_amplitude, "blur_px": style.blur_px}
    image = phase_contrast(matter.phase_rad + _debris(size_hw, style, rng), defocus=style.defocus, **optics)
    floating = floating_cells(size_hw, mask, style, moving)
    gathered = matter.lens
    if floating is not None:
        # a floating ball of three radians gathers light like a lens
        gathered = gathered + np.float32(style.lens / 9) * floating**2
        image *= phase_contrast(floating, defocus=style.defocus + 4 + 6 * moving.random(), **optics)
    image = np.float32(1) + np.float32(style.contrast) * (image - 1)
    image += np.float32(style.contrast) * smooth(gathered, 0.8)
    image += _wall(size_hw, style, rng)
    image += _dust_rings(size_hw, style, rng)
    if style.flatten > 0:
        image -= np.float32(style.flatten) * (smooth(image, style.flatten_px) - 1)
    image *= _light(size_hw, style, rng)
    noise = moving.standard_normal(size_hw, dtype=np.float32)
    image += np.float32(style.noise) * np.sqrt(np.maximum(image, 0.05)) * noise
    top = 255 if style.bits == 8 else 65535
    counts = np.clip(np.rint(image * (style.level * top)), 0, top)
    if style.bits == 8:
        return np.asarray(counts, dtype=np.uint8)
    return np.asarray(counts, dtype=np.uint16)


def _light(size_hw: tuple[int, int], style: SceneStyle, rng: np.random.Generator) -> Image:
    y = np.linspace(-1, 1, size_hw[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, size_hw[1], dtype=np.float32)[None, :]
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + style.gradient * 0.5 * (np.cos(angle) * x + np.sin(angle) * y)
    centre = rng.uniform(-0.3, 0.3, 2)
    light = light - style.vignetting * 0.5 * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2)
    light = light + style.background_texture * random_field(size_hw, 60, rng)
    light = light + style.background_texture * 0.5 * random_field(size_hw, 2.2, rng)
    if style.stripes > 0:
        tilt = rng.normal(0, 0.2)
        along = (x + tilt * y) * size_hw[1] / 2 if rng.random() < 0.7 else (y + tilt * x) * size_hw[0] / 2
        period = rng.uniform(8, 45)
        light = light + style.stripes * 0.5 * np.sin(2 * np.pi * along / period) * random_field(size_hw, 80, rng)
    return np.asarray(np.maximum(light, 0.2), dtype=np.float32)


def _stamp(target: Image, centre: tuple[float, float], radius: float, profile: str, height: float) -> None:
    """Add a disc to a map in place: ``sphere`` or ``gauss``."""
    reach = int(np.ceil(radius * (1 if profile == "sphere" else 2.5))) + 1
    y0, x0 = max(0, int(centre[0]) - reach), max(0, int(centre[1]) - reach)
    y1, x1 = min(target.shape[0], int(centre[0]) + reach + 1), min(target.shape[1], int(centre[1]) + reach + 1)
    if y0 >= y1 or x0 >= x1:
        return
    r2 = ((np.arange(y0, y1) - centre[0])[:, None] ** 2 + (np.arange(x0, x1) - centre[1])[None, :] ** 2) / radius**2
    shape = np.sqrt(np.clip(1 - r2, 0, None)) if profile == "sphere" else np.exp(-r2)
    target[y0:y1, x0:x1] += (height * shape).astype(np.float32)


def _debris(size_hw: tuple[int, int], style: SceneStyle, rng: np.random.Generator) -> Image:
    layer = np.zeros(size_hw, np.float32)
    area = size_hw[0] * size_hw[1] / 1e6
    for _ in range(rng.poisson(style.debris * area)):
        centre = (rng.uniform(0, size_hw[0]), rng.uniform(0, size_hw[1]))
        radius = 0.7 + rng.gamma(1.5, 0.6)
        height = rng.uniform(0.4, 2.2) * (1 if rng.random() < 0.85 else -1)
        for _ in range(int(rng.integers(1, 4))):
            shift = rng.normal(0, radius, 2)
            _stamp(layer, (centre[0] + shift[0], centre[1] + shift[1]), radius, "gauss", height)
    for _ in range(round(style.scratches)):
        _scratch(layer, rng)
    return layer


def _scratch(layer: Image, rng: np.random.Generator) -> None:
    height, width = layer.shape
    angle = rng.uniform(0, np.pi)
    start = np.array([rng.uniform(0, height), rng.uniform(0, width)])
    along = np.arange(0, rng.uniform(0.2, 1.0) * max(height, width), 0.7)
    bend = rng.normal(0, 3e-4)
    y = start[0] + along * np.sin(angle) + bend * along**2 * np.cos(angle)
    x = start[1] + along * np.cos(angle) - bend * along**2 * np.sin(angle)
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    line = np.zeros_like(layer)
    line[y[inside].astype(int), x[inside].astype(int)] = 1
    layer += np.float32(rng.uniform(-1.5, 1.5)) * ndimage.gaussian_filter(line, rng.uniform(0.6, 1.5))


def floating_cells(
    size_hw: tuple[int, int], mask: NDArray[np.bool_], style: SceneStyle, rng: np.random.Generator
) -> Image | None:
    """Phase delay (Y, X) in radians of bright balls above the layer, alone or in small clumps; None where none came.

    ``style.floaters`` counts them per megapixel; most keep off ``mask``, the places of adherent cells.
    """
    count = rng.poisson(style.floaters * size_hw[0] * size_hw[1] / 1e6)
    if count == 0:
        return None
    layer = np.zeros(size_hw, np.float32)
    base = float(np.clip(style.diameter_px * 0.22, 4, 11))
    for _ in range(count):
        centre = rng.uniform(0, 1, 2) * size_hw
        if mask[int(centre[0]), int(centre[1])] and rng.random() < 0.8:
            continue
        for _ in range(1 if rng.random() < 0.75 else int(rng.integers(2, 7))):
            radius = base * rng.uniform(0.6, 1.3)
            _stamp(layer, (float(centre[0]), float(centre[1])), radius, "sphere", rng.uniform(2.2, 3.6))
            centre = centre + rng.normal(0, radius * 1.3, 2)
    return layer


def _dust_rings(size_hw: tuple[int, int], style: SceneStyle, rng: np.random.Generator) -> Image:
    layer = np.zeros(size_hw, np.float32)
    for _ in range(rng.poisson(style.dust_rings * size_hw[0] * size_hw[1] / 1e6)):
        centre = (rng.uniform(0, size_hw[0]), rng.uniform(0, size_hw[1]))
        radius = rng.uniform(8, 45)
        strength = rng.uniform(-0.12, 0.12) * style.contrast * 2
        _stamp(layer, centre, radius, "gauss", strength)
        _stamp(layer, centre, radius * rng.uniform(0.55, 0.85), "gauss", -strength * rng.uniform(0.8, 1.4))
    return layer


def _wall(size_hw: tuple[int, int], style: SceneStyle, rng: np.random.Generator) -> Image:
    """Edge of a channel: out-of-focus bright and dark bands near one side, slightly curved."""
    if style.wall <= 0:
        return np.zeros((1, 1), np.float32)
    y = np.arange(size_hw[0], dtype=np.float32)[:, None]
    x = np.arange(size_hw[1], dtype=np.float32)[None, :]
    if rng.random() < 0.5:
        across, along, extent = x, y, size_hw[1]
    else:
        across, along, extent = y, x, size_hw[0]
    if rng.random() < 0.5:
        across = extent - 1 - across
    length = float(along.max()) or 1.0
    position = extent * rng.uniform(0.01, 0.09) * (1 + rng.uniform(-1, 1) * (along / length) ** 2)
    distance = across - position
    band = np.zeros(np.broadcast_shapes(y.shape, x.shape), np.float32)
    for _ in range(int(rng.integers(2, 5))):
        width = rng.uniform(2, 12)
        band += rng.uniform(-0.6, 0.8) * np.exp(-(((distance - rng.uniform(-15, 15)) / width) ** 2))
    step = rng.uniform(-0.5, 0.3) / (1 + np.exp(np.clip(distance / 4, -30, 30)))
    return (style.wall * (band + step)).astype(np.float32)
