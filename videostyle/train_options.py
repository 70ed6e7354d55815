"""What a training run is told: its styles, and how to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from videostyle.errors import UsageError
from videostyle.frame import Image
from videostyle.perceptual import CONTENT_LAYER, STYLE_LAYERS
from videostyle.styles import StyleCard


@dataclass(frozen=True, slots=True)
class StyleSpec:
    """One style to learn: its picture, what its card says, and its own weights (factors on the common ones).

    picture, more: files, or uint8 RGB (H, W, 3); the style of several is the mean of their Gram matrices.
    share: how often it comes up in each round of all styles. practice: whether it only widens what the body can do,
    for styles that are learned later, and is left out of the bank.
    """

    picture: Path | Image
    card: StyleCard
    style_weight: float = 1.0
    content_weight: float = 1.0
    more: tuple[Path | Image, ...] = ()
    share: int = 1
    practice: bool = False

    def __post_init__(self) -> None:
        if self.share < 1:
            raise UsageError(f"{self.card.name}: share must be at least 1, not {self.share}")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train.

    steps: optimiser steps. minutes: if not 0, the run ends after so long, should it not have come to its last step, and
    the learning rate has fallen by then: for a machine that is rented by time.
    batch: crops a step. crop: their side in pixels. photo_side: range that the shorter side of a photo is scaled to
    before cropping (the size at which the net will see the world). picture_side: longer side of the style pictures;
    with ``augment`` > 1, that many variants of each are used: scaled by up to ``augment_scale`` either way, turned by
    up to ``augment_turn`` degrees, and flipped.
    style_weight, content_weight, tv_weight, identity_weight: weights of the losses. identity_share: share of the items
    that learn the identity.
    temporal_weight: weight of the squared change of a painting, in [0, 1], between a photo and its next frame, motion
    aside; feature_weight: the same of the net's features, relative to their norm. 0 for both trains without.
    grid_weight: weight of ``losses.grid``, which keeps the squares that the net works on from showing.
    output_weight, match_weight: with a teacher, weights of the squared difference to its painting, and of the relative
    difference of the two paintings' features.
    rate: peak learning rate of Adam, reached after ``warmup`` steps, then falling along a cosine to 1 % of it; on the
    body of another bank the mean over a vector's numbers: the more known styles differ in one, the more it moves.
    clip: largest norm of the gradient. average: decay of the moving average of the weights that is kept.
    precision: "fp32", "bf16" or "fp16" (CUDA only, with gradient scaling). checkpointing: trade time for memory.
    """

    steps: int = 12000
    minutes: float = 0.0
    batch: int = 4
    crop: int = 256
    photo_side: tuple[int, int] = (288, 448)
    picture_side: int = 512
    augment: int = 1
    augment_scale: float = 1.25
    augment_turn: float = 10.0
    style_layers: tuple[str, ...] = STYLE_LAYERS
    content_layer: str = CONTENT_LAYER
    style_weight: float = 3.0
    content_weight: float = 1.0
    tv_weight: float = 0.1
    identity_weight: float = 20.0
    identity_share: float = 0.1
    temporal_weight: float = 100.0
    feature_weight: float = 0.5
    grid_weight: float = 3.0
    output_weight: float = 20.0
    match_weight: float = 1.0
    rate: float = 2e-3
    warmup: int = 200
    clip: float = 10.0
    average: float = 0.998
    precision: str = "bf16"
    checkpointing: bool = False
    seed: int = 0
    save_every: int = 250
    preview_every: int = 500

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "picture_side", "augment", "save_every", "preview_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.precision not in ("fp32", "bf16", "fp16"):
            raise UsageError(f"precision must be fp32, bf16 or fp16, not {self.precision!r}")
        if self.crop < 64 or self.photo_side[0] < self.crop:
            raise UsageError(f"crop {self.crop} must be at least 64 and fit into photo_side {self.photo_side}")


def options_from(values: Mapping[str, Any]) -> TrainOptions:
    """TrainOptions from a configuration table. Raises UsageError for a name that is no option."""
    known = {f.name for f in fields(TrainOptions)}
    if unknown := sorted(set(values) - known):
        raise UsageError(f"no training option {unknown[0]!r}; there are {', '.join(sorted(known))}")
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return TrainOptions(**given)
