"""Painting one picture by optimisation (Gatys et al. 2016), from small to large: the best quality there is, slowly."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from videostyle.engines.pytorch import DTYPES, precisions
from videostyle.errors import EngineError, UsageError
from videostyle.frame import Image
from videostyle.losses import gram, style_distance
from videostyle.optimize_loss import Anchor, Objective, Style
from videostyle.optimize_options import PaintOptions, StylePicture
from videostyle.optimize_search import minimise
from videostyle.perceptual import PerceptualNet
from videostyle.pictures import load_picture
from videostyle.quality import resized, to_tensor

PICTURE_SHARE = 0.8
"""Longer side of a style picture for each pixel of the painting's: 512 pixels for 640, as paintings are judged."""
LEAST_SIDE = 16
ALL_LAYERS_FROM = 256
"""Longer side in pixels from which all style layers are compared. In a thumbnail the deep ones see whole figures of the
style picture, and faces appear in the sky; without them, the large shapes and colours are still laid out there."""

DETAIL = 0.5
"""Of the preconditioning, where large shapes have come from a smaller size and details are what is left to find."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where a painting stands: the size it is at, iterations done of at most so many there, over how many sizes."""

    size: tuple[int, int]
    level: int
    levels: int
    iteration: int
    iterations: int
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class Guide:
    """What a painting should agree with: image uint8 (H, W, 3), weight float32 (H, W), how firmly."""

    image: Image
    weight: NDArray[np.float32]


class PictureOptimizer:
    """Paints photos like some pictures.

    net: the perceptual network, as deep as ``options.deepest``; it is moved to ``device`` and its precision.
    colors: photo whose colours ``options.match_color`` brings the pictures to, uint8 (H, W, 3).
    Raises UsageError for pictures that cannot be used, EngineError for a precision that the device lacks.
    """

    def __init__(
        self,
        pictures: Sequence[StylePicture],
        options: PaintOptions,
        net: PerceptualNet,
        *,
        device: str = "cpu",
        colors: Image | None = None,
    ) -> None:
        self.options, self.device = options, device
        self.precision = chosen_precision(options.precision, device)
        self._net = net.to(device, DTYPES[self.precision])
        self._pictures = [load_picture(style.picture) for style in pictures]
        if options.match_color and colors is not None:
            self._pictures = [match_colors(picture, colors) for picture in self._pictures]
        self._masks = [load_picture(style.mask) if style.mask else None for style in pictures]
        self._weights = [style.weight for style in pictures]

    @property
    def network(self) -> str:
        """What the perceptual network's weights are, in short."""
        digest = hashlib.sha256()
        for weight in self._net.parameters():
            digest.update(weight.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def paint(
        self,
        photo: Image,
        *,
        start: Image | None = None,
        guide: Guide | None = None,
        coarse: bool = True,
        kept: Path | None = None,
        told: Callable[[Step], None] = lambda step: None,
    ) -> Image:
        """Paint a photo, uint8 (H, W, 3) of at least 16 pixels each side.

        start: what to begin with, of the same size, instead of what the options say.
        coarse: paint smaller sizes first; not needed where there is a good start.
        kept: file that holds the painting after each size; a call with the same arguments goes on from there.
        told: called after each iteration. Raises EngineError where the loss is no number.
        """
        height, width = photo.shape[:2]
        if min(height, width) < LEAST_SIDE:
            raise UsageError(f"{width}x{height} pixels are too few to optimise: {LEAST_SIDE} each side at least")
        sizes = self.sizes(width, height) if coarse else [(width, height)]
        level, change = _kept(kept)
        whole = to_tensor(photo).to(self.device).contiguous()
        first = whole if start is None else to_tensor(start).to(self.device).contiguous()
        for number in range(level, len(sizes)):
            small = _scaled(whole, sizes[number])
            began = self._begin(_scaled(first, sizes[number]), start is None)
            image = began if change is None else began + _scaled(change.to(self.device), sizes[number])
            anchor = _anchor(guide, sizes[number], self.device)
            options = self._at(sizes[number], sizes[-1], number > 0 or not coarse)
            styles = self._styles(sizes[number], sizes[-1], options.style_layers)
            objective = Objective(self._net, small, styles, options, anchor)

            def tell(iteration: int, loss: float, number: int = number) -> None:
                told(Step(sizes[number], number, len(sizes), iteration, self.options.iterations, loss))

            image = minimise(objective, image, options, tell)
            change = image - began
            _keep(kept, number + 1, change)
        assert change is not None
        image = self._begin(first, start is None) + change
        painted: Image = (image[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()
        return painted

    def sizes(self, width: int, height: int) -> list[tuple[int, int]]:
        """(width, height) that a picture is painted at, one after the other: each about half of the next."""
        found = [(width, height)]
        while max(found[0]) // 2 >= self.options.smallest and min(found[0]) // 2 >= LEAST_SIDE:
            found.insert(0, (found[0][0] // 2, found[0][1] // 2))
        return found

    @torch.no_grad()
    def style_distance(self, painting: Image) -> float:
        """How far a painting, uint8 (H, W, 3), is from the pictures: as it enters the loss, without its weight."""
        size = painting.shape[1], painting.shape[0]
        found = self._net(to_tensor(painting).to(self.device), self.options.style_layers)
        styles = self._styles(size, size, self.options.style_layers)
        return sum(style.weight * float(style_distance(found, style.grams)) for style in styles)

    def _at(self, size: tuple[int, int], full: tuple[int, int], laid_out: bool) -> PaintOptions:
        """The options at a size on the way: below ``ALL_LAYERS_FROM``, each half of it leaves out a stage of VGG."""
        deepest = 5 if size == full else 5 - max(0, round(log2(ALL_LAYERS_FROM / max(size))))
        layers = tuple(name for name in self.options.style_layers if int(name[4]) <= deepest)
        power = self.options.precondition * (DETAIL if laid_out else 1)
        return replace(self.options, style_layers=layers or self.options.style_layers, precondition=power)

    def _begin(self, image: Tensor, from_options: bool) -> Tensor:
        if from_options and self.options.start == "noise":
            draw = torch.Generator().manual_seed(self.options.seed)
            return torch.rand(image.shape, generator=draw).to(self.device)
        return image

    @torch.no_grad()
    def _styles(self, size: tuple[int, int], full: tuple[int, int], layers: tuple[str, ...]) -> list[Style]:
        """What each picture asks for at one of the sizes on the way to the full one."""
        wanted = (self.options.picture_side or PICTURE_SHARE * max(full)) * max(size) / max(full)
        styles = []
        for picture, weight, mask in zip(self._pictures, self._weights, self._masks, strict=True):
            side = max(LEAST_SIDE, min(round(wanted), max(picture.shape)))
            found = self._net(to_tensor(resized(picture, side)).to(self.device), layers)
            where = None if mask is None else _scaled(to_tensor(mask).to(self.device), size)[:, :1].clamp(0, 1)
            styles.append(Style({name: gram(value) for name, value in found.items()}, weight, where))
        return styles


def chosen_precision(name: str, device: str) -> str:
    """The precision that ``name`` stands for on ``device``. Raises EngineError where it does not multiply it.

    Gradients of paintings leave the range of fp16, so half precision is bf16 everywhere.
    """
    there = ["bf16", "fp32"] if "bf16" in precisions(torch.device(device)) else ["fp32"]
    if name == "auto":
        return there[0]
    if name not in there:
        raise EngineError(f"optimisation on {device} does not run {name} here: choose {', '.join(there)} or auto")
    return name


def match_colors(picture: Image, colors: Image) -> Image:
    """``picture`` with the mean and covariance of the colours of ``colors``, both uint8 (H, W, 3).

    By the linear map that moves colours least (Pitie and Kokaram 2007); Gatys et al. 2016b take any that fits.
    """
    old, new = (image.reshape(-1, 3).astype(np.float64) for image in (picture, colors))
    spread = np.cov(old.T) + np.eye(3)  # one grey level: a picture of one colour has none
    root = _root(spread)
    inverse = np.linalg.inv(root)
    turn = inverse @ _root(root @ np.cov(new.T) @ root) @ inverse
    matched = (old - old.mean(0)) @ turn + new.mean(0)
    return np.asarray((matched + 0.5).clip(0, 255), np.uint8).reshape(picture.shape)


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(values.clip(0))) @ vectors.T)


def _scaled(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, H, W) at another (width, height)."""
    if (image.shape[3], image.shape[2]) == size:
        return image
    return F.interpolate(image, (size[1], size[0]), mode="bicubic", antialias=True, align_corners=False)


def _anchor(guide: Guide | None, size: tuple[int, int], device: str) -> Anchor | None:
    if guide is None:
        return None
    weight = torch.from_numpy(guide.weight)[None, None].to(device)
    return Anchor(_scaled(to_tensor(guide.image).to(device), size), _scaled(weight, size).clamp_min(0))


def _keep(path: Path | None, level: int, change: Tensor) -> None:
    """What was painted, as its change from the beginning; there whole or not at all."""
    if path is None:
        return
    partial = path.with_suffix(".partial")
    save_file({"level": torch.tensor(level), "change": change.detach().cpu().contiguous()}, partial)
    os.replace(partial, path)


def _kept(path: Path | None) -> tuple[int, Tensor | None]:
    if path is None or not path.is_file():
        return 0, None
    state = load_file(path)
    return int(state["level"]), state["change"]
