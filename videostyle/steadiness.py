"""How steady a painted film is, judged by the motion of the film that it was painted from.

The warping error is what the literature calls temporal or stability error (Ruder et al. 2016, equation 14; Gao et al.
2018): the root of the mean over frames of 1/D sum c (O_t - warp(O_s))^2, with D = height x width x channels, values in
[0, 1], flow and its visibility c from the film itself. The film's own error by the same measure is the floor.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from videostyle.flow import DenseFlow, Flow, Mask, luma, places, visible, warp
from videostyle.frame import Image

SPANS = {"short": 1, "long": 5}
"""How many frames lie between two that are compared, by name; "first" is the first frame of the scene, further back."""
CUT, LIKE = 0.25, 24.0
"""Where less of a frame than this can be found in the one before, with a luma, 0..255, as close as this, a new scene
begins: a search finds some way there and back between any two pictures."""
AREA = 9
STILL_LIGHT, STILL_SHARE = 8.0, 0.5
"""What stands still: luma, 0..255, averaged over 9x9 pixels, stays this close to that of the scene's first frame. Where
less than half of the frame does, the camera moves and flat walls only seem to stand. (Flow jitters with noise.)"""
STILL_DRIFT, STILL_MARGIN = 0.5, 15
"""Pixels that the middle of all motion may add up to in a scene: beyond, the camera pans, however slowly. And pixels
around what changes that are not counted: flat cloth moves with its edges, and nets look that far."""
SHORTEST_STILL = 8
"""Frames of a scene from which on a deviation over time says something."""
CHANGED = 6.0
"""Change of luma, 0..255, averaged over 9x9 pixels, from which on something else stands there than a frame before."""
_MOVES, _EDGE = 1.0, 24.0  # pixels a frame; change of luma, 0..255, across a pixel


@dataclass(frozen=True, slots=True)
class Link:
    """at: float32 (H, W, 2), where each pixel was ``age`` frames ago. visible: whether it can be found there."""

    name: str
    age: int
    at: NDArray[np.float32]
    visible: Mask


@dataclass(frozen=True, slots=True)
class Step:
    """What the film does in one frame.

    links: to earlier frames; none in the first frame of a scene. appeared: pixels that the frame before did not show,
    and that are not as what stood there, either: in noise a search fails on walls that have always been there.
    still: pixels that stood still in this scene so far, none where the camera moves. edges: edges that move.
    """

    links: tuple[Link, ...]
    appeared: Mask
    still: Mask
    edges: Mask

    @property
    def trusted(self) -> float | None:
        """Share of the frame that can be found in the one before; None in the first frame of a scene."""
        return float(self.links[0].visible.mean()) if self.links else None


class Motion:
    """Follows a film frame by frame; memory for six frames, whatever its length.

    spans: as ``SPANS``. first: whether frames are compared with the first of their scene too.
    """

    def __init__(self, spans: dict[str, int] | None = None, *, first: bool = True) -> None:
        self._spans = SPANS if spans is None else spans
        self._flow = DenseFlow()
        self._first = first
        self._recent: deque[NDArray[np.uint8]] = deque(maxlen=max(self._spans.values()))
        self._start: NDArray[np.uint8] | None = None
        self._count = 0
        self._still: Mask = np.zeros((0, 0), bool)
        self._drift = np.zeros(2)

    def __call__(self, photo: Image) -> Step:
        """The next frame, uint8 RGB (H, W, 3), all of one size."""
        grey = luma(photo)
        nothing = np.zeros(grey.shape, bool)
        if self._recent:
            flow, there = self._link("short", 1, grey, self._recent[-1])
            change = np.abs(grey - warp(self._recent[-1].astype(np.float32), there.at))
            if (there.visible & (change < LIKE)).mean() >= CUT:
                return self._go_on(grey, flow, there)
        self._recent.clear()
        self._start, self._count, self._still, self._drift = grey, 1, ~nothing, np.zeros(2)
        self._recent.append(grey)
        return Step((), nothing, self._still, nothing)

    def _go_on(self, grey: NDArray[np.uint8], flow: Flow, short: Link) -> Step:
        links = [short]
        for name, age in self._spans.items():
            if 1 < age <= len(self._recent):
                links.append(self._link(name, age, grey, self._recent[-age])[1])
        if self._first and self._start is not None and self._count > max(self._spans.values()):
            links.append(self._link("first", self._count, grey, self._start)[1])
        speed = np.linalg.norm(flow, axis=-1)
        assert self._start is not None
        self._drift += np.median(flow, (0, 1))
        changed = np.abs(_change(grey, self._start)) >= STILL_LIGHT
        near = cv2.dilate(changed.astype(np.uint8), np.ones((2 * STILL_MARGIN + 1,) * 2, np.uint8)) > 0
        self._still = self._still & ~near & (np.abs(self._drift).max() < STILL_DRIFT)
        slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=0.25))
        edges = (speed > _MOVES) & (slope > _EDGE) & short.visible
        appeared = ~short.visible & (np.abs(_change(grey, self._recent[-1])) > CHANGED)
        self._recent.append(grey)
        self._count += 1
        still = self._still if self._still.mean() >= STILL_SHARE else np.zeros_like(self._still)
        return Step(tuple(links), np.asarray(appeared, bool), still, np.asarray(edges, bool))

    def _link(self, name: str, age: int, now: NDArray[np.uint8], then: NDArray[np.uint8]) -> tuple[Flow, Link]:
        flow = self._flow(now, then)
        return flow, Link(name, age, places(flow), visible(flow, self._flow(then, now)))


def _change(now: NDArray[np.uint8], then: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of luma, averaged over a neighbourhood: noise goes, things stay."""
    return np.asarray(cv2.blur(cv2.subtract(now, then, dtype=cv2.CV_32F), (AREA, AREA)), np.float32)


def known_link(flow: Flow, start: Image, end: Image) -> Link:
    """A link by known flow from ``start`` to ``end``; what is hidden is found by estimating the way back."""
    known = np.abs(flow).max(-1) < 1e9
    flow = np.where(known[..., None], flow, np.float32(0))
    return Link("short", 1, places(flow), known & visible(flow, DenseFlow()(luma(end), luma(start))))


def squared_error(link: Link, now: Image, then: Image) -> float:
    """1/D sum c (O_t - warp(O_s))^2 of two pictures, uint8 (H, W, 3), in [0, 1]."""
    difference = now.astype(np.float32) - warp(then.astype(np.float32), link.at)
    return float(np.square(difference[link.visible]).sum(dtype=np.float64) / now.size / 255**2)


class Steadiness:
    """Gathers how steady one film is; memory for six pictures, whatever its length."""

    def __init__(self) -> None:
        self._recent: deque[Image] = deque(maxlen=max(SPANS.values()))
        self._start: Image | None = None
        self._errors: dict[str, list[float]] = {}
        self._noise = _Noise()

    def add(self, step: Step, picture: Image) -> dict[str, float]:
        """The next picture, uint8 RGB (H, W, 3), of the film whose motion ``step`` is; its warping errors by span."""
        if not step.links:
            self._recent.clear()
            self._start = picture
        found = {}
        for link in step.links:
            then = self._start if link.name == "first" else self._recent[-link.age]
            assert then is not None
            found[link.name] = squared_error(link, picture, then)
            self._errors.setdefault(link.name, []).append(found[link.name])
        self._noise.add(step, picture)
        self._recent.append(picture)
        return {name: sqrt(error) for name, error in found.items()}

    @property
    def errors(self) -> dict[str, float]:
        """Warping error by span, over all frames so far."""
        return {name: sqrt(sum(errors) / len(errors)) for name, errors in self._errors.items()}

    @property
    def noise(self) -> float | None:
        """Standard deviation over time, in [0, 1], of what stood still; None where nothing did for 8 frames."""
        return self._noise.result()


class _Noise:
    """Variance over time of the pixels that do not move during a scene."""

    def __init__(self) -> None:
        self._squares = self._pixels = 0.0
        self._sum = self._square = np.zeros((0, 0, 3))
        self._still: Mask = np.zeros((0, 0), bool)
        self._count = 0

    def add(self, step: Step, picture: Image) -> None:
        if not step.links:
            self._squares, self._pixels = self._totals()
            self._sum, self._square = np.zeros(picture.shape), np.zeros(picture.shape)
            self._count = 0
        cv2.accumulate(picture, self._sum)
        cv2.accumulateSquare(picture, self._square)
        self._still = step.still
        self._count += 1

    def result(self) -> float | None:
        squares, pixels = self._totals()
        return sqrt(squares / pixels) / 255 if pixels else None

    def _totals(self) -> tuple[float, float]:
        """With the scene that is under way, unless it is too short."""
        if self._count < SHORTEST_STILL or not self._still.any():
            return self._squares, self._pixels
        mean = self._sum[self._still] / self._count
        variance = self._square[self._still] / self._count - mean**2
        return self._squares + float(variance.sum()), self._pixels + variance.size


@dataclass(slots=True)
class Cost:
    """What smoothing a film took from it, against the same film painted without.

    ghosting: mean absolute difference, in [0, 1], of pixels that had just appeared: what hangs on from before.
    sharpness: how steep moving edges are, as a share of how steep they were.
    """

    _differences: list[float] = field(default_factory=list)
    _slopes: list[tuple[float, float]] = field(default_factory=list)

    def add(self, step: Step, picture: Image, untreated: Image) -> None:
        """The next picture of both films, uint8 RGB (H, W, 3)."""
        if step.appeared.any():
            self._differences.append(float(cv2.absdiff(picture, untreated)[step.appeared].mean() / 255))
        if step.edges.any():
            self._slopes.append((_slope(picture, step.edges), _slope(untreated, step.edges)))

    @property
    def ghosting(self) -> float | None:
        return sum(self._differences) / len(self._differences) if self._differences else None

    @property
    def sharpness(self) -> float | None:
        before = sum(slope for _, slope in self._slopes)
        return sum(slope for slope, _ in self._slopes) / before if before else None


def _slope(picture: Image, where: Mask) -> float:
    grey = luma(picture)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return float(slope[where].mean())
