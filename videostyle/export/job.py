"""What the formats of ``videostyle.export`` share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from videostyle.styles import StyleBank

Contract = dict[str, str]
"""What goes in and out of an exported file, for people: by its name, type, shape and range."""

BYTES: Contract = {"images": "uint8 (N, H, W, 3), RGB", "painted": "uint8 (N, H, W, 3), RGB"}
FLOATS: Contract = {
    "images": "float32 (1, 3, H, W), RGB in 0..1, planes one after the other",
    "painted": "float32 (1, 3, H, W), RGB in 0..1, planes one after the other",
}


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """vector: float32 (P,) to bake in, or None where styles are an input. size: (W, H), or None for any."""

    bank: StyleBank
    precision: str
    vector: NDArray[np.float32] | None
    size: tuple[int, int] | None

    @property
    def fixed_size(self) -> tuple[int, int]:
        assert self.size is not None, "formats of fixed size are given one"
        return self.size


class Painter(Protocol):
    """An exported file, run by its own runtime."""

    def __call__(self, images: NDArray[np.uint8], vector: NDArray[np.float32] | None) -> NDArray[np.uint8]:
        """images: (1, H, W, 3). vector: (P,), None where one is baked in. Returns (1, H, W, 3)."""
        ...


def to_planes(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W) in 0..1."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def from_planes(planes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The inverse of ``to_planes``, rounded."""
    rounded = np.rint(planes.clip(0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(rounded.transpose(0, 2, 3, 1))
