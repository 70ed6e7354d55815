"""How a picture is painted by optimisation; no torch here, so that the command line knows its options at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videostyle.errors import UsageError

OPTIMIZERS = ("lbfgs", "adam")
STARTS = ("content", "noise", "bank")
PRECISIONS = ("auto", "fp32", "bf16")
_LAYER = re.compile(r"relu[1-5]_[1-4]")
_NUMBER = re.compile(r"\d*\.?\d+")


@dataclass(frozen=True, slots=True)
class PaintOptions:
    """How to paint (Gatys et al. 2016); all losses are relative to their target, as in ``videostyle.losses``.

    content_weight, style_weight, tv_weight: weights of the content distance, style distance and total variation.
    content_layers, style_layers: activations of VGG that are compared.
    strength: 0 to 1, how much of the style is asked for; 0 gives the photo.
    iterations: at most so many at each size; fewer where the loss falls by less than ``plateau`` of itself in 20.
    optimizer: "lbfgs" or "adam", the latter with learning rate ``rate``.
    precondition: power of the frequencies by which the search is preconditioned; 0 searches in pixels.
    smallest: longer side in pixels below which no size is painted: the picture is painted at half its size first, and
    at half of that before, as long as it stays above.
    picture_side: longer side that style pictures are scaled to, 0 for four fifths of the painting's; never enlarged.
    tile: side in pixels of the squares that are computed one after the other: bounds the memory, not the result.
    start: what the first size begins with, the photo, noise, or what a net of the library makes of the photo.
    match_color: bring each style picture to the photo's colours first, by mean and covariance (Gatys et al. 2016b).
    precision: of the perceptual network; "auto" is bf16 where the device multiplies it, else fp32.
    seed: of the noise.
    Raises UsageError for what makes no sense.
    """

    content_weight: float = 1.0
    style_weight: float = 10.0
    tv_weight: float = 0.1
    content_layers: tuple[str, ...] = ("relu4_2",)
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    strength: float = 1.0
    iterations: int = 150
    plateau: float = 0.04
    optimizer: str = "lbfgs"
    rate: float = 0.02
    precondition: float = 0.5
    smallest: int = 64
    picture_side: int = 0
    tile: int = 1024
    start: str = "content"
    match_color: bool = False
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("content_weight", "style_weight", "tv_weight", "plateau", "picture_side"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must not be negative, and is {getattr(self, name):g}")
        for name, least in (("iterations", 1), ("smallest", 32), ("tile", 256)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if self.rate <= 0:
            raise UsageError(f"rate must be above 0, not {self.rate:g}")
        if not 0 <= self.strength <= 1:
            raise UsageError(f"strength must be from 0 to 1, not {self.strength:g}")
        if self.tile % 16:
            raise UsageError(f"tile must be a multiple of 16, not {self.tile}")
        for name, known in (("optimizer", OPTIMIZERS), ("start", STARTS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        for layer in (*self.content_layers, *self.style_layers):
            if not _LAYER.fullmatch(layer):
                raise UsageError(f"{layer!r} is no layer of VGG: they are called relu1_1 to relu5_4")

    @property
    def deepest(self) -> str:
        """The layer up to which the perceptual network is needed."""
        return max(*self.content_layers, *self.style_layers)


@dataclass(frozen=True, slots=True)
class StylePicture:
    """A picture to paint like: its weight among others, and where in the photo (a picture, white for there)."""

    picture: Path
    weight: float = 1.0
    mask: Path | None = None


def parse_pictures(pictures: Sequence[str], masks: Sequence[Path] = ()) -> tuple[StylePicture, ...]:
    """Style pictures from ``PICTURE`` or ``PICTURE:WEIGHT``, with a mask for each or none at all; weights sum to 1.

    Raises UsageError for no picture, a file that is not there, a weight that is not above 0, or too few masks.
    """
    if not pictures:
        raise UsageError("no picture to paint like: give one by --style-image")
    if masks and len(masks) != len(pictures):
        raise UsageError(f"{len(pictures)} style pictures and {len(masks)} masks: give one for each, in the same order")
    found = [_with_weight(text) for text in pictures]
    for path in (*(path for path, _ in found), *masks):
        if not path.is_file():
            raise UsageError(f"{path}: there is no such picture")
    total = sum(weight for _, weight in found)
    if min(weight for _, weight in found) <= 0:
        raise UsageError("weights of style pictures must be above 0")
    places: Sequence[Path | None] = masks or [None] * len(found)
    return tuple(StylePicture(path, weight / total, mask) for (path, weight), mask in zip(found, places, strict=True))


def _with_weight(text: str) -> tuple[Path, float]:
    path, _, weight = text.rpartition(":")
    if not path or Path(text).exists() or not _NUMBER.fullmatch(weight):
        return Path(text), 1.0
    return Path(path), float(weight)
