"""Synthetic motion: what the next frame of a photo might be, with the motion known to the last digit.

Where there is no video to train on, photos that move, flicker and rustle as a camera's frames do take its place
(Gao et al. 2018 and Huang et al. 2017 train on video with flow that was estimated; here it is exact).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SHIFT, TURN, ZOOM = 8.0, 0.04, 0.04
"""Largest motion from one frame to the next: pixels, radians, share of the size."""
NOISE, GAIN, OFFSET = 0.03, 0.04, 0.02
"""Largest standard deviation of a sensor's noise, change of exposure, and change of brightness, of [0, 1]."""


@dataclass(frozen=True, slots=True)
class NextFrames:
    """images: float (N, 3, H, W) in [0, 1]. grid: float (N, H, W, 2), where each pixel was, as ``grid_sample`` counts.
    valid: float (N, 1, H, W), 1 where it was inside the picture."""

    images: Tensor
    grid: Tensor
    valid: Tensor

    def warp(self, before: Tensor) -> Tensor:
        """What belongs to the first frames, (N, C, h, w) at any resolution, moved as they moved: float32."""
        small = (before.shape[-2], before.shape[-1])
        grid = self.grid if small == self.grid.shape[1:3] else _resized(self.grid, small)
        return F.grid_sample(before.float(), grid, mode="bicubic", padding_mode="border", align_corners=False)


def next_frames(photos: Tensor, seed: int) -> NextFrames:
    """Photos, float (N, 3, H, W) in [0, 1], a moment later.

    A third stand still, a third slide by whole pixels, which no interpolation blurs, and a third slide, turn and zoom.
    All get noise, half of it in blotches as a codec leaves it, and another exposure.
    """
    n, _, height, width = photos.shape
    draw = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=draw) * 2 - 1

    kind = torch.randint(3, (n,), generator=draw)
    shift = uniform(n, 2) * SHIFT * (kind > 0)[:, None]
    shift = torch.where((kind == 1)[:, None], shift.round(), shift)
    free = (kind == 2).float()
    angle, zoom = uniform(n) * TURN * free, 1 + uniform(n) * ZOOM * free
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    # grid_sample counts each side from -1 to 1, so a turn of a picture that is no square needs its aspect.
    rows = [cos, -sin * height / width, 2 * shift[:, 0] / width, sin * width / height, cos, 2 * shift[:, 1] / height]
    theta = torch.stack(rows, 1).unflatten(1, (2, 3)).to(photos.device)
    grid = F.affine_grid(theta, [n, 1, height, width], align_corners=False)
    moved = F.grid_sample(photos.float(), grid, mode="bicubic", padding_mode="border", align_corners=False)
    here = photos.device  # a card makes noise a hundred times as fast as it would be copied there
    grain = torch.Generator(here).manual_seed(seed)
    noise = torch.randn(n, 3, height, width, generator=grain, device=here)
    blotches = torch.randn(n, 3, height // 2, width // 2, generator=grain, device=here)
    numbers = torch.stack([torch.rand(n, generator=draw), uniform(n).abs(), uniform(n), uniform(n)]).to(here)
    blotchy, deviation, gain, offset = numbers[..., None, None, None]
    noise = torch.where(blotchy < 0.5, noise, F.interpolate(blotches, (height, width)))
    images = moved * (1 + GAIN * gain) + OFFSET * offset + NOISE * deviation * noise
    valid = (grid.abs().amax(3) <= 1).float()[:, None]
    return NextFrames(images.clamp(0, 1).to(photos.dtype), grid, valid)


def _resized(grid: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(grid.permute(0, 3, 1, 2), size, mode="area").permute(0, 2, 3, 1)
