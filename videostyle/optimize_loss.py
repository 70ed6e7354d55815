"""What a painting is optimised for, and its gradient, tile by tile: memory does not grow with the picture's features.

Gram matrices and squared errors are sums over positions. A first pass over the tiles gathers the Gram matrices of the
whole picture, whose gradient is then known; a second one takes it back to the pixels. Tiles are computed with more
around them than the network sees, so the result is that of the whole picture at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.losses import Features, gram, relative_error, total_variation
from videostyle.optimize_options import PaintOptions
from videostyle.perceptual import PerceptualNet

HALO = 144
"""Pixels around a tile that are computed with it, a multiple of 16: relu5_4 of VGG-19 sees 133 to each side."""
RANGE_WEIGHT = 10.0
"""Of the mean square by which values leave [0, 1]: what is shown is clamped, and must look the same."""

_Key = tuple[int, str]


@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """What one style asks for. grams: by layer, float32 (1, C, C). mask: float32 (1, 1, H, W), where; None for all."""

    grams: Mapping[str, Tensor]
    weight: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """What the painting should agree with: image float32 (1, 3, H, W); weight float32 (1, 1, H, W), how firmly."""

    image: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class Span:
    """Positions [start, stop) of one axis, and [first, last), which they depend on."""

    start: int
    stop: int
    first: int
    last: int

    def at(self, stride: int) -> slice:
        """Of a feature map of the whole picture."""
        return slice(self.start // stride, self.stop // stride)

    def within(self, stride: int) -> slice:
        """Of a feature map of [first, last)."""
        return slice((self.start - self.first) // stride, (self.stop - self.first) // stride)


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture."""

    rows: Span
    columns: Span

    def of(self, image: Tensor) -> Tensor:
        """The part (..., h, w) of a picture (..., H, W), with what is around it: a view."""
        return image[..., self.rows.first : self.rows.last, self.columns.first : self.columns.last]

    def inner(self, features: Tensor, stride: int) -> Tensor:
        """Of the part's own features, without what is around it."""
        return features[..., self.rows.within(stride), self.columns.within(stride)]

    def share(self, features: Tensor, stride: int) -> Tensor:
        """The same of the whole picture's features."""
        return features[..., self.rows.at(stride), self.columns.at(stride)]


def tiles(height: int, width: int, side: int) -> list[Tile]:
    """Tiles of about ``side`` pixels, a multiple of 16, that cover a picture."""

    def spans(length: int) -> list[Span]:
        # No narrow one at the end: what is left over goes to the last, unless it is half a tile.
        stops = [*range(side, length - side // 2 + 1, side), length]
        return [Span(a, b, max(0, a - HALO), min(length, b + HALO)) for a, b in zip([0, *stops], stops, strict=False)]

    return [Tile(rows, columns) for rows in spans(height) for columns in spans(width)]


def stride(layer: str) -> int:
    """Pixels from one position of a layer to the next."""
    return 1 << (int(layer[4]) - 1)


class Objective:
    """The loss of paintings of one photo at one size.

    photo: float32 (1, 3, H, W) in [0, 1], 16 pixels or more each side, where the network is.
    """

    def __init__(
        self,
        net: PerceptualNet,
        photo: Tensor,
        styles: Sequence[Style],
        options: PaintOptions,
        anchor: Anchor | None = None,
    ) -> None:
        self._net, self._styles, self._options, self._anchor = net, styles, options, anchor
        self._size = photo.shape[-2:]
        self._tiles = tiles(photo.shape[2], photo.shape[3], options.tile)
        self._layers = {*options.style_layers, *options.content_layers}
        with torch.no_grad():
            self._content = [self._look(tile.of(photo), tile, options.content_layers) for tile in self._tiles]
            self._norms = {
                name: torch.stack([of[name].float().square().sum() for of in self._content]).sum()
                for name in options.content_layers
            }
            self._shares = [self._share(style.mask) for style in styles]

    def __call__(self, image: Tensor) -> tuple[float, Tensor]:
        """Loss and gradient, float32 (1, 3, H, W), of an image of that shape; its values should be in [0, 1]."""
        image = image.detach()
        several = len(self._tiles) > 1
        sums: dict[_Key, Tensor] = {}
        for tile in self._tiles:
            leaf = tile.of(image).requires_grad_(not several)
            found = self._look(leaf, tile, self._layers)
            partial = self._grams(found, tile)
            for key, value in partial.items():
                sums[key] = sums[key] + value.detach() if key in sums else value.detach()
        loss, slopes = self._style_loss(sums)
        gradient = torch.zeros_like(image, memory_format=torch.contiguous_format)
        for tile, content in zip(self._tiles, self._content, strict=True):
            if several:
                leaf = tile.of(image).requires_grad_()
                found = self._look(leaf, tile, self._layers)
                partial = self._grams(found, tile)
            here = self._content_loss(found, content)
            loss += float(here.detach())
            here = here + torch.stack([(value * slopes[key]).sum() for key, value in partial.items()]).sum()
            tile.of(gradient).add_(torch.autograd.grad(here, leaf)[0])
        direct, slope = self._pixel_loss(image)
        return loss + direct, gradient.add_(slope)

    def _look(self, part: Tensor, tile: Tile, layers: Collection[str]) -> Features:
        """Activations of a tile, without what is around it."""
        return {name: tile.inner(value, stride(name)) for name, value in self._net(part, tuple(layers)).items()}

    def _share(self, mask: Tensor | None) -> dict[str, Tensor]:
        """A mask at the size of each style layer, float32 (1, 1, h, w), summing to 1; nothing where there is none."""
        if mask is None:
            return {}
        small = {name: F.avg_pool2d(mask, stride(name)) for name in self._options.style_layers}
        return {name: of / of.sum().clamp_min(1e-6) for name, of in small.items()}

    def _grams(self, found: Features, tile: Tile) -> dict[_Key, Tensor]:
        """By style and layer, what a tile adds to the Gram matrix of the whole picture (guided: Gatys et al. 2017).

        Styles without a mask share theirs, of style -1.
        """
        grams: dict[_Key, Tensor] = {}
        for name in self._options.style_layers:
            step, value = stride(name), found[name]
            count = value.shape[2] * value.shape[3]
            for number, share in enumerate(self._shares):
                if share:
                    weight = (tile.share(share[name], step) * count).sqrt()
                    grams[number, name] = gram(value * weight.to(value.dtype))
                elif (-1, name) not in grams:
                    height, width = (side // step for side in self._size)
                    grams[-1, name] = gram(value) * (count / (height * width))
        return grams

    def _style_loss(self, sums: Mapping[_Key, Tensor]) -> tuple[float, dict[_Key, Tensor]]:
        grams = {key: value.requires_grad_() for key, value in sums.items()}
        total = torch.zeros((), device=next(iter(sums.values())).device)
        for number, style in enumerate(self._styles):
            region = number if self._shares[number] else -1
            errors = [relative_error(grams[region, name], target) for name, target in style.grams.items()]
            total = total + style.weight * torch.stack(errors).sum()
        total = total * (self._options.style_weight * self._options.strength**2)
        slopes = torch.autograd.grad(total, list(grams.values()))
        return float(total.detach()), dict(zip(grams, slopes, strict=True))

    def _content_loss(self, found: Features, content: Features) -> Tensor:
        errors = [(found[name].float() - of.float()).square().sum() / self._norms[name] for name, of in content.items()]
        return self._options.content_weight * torch.stack(errors).sum()

    def _pixel_loss(self, image: Tensor) -> tuple[float, Tensor]:
        """Of what needs no network: smoothness, range and agreement with the anchor."""
        leaf = image.requires_grad_()
        smooth = self._options.tv_weight * self._options.strength**2 * total_variation(leaf).sum()
        total = smooth + RANGE_WEIGHT * (leaf - leaf.clamp(0, 1)).square().mean()
        if self._anchor is not None:
            total = total + (self._anchor.weight * (leaf - self._anchor.image).square()).mean()
        return float(total.detach()), torch.autograd.grad(total, leaf)[0]
