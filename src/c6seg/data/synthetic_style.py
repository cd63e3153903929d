"""What a simulated culture looks like: one frozen record of numbers, and the ranges they are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from c6seg.errors import UsageError, did_you_mean

__all__ = ["FAMILIES", "OPTICS", "SceneStyle", "check_size"]

Ranges = dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneStyle:
    """All that decides the look of a simulated picture.

    Parameters
    ----------
    family, optics
        Names of the rows of :data:`FAMILIES` and :data:`OPTICS` that the style was drawn from; informative only.
    diameter_px, diameter_spread
        Median equivalent diameter of a cell in px; sigma of its log-normal distribution.
    region_fraction, region_px
        Share of the field that is settled (0 empty, 1 everywhere); correlation length of the settled regions in px.
    packing
        Cell area over territory in the settled regions: 0.4 loose, 1 touching, 1.4 crowded and confluent.
    scatter
        Single cells outside the settled regions, as a share of the number that would fill the field.
    corners, concavity, irregularity
        Mean number of corners (below 3: smooth outlines), inward bend of the edges between them (0..0.6), roughness.
    elongation, alignment
        Mean axis ratio (1 = isotropic); 0 = random directions, 1 = neighbours point the same way.
    processes, process_length, process_width_px
        Mean number of thin processes of a cell, their length in diameters, their width in px at the base.
    rounded, rounded_rad, lens
        Share of rounded-up (mitotic) cells, which belong to the mask; their phase delay in radians; brightness that
        they and floating cells gather as lenses, relative to the background.
    skirt_px
        Outermost seam of a cell, in px, that is too thin to see. People outline cells 1 to 3 px outside the steepest
        edge; with the seam, simulated masks do the same.
    phase_rad, dome, edge_fraction
        Phase delay of the cell body in radians; 0 = flat lamella, 1 = sphere; rise of the thickness at the edge, in
        radii.
    nucleus_rad, nucleolus_rad, granule_rad, granule_density, texture_rad, ruffle_rad
        Phase of nucleus, nucleoli, granules (and granules per px), organelle texture, and of the ridge at the edge.
    halo_px, ring_amplitude, defocus, blur_px, flatten_px, flatten
        Length scale of the halo; amplitude transmission of the phase ring; defocus as wavelength x distance /
        pixel area; blur of optics and camera; scale and strength of the background flattening that some instruments
        do (0 = none).
    floaters, debris, dust_rings, scratches, wall
        Bright floating cells, small specks, out-of-focus rings per megapixel; number of scratches; strength of a
        channel wall at one side (0 = none). None of them belongs to the mask.
    gradient, vignetting, stripes, background_texture
        Relative strength of uneven light.
    contrast, level, noise, bits
        Contrast gain; grey level of the background in 0..1 of the range; noise relative to the background; 8 or 16.
    pixel_size_um
        Edge of a pixel in um.
    """

    family: str = "spread"
    optics: str = "microscope"
    diameter_px: float = 40.0
    diameter_spread: float = 0.18
    region_fraction: float = 0.5
    region_px: float = 90.0
    packing: float = 0.75
    scatter: float = 0.03
    corners: float = 4.5
    concavity: float = 0.2
    irregularity: float = 0.08
    elongation: float = 1.5
    alignment: float = 0.5
    processes: float = 0.4
    process_length: float = 0.5
    process_width_px: float = 2.0
    rounded: float = 0.02
    rounded_rad: float = 3.0
    lens: float = 2.0
    skirt_px: float = 1.5
    phase_rad: float = 0.45
    dome: float = 0.25
    edge_fraction: float = 0.2
    nucleus_rad: float = 0.25
    nucleolus_rad: float = 0.5
    granule_rad: float = 0.5
    granule_density: float = 0.015
    texture_rad: float = 0.08
    ruffle_rad: float = 0.1
    halo_px: float = 8.0
    ring_amplitude: float = 0.5
    defocus: float = 1.0
    blur_px: float = 0.8
    flatten_px: float = 25.0
    flatten: float = 0.0
    floaters: float = 15.0
    debris: float = 150.0
    dust_rings: float = 4.0
    scratches: float = 0.0
    wall: float = 0.0
    gradient: float = 0.05
    vignetting: float = 0.08
    stripes: float = 0.0
    background_texture: float = 0.01
    contrast: float = 0.35
    level: float = 0.4
    noise: float = 0.01
    bits: int = 8
    pixel_size_um: float = 0.87

    @staticmethod
    def random(rng: np.random.Generator, family: str | None = None, optics: str | None = None) -> SceneStyle:
        """Draw a style.

        Parameters
        ----------
        rng
            Source of chance; the style is a function of its state.
        family, optics
            Row of :data:`FAMILIES` and of :data:`OPTICS`; None draws one.

        Raises
        ------
        UsageError
            The family or the optics is not in the table.
        """
        family = _row(rng, family, FAMILIES, _FAMILY_WEIGHTS, "cell family")
        optics = _row(rng, optics, OPTICS, _OPTICS_WEIGHTS, "optics")
        ranges = _COMMON | OPTICS[optics] | FAMILIES[family]
        values: dict[str, Any] = {name: float(rng.uniform(low, high)) for name, (low, high) in ranges.items()}
        values["bits"] = 16 if rng.random() < 0.3 else 8
        # walls, scratches and strong stripes are the exception
        for name, chance in (("wall", 0.12), ("scratches", 0.15), ("stripes", 0.4), ("floaters", 0.5)):
            if rng.random() > chance:
                values[name] = 0.0
        return SceneStyle(family=family, optics=optics, **values)

    def with_(self, **changes: Any) -> SceneStyle:
        """Return the style with some numbers changed.

        Raises
        ------
        UsageError
            A name that is no field.
        """
        allowed = {field.name for field in fields(SceneStyle)}
        for name in changes:
            if name not in allowed:
                raise UsageError(did_you_mean(name, allowed, what="style field"))
        return replace(self, **changes)


_COMMON: Ranges = {
    "diameter_spread": (0.1, 0.35),
    "region_px": (40, 200),
    "scatter": (0, 0.06),
    "rounded": (0, 0.06),
    "process_width_px": (1.0, 2.6),
    "debris": (20, 500),
    "floaters": (3, 40),
    "dust_rings": (0, 8),
    "scratches": (1, 3),
    "wall": (0.4, 1.0),
    "gradient": (0, 0.12),
    "vignetting": (0, 0.12),
    "pixel_size_um": (0.6, 1.6),
}

# One row per kind of cell. Ranges are uniform; what a row leaves out comes from _COMMON and OPTICS.
FAMILIES: dict[str, Ranges] = {
    # fibroblast-like and glioma cells: flat, cornered, concave edges
    "spread": {
        "diameter_px": (28, 75), "region_fraction": (0.2, 0.9), "packing": (0.45, 1.1), "corners": (3.2, 6),
        "concavity": (0.1, 0.42), "irregularity": (0.03, 0.15), "elongation": (1.2, 2.4), "alignment": (0, 1),
        "processes": (0, 1.2), "process_length": (0.3, 1.1), "phase_rad": (0.25, 1.1), "dome": (0.05, 0.4),
        "edge_fraction": (0.05, 0.35), "nucleus_rad": (0.05, 0.35), "nucleolus_rad": (0.2, 0.8),
        "granule_rad": (0.2, 0.9), "granule_density": (0.004, 0.03), "texture_rad": (0.03, 0.15),
        "ruffle_rad": (0, 0.3),
    },
    # full layers of the same cells
    "confluent": {
        "diameter_px": (22, 65), "region_fraction": (0.9, 1.0), "packing": (1.0, 1.6), "corners": (3, 6),
        "concavity": (0.0, 0.3), "irregularity": (0.03, 0.15), "elongation": (1.2, 2.6), "alignment": (0, 1),
        "processes": (0, 0.8), "process_length": (0.2, 0.7), "phase_rad": (0.25, 0.9), "dome": (0.05, 0.5),
        "edge_fraction": (0.08, 0.35), "nucleus_rad": (0.05, 0.4), "nucleolus_rad": (0.2, 0.8),
        "granule_rad": (0.2, 0.9), "granule_density": (0.004, 0.035), "texture_rad": (0.03, 0.18),
        "ruffle_rad": (0, 0.3),
    },
    # epithelial islands, cobblestone
    "islands": {
        "diameter_px": (16, 38), "region_fraction": (0.15, 0.95), "packing": (1.05, 1.8), "scatter": (0.005, 0.05),
        "corners": (3.5, 6.5), "concavity": (0, 0.1), "irregularity": (0.03, 0.1), "elongation": (1, 1.35),
        "alignment": (0, 0.4), "processes": (0, 0.1), "process_length": (0.2, 0.4), "phase_rad": (0.3, 1.0),
        "dome": (0.1, 0.7), "edge_fraction": (0.1, 0.4), "nucleus_rad": (0, 0.25), "nucleolus_rad": (0.1, 0.8),
        "granule_rad": (0.3, 1.3), "granule_density": (0.01, 0.06), "texture_rad": (0.05, 0.25),
        "ruffle_rad": (0.05, 0.4),
    },
    # small round cells, loosely attached, in groups
    "round": {
        "diameter_px": (11, 26), "region_fraction": (0.1, 0.8), "packing": (0.5, 1.1), "scatter": (0.01, 0.1),
        "corners": (0, 0), "concavity": (0, 0.05), "irregularity": (0.01, 0.06), "elongation": (1, 1.2),
        "alignment": (0, 0.3), "processes": (0, 0.05), "process_length": (0.2, 0.5), "phase_rad": (0.6, 2.4),
        "dome": (0.6, 1.0), "edge_fraction": (0.2, 0.5), "nucleus_rad": (0, 0.3), "nucleolus_rad": (0.1, 0.6),
        "granule_rad": (0.3, 1.4), "granule_density": (0.01, 0.06), "texture_rad": (0.1, 0.5),
        "ruffle_rad": (0, 0.3),
    },
    # mixtures of round and half-spread cells
    "plump": {
        "diameter_px": (18, 38), "diameter_spread": (0.15, 0.38), "region_fraction": (0.25, 0.95),
        "packing": (0.55, 1.1), "corners": (1, 5), "concavity": (0, 0.12), "irregularity": (0.02, 0.1),
        "elongation": (1, 1.5), "alignment": (0, 0.4), "processes": (0, 0.2), "process_length": (0.3, 0.8),
        "rounded": (0.05, 0.4), "phase_rad": (0.4, 1.3), "dome": (0.2, 0.8), "edge_fraction": (0.15, 0.4),
        "nucleus_rad": (0, 0.3), "nucleolus_rad": (0.1, 0.7), "granule_rad": (0.2, 0.9),
        "granule_density": (0.005, 0.04), "texture_rad": (0.05, 0.3),
        "ruffle_rad": (0, 0.3),
    },
    # neuronal and spindle cells with long thin processes
    "spindle": {
        "diameter_px": (15, 45), "region_fraction": (0.15, 0.95), "packing": (0.5, 1.15), "corners": (2.5, 5),
        "concavity": (0.2, 0.5), "irregularity": (0.02, 0.1), "elongation": (1.8, 4.5), "alignment": (0.2, 1),
        "processes": (0.5, 2.5), "process_length": (0.6, 2.2), "phase_rad": (0.4, 1.5), "dome": (0.2, 0.7),
        "edge_fraction": (0.08, 0.4), "nucleus_rad": (0, 0.3), "nucleolus_rad": (0.1, 0.6),
        "granule_rad": (0.2, 0.8), "granule_density": (0.003, 0.03), "texture_rad": (0.03, 0.2),
        "ruffle_rad": (0, 0.3),
    },
    # large thin cells whose edge is hardly visible
    "large": {
        "diameter_px": (45, 90), "diameter_spread": (0.2, 0.5), "region_fraction": (0.1, 0.95), "packing": (0.4, 1.2),
        "corners": (0, 5), "concavity": (0, 0.2), "irregularity": (0.05, 0.18), "elongation": (1, 1.8),
        "alignment": (0, 0.8), "processes": (0, 0.6), "process_length": (0.3, 1.0), "phase_rad": (0.12, 0.4),
        "dome": (0, 0.2), "edge_fraction": (0.03, 0.15), "nucleus_rad": (0.1, 0.6), "nucleolus_rad": (0.3, 0.9),
        "granule_rad": (0.3, 1.2), "granule_density": (0.004, 0.03), "texture_rad": (0.03, 0.15),
        "ruffle_rad": (0.1, 0.5),
    },
    # debris and noise only
    "empty": {"diameter_px": (20, 60), "region_fraction": (0, 0), "scatter": (0, 0)},
}  # fmt: skip
_FAMILY_WEIGHTS = {
    "spread": 0.2, "confluent": 0.16, "islands": 0.18, "round": 0.11, "plump": 0.12, "spindle": 0.11, "large": 0.09,
    "empty": 0.03,
}  # fmt: skip

OPTICS: dict[str, Ranges] = {
    # incubator imager: short halo, background flattened by software, weak contrast of the body
    "imager": {
        "halo_px": (0.7, 2.6), "ring_amplitude": (0.5, 1.0), "defocus": (-2.5, 3), "blur_px": (0.0, 0.45),
        "flatten_px": (2, 8), "flatten": (0.75, 1.0), "stripes": (0.001, 0.008), "background_texture": (0.0005, 0.005),
        "contrast": (0.15, 0.5), "level": (0.46, 0.53), "noise": (0.001, 0.009), "gradient": (0, 0.03),
        "vignetting": (0, 0.03), "rounded_rad": (0.8, 2.2), "lens": (0, 1.2),
        "skirt_px": (0.5, 2.2), "floaters": (2, 25),
    },
    # inverted microscope with a camera: wide halo, uneven light
    "microscope": {
        "halo_px": (2.2, 9), "ring_amplitude": (0.4, 0.9), "defocus": (-4, 5), "blur_px": (0.6, 1.6),
        "flatten_px": (20, 60), "flatten": (0, 0.5), "stripes": (0.002, 0.012), "background_texture": (0.001, 0.012),
        "contrast": (0.15, 0.6), "level": (0.2, 0.5), "noise": (0.001, 0.014), "rounded_rad": (1.6, 3.4),
        "lens": (0.3, 3), "skirt_px": (1.0, 3.5),
    },
}  # fmt: skip
_OPTICS_WEIGHTS = {"imager": 0.6, "microscope": 0.4}


def _row(
    rng: np.random.Generator, name: str | None, table: dict[str, Ranges], weights: dict[str, float], what: str
) -> str:
    if name is None:
        share = np.array([weights[key] for key in table])
        return str(rng.choice(list(table), p=share / share.sum()))
    if name not in table:
        raise UsageError(did_you_mean(name, table, what=what))
    return name


def check_size(size_hw: tuple[int, int]) -> None:
    """Refuse a field that is too small to hold a cell."""
    if len(size_hw) != 2 or min(size_hw) < 32:
        raise UsageError(f"size_hw is {tuple(size_hw)}; height and width of a simulated picture are at least 32 px.")
