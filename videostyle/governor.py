"""The governor: how large a picture the net can work on and still hold a rate. Times in, a scale out, and no clock."""

from __future__ import annotations

from collections import deque
from statistics import median

STEPS = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.33)
"""Shares of the picture's sides, so that each step saves about a third of the work: few, because a net is tuned anew
to each size that it meets."""

WINDOW = 15
"""Frames that are judged together, by their median: one slow frame is no reason to change anything."""
SETTLE = 3
"""Frames after a change that are not judged: memory is allocated and kernels are chosen in them."""
PATIENCE, LONGEST_PATIENCE = 90, 6000
"""Frames that must have had room for a larger picture before one is tried; doubled whenever a try did not last."""
ROOM = 0.8
"""Part of the budget that a larger picture may be expected to take, and a smaller one is chosen to take."""


class Governor:
    """Steps the scale down as soon as frames take longer than they may, and up again once there is room for it.

    Down: at once to the largest step that is expected to fit, work being in proportion to the area. Up: one step, after
    ``PATIENCE`` frames with room. Where a step up does not last, the next one waits twice as long, so that a machine
    between two steps settles on the smaller one instead of swinging.

    budget: seconds that painting one frame may take.
    """

    def __init__(self, budget: float) -> None:
        if budget <= 0:
            raise ValueError(f"a frame cannot be painted within {budget:g} s")
        self._budget = budget
        self._step = 0
        self._times: deque[float] = deque(maxlen=WINDOW)
        self._unjudged = SETTLE
        self._calm = 0
        self._patience = PATIENCE
        self._since_rise: int | None = None
        self.changes = 0
        self.least = STEPS[0]

    @property
    def scale(self) -> float:
        """The share of the picture's sides that the net should work on now: one of ``STEPS``."""
        return STEPS[self._step]

    def __call__(self, seconds: float) -> float:
        """Takes what painting one frame took, in seconds, at the present scale; returns the scale for the next one."""
        if self._since_rise is not None:
            self._since_rise += 1
        if self._unjudged:
            self._unjudged -= 1
            return self.scale
        self._times.append(seconds)
        if len(self._times) < WINDOW // 2:
            return self.scale
        usual = median(self._times)
        if usual > self._budget:
            self._go_down(usual)
        elif len(self._times) == WINDOW and self._step > 0:
            self._consider_going_up(usual)
        return self.scale

    def _go_down(self, usual: float) -> None:
        if self._step == len(STEPS) - 1:
            return
        fitting = [step for step in range(self._step + 1, len(STEPS)) if self._expected(usual, step) <= self._room]
        lasted = self._since_rise is None or self._since_rise >= 4 * self._patience
        self._patience = PATIENCE if lasted else min(2 * self._patience, LONGEST_PATIENCE)
        self._since_rise = None
        self._change(fitting[0] if fitting else len(STEPS) - 1)

    def _consider_going_up(self, usual: float) -> None:
        self._calm = self._calm + 1 if self._expected(usual, self._step - 1) <= self._room else 0
        if self._calm >= self._patience:
            self._since_rise = 0
            self._change(self._step - 1)

    def _change(self, step: int) -> None:
        self._step = step
        self._times.clear()
        self._unjudged, self._calm = SETTLE, 0
        self.changes += 1
        self.least = min(self.least, self.scale)

    @property
    def _room(self) -> float:
        return ROOM * self._budget

    def _expected(self, usual: float, step: int) -> float:
        return usual * (STEPS[step] / self.scale) ** 2
