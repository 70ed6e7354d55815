"""The governor, on machines that are a formula: no clock, no net."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from videostyle.governor import PATIENCE, STEPS, Governor

BUDGET = 0.030


def run(governor: Governor, frames: int, full_size: Callable[[int], float], overhead: float = 0.0) -> list[float]:
    """Scales of so many frames on a machine that takes ``full_size(frame)`` seconds for a whole picture."""
    scales = []
    for frame in range(frames):
        net = full_size(frame) * governor.scale**2
        scales.append(governor(overhead + net, net))
    return scales


def changes(scales: list[float]) -> int:
    return int(np.count_nonzero(np.diff(scales)))


def test_a_machine_that_keeps_up_is_left_alone() -> None:
    assert set(run(Governor(BUDGET), 5000, lambda frame: 0.029)) == {1.0}


@pytest.mark.parametrize("full_size", [0.032, 0.05, 0.08, 0.2])
def test_one_that_does_not_gets_smaller_pictures_within_a_second_and_keeps_them(full_size: float) -> None:
    governor = Governor(BUDGET)
    scales = run(governor, 3000, lambda frame: full_size)
    assert scales[30] < 1
    assert changes(scales[30:]) == 0
    assert full_size * scales[-1] ** 2 <= BUDGET
    larger = STEPS[STEPS.index(scales[-1]) - 1]
    assert full_size * larger**2 > 0.8 * BUDGET, "no smaller than need be"
    assert governor.least == scales[-1]


def test_it_stops_at_the_smallest() -> None:
    scales = run(Governor(BUDGET), 500, lambda frame: 10.0)
    assert scales[-1] == STEPS[-1]
    assert changes(scales) <= 2


def test_it_comes_back_step_by_step_when_there_is_room_again() -> None:
    scales = run(Governor(BUDGET), 2000, lambda frame: 0.09 if frame < 300 else 0.015)
    assert scales[299] == 0.5
    assert scales[300 + PATIENCE] == 0.5, "not at the first quick frame"
    assert scales[-1] == 1.0
    assert np.all(np.diff(scales[300:]) >= 0)


def test_one_slow_frame_changes_nothing() -> None:
    assert set(run(Governor(BUDGET), 1000, lambda frame: 0.5 if frame % 40 == 20 else 0.02)) == {1.0}


def test_noise_around_the_budget_does_not_swing_it() -> None:
    noise = np.random.default_rng(0).normal(1, 0.15, 20000)
    scales = run(Governor(BUDGET), 20000, lambda frame: 0.034 * noise[frame])
    assert changes(scales) <= 6
    assert changes(scales[10000:]) <= 2


def test_a_machine_whose_time_is_not_in_proportion_to_the_area_settles_too() -> None:
    # Half of the time does not shrink with the picture: every step up would promise more room than there is.
    scales = run(Governor(BUDGET), 40000, lambda frame: 0.018, overhead=0.0135)
    assert changes(scales) <= 20
    assert changes(scales[20000:]) <= 4


def test_a_picture_is_not_coarsened_for_nothing() -> None:
    # Most of the time goes elsewhere: the smallest picture would miss the budget as well.
    scales = run(Governor(BUDGET), 2000, lambda frame: 0.010, overhead=0.035)
    assert scales[-1] >= 0.7
    assert changes(scales) <= 1


def test_what_a_change_did_not_bring_is_learned_from_it() -> None:
    # The net's watch says that all the time is the net's, but most of it is spent waiting for work beside it.
    governor, scales = Governor(BUDGET), []
    for _ in range(3000):
        seconds = 0.035 + 0.010 * governor.scale**2
        scales.append(governor(seconds, seconds))
    assert 1 > min(scales) >= 0.7, "it has tried, and seen"
    assert changes(scales[1000:]) == 0


def test_load_that_comes_and_goes_is_followed_ever_more_seldom() -> None:
    governor = Governor(BUDGET)
    scales = run(governor, 30000, lambda frame: 0.045 if frame // 150 % 2 else 0.02)
    assert changes(scales[15000:]) < changes(scales[:15000]) / 2 + 2
    assert governor.changes == changes([1.0, *scales])


def test_frames_right_after_a_change_are_not_judged() -> None:
    governor = Governor(BUDGET)
    while governor.scale == 1:
        governor(0.05, 0.05)
    scale = governor.scale
    for _ in range(3):
        governor(1.0, 1.0)
    assert [governor(0.02, 0.02) for _ in range(20)] == [scale] * 20


def test_a_budget_is_above_zero() -> None:
    with pytest.raises(ValueError, match="within 0 s"):
        Governor(0)
