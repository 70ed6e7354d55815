"""Figures of steadiness, on films whose flicker, noise and ghosts are put there by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.test_flow import texture
from videostyle.flow import places
from videostyle.frame import Image
from videostyle.steadiness import Cost, Link, Motion, Steadiness, Step, known_link, squared_error


def film(frames: int, shift: int = 0, seed: int = 0) -> Iterator[Image]:
    """A texture that slides to the left over a window of 96x64."""
    wide = texture(64, 96 + max(1, shift * frames), seed)
    for index in range(frames):
        yield np.repeat(wide[:, shift * index : shift * index + 96, None], 3, 2)


def gathered(frames: int, shift: int, change: Callable[[int, Image], Image]) -> tuple[Steadiness, Steadiness]:
    motion, floor, painting = Motion(), Steadiness(), Steadiness()
    for index, photo in enumerate(film(frames, shift)):
        step = motion(photo)
        floor.add(step, photo)
        painting.add(step, change(index, photo))
    return floor, painting


def test_a_film_that_only_moves_is_steady() -> None:
    floor, painting = gathered(9, 2, lambda index, photo: 255 - photo)
    assert set(floor.errors) == {"short", "long", "first"}
    assert max(floor.errors.values()) < 0.02
    assert painting.errors == pytest.approx(floor.errors, abs=1e-4)


def test_flicker_is_measured_in_its_own_units() -> None:
    """Every other picture is lighter by 26 of 255: the error is 0.1 between neighbours, and 5 frames apart too."""
    _, painting = gathered(9, 0, lambda index, photo: photo // 2 + np.uint8(26 * (index % 2)))
    assert painting.errors["short"] == pytest.approx(26 / 255, rel=0.02)
    assert painting.errors["long"] == pytest.approx(26 / 255, rel=0.02)


def test_slow_drift_shows_over_a_long_span() -> None:
    _, painting = gathered(12, 0, lambda index, photo: photo // 2 + np.uint8(4 * index))
    assert painting.errors["short"] == pytest.approx(4 / 255, rel=0.02)
    assert painting.errors["long"] == pytest.approx(20 / 255, rel=0.02)
    assert painting.errors["first"] > painting.errors["long"]


def test_what_is_hidden_does_not_count_but_divides() -> None:
    """D is all pixels and channels, as in the papers, not those that are seen."""
    flow = np.zeros((10, 10, 2), np.float32)
    seen = np.zeros((10, 10), bool)
    seen[:5] = True
    now, then = np.full((10, 10, 3), 102, np.uint8), np.full((10, 10, 3), 51, np.uint8)
    assert squared_error(Link("short", 1, places(flow), seen), now, then) == pytest.approx(0.5 * 0.2**2)


def test_a_new_scene_starts_anew() -> None:
    motion, steadiness = Motion(), Steadiness()
    scenes = [*film(3, seed=1), *film(3, seed=2)]
    steps = [motion(photo) for photo in scenes]
    found = [steadiness.add(step, photo) for step, photo in zip(steps, scenes, strict=True)]
    assert [step.trusted is None for step in steps] == [True, False, False, True, False, False]
    assert [set(errors) for errors in found] == [set(), {"short"}, {"short"}] * 2


def test_noise_is_the_deviation_of_what_stands_still() -> None:
    rng = np.random.default_rng(0)

    def noisy(index: int, photo: Image) -> Image:
        return np.clip(photo // 2 + 64 + rng.normal(0, 5, photo.shape), 0, 255).astype(np.uint8)

    floor, painting = gathered(30, 0, noisy)
    assert floor.noise == 0
    # 29/30 of the variance is left around a mean of the same 30 frames, and rounding down adds a twelfth.
    assert painting.noise == pytest.approx((25 * 29 / 30 + 1 / 12) ** 0.5 / 255, rel=0.02)


def test_nothing_stands_still_where_the_camera_moves_or_too_short() -> None:
    assert gathered(12, 2, lambda index, photo: photo)[1].noise is None
    assert gathered(7, 0, lambda index, photo: photo)[1].noise is None


def test_ghosts_and_dull_edges_are_what_smoothing_costs() -> None:
    appeared, edges = np.zeros((2, 20, 20), bool)
    appeared[:, :4] = True
    edges[:, 9:11] = True
    step = Step((), appeared, edges, edges)
    sharp = np.zeros((20, 20, 3), np.uint8)
    sharp[:, 10:] = 200
    smoothed = sharp.copy()
    smoothed[:, :4] = 51
    smoothed[:, 10:] = 100
    cost = Cost()
    assert (cost.ghosting, cost.sharpness) == (None, None)
    cost.add(step, smoothed, sharp)
    assert cost.ghosting == pytest.approx(0.2)
    assert cost.sharpness == pytest.approx(0.5, rel=0.01)


def test_known_flow_is_believed() -> None:
    start = np.repeat(texture()[..., None], 3, 2)
    end = np.roll(start, 6, 1)
    flow = np.zeros((96, 128, 2), np.float32)
    flow[..., 0] = 6
    flow[:10] = 2e9
    link = known_link(flow, start, end)
    assert not link.visible[:10].any()
    assert link.visible[16:-16, 16:-16].mean() > 0.95
    assert squared_error(link, start, end) < 1e-6
    assert squared_error(link, start, start) > 0.01
