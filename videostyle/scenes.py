"""Pictures to learn on where there are no photos: dead leaves with textures, made from random numbers alone.

Objects of all sizes that hide one another share the statistics of photos that matter here: edges at every scale, even
and rough parts side by side, spectra that fall as 1/f (Lee, Mumford and Huang 2001). Nets can learn to see from such
pictures (Baradad et al. 2021).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videostyle.frame import Image

LEAVES = 150
"""Objects that are laid on one another in a picture."""
SMALLEST, LARGEST = 0.025, 0.6
"""Radii of the objects, as shares of the side; their density falls as radius^-3: they are alike at all scales."""

Field = NDArray[np.float32]


def scene(side: int, seed: int) -> Image:
    """uint8 RGB (side, side, 3): the same for the same numbers on every machine."""
    draw = np.random.default_rng((seed, side))
    roughness = [_noise(side, draw.uniform(0.6, 1.6), draw) for _ in range(3)]
    light = _noise(side, 2.5, draw)
    key = draw.uniform(0.2, 0.7) + draw.normal(0, 0.06, 3)
    spread = draw.uniform(0.1, 0.35)
    picture = np.empty((side, side, 3), np.float32)
    picture[:] = key + 0.15 * light[..., None]
    low, high = SMALLEST**-2, LARGEST**-2
    radii = side / np.sqrt(high + (low - high) * draw.random(LEAVES))
    y, x = np.mgrid[:side, :side].astype(np.float32)
    for number, radius in enumerate(radii):
        center, turn, flat = draw.uniform(0, side, 2), draw.uniform(0, np.pi), draw.uniform(0.25, 1)
        reach = int(radius * 1.5) + 2
        top, left = (max(0, int(at) - reach) for at in center)
        part = np.s_[top : int(center[0]) + reach, left : int(center[1]) + reach]
        v, u = y[part] - center[0], x[part] - center[1]
        a, b = u * np.cos(turn) + v * np.sin(turn), (v * np.cos(turn) - u * np.sin(turn)) / flat
        power = (2.0, 2.0, 8.0)[number % 3]  # two thirds are ellipses, one third nearly rectangles
        inside = 1 - (np.abs(a / radius) ** power + np.abs(b / radius) ** power) ** (1 / power)
        soft = draw.choice([0.8, 0.8, 0.8, 4.0])  # one in four is out of focus
        cover = np.clip(inside * radius * flat / soft + 0.5, 0, 1)[..., None]
        grey, tint = draw.normal(0, spread), draw.normal(0, 0.4 * spread, 3)
        shade = draw.normal(0, 0.12) * a / radius + draw.exponential(0.05) * roughness[number % 3][part]
        picture[part] += cover * (key + grey + tint + shade[..., None] - picture[part])
    picture += draw.exponential(0.01) * draw.standard_normal((side, side, 1))
    return np.asarray((np.clip(picture, 0, 1) * 255).round(), np.uint8)


def _noise(side: int, slope: float, draw: np.random.Generator) -> Field:
    """Noise (side, side) whose spectrum falls as 1/f^slope, of mean 0 and variance 1."""
    across, down = np.fft.rfftfreq(side), np.fft.fftfreq(side)
    frequency = np.maximum(np.hypot(across, down[:, None]), 1 / side)
    spectrum = np.fft.rfft2(draw.standard_normal((side, side))) / frequency**slope
    spectrum[0, 0] = 0
    found = np.fft.irfft2(spectrum, (side, side))
    return np.asarray(found / found.std(), np.float32)
