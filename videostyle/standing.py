"""Whether a camera stands, however its scene moves: what stays where it is may then keep its strokes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCKS = (8, 12)
"""Down and across: each counts by how well all of it agrees, lest somebody who moves is taken for the camera."""
_NOISE, _ROUNDS = 4.0, 5
"""Mean square of change, 0..255 squared, within which a block cannot agree better; and how often blocks are weighed."""
_OTHER, _FEWEST = 64.0, 0.2
"""Mean square of change beyond which a block shows something else; and share of blocks, but for
plain ones, that may not."""
_DOUBT, _MOVED, _SHAKEN, _TRUSTED = 0.06, 0.12, 0.45, 40
"""Pixels that a camera may be off: in a stream's first frame, in the first one after it moved, and after so many frames
of standing, for then it was shaken and will come back, while one that creeps does not stand so long."""
_AFTER, _NUDGED = 16, 32
"""Frames that a camera has to stand after it moved; and frames off its place after which it will not be back."""
_LIGHT = 8.0
"""Change of light, 0..255, up to which it is not taken for motion."""


class Standing:
    """Of one stream: whether frames still lie on the one at which the camera last came to rest, so that errors do not
    add up as those of motion from frame to frame do."""

    def __init__(self) -> None:
        self._place: NDArray[np.uint8] | None = None
        self._stood, self._needed, self._limit, self._away = 0, 0, _DOUBT, 0

    def __call__(self, now: NDArray[np.uint8]) -> tuple[float, float] | None:
        """Pixels across and down that it is off there; None where it moves.

        now: the next frame's luma, uint8 (h, w), small and all of one size.
        """
        if self._place is None:
            self._place = now
            return 0.0, 0.0
        off = camera_motion(now, self._place)
        self._stood += 1
        far = np.inf if off is None else float(np.hypot(*off))
        self._away = self._away + 1 if far > _MOVED else 0
        limit = self._limit + (_SHAKEN - self._limit) * min(1.0, self._stood / _TRUSTED)
        if far > limit or self._away > _NUDGED:
            self._place, self._stood, self._needed, self._limit, self._away = now, 0, _AFTER, _MOVED, 0
        return off if self._stood >= self._needed else None


def camera_motion(now: NDArray[np.uint8], then: NDArray[np.uint8]) -> tuple[float, float] | None:
    """Pixels across and down by which most of what agrees has moved; None if little agrees, as where it is two or more.

    now, then: luma, uint8 (H, W), 16 pixels or more each side. The step of Lucas and Kanade (1981) for a quarter of the
    pixels, in which each block of them counts the less the worse it agrees with the others (Odobez and Bouthemy 1995).
    """
    from videostyle import temporal_loops as loops

    light = float(np.median(now[::4, ::4].astype(np.int16) - then[::4, ::4]))
    loops.products(now, then, round(light) if abs(light) <= _LIGHT else 0, means := np.empty((*_BLOCKS, 6), np.float32))
    across, down, share = loops.agreed(means, _NOISE, _OTHER, _ROUNDS)
    return (across, down) if share >= _FEWEST else None
