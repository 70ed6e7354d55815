"""Dense inverse search: as good as OpenCV's, whose steps it takes, in any size."""

from __future__ import annotations

from typing import Any

import cv2 as opencv
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.test_flow import texture
from videostyle import dense_search_loops as loops
from videostyle import refinement
from videostyle.compiled import compiled
from videostyle.dense_search import WIDEST, DenseSearch
from videostyle.flow import Flow, places, warp
from videostyle.vectors import SIDE, cover, differ, moments

cv2: Any = opencv  # its type stubs lack half of what is used here

Luma = NDArray[np.uint8]


def moved(picture: Luma, flow: Flow, seed: int = 1) -> Luma:
    """The picture of which ``picture`` shows what ``flow`` leads to, and a camera's noise."""
    noise = np.random.default_rng(seed).normal(0, 1.5, picture.shape)
    return np.clip(warp(picture.astype(np.float32), places(flow)) + noise, 0, 255).astype(np.uint8)


def waves(height: int, width: int, size: float = 4) -> Flow:
    """Smooth motion of up to ``size`` pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / 40
    return np.stack([size * np.sin(x + y), size * np.cos(x - 2 * y)], -1).astype(np.float32)


def bordered(picture: Luma) -> tuple[NDArray[np.float32], int]:
    wide = np.pad(picture.astype(np.float32), ((loops.BORDER, loops.BORDER + 1),) * 2, "edge")
    return wide.ravel(), wide.shape[1]


@pytest.mark.parametrize("size", [(96, 128), (180, 320), (45, 80), (33, 48), (33, 47), (16, 16), (24, WIDEST)])
def test_flow_is_refined_as_opencv_does_it(size: tuple[int, int]) -> None:
    first = texture(*size)
    flow = waves(*size)
    second = moved(first, -flow)
    rough = np.asarray(flow + np.random.default_rng(2).normal(0, 0.5, flow.shape), np.float32)
    theirs = cv2.VariationalRefinement_create()
    theirs.setAlpha(60)
    theirs.setFixedPointIterations(3)
    theirs.setEpsilon(0.01)
    theirs.setOmega(refinement.RELAX)
    theirs.setSorIterations(refinement.SWEEPS // 2)
    u, v = (np.ascontiguousarray(rough[..., axis]) for axis in (0, 1))
    x, y = u.copy(), v.copy()
    theirs.calcUV(first, second, u, v)
    (grey, pitch), (other, _) = bordered(first), bordered(second)
    refinement.refine(grey, other, loops.BORDER, pitch, x, y, 3, refinement.workspace())
    apart = np.hypot(x - u, y - v)
    assert np.hypot(x - rough[..., 0], y - rough[..., 1]).mean() > 0.2  # something was done
    assert apart.max() < 0.01


@pytest.mark.parametrize("size", [(180, 320), (97, 131)])
def test_motion_is_found_as_well_as_by_opencv(size: tuple[int, int]) -> None:
    first, flow = texture(*size), waves(*size)
    second = moved(first, flow)  # so that the flow from second to first is known
    theirs = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    theirs.setFinestScale(0)
    theirs.setPatchStride(5)
    theirs.setGradientDescentIterations(8)
    theirs.setVariationalRefinementIterations(3)
    theirs.setVariationalRefinementAlpha(60)
    there, back = DenseSearch()(second, first)

    def error(found: Flow) -> float:
        return float(np.linalg.norm(found - flow, axis=-1)[8:-8, 8:-8].mean())

    assert error(there) < 1.1 * error(theirs.calc(second, first, None)) + 0.01
    assert error(there) < 0.25
    # The way back leads home, at half of the size and more roughly.
    assert back.shape == (size[0] // 2, size[1] // 2, 2)
    half = np.float32(0.5) * cv2.resize(there, back.shape[1::-1], interpolation=cv2.INTER_AREA)
    home = half + warp(back, places(half))
    assert np.median(np.linalg.norm(home, axis=-1)) < 0.2


@pytest.mark.parametrize("shift", [(3, -5), (0, 0), (-6, 8)])
def test_what_slides_is_found_where_it_is(shift: tuple[int, int]) -> None:
    start = texture()
    there, back = DenseSearch()(start, np.roll(start, shift, (0, 1)))
    assert np.abs(there[20:-20, 24:-24] - shift[::-1]).mean() < 0.1
    assert np.abs(2 * back[10:-10, 12:-12] + shift[::-1]).mean() < 0.4


def test_a_light_that_is_turned_up_moves_nothing() -> None:
    start = texture() // 2
    there, _ = DenseSearch()(start, start + 40)
    assert np.abs(there).mean() < 0.05


def test_nothing_to_hold_on_to_is_no_motion() -> None:
    grey = np.full((40, 60), 90, np.uint8)
    there, back = DenseSearch()(grey, grey)
    assert not there.any()
    assert not back.any()


@pytest.mark.parametrize("size", [(16, 16), (16, 200), (200, 16), (17, 31), (64, WIDEST)])
def test_sizes_may_change_from_one_picture_to_the_next(size: tuple[int, int]) -> None:
    search = DenseSearch()
    search(texture(), texture())
    start = texture(*size)
    there, back = search(start, np.roll(start, 2, 1))
    assert there.shape == (*size, 2)
    assert np.isfinite(there).all()
    assert np.isfinite(back).all()
    assert np.abs(there[4:-4, 4:-4] - (2, 0)).mean() < 0.6
    assert np.array_equal(there, DenseSearch()(start, np.roll(start, 2, 1))[0])  # nothing is left of those before


def test_what_is_too_wide_or_too_small_is_refused() -> None:
    for size in ((20, WIDEST + 1), (15, 40), (40, 15)):
        with pytest.raises(ValueError, match=str(WIDEST)):
            DenseSearch()(*np.zeros((2, *size), np.uint8))
    with pytest.raises(ValueError, match="one size"):
        DenseSearch()(np.zeros((64, 64), np.uint8), np.zeros((32, 32), np.uint8))


@compiled
def _compared(a: Any, x: Any, y: Any, b: Any, here: Any, there: Any, pitch: Any, u: Any, v: Any) -> Any:
    return differ(a, x, y, here, b, there, pitch, u, v), moments(a, x, y, here, pitch)


@compiled
def _covered(a: Any, b: Any, here: Any, there: Any, pitch: Any, u: Any, v: Any, sums: Any) -> None:
    cover(a, here, b, there, pitch, u, v, np.float32(2), np.float32(-3), sums[0], sums[1], sums[2], here, pitch)


def test_patches_are_compared_pixel_by_pixel() -> None:
    rng = np.random.default_rng(5)
    a, b, x, y = rng.normal(0, 50, (4, 30, 40)).astype(np.float32)
    u, v, top, left, other, beside = np.float32(0.3), np.float32(0.8), 4, 7, 11, 3
    here, there, pitch = np.uintp(top * 40 + left), np.uintp(other * 40 + beside), np.uintp(40)
    flat = [plane.ravel() for plane in (a, x, y, b)]
    found, of_one = _compared(flat[0], flat[1], flat[2], flat[3], here, there, pitch, u, v)
    window = b[other : other + SIDE + 1, beside : beside + SIDE + 1]
    across = window[:, :-1] * (1 - u) + window[:, 1:] * u
    patch, slope_x, slope_y = (plane[top : top + SIDE, left : left + SIDE] for plane in (a, x, y))
    off = across[:-1] * (1 - v) + across[1:] * v - patch
    assert np.allclose(found, [off.sum(), (off * off).sum(), (off * slope_x).sum(), (off * slope_y).sum()], rtol=1e-3)
    one = [patch.sum(), (patch * patch).sum(), (patch * slope_x).sum(), (patch * slope_y).sum()]
    assert np.allclose(of_one, one, rtol=1e-3)
    sums = np.ones((3, a.size), np.float32)
    _covered(flat[0], flat[3], here, there, pitch, u, v, sums)
    weight = np.zeros_like(a)
    weight[top : top + SIDE, left : left + SIDE] = 1 / np.maximum(1, np.abs(off))
    for plane, value in zip(sums, (2, -3, 1), strict=True):
        assert np.allclose(plane.reshape(a.shape), 1 + value * weight, atol=1e-4)
