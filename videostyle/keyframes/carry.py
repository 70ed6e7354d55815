"""The frames between keyframes: both neighbours moved as the film moves, blended, and their holes filled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from videostyle.flow import Mask
from videostyle.frame import Closing, Frame, Image, StreamInfo
from videostyle.keyframes.film import Film
from videostyle.keyframes.flows import Flows, Neighbours, Trace, traces
from videostyle.keyframes.plan import Plan, Stretch, gather
from videostyle.keyframes.work import WorkFolder
from videostyle.pictures import load_picture
from videostyle.stylizer import keep_colors

Fill = Callable[[int, Image, Image, Mask], Image]
"""Frame number, photo, painting so far, and where it has holes -> the painting to put there; uint8 (H, W, 3)."""
DOUBT = 1e-3
"""What a pixel weighs that a keyframe does not show: where neither does, the nearer guess is taken."""
LEAST_HOLE = 0.002
"""Share of a frame below which its holes are not worth a painting of their own."""
NEAR, MOST_GAIN = 17, 1.6
"""Pixels around each one that contrast is measured in; no more than so many times as much is given back."""
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
        ends = stretch.left, stretch.right
        paintings = [load_picture(self._work.keyframe(number)) for number in ends if number is not None]
        looks = looks_at(self._flows, stretch.first, images, ends[0] is not None, ends[1] is not None)
        for frame, look in zip(frames if stretch.closes else frames[:-1], looks, strict=False):
            painting, holes = blend([View(*of, painting) for of, painting in zip(look, paintings, strict=True)])
            if self._fill is not None and holes.any():
                filled = self._fill(frame.index, frame.image, painting, holes)
                painting = paste(painting, filled, holes)
            painting = keep_colors(frame.image, painting) if self._keep_color else painting
            yield replace(frame, image=painting)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What a frame sees of one keyframe: how pixels lead there, how near it is in time, 0 to 1, and its painting."""

    trace: Trace
    near: float
    painting: Image


def looks_at(
    flows: Neighbours, first: int, images: Sequence[Image], left: bool, right: bool
) -> Iterator[list[tuple[Trace, float]]]:
    """How each frame of a stretch, beginning with number ``first``, sees the keyframes at its ends, where they are:
    trace and nearness of each, as of ``View``. images: uint8 (H, W, 3)."""
    sides = [
        traces(flows, first, images, backwards=backwards)
        for there, backwards in ((left, False), (right, True))
        if there
    ]
    length = max(1, len(images) - 1)
    for place in range(len(images)):
        near = [1 - place / length, place / length] if len(sides) == 2 else [1.0]
        yield [(side[place], share) for side, share in zip(sides, near, strict=True)]


def blend(views: list[View]) -> tuple[Image, Mask]:
    """Keyframes as one frame sees them, by nearness and confidence, and where none of them shows anything.

    The mean of two paintings whose strokes differ is duller than both; it gets back the contrast, around each pixel,
    that they have on average (as textures are blended by Heitz and Neyret 2018, but locally).
    """
    total = np.zeros(views[0].painting.shape, np.float32)
    contrast = np.zeros_like(total)
    weights = np.zeros(total.shape[:2], np.float32)
    shown = np.zeros(total.shape[:2], np.float32)
    for view in views:
        if view.near == 0:
            continue
        trace = view.trace.grown(view.painting.shape[1::-1])
        sure = cv2.GaussianBlur(trace.sure, (0, 0), SOFT)
        weight = np.asarray(view.near * (sure + DOUBT), np.float32)
        seen = trace.look_up(view.painting)
        total += weight[..., None] * seen
        contrast += weight[..., None] * _variance(seen)[1]
        weights += weight
        shown = np.maximum(shown, sure)
    mixed = np.asarray(total / weights[..., None], np.float32)
    mean, left = _variance(mixed)
    gain = np.sqrt(contrast / weights[..., None] / np.maximum(left, 1)).clip(1, MOST_GAIN)
    painting = np.asarray((mean + gain * (mixed - mean) + 0.5).clip(0, 255), np.uint8)
    return painting, np.asarray(shown < 0.5, bool)


def _variance(picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and variance around each pixel of float32 (H, W, 3)."""
    mean = np.asarray(cv2.blur(picture, (NEAR, NEAR)), np.float32)
    square = np.asarray(cv2.blur(picture * picture, (NEAR, NEAR)), np.float32)
    return mean, np.maximum(square - mean * mean, 0)


def paste(painting: Image, patch: Image, where: Mask) -> Image:
    """``patch`` put into ``painting`` with a soft edge."""
    share = cv2.GaussianBlur(where.astype(np.float32), (0, 0), SOFT)[..., None]
    mixed = painting + share * (patch.astype(np.float32) - painting)
    return np.asarray((mixed + 0.5).clip(0, 255), np.uint8)
