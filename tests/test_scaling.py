"""Pictures of another size, with OpenCV and without."""

from __future__ import annotations

import numpy as np
import pytest

from videostyle import scaling
from videostyle.scaling import fit_within, scale


@pytest.fixture(params=[True, False], ids=["OpenCV", "Pillow"], autouse=True)
def _with_or_without(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        pytest.importorskip("cv2")
    monkeypatch.setattr(scaling, "_HAS_CV2", request.param)


@pytest.mark.parametrize("size", [(40, 20), (160, 80), (33, 79), (1, 1)])
def test_a_gradient_stays_a_gradient(size: tuple[int, int]) -> None:
    ramp = np.linspace(0, 250, 80)[None, :, None]
    image = np.broadcast_to(ramp, (40, 80, 3)).astype(np.uint8)
    scaled = scale(image, size)
    assert scaled.shape == (size[1], size[0], 3)
    assert scaled.dtype == np.uint8
    expected = 250 * ((np.arange(size[0]) + 0.5) / size[0] * 80 - 0.5) / 79
    assert np.abs(scaled[0, :, 0] - np.clip(expected, 0, 250)).max() <= 3


def test_fine_stripes_become_grey_not_a_pattern() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::2] = 200
    inside = scale(image, (16, 16))[:, 1:-1].astype(int)
    assert np.abs(inside - 100).max() <= 3


def test_its_own_size_costs_nothing() -> None:
    image = np.zeros((8, 16, 3), np.uint8)
    assert scale(image, (16, 8)) is image


@pytest.mark.parametrize(
    ("size", "room", "fitted"),
    [((16, 9), (1920, 1080), (1920, 1080)), ((4, 3), (1920, 1080), (1440, 1080)), ((1000, 1), (10, 10), (10, 1))],
)
def test_what_fits_keeps_its_proportions(size: tuple[int, int], room: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fit_within(size, room) == fitted
