"""Smoothing over time: what holds a painted stream still where the film itself does not change.

Nets amplify noise: a wall that stands still is painted anew each frame. Two things are done about it. The net is
shown the photo as it was wherever that has not changed by more than noise (``hold``): strokes then stay what they are,
sharp. And each painting is blended with the one before, moved as the film moved, as far as the film itself is found
there (after Ruder et al. 2016, with dense inverse search, Kroeger et al. 2016). Where it is not found, nothing of the
past is kept: a plain average of frames would leave ghosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2 as opencv
import numpy as np
from numpy.typing import NDArray

from videostyle.flow import Flow, places
from videostyle.frame import Image

cv2: Any = opencv  # its type stubs lack half of what is used here

_FLOW_SIDE, _CHECK_SIDE = 160, 320
"""Longer sides in pixels at which motion is looked for, and what was found is checked."""
_HELD = 8.0
"""Change, 0..255 in the channel that changed most, of the small picture around a place, that may be noise."""
_MOVING = 0.5
"""Where more of the picture than this changes, the camera moves: of photos held in part, nets paint the seams."""
_NOISE, _FADE = 8.0, 8.0
"""The same of what is found along a motion, and over how much more trust fades to nothing."""
_MOST = 0.9
"""Share of the past in a frame at full strength where all is trusted."""
_AUTO_MOST, _AUTO_PACE = 0.5, 0.2
"""Share of the past that "auto" goes up to (more of it dulls strokes), and how much of the way it goes in a frame."""
_AUTO_STILL = 1.5
"""Motion in pixels of ``_CHECK_SIDE`` from which on "auto" leaves paintings as they are: strokes that move are painted
anew each frame, and blending two of them dulls both."""
_REST = 0.9
"""Share of the past where the net was shown what it had been shown before: its strokes are where they were, and what is
left of their flicker is what norms bring from elsewhere in the picture."""
_CUT = 0.2
"""Less trust than this, on average, is another scene."""
_NEAR = np.ones((5, 5), np.uint8)
_ROWS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A photo as the net should see it, and what is known of it.

    photo: uint8 RGB (H, W, 3). small: the same at ``_CHECK_SIDE``. rest: float32 (h, w) of that size, 1 where it is
    what the net saw last time, 0 where it is new. anew: its painting owes nothing to those before.
    """

    photo: Image
    small: Image
    rest: NDArray[np.float32]
    anew: bool


class Smoother:
    """Smooths the paintings of one stream, in order; all that it remembers is this stream's.

    strength: 0 to 1, or None to follow how much more the paintings flicker than the photos they are made from.

    Each frame goes through ``hold`` before painting and through ``blend`` after it; some frames may be held before
    those ahead of them are blended, so that they are painted at the same time. A new size starts anew by itself.
    Pictures live in host memory; an engine on a card needs a smoother of its own with these two methods to keep them
    there.
    """

    def __init__(self, strength: float | None = None) -> None:
        self._strength = strength
        self._auto = 0.0
        self._search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(0)
        self._held: Held | None = None
        self._seen: Image | None = None
        self._shown: Image | None = None

    def hold(self, photo: Image, *, anew: bool = False) -> Held:
        """What the net should paint: ``photo``, uint8 RGB (H, W, 3), as it was wherever only noise changed.

        ``photo`` is kept and must not change. anew: its painting owes nothing to those before: another style, strength
        or way of colouring.
        """
        small, last = _small(photo, _CHECK_SIDE), self._held
        if last is None or last.photo.shape != photo.shape:
            self._held = Held(photo, small, np.zeros(small.shape[:2], np.float32), True)
            return self._held
        change = _most(cv2.blur(cv2.absdiff(small, last.small), _NEAR.shape))
        # Dilated, so that what moves is renewed with its surroundings.
        changed = cv2.dilate((change > _HELD).astype(np.uint8), _NEAR)
        if changed.mean() > _MOVING:
            changed[:] = 1
        # Full where nothing near has changed, fading to none before what has.
        rest = cv2.blur(cv2.erode((1 - changed).astype(np.float32), _NEAR[:3, :3]), (3, 3))
        if not changed.all():
            mask = cv2.resize(changed, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            photo = cv2.copyTo(photo, mask, last.photo.copy())
            small = cv2.copyTo(small, changed, last.small.copy())
        self._held = Held(photo, small, rest, anew)
        return self._held

    def blend(self, painting: Image, held: Held) -> Image:
        """The painting of ``held``, uint8 RGB (H, W, 3), steadied by those before it."""
        seen, before, shown = held.small, self._seen, self._shown
        self._seen, self._shown = seen, painting
        if held.anew or before is None or shown is None or shown.shape != painting.shape:
            return painting
        if self._strength is None and held.rest.any():
            # Beside what rests, "auto" would find little along motions to hold still: not worth half the time.
            self._shown = _mixed(painting, shown, _REST * held.rest)
            return self._shown
        flow = self._motion(seen, before)
        trust = _trust(seen, before, flow)
        if trust.mean() < _CUT:
            return painting
        if self._strength is None:
            trust *= _still(flow)
            weight = trust * self._follow(painting, shown, trust)
        else:
            weight = trust * (_MOST * self._strength)
        if weight.any():
            self._shown = _mixed(painting, _moved(shown, flow), weight)
        return self._shown

    def _motion(self, now: Image, then: Image) -> Flow:
        """Flow in pixels of ``now``, from it to ``then``, both at the size for checking."""
        small, old = (_small(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), _FLOW_SIDE) for picture in (now, then))
        return _grown(self._search.calc(small, old, None), now.shape[1::-1])

    def _follow(self, painting: Image, shown: Image, trust: NDArray[np.float32]) -> float:
        """The share of the past that suits how far paintings part from it where the film does not: none where they
        part no further than the film's own noise lets them. trust: in nothing but what stands still."""
        size = trust.shape[::-1]
        small = (cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST) for picture in (painting, shown))
        parts = cv2.absdiff(*small)
        parts = cv2.cvtColor(parts, cv2.COLOR_RGB2GRAY)
        flicker = float((parts * trust).sum() / max(1.0, float(trust.sum())))
        wanted = _AUTO_MOST * min(1.0, max(0.0, flicker / 2 - 1))
        self._auto += _AUTO_PACE * (wanted - self._auto) if self._auto else wanted
        return self._auto


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


def _grown(flow: Flow, size: tuple[int, int]) -> Flow:
    """Flow at another (width, height), in pixels of that."""
    height, width = flow.shape[:2]
    factors = size[0] / width, size[1] / height
    return np.asarray(cv2.resize(cv2.multiply(flow, (*factors, 0, 0)), size), np.float32)


def _trust(now: Image, then: Image, flow: Flow) -> NDArray[np.float32]:
    """float32 (h, w), 0 to 1: how surely the film of a frame before is found where the flow points."""
    at = cv2.add(flow, _whole(now.shape[1::-1]))
    found = cv2.remap(then, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 255, 0))
    change = _most(cv2.blur(cv2.absdiff(now, found), (3, 3))).astype(np.float32)
    trust = np.clip((_NOISE + _FADE - change) / _FADE, 0, 1)
    # The edge of what is not found belongs to it.
    return np.asarray(cv2.blur(cv2.erode(trust, _NEAR[:3, :3]), (3, 3)), np.float32)


def _still(flow: Flow) -> NDArray[np.float32]:
    """float32 (h, w): 1 where nothing moves, 0 from ``_AUTO_STILL`` pixels on."""
    length = cv2.magnitude(*cv2.split(flow))
    return np.asarray(np.clip(1 - length / _AUTO_STILL, 0, 1), np.float32)


def _moved(picture: Image, flow: Flow) -> Image:
    size = picture.shape[1::-1]
    at = _grown(flow, size)
    at = cv2.add(at, _whole(size), at)
    # Four channels are looked up in less than half the time of three.
    four = cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA)
    four = cv2.remap(four, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(four, cv2.COLOR_RGBA2RGB), np.uint8)


@lru_cache(maxsize=4)
def _whole(size: tuple[int, int]) -> NDArray[np.float32]:
    """The places of all pixels of a picture of that (width, height)."""
    return places(np.zeros((size[1], size[0], 2), np.float32))


def _mixed(now: Image, past: Image, weight: NDArray[np.float32]) -> Image:
    share = cv2.resize(np.asarray(255 * weight + 0.5, np.uint8), now.shape[1::-1])
    mixed = np.empty_like(now)
    # By strips that stay in the processor's cache: a quarter of the time that whole pictures on the way take.
    for top in range(0, len(now), _ROWS):
        rows = slice(top, top + _ROWS)
        of_past, out = cv2.merge([share[rows]] * 3), mixed[rows]
        cv2.multiply(past[rows], of_past, out, scale=1 / 255)
        of_now = cv2.bitwise_not(of_past, of_past)
        cv2.add(out, cv2.multiply(now[rows], of_now, of_now, scale=1 / 255), out)
    return mixed
