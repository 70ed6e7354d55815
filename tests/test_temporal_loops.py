"""The smoother's maps are what OpenCV and numpy make of the same, pass by pass."""

from __future__ import annotations

from typing import Any

import cv2 as opencv
import numpy as np
import pytest

from tests.test_dense_search import waves
from videostyle import temporal_loops as loops
from videostyle.flow import motion_boundary, places, squares, warp
from videostyle.vectors import OUTSIDE

cv2: Any = opencv  # its type stubs lack half of what is used here

SIZES = [(60, 80), (61, 83), (16, 16), (17, 200)]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_known_leads_home(size: tuple[int, int]) -> None:
    rng, half = np.random.default_rng(0), (size[0] // 2, size[1] // 2)
    there = waves(*size, size=5) + cv2.blur(rng.normal(0, 0.5, (*size, 2)), (9, 9)).astype(np.float32)
    there[4:10, 5:12] += 3  # something that moves by itself
    back = -cv2.resize(there, half[::-1]) / 2 + cv2.blur(rng.normal(0, 2, (*half, 2)), (3, 3)).astype(np.float32)
    there, back = np.asarray(there, np.float32), np.asarray(back, np.float32)
    loops.known(there, back, found := np.empty(size, bool))
    even = there[: 2 * half[0], : 2 * half[1]]
    small = cv2.resize(even, half[::-1], interpolation=cv2.INTER_AREA)
    home = 2 * warp(back, places(small / 2))
    lost = squares(small + home) > 0.02 * (squares(small) + squares(home)) + 0.8
    wanted = ~(lost.repeat(2, 0).repeat(2, 1) | motion_boundary(there)[: 2 * half[0], : 2 * half[1]])
    inner = slice(1, 2 * half[0] - 1), slice(1, 2 * half[1] - 1)
    assert 0.05 < wanted.mean() < 0.95
    assert (found[inner] != wanted[inner]).mean() < 0.01  # OpenCV looks up at 32nds of a pixel


@pytest.mark.parametrize("size", SIZES)
def test_what_moved_is_carried_on(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    flow, rest = waves(*size), np.asarray(cv2.blur(rng.random(size, np.float32), (5, 5)), np.float32)
    moved, sure, there = waves(*size, size=2), rest[::-1].copy(), (rest > 0.4).astype(np.float32)
    loops.step(flow, rest, way := np.empty_like(flow), place := np.empty_like(flow))
    assert np.allclose(way, flow * (1 - rest)[..., None], atol=1e-4)
    assert np.allclose(place, places(way), atol=1e-4)
    before, carried = np.dstack([moved, sure, sure]), np.empty((*size, 4), np.float32)
    wanted = warp(places(moved), place)
    loops.carry(before, there, place, since := np.empty_like(flow), carried)
    assert np.abs(place - wanted).max() < 0.1  # OpenCV looks up at 32nds of a pixel
    assert np.allclose(places(since), place, atol=1e-4)
    assert np.array_equal(carried[..., :2], since)
    assert np.abs(carried[..., 2] - warp(sure, places(way)) * there).max() < 0.02


@pytest.mark.parametrize("size", [*SIZES, (2, 2), (2, 70), (70, 2)])
@pytest.mark.parametrize("far", [0.3, 2, 40])
def test_pictures_are_apart_by_what_opencv_looks_up(size: tuple[int, int], far: float) -> None:
    rng = np.random.default_rng(3)
    now, then = (np.asarray(cv2.blur(rng.integers(0, 256, (*size, 4), np.uint8), (3, 3))) for _ in range(2))
    place = places(far * np.asarray(rng.normal(0, 1, (*size, 2)), np.float32))
    place = np.asarray(np.round(32 * place) / 32, np.float32)  # as OpenCV has it
    loops.apart(now.ravel(), then.ravel(), place, (out := np.empty_like(now)).ravel())
    found = cv2.remap(then, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE)
    assert np.abs(out.astype(int) - cv2.absdiff(now, found)).max() <= 4  # shares of what is partly outside are rounded


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30, 3e38])
def test_what_is_no_place_is_looked_up_within_the_picture(value: float) -> None:
    place = np.full((16, 20, 2), value, np.float32)
    for side in ((...), (..., 0), (..., 1)):
        place[:] = 3
        place[side] = value
        loops.apart(np.zeros(1280, np.uint8), np.zeros(1280, np.uint8), place, np.empty(1280, np.uint8))
        carried = np.zeros((16, 20, 4), np.float32)
        loops.carry(carried, np.ones((16, 20), np.float32), place, np.empty_like(place), np.empty_like(carried))


@pytest.mark.parametrize("size", SIZES)
def test_what_is_drawn_together_is_stretched(size: tuple[int, int]) -> None:
    way = waves(*size)
    loops.stretched(way, found := np.empty(size, np.float32))
    y, x = (np.gradient(places(way), axis=axis) for axis in (0, 1))
    wanted = np.abs(x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0] - 1)
    assert np.allclose(found[1:-1, 1:-1], wanted[1:-1, 1:-1], atol=1e-4)
    loops.stretched(places(np.zeros((*size, 2), np.float32)) * np.float32(0.1), found)
    assert np.allclose(found[1:-1, 1:-1], 0.21, atol=1e-4)


@pytest.mark.parametrize("off", [(0.0, 0.0), (0.3, -0.2), (-0.45, 0.1), (0.25, 0.0)])
def test_a_picture_that_is_shaken_lies_between_its_pixels(off: tuple[float, float]) -> None:
    picture = np.random.default_rng(5).integers(0, 256, (20, 30, 4), np.uint8)
    found = np.empty((20, 120), np.uint8)
    loops.shifted(picture.reshape(20, 120), *off, found)
    by = np.array([[1, 0, off[0]], [0, 1, off[1]]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(picture.astype(np.float32), by, (30, 20), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    apart = np.abs(found.reshape(20, 30, 4)[:, 1:-1] - expected[:, 1:-1])
    assert apart.max() <= 1 + 255 / 16  # places are rounded to 16ths of a pixel, and to 32nds by OpenCV
    assert np.array_equal(found.reshape(20, 30, 4)[:, [0, -1]], picture[:, [0, -1]])


def test_what_is_seen_is_known_or_as_bright_and_was_inside() -> None:
    flow, known = np.zeros((16, 20, 2), np.float32), np.zeros((16, 20), bool)
    now, then, found = np.zeros((16, 20), np.uint8), np.zeros((16, 20), np.uint8), np.empty((16, 20), np.uint8)
    known[:, :8] = True
    now[:, :12] = 50
    then[:, 12:] = 5
    flow[2, :, 0], flow[3, :, 1] = -0.6, -4
    loops.visible(flow, known, now, then, 6.0, found)
    expected = np.ones((16, 20), np.uint8)
    expected[:, 8:12] = expected[2, 0] = expected[3] = 0
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("size", [(720, 1280), (36, 64), (40, 60), (4, 4)])
def test_a_picture_is_quartered_as_by_opencv(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(6).integers(0, 256, (*size, 3), np.uint8)
    small = np.empty((size[0] // 4, size[1] // 4, 3), np.uint8)
    loops.quartered(picture.ravel(), *size, small.ravel())
    assert np.array_equal(small, cv2.resize(picture, small.shape[1::-1], interpolation=cv2.INTER_AREA))
