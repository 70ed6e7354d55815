"""A film painted by the net and steadied by looking both ways: what ``--smooth best`` does.

The net paints keyframes only; the frames between are both neighbours, moved along the film's motion and blended, as
``videostyle.keyframes.carry`` does it (after Jamriska et al. 2019). Strokes then stick to what they were painted on.
Unlike a film of optimised keyframes this one is read once: some frames ahead are all that is remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import cv2 as opencv
import numpy as np

from videostyle.flow import Flow
from videostyle.frame import Frame, Image
from videostyle.keyframes.carry import LEAST_HOLE, View, blend, looks_at, paste
from videostyle.keyframes.flows import Finder, Trace, make_finder
from videostyle.keyframes.plan import Cuts
from videostyle.overlap import overlapped
from videostyle.scaling import scale
from videostyle.stylizer import Stylizer, fit, keep_colors

cv2: Any = opencv  # its type stubs lack half of what is used here

APART = 10
"""Frames from one keyframe to the next. What neither of them shows is painted anew in each frame, so that things which
move fast are no worse off than without."""
FLOW_SIDE = 640
"""Longer side at which motion is looked for."""
_LEAST = 16
"""No side is shorter: dense inverse search needs so much."""
_THREADS = 2
_AREA, _NOISE, _FADE = 5, 8.0, 16.0
"""A picture is like another where the mean over so many pixels differs by no more than noise, 0..255; over the next
``_FADE`` likeness fades to nothing."""
_LIKELY = 0.6
"""How far likeness alone is trusted."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A frame at hand. number: without gaps. small: its picture as motion is looked for in. begins: a scene.

    flows: to the frame before and back; None where a scene begins.
    """

    frame: Frame
    number: int
    small: Image
    begins: bool
    flows: tuple[Flow, Flow] | None = None


class BothWays:
    """Paints the frames of one film.

    stylizer: paints the keyframes; its ``keep_color`` is taken over.
    """

    def __init__(self, stylizer: Stylizer) -> None:
        self._stylizer = stylizer
        self._keep_color, stylizer.keep_color = stylizer.keep_color, False  # of each frame, not of its keyframes
        self._own = threading.local()
        self._flows: dict[int, tuple[Flow, Flow]] = {}

    def stream(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """All frames painted, in order. Raises EngineError."""
        stretch: list[_Seen] = []
        left: Image | None = None
        for seen in overlapped(self._with_motion, self._pairs(frames), _THREADS):
            if seen.begins:
                yield from self._finish(stretch, left)
                stretch, left = [], self._stylizer(seen.frame).image
            elif seen.flows is not None:
                self._flows[seen.number] = seen.flows
            stretch.append(seen)
            if left is not None and len(stretch) > APART:
                right = self._stylizer(seen.frame).image
                yield from self._carry(stretch, left, right)
                stretch, left = [seen], right
        yield from self._finish(stretch, left)

    def _pairs(self, frames: Iterable[Frame]) -> Iterator[tuple[_Seen | None, _Seen]]:
        """Each frame with the one before it, as soon as it is known whether a scene begins there."""
        cuts, numbers, waiting, before = Cuts(), count(), list[_Seen](), None

        def known(least: int) -> Iterator[tuple[_Seen | None, _Seen]]:
            nonlocal before
            while len(waiting) > least:
                seen = waiting.pop(0)
                seen = replace(seen, begins=seen.number in cuts.scenes)
                yield before, seen
                before = seen

        for frame in frames:
            frame = self._stylizer.fitted(frame)
            cuts.add(frame.image)
            width, height = fit(frame.image.shape[1], frame.image.shape[0], FLOW_SIDE)
            small = scale(frame.image, (max(width, _LEAST), max(height, _LEAST)))
            waiting.append(_Seen(frame, next(numbers), small, False))
            yield from known(cuts.lag)
        yield from known(0)

    def _with_motion(self, pair: tuple[_Seen | None, _Seen]) -> _Seen:
        before, now = pair
        if before is None or now.begins:
            return now
        if not hasattr(self._own, "find"):
            self._own.find = make_finder("dis", "cpu")  # keeps buffers, so each thread has its own
        find: Finder = self._own.find
        return replace(now, flows=(find(now.small, before.small), find(before.small, now.small)))

    def _neighbours(self, number: int, before: Image, now: Image) -> tuple[Flow, Flow]:
        return self._flows[number]

    def _finish(self, stretch: list[_Seen], left: Image | None) -> Iterator[Frame]:
        """The end of a scene: its last frame is a keyframe too."""
        if not stretch or left is None:
            return
        last = stretch[-1].frame
        right = self._stylizer(last).image if len(stretch) > 1 else left
        yield from self._carry(stretch, left, right)
        yield self._shown(last, right)

    def _carry(self, stretch: list[_Seen], left: Image, right: Image) -> Iterator[Frame]:
        """The frames of a stretch but for its last one."""
        first, photos = stretch[0].number, [seen.small for seen in stretch]
        looks = looks_at(self._neighbours, first, photos, True, True)

        def paint(job: tuple[_Seen, list[tuple[Trace, float]]]) -> Frame:
            seen, look = job
            views = [
                View(_checked(trace, seen.small, photo), near, painting)
                for (trace, near), photo, painting in zip(look, (photos[0], photos[-1]), (left, right), strict=True)
            ]
            painting, holes = blend(views)
            if holes.mean() > LEAST_HOLE:
                filled = self._stylizer.preview(seen.frame.image, self._stylizer.mix)
                painting = paste(painting, filled, holes)
            return self._shown(seen.frame, painting)

        yield from overlapped(paint, zip(stretch[:-1], looks, strict=False), _THREADS)
        for number in range(first, stretch[-1].number + 1):
            self._flows.pop(number, None)

    def _shown(self, frame: Frame, painting: Image) -> Frame:
        return replace(frame, image=keep_colors(frame.image, painting) if self._keep_color else painting)


def _checked(trace: Trace, photo: Image, other: Image) -> Trace:
    """A trace to ``other``, trusted as far as the film there looks like ``photo``.

    Chained over frames of a noisy camera, forward-backward checks lose much that is there.
    """
    found = cv2.remap(other, trace.at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = cv2.blur(cv2.absdiff(photo, found), (_AREA, _AREA)).max(2)
    like = np.clip((_NOISE + _FADE - change.astype(np.float32)) / _FADE, 0, 1)
    return replace(trace, sure=np.asarray(like * np.maximum(trace.sure, _LIKELY), np.float32))
