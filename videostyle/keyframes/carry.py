"""The frames between keyframes: both neighbours moved as the film moves, blended, and their holes filled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from videostyle.flow import Mask
from videostyle.frame import Closing, Frame, Image, StreamInfo
from videostyle.keyframes.film import Film
from videostyle.keyframes.flows import Flows, Trace, traces
from videostyle.keyframes.plan import Plan, Stretch, gather
from videostyle.keyframes.work import WorkFolder
from videostyle.pictures import load_picture
from videostyle.stylizer import keep_colors

Fill = Callable[[int, Image, Image, Mask], Image]
"""Frame number, photo, painting so far, and where it has holes -> the painting to put there; uint8 (H, W, 3)."""
DOUBT = 1e-3
"""What a pixel weighs that a keyframe does not show: where neither does, the nearer guess is taken."""
SOFT = 1.5
"""Standard deviation in pixels by which edges of what is trusted are softened."""


class CarriedFilm(Closing):
    """The painted film as a source of frames: times, size and everything else are the film's own.

    fill: paints what no keyframe shows; None leaves the nearer guess. keep_color: with the film's own colours.
    """

    def __init__(
        self, film: Film, plan: Plan, flows: Flows, work: WorkFolder, *, fill: Fill | None, keep_color: bool = False
    ) -> None:
        self.info: StreamInfo = replace(film.info, frames=plan.frames)
        self._film, self._plan, self._flows, self._work = film, plan, flows, work
        self._fill, self._keep_color = fill, keep_color
        self.notes = film.notes
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for stretch, frames in gather(self._film, self._plan.stretches()):
            for frame in self._stretch(stretch, frames):
                if self._closed.is_set():
                    return
                yield frame

    def close(self) -> None:
        self._closed.set()

    def _stretch(self, stretch: Stretch, frames: list[Frame]) -> Iterator[Frame]:
        images = [frame.image for frame in frames]
        sides = []
        for number, backwards in ((stretch.left, False), (stretch.right, True)):
            if number is not None:
                found = traces(self._flows, stretch.first, images, backwards=backwards)
                sides.append((found, load_picture(self._work.keyframe(number))))
        length = len(frames) - 1
        for place, frame in enumerate(frames if stretch.closes else frames[:-1]):
            near = [1 - place / length, place / length] if len(sides) == 2 else [1.0]
            views = [View(of[place], painting, share) for (of, painting), share in zip(sides, near, strict=True)]
            painting, holes = blend(views)
            if self._fill is not None and holes.any():
                filled = self._fill(frame.index, frame.image, painting, holes)
                painting = paste(painting, filled, holes)
            painting = keep_colors(frame.image, painting) if self._keep_color else painting
            yield replace(frame, image=painting)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a frame sees of one keyframe: how pixels lead there, its painting, and how near it is in time, 0 to 1."""

    trace: Trace
    painting: Image
    near: float


def blend(views: list[View]) -> tuple[Image, Mask]:
    """Keyframes as one frame sees them, by nearness and confidence, and where none of them shows anything."""
    total = np.zeros(views[0].painting.shape, np.float32)
    weights = np.zeros(total.shape[:2], np.float32)
    shown = np.zeros(total.shape[:2], np.float32)
    for view in views:
        if view.near == 0:
            continue
        sure = cv2.GaussianBlur(view.trace.sure, (0, 0), SOFT)
        weight = np.asarray(view.near * (sure + DOUBT), np.float32)
        total += weight[..., None] * view.trace.look_up(view.painting)
        weights += weight
        shown = np.maximum(shown, sure)
    painting = np.asarray((total / weights[..., None] + 0.5).clip(0, 255), np.uint8)
    return painting, np.asarray(shown < 0.5, bool)


def paste(painting: Image, patch: Image, where: Mask) -> Image:
    """``patch`` put into ``painting`` with a soft edge."""
    share = cv2.GaussianBlur(where.astype(np.float32), (0, 0), SOFT)[..., None]
    mixed = painting + share * (patch.astype(np.float32) - painting)
    return np.asarray((mixed + 0.5).clip(0, 255), np.uint8)
