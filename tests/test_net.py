from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from videostyle.errors import StyleError
from videostyle.net import ConditionalNorm, StyleNet, build
from videostyle.styles import NetConfig

TINY = NetConfig(channels=8, blocks=2, head=4)


def tiny(seed: int = 0) -> tuple[StyleNet, Tensor]:
    torch.manual_seed(seed)
    net = StyleNet(TINY).eval()
    return net, net.neutral(3) + 0.2 * torch.randn(3, net.style_size)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (17, 33), (64, 36), (121, 161)])
def test_any_size_comes_back_the_same(size: tuple[int, int]) -> None:
    net, styles = tiny()
    with torch.inference_mode():
        out = net(torch.rand(2, 3, *size), styles[:1])
    assert out.shape == (2, 3, *size)
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.isfinite(out).all()


def test_every_item_has_its_own_style() -> None:
    net, styles = tiny()
    photos = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        together = net(photos, styles)
        apart = torch.cat([net(photos[i : i + 1], styles[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)
    assert (together[0] - net(photos[:1], styles[1:2])).abs().max() > 1e-3


def test_style_size_counts_all_numbers_of_a_style() -> None:
    net, _ = tiny()
    assert net.style_size == 3 * 8 + 2 * (2 * 8 + 2 * 8) + 2 * 4
    assert net.neutral(2).shape == (2, net.style_size)


def test_conditional_norm_against_instance_norm() -> None:
    x, scale, shift, kept = torch.randn(2, 4, 5, 6), torch.randn(2, 4), torch.randn(2, 4), torch.randn(2, 4)
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    column = (slice(None), slice(None), None, None)
    expected = (x - mean) / (variance + 1e-3).sqrt() * scale[column] + shift[column]
    norm = ConditionalNorm(4)
    torch.testing.assert_close(norm(x, torch.cat([scale, shift], 1)), expected, atol=1e-5, rtol=1e-4)
    norm = ConditionalNorm(4, keep=True)
    expected = expected + x * kept[column]
    torch.testing.assert_close(norm(x, torch.cat([scale, shift, kept], 1)), expected, atol=1e-5, rtol=1e-4)


def test_a_flat_picture_stays_flat_up_to_the_border() -> None:
    """Zero padding would leave a frame; reflection leaves none."""
    net, styles = tiny()
    with torch.inference_mode():
        out = net(torch.full((1, 3, 40, 44), 0.6), styles[:1])
    tiles = F.pixel_unshuffle(out, 4)
    assert (tiles - tiles[..., :1, :1]).abs().max() < 1e-5


def test_no_seam_where_the_size_is_no_multiple_of_four() -> None:
    """The part of a picture far from its right edge does not depend on how the edge was filled up."""
    net, styles = tiny()
    torch.manual_seed(1)
    photo = F.interpolate(torch.rand(1, 3, 12, 12), (96, 96), mode="bicubic").clamp(0, 1)
    flat = styles.clone()
    with torch.inference_mode():
        whole, cut = net(photo, flat[:1]), net(photo[..., :93], flat[:1])
    # Norms see slightly different statistics; a seam would be far larger than this.
    assert (whole[..., :89] - cut[..., :89]).abs().max() < 0.05


def test_the_four_pixels_of_the_last_shuffle_start_equal() -> None:
    torch.manual_seed(0)
    weight = StyleNet(TINY).out.conv.weight
    torch.testing.assert_close(weight[0::4], weight[3::4])


def test_checkpointing_changes_no_gradient() -> None:
    net, styles = tiny()
    net.train()
    photos = torch.rand(1, 3, 32, 32)
    grads = []
    for net.checkpointing in (False, True):
        net.zero_grad()
        net(photos, styles[:1]).square().mean().backward()
        grads.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert len(grads[0]) == len(list(net.parameters()))
    for plain, checkpointed in zip(*grads, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_unknown_kind_says_what_to_do() -> None:
    with pytest.raises(StyleError, match="knows no network 'unet'"):
        build(NetConfig(kind="unet"))
