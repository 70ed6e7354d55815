"""Smoothing over time: strokes that stick to what they were painted on.

A net paints each frame anew, and its strokes jump. Here paintings are shown for some frames: from one key frame to the
next, what was shown at the first fades into what the net had painted there, all of it moved along the film's motion
since then (after Ruder et al. 2016 and Jamriska et al. 2019, but without looking ahead; motion by dense inverse
search, Kroeger et al. 2016). Motion is chained and each painting is looked up where it was made, so that it is blurred
once and not once a frame. What the film shows for the first time is the net's painting of now, at once; so is what
cannot be found again, but for a share of what was shown a frame before. Where camera and film rest, noise is all that
changes, and most of what is shown stays.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import cv2 as opencv
import numpy as np
from numpy.typing import NDArray

from videostyle.flow import Flow, luma, places, visible
from videostyle.frame import Image

cv2: Any = opencv  # its type stubs lack half of what is used here

Map = NDArray[np.float32]
"""float32 (h, w), 0 to 1, of the small size that motion is looked for in."""

KEY_EVERY = 8
"""Frames that a painting takes to come; longer, and it no longer fits what it moved with."""
_SIDE, _SHARE = 320, 4
"""Longer side in pixels at which motion is looked for, or a quarter of the picture's, if that is more: with half of
that, strokes miss their places by enough to flicker half as much as untreated ones."""
_NOISE, _FADE = 12.0, 16.0
"""Change, 0..255 in the channel that changed most, of 5x5 pixels, that may be noise, and over how much more trust in
having found the same thing fades to nothing."""
_LIGHT = 6.0
"""What stands as bright as it stood a frame before, 0..255, has not just appeared, whatever the flow says: in noise a
search fails on walls."""
_HANGS, _SURE = 0.7, 0.98
"""Share of the frame before in what the key frame does not show, or not so surely."""
_SHARPER = 0.55
"""Of paintings on their way, to make up for the blur of looking them up between pixels."""
_KEPT = 0.9
"""Share of what is shown in the next painting, where the film rests."""
_CHANGED, _LOCKED = 8.0, 0.1
"""Change of 5x5 pixels, 0..255, that is more than noise; and pixels that the middle of all motion adds up to beyond
which the camera moves: then nothing rests, for strokes that stand still while the film creeps are worse than noise."""
_MOVING = 0.5
"""Where more of the picture than this changes, nothing rests either."""
_CUT = 0.2
"""Less than this found in the frame before, on average, is another scene."""
_NEAR, _AROUND = np.ones((3, 3), np.uint8), np.ones((13, 13), np.uint8)
_BORDER = (0, 255, 0)
_ROWS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame on its way through the net, and what is known of it before it is painted.

    small: its photo, uint8 RGB (h, w, 3), and that of the frame before; None where it owes nothing to that.
    flow: from it to the frame before; None where that is the very same. there: what that one shows too, 1, and what has
    just appeared, 0.
    """

    small: Image
    before: Image | None
    flow: Flow | None = None
    there: Map | None = None


class Smoother:
    """Smooths the paintings of one stream; all that it remembers is this stream's.

    strength: 0 to 1, how much of what was shown stays, where it is found again.

    Each frame goes through ``see``, in order, then through ``follow``, in any thread, and through ``blend``, in order,
    once it is painted. A new size and a new scene start anew by themselves. Pictures live in host memory; an engine on
    a card needs a smoother of its own with these methods to keep them there.
    """

    def __init__(self, strength: float = 1.0) -> None:
        self._strength = strength
        self._own = threading.local()
        self._last: tuple[tuple[int, ...], Image] | None = None
        self._shown = self._start = self._goal = np.zeros((0, 0, 4), np.uint8)
        self._age, self._sharp = 0, False
        self._at: NDArray[np.float32] = np.zeros((0, 0, 2), np.float32)
        self._sure: Map = np.zeros((0, 0), np.float32)
        self._photo = self._base = np.zeros((0, 0, 3), np.uint8)
        self._drift = np.zeros(2)

    def see(self, photo: Image, *, anew: bool = False) -> Seen:
        """Take the next frame, uint8 RGB (H, W, 3). anew: its painting owes nothing to those before: another style,
        strength or way of colouring."""
        small = _small(photo, max(_SIDE, max(photo.shape) // _SHARE))
        last, self._last = self._last, (photo.shape, small)
        return Seen(small, None if anew or last is None or last[0] != photo.shape else last[1])

    def follow(self, seen: Seen) -> Seen:
        """With its motion since the frame before: the most of the work, and nothing to do with other frames."""
        if seen.before is None or np.array_equal(seen.small, seen.before):
            return seen
        if not hasattr(self._own, "searches"):  # they keep buffers, so each thread has its own
            self._own.searches = _search(5), _search(0)
        there, back = self._own.searches
        now, then = luma(seen.small), luma(seen.before)
        flow = there.calc(now, then, None)
        # The way back only tells what has just appeared, so half of the resolution will do.
        known = visible(flow, back.calc(then, now, None))
        change = cv2.absdiff(cv2.blur(now, (5, 5)), cv2.blur(then, (5, 5)))
        at, (height, width) = places(flow), now.shape
        inside = (at > -0.5).all(-1) & (at[..., 0] < width - 0.5) & (at[..., 1] < height - 0.5)
        found = cv2.erode((inside & (known | (change < _LIGHT))).astype(np.float32), _NEAR)
        return replace(seen, flow=flow, there=found)

    def blend(self, painting: Image, seen: Seen) -> Image:
        """The painting of ``seen``, uint8 RGB (H, W, 3), steadied by those before it."""
        if seen.before is None or not len(self._at):
            return self._begin(painting, seen.small)
        if seen.flow is None or seen.there is None:  # a frame shown twice, or a pause: nothing fades on meanwhile
            same = np.full(seen.small.shape[:2], self._strength, np.float32)
            self._shown = _mixed(cv2.cvtColor(painting, cv2.COLOR_RGB2RGBA), self._shown, same)
            return np.asarray(cv2.cvtColor(self._shown, cv2.COLOR_RGBA2RGB), np.uint8)
        rest = self._resting(seen.small, seen.flow)
        step = places(seen.flow * (1 - rest)[..., None])
        there = np.maximum(seen.there, rest)
        near = _like(seen.small, seen.before, step) * there
        if near.mean() < _CUT:
            return self._begin(painting, seen.small)
        self._at, self._sure = _looked_up(self._at, step), _looked_up(self._sure, step) * there
        self._age += 1
        if not self._sharp and rest.mean() < 1 - _MOVING / 10:
            self._sharp = True
            self._start, self._goal = (_sharper(picture, 1 - rest) for picture in (self._start, self._goal))
        key = _like(seen.small, self._photo, self._at) * self._sure
        self._shown = self._composed(painting, step, _soft(key), _soft(near))
        if self._age == KEY_EVERY:
            kept = _KEPT * rest
            moved = cv2.remap(self._photo, self._at, None, cv2.INTER_LINEAR)
            goal = _mixed(cv2.cvtColor(painting, cv2.COLOR_RGB2RGBA), self._shown, kept)
            self._key(self._shown, goal, _mixed(seen.small, moved, kept))
        return np.asarray(cv2.cvtColor(self._shown, cv2.COLOR_RGBA2RGB), np.uint8)

    def _begin(self, painting: Image, small: Image) -> Image:
        # Four channels are looked up in half the time of three.
        self._shown = cv2.cvtColor(painting, cv2.COLOR_RGB2RGBA)
        self._base, self._drift = small, np.zeros(2)
        self._key(self._shown, self._shown, small)
        return painting

    def _key(self, start: Image, goal: Image, photo: Image) -> None:
        self._start, self._goal, self._photo = start, goal, photo
        self._at = places(np.zeros((*photo.shape[:2], 2), np.float32))
        self._sure = np.ones(photo.shape[:2], np.float32)
        self._age, self._sharp = 0, False

    def _resting(self, small: Image, flow: Flow) -> Map:
        """1 where the film stands still, fading to 0 before what does not."""
        self._drift = 0.95 * self._drift + np.median(flow, (0, 1))
        change = _most(cv2.blur(cv2.absdiff(small, self._base), (5, 5)))
        # Dilated, so that what moves is renewed with its surroundings.
        changed = cv2.dilate((change > _CHANGED).astype(np.uint8), _AROUND)
        if changed.mean() > _MOVING or np.abs(self._drift).max() > _LOCKED:
            changed[:] = 1
        self._base = cv2.copyTo(small, changed, self._base.copy())
        return np.asarray(cv2.blur(cv2.erode((1 - changed).astype(np.float32), _NEAR), (3, 3)), np.float32)

    def _composed(self, painting: Image, step: NDArray[np.float32], key: Map, near: Map) -> Image:
        """RGBA: what the key frame shows of now, elsewhere what was shown a frame before, elsewhere the painting."""
        share = self._age / KEY_EVERY
        carried = cv2.addWeighted(self._start, 1 - share, self._goal, share, 0)
        size = painting.shape[1::-1]
        of_key, of_near = (cv2.resize(self._strength * weight, size) for weight in (key, _HANGS * near * (key < _SURE)))
        since, last = (_grown(at, size) for at in (self._at, step))
        out = np.empty_like(carried)
        # By strips that stay in the processor's cache.
        for top in range(0, len(painting), _ROWS):
            rows = slice(top, top + _ROWS)
            strip = cv2.cvtColor(painting[rows], cv2.COLOR_RGB2RGBA)
            used = np.flatnonzero(of_near[rows].max(0))
            if len(used):
                columns = slice(used[0], used[-1] + 1)
                before = _remapped(self._shown, last[rows, columns])
                strip[:, columns] = _between(np.ascontiguousarray(strip[:, columns]), before, of_near[rows, columns])
            out[rows] = _between(strip, _remapped(carried, since[rows]), of_key[rows])
        return np.asarray(out, np.uint8)


def _search(refinements: int) -> Any:
    """Dense inverse search. refinements: iterations that smooth what it finds at full resolution; 0: at half of it."""
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setFinestScale(0 if refinements else 1)
    search.setVariationalRefinementIterations(refinements)
    search.setVariationalRefinementAlpha(60)  # as of ``videostyle.flow``
    return search


def _small(picture: Image, side: int) -> Image:
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(16, round(width * scale)), max(16, round(height * scale))
    while height >= 2 * size[1] and width >= 2 * size[0]:  # averaging by halves takes a third of the time
        width, height = width // 2, height // 2
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _most(picture: Image) -> NDArray[np.uint8]:
    """Of three channels the largest: numpy takes ten times as long."""
    red, green, blue = cv2.split(picture)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _like(now: Image, then: Image, at: NDArray[np.float32]) -> Map:
    """How surely the film of now is found where ``at`` points."""
    found = cv2.remap(then, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=_BORDER)
    change = _most(cv2.blur(cv2.absdiff(now, found), (5, 5))).astype(np.float32)
    return np.asarray(np.clip((_NOISE + _FADE - change) / _FADE, 0, 1), np.float32)


def _looked_up(what: NDArray[np.float32], at: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.remap(what, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _remapped(picture: Image, at: NDArray[np.float32]) -> Image:
    return np.asarray(cv2.remap(picture, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _soft(weight: Map) -> Map:
    return np.asarray(cv2.GaussianBlur(weight, (0, 0), 1.5), np.float32)


def _grown(at: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Places in a picture of another (width, height), for one of that."""
    height, width = at.shape[:2]
    across, down = size[0] / width, size[1] / height
    scaled = cv2.add(cv2.multiply(at, (across, down, 0, 0)), ((across - 1) / 2, (down - 1) / 2, 0, 0))
    return np.asarray(cv2.resize(scaled, size), np.float32)


def _sharper(picture: Image, where: Map) -> Image:
    blurred = cv2.blur(picture, (3, 3))
    return _mixed(picture, cv2.addWeighted(picture, 1 + _SHARPER, blurred, -_SHARPER, 0), where)


def _between(now: Image, past: Image, share: Map) -> Image:
    """Of a strip: ``share`` of the past, the rest of now."""
    return np.asarray(cv2.blendLinear(now, past, 1 - share, np.ascontiguousarray(share)), np.uint8)


def _mixed(now: Image, past: Image, weight: Map) -> Image:
    """Of pictures, by strips: a quarter of the time that whole ones on the way take."""
    share = cv2.resize(weight, now.shape[1::-1])
    mixed = np.empty_like(now)
    for top in range(0, len(now), _ROWS):
        rows = slice(top, top + _ROWS)
        mixed[rows] = _between(now[rows], past[rows], share[rows])
    return mixed
