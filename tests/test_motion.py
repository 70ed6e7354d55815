"""Synthetic motion: what moves is known exactly, and nothing else is hidden in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from videostyle import motion
from videostyle.motion import GAIN, NOISE, OFFSET, SHIFT, next_frames


@pytest.fixture
def photos() -> Tensor:
    """Smooth pictures, so that sampling between pixels loses little: (24, 3, 48, 72)."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(72.0), indexing="ij")
    planes = [0.5 + 0.3 * torch.sin(x / 7 + y / 11 + phase) for phase in (0.0, 1.0, 2.0)]
    return torch.stack(planes).repeat(24, 1, 1, 1)


def test_what_is_left_beyond_the_motion_is_light_and_noise(photos: Tensor) -> None:
    later = next_frames(photos, 3)
    rest = (later.images - later.warp(photos)) * later.valid
    spread = rest.abs().amax((1, 2, 3))
    assert spread.max() < GAIN + OFFSET + 6 * NOISE
    assert spread.min() > 0
    assert 0.7 < later.valid.mean() < 1


def test_without_light_and_noise_the_next_frame_is_the_warped_one(
    photos: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NOISE", "GAIN", "OFFSET"):
        monkeypatch.setattr(motion, name, 0.0)
    later = next_frames(photos, 3)
    assert torch.equal(later.images * later.valid, later.warp(photos).clamp(0, 1) * later.valid)
    still = (later.images - photos).abs().amax((1, 2, 3)) < 1e-4
    assert 2 <= still.sum() <= 16, "about a third stand still"


def test_some_slide_by_whole_pixels(photos: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOISE", "GAIN", "OFFSET", "TURN", "ZOOM"):
        monkeypatch.setattr(motion, name, 0.0)
    noise = torch.rand(photos.shape, generator=torch.Generator().manual_seed(0))
    later = next_frames(noise, 5)
    side = torch.tensor([72.0, 48.0])
    still = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 1, 48, 72], align_corners=False)
    shifts = ((later.grid - still) * side / 2).mean((1, 2))
    assert shifts.abs().max() <= SHIFT + 1e-3
    whole = (shifts - shifts.round()).abs().amax(1) < 1e-3
    assert whole.sum() >= 8
    for i in np.flatnonzero(whole):
        dx, dy = (int(value) for value in shifts[i].round())
        inner = slice(12, 36), slice(12, 60)
        moved = noise[i][:, 12 + dy : 36 + dy, 12 + dx : 60 + dx]
        assert torch.allclose(later.images[i][:, inner[0], inner[1]], moved, atol=1e-3)


def test_features_at_a_quarter_of_the_size_move_along(photos: Tensor) -> None:
    later = next_frames(photos, 3)
    small = torch.nn.functional.avg_pool2d(photos, 4)
    direct = torch.nn.functional.avg_pool2d(later.warp(photos), 4)
    inner = torch.nn.functional.avg_pool2d(later.valid, 4) == 1
    off = (later.warp(small) - direct).abs()[inner.expand_as(small)]
    assert off.mean() < 0.005
    assert off.max() < 0.05, "half a pixel the wrong way would be 0.02 on average"


def test_the_seed_says_it_all(photos: Tensor) -> None:
    assert torch.equal(next_frames(photos, 3).images, next_frames(photos, 3).images)
    assert not torch.equal(next_frames(photos, 3).images, next_frames(photos, 4).images)
