"""What a painting is measured by: pure functions, used for training and for judging alike.

All losses are relative to the norm of their target, so that layers weigh alike, weights stay readable, and figures
compare across perceptual networks of different scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Features = Mapping[str, Tensor]
"""Layer name ("relu3_3") to float activations (N, C, H, W)."""


class _Gram(torch.autograd.Function):
    """F^T F / positions. G is symmetric, so one product gives the gradient where autograd would do two and add them."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor) -> Tensor:
        ctx.save_for_backward(flat)
        # alpha is applied before rounding: a sum over all positions would leave the range of fp16
        scale = 1 / flat.shape[1]
        return torch.baddbmm(flat.new_zeros(()), flat.transpose(1, 2), flat, beta=0, alpha=scale).float()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (flat,) = ctx.saved_tensors
        both = (grads[0] + grads[0].transpose(1, 2)) / flat.shape[1]
        return torch.bmm(flat, both.to(flat.dtype))


def gram(features: Tensor) -> Tensor:
    """Gram matrices (Gatys et al. 2016), averaged over positions: (N, C, H, W) -> float32 (N, C, C)."""
    n, c, h, w = features.shape
    grams: Tensor = _Gram.apply(features.permute(0, 2, 3, 1).reshape(n, h * w, c))  # a view in channels_last
    return grams


def relative_error(value: Tensor, target: Tensor) -> Tensor:
    """||value - target||^2 / ||target||^2 of each item: (N, ...) -> float32 (N,)."""
    value, target = value.float().flatten(1), target.float().flatten(1)
    return (value - target).square().sum(1) / target.square().sum(1).clamp_min(1e-12)


def style_distance(features: Features, grams: Mapping[str, Tensor]) -> Tensor:
    """Sum over the layers of ``grams`` of the relative errors of Gram matrices: float32 (N,), 0 for the picture."""
    return torch.stack([relative_error(gram(features[name]), target) for name, target in grams.items()]).sum(0)


def content_distance(features: Features, target: Features, layer: str) -> Tensor:
    """Relative error of the activations of ``layer``: float32 (N,), 0 for the photo itself."""
    return relative_error(features[layer], target[layer])


def total_variation(images: Tensor) -> Tensor:
    """Mean absolute difference of neighbours: (N, 3, H, W) -> float32 (N,)."""
    images = images.float()
    across = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))
    return across + (images[..., 1:, :] - images[..., :-1, :]).abs().mean((1, 2, 3))


SQUARE = 4
"""Side in pixels of the squares that the networks here paint at once, and which a painting must not show."""
TILE = 12
"""Squares along a side of the tiles in which ``grid`` looks for what they have in common."""


def grid(images: Tensor) -> Tensor:
    """How much of the squares that a net works on is to be seen: (N, 3, H, W) in [0, 1] -> float32 (N,), 0 for none.

    Sub-pixel convolutions learn patterns of their own, a lattice on flat parts and steps between squares (Odena et al.
    2016, Aitken et al. 2017). The first is what the squares of each tile have in common, as a share of the picture's
    variance; the second, how far steps between neighbours differ by their position in the square, beyond 10 %.
    H and W: at least SQUARE * TILE.
    """
    grey = images.float().mean(1)
    height, width = (side // (SQUARE * TILE) * SQUARE * TILE for side in grey.shape[1:])
    tiles = grey[:, :height, :width].unflatten(2, (-1, TILE, SQUARE)).unflatten(1, (-1, TILE, SQUARE))
    shared = (tiles - tiles.mean((3, 6), keepdim=True)).mean((2, 5))
    found: Tensor = 10 * shared.square().mean((1, 2, 3, 4)) / grey.var((1, 2)).clamp_min(1e-3)
    for axis in (2, 3):
        steps = images.float().diff(dim=axis).abs().mean(1).transpose(axis - 1, 2)
        steps = steps[..., : steps.shape[2] // SQUARE * SQUARE].unflatten(2, (-1, SQUARE)).mean((1, 2))
        mean = steps.mean(1, keepdim=True)
        uneven = (steps - mean) / mean.clamp_min(1e-4)
        found = found + (uneven.abs() - 0.1).clamp_min(0).square().sum(1)
    return found
