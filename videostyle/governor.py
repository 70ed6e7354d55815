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
WORTH = 1.15
"""How much longer than the smallest a picture may take: to gain less than that is not worth a coarser painting."""


class Governor:
    """Steps the scale down as soon as frames take longer than they may, and up again once there is room for it.

    Down: at once to the largest step that is expected to fit; where none does, to the largest that is expected to take
    little more than the smallest. The net's time is expected to be in proportion to the area and the rest to stay, and
    what a change has brought corrects that: work beside the net may slow it down. Up: one step, after ``PATIENCE``
    frames with room, or with nothing gained. Where a step up does not last, the next one waits twice as long, so that a
    machine between two steps settles on the smaller one instead of swinging.

    budget: seconds that painting one frame may take.
    """

    def __init__(self, budget: float) -> None:
        if budget <= 0:
            raise ValueError(f"a frame cannot be painted within {budget:g} s")
        self._budget = budget
        self._step = 0
        self._times: deque[float] = deque(maxlen=WINDOW)
        self._beside: deque[float] = deque(maxlen=WINDOW)
        self._before: tuple[float, float] | None = None
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

    def __call__(self, seconds: float, net: float) -> float:
        """Takes what painting one frame took, and the net alone, in seconds at the present scale; returns the scale for
        the next one."""
        if self._since_rise is not None:
            self._since_rise += 1
        if self._unjudged:
            self._unjudged -= 1
            return self.scale
        self._times.append(seconds)
        self._beside.append(seconds - net)
        if len(self._times) < WINDOW // 2:
            return self.scale
        usual = median(self._times)
        if usual > self._budget and self._first_fitting(usual) > self._step:
            self._go_down(usual)
        elif len(self._times) == WINDOW and self._step > 0:
            self._consider_going_up(usual)
        return self.scale

    def _first_fitting(self, usual: float) -> int:
        """The largest picture that fits, or that is hardly slower than the smallest."""
        within = max(self._room, WORTH * self._expected(usual, len(STEPS) - 1))
        return next(step for step in range(len(STEPS)) if self._expected(usual, step) <= within)

    def _go_down(self, usual: float) -> None:
        lasted = self._since_rise is None or self._since_rise >= 4 * self._patience
        self._patience = PATIENCE if lasted else min(2 * self._patience, LONGEST_PATIENCE)
        self._since_rise = None
        self._change(self._first_fitting(usual), usual)

    def _consider_going_up(self, usual: float) -> None:
        self._calm = self._calm + 1 if self._first_fitting(usual) < self._step else 0
        if self._calm >= self._patience:
            self._since_rise = 0
            self._change(self._step - 1, usual)

    def _change(self, step: int, usual: float) -> None:
        self._before = self.scale, usual
        self._step = step
        self._times.clear()
        self._beside.clear()
        self._unjudged, self._calm = SETTLE, 0
        self.changes += 1
        self.least = min(self.least, self.scale)

    @property
    def _room(self) -> float:
        return ROOM * self._budget

    def _expected(self, usual: float, step: int) -> float:
        area, fixed = self.scale**2, median(self._beside)
        if self._before is not None:
            scale, took = self._before
            each = (took - usual) / (scale**2 - area)
            fixed = min(max(fixed, usual - each * area), usual)
        return fixed + (usual - fixed) * STEPS[step] ** 2 / area
