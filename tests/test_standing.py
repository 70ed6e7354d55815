"""Whether a camera stands: shaken, creeping, moved, and with somebody before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.test_flow import texture
from videostyle.frame import Image
from videostyle.standing import Standing, camera_motion

ROOM, GUEST = texture(200, 340), texture(200, 340, seed=1)


def moved(across: float, down: float = 0.0, picture: Image = ROOM) -> Image:
    """(180, 320) of a picture that has moved by so many pixels."""
    shift = np.array([[1, 0, across - 10], [0, 1, down - 10]], np.float32)
    return np.asarray(cv2.warpAffine(picture, shift, (320, 180), flags=cv2.INTER_CUBIC), np.uint8)


def noisy(picture: NDArray[Any], seed: int = 0) -> Image:
    noise = np.random.default_rng(seed).normal(0, 2, picture.shape)
    return np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8)


def with_guest(picture: Image, step: float) -> Image:
    """Two fifths of it something else, which moves."""
    picture = picture.copy()
    picture[40:, 60:220] = moved(step, 0.5 * step, GUEST)[40:, 60:220]
    return picture


def stands(pictures: Iterable[Image]) -> Iterator[bool]:
    standing = Standing()
    for picture in pictures:
        yield standing(picture) is not None


@pytest.mark.parametrize("off", [(0.0, 0.0), (0.1, -0.05), (-0.3, 0.2)])
@pytest.mark.parametrize("guest", [False, True])
def test_the_motion_of_most_is_found_whatever_moves_before_it(off: tuple[float, float], guest: bool) -> None:
    then, now = noisy(moved(0), 1), noisy(moved(*off), 2)
    if guest:
        then, now = with_guest(then, 0), with_guest(now, 3)
    assert camera_motion(now, then) == pytest.approx(off, abs=0.05)


def test_what_says_nothing_has_not_moved_and_another_scene_is_none_of_the_same() -> None:
    wall = np.full((180, 320), 90, np.uint8)
    stripes = np.asarray(np.repeat(ROOM[:1, 10:330], 180, 0))
    assert camera_motion(wall, wall) == (0.0, 0.0)
    assert camera_motion(stripes, stripes) == (0.0, 0.0)
    assert camera_motion(moved(0), moved(0, 0, GUEST)) is None
    assert camera_motion(ROOM[:16, :16], ROOM[:16, :16]) == (0.0, 0.0)  # the smallest there is


def test_a_camera_stands_while_somebody_moves() -> None:
    assert all(stands(noisy(with_guest(moved(0), 2 * index), index) for index in range(60)))


def test_a_camera_that_stood_long_may_be_shaken() -> None:
    shake = [0.0] * 40 + [0.2, -0.3, 0.3, -0.2, 0.1] + [0.0] * 20
    assert all(stands(noisy(moved(across), index) for index, across in enumerate(shake)))


def test_a_camera_that_creeps_does_not_stand_until_it_has_for_a_while() -> None:
    ways = [0.1 * min(index, 30) for index in range(70)]
    stood = [*stands(noisy(moved(across), index) for index, across in enumerate(ways))]
    assert not any(stood[2:40])
    assert all(stood[50:])


def test_light_that_goes_out_is_no_standing() -> None:
    assert [*stands([moved(0), moved(0), np.asarray(moved(0) // 4, np.uint8)])] == [True, True, False]


@pytest.mark.parametrize("speed", [2, 8, 30])
def test_a_sky_says_nothing_of_a_camera_that_pans(speed: int) -> None:
    wide = texture(180, 320 + 30 * speed)

    def view(index: int) -> Image:
        picture = wide[:, index * speed : index * speed + 320].copy()
        picture[:60] = 200
        return noisy(picture, index)

    assert not any([*stands(view(index) for index in range(30))][1:])


def test_a_camera_that_was_nudged_stands_anew_where_it_is() -> None:
    stood = [*stands(noisy(moved(0.3 * (index >= 40)), index) for index in range(140))]
    assert all(stood[:70])
    assert not all(stood)
    assert all(stood[100:])


def test_light_that_changes_on_a_wall_is_no_motion() -> None:
    across = np.linspace(60, 160, 320, dtype=np.float32)
    down = np.linspace(0, 30, 180, dtype=np.float32)[:, None]
    wall = across + down
    assert all(stands(noisy(wall + 0.1 * min(index, 60), index) for index in range(100)))
