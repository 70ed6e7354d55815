"""Smoothing over time: strokes that stick to what they were painted on.

A net paints each frame anew, and its strokes jump. Here paintings are shown for some frames: from one key frame to the
next, what was shown at the first fades into what the net had painted there, all of it moved along the film's motion
since then (after Ruder et al. 2016 and Jamriska et al. 2019, but without looking ahead; motion by dense inverse
search, Kroeger et al. 2016). Motion is chained and each painting is looked up where it was made, so that it is blurred
once and not once a frame. What the film shows for the first time is the net's painting of now, at once; so is what
cannot be found again, but for a share of what was shown a frame before. Where camera and film rest, noise is all that
changes, and one painting stays.
"""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2 as opencv
import numpy as np
from numpy.typing import NDArray

from videostyle.compositor import Compositor, HostCompositor, Map
from videostyle.flow import Flow, Mask, luma
from videostyle.frame import Image
from videostyle.standing import Standing, camera_motion

cv2: Any = opencv  # its type stubs lack half of what is used here

KEY_EVERY = 8
"""Frames that a painting takes to come; longer, and it no longer fits what it moved with."""
_SIDE, _SHARE, _MOST = 320, 4, 1024
"""Longer side in pixels at which motion is looked for, but no more than half of the picture's, nor less than a quarter:
with half of that, strokes miss their places by enough to flicker half as much as untreated ones. And as much as
``videostyle.dense_search`` takes at most."""
_NOISE, _FADE = 12.0, 16.0
"""Change, 0..255 in the channel that changed most, of 5x5 pixels, that may be noise, and over how much more trust in
having found the same thing fades to nothing."""
_STIRS, _MARGIN = 2.0, 16
"""Change of 9x9 pixels of luma, 0..255, beyond which motion is looked for, and how many pixels around that."""
_AGO = 8
"""Frames over which things may not change where no motion is looked for, lest a camera that creeps seem to stand."""
_LIGHT = 6.0
"""What stands as bright as it stood a frame before, 0..255, has not just appeared, whatever the flow says: in noise a
search fails on walls."""
_STRETCHED = 0.25
"""Share by which an area may have grown or shrunk since the key frame, for nothing does that so soon but a wrong flow;
by twice that, it is not trusted at all."""
_HANGS, _SURE = 0.83, 0.98
"""Share of the frame before in what the key frame does not show, or not so surely."""
_CHANGED, _ANEW, _BARELY = 8.0, 10.0, 3.0
"""Change of 5x5 pixels, 0..255, that is more than noise, in two frames, and in one; and that is, in all of a round."""
_MOVES = 0.05
"""Share of the picture that begins to move from which on what is on its way is sharpened there."""
_CUT = 0.2
"""Less than this found in the frame before, on average, is another scene."""
_LIKE = np.clip((_NOISE + _FADE - np.arange(256)) / _FADE, 0, 1).astype(np.float32)
"""How surely the same thing has been found, by how much it changed."""
_AROUND = np.ones((13, 13), np.uint8)
_NEAR = np.ones((3, 3), np.uint8)
_SLOW = 3.0
"""Seconds after which people are told what they wait for."""
_LOCK = threading.Lock()


class Photo(NamedTuple):
    """What a frame shows, small: uint8 RGBA (h, w, 4); and its luma, uint8 (h, w), as it is, and the means of 5x5 and
    of 9x9 pixels of that."""

    small: Image
    grey: NDArray[np.uint8]
    near: NDArray[np.uint8]
    wide: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A frame on its way through the net, and what is known of it before it is painted.

    now: its photo. before: that of the frame before; None where it owes nothing to that. earlier: that of ``_AGO``
    frames before; None where the stream is younger.
    flow: from it to the frame before; None where that is the very same. there: what that one shows too, 1, and what has
    just appeared, 0.
    """

    now: Photo
    before: Photo | None
    earlier: Photo | None
    flow: Flow | None = None
    there: Map | None = None


class Smoother:
    """Smooths the paintings of one stream; all that it remembers is this stream's.

    strength: 0 to 1, how much of what was shown stays, where it is found again. told: called, from another thread, with
    a line for people when the second frame has to wait long, as it does once on each machine.

    Each frame goes through ``see``, in order, then through ``follow``, in any thread, and through ``blend``, in order,
    once it is painted. A new size, a new scene and a frame after one that was never painted start anew by themselves.
    Motion and maps are small and looked for on the processor; pictures are where ``canvas`` keeps them.
    """

    def __init__(
        self, strength: float = 1.0, canvas: Compositor | None = None, told: Callable[[str], None] = lambda line: None
    ) -> None:
        self._strength, self._told = float(strength), told
        self._canvas = canvas or HostCompositor()
        self._own = threading.local()
        self._size: tuple[int, ...] = ()
        self._recent: deque[Photo] = deque(maxlen=_AGO)
        self._blended: Photo | None = None
        self._age = 0
        self._carried = np.zeros((0, 0, 4), np.float32)
        self._photo = self._base = self._aligned = np.zeros((0, 0, 4), np.uint8)
        self._standing, self._over = Standing(), np.zeros((0, 0), bool)
        self._rested = self._sharp = np.zeros((0, 0), np.float32)
        self._lasting = np.zeros((0, 0), np.uint8)

    def see(self, photo: Image, *, anew: bool = False) -> Seen:
        """Take the next frame as the net sees it, uint8 RGB (H, W, 3). anew: its painting owes nothing to those before:
        another style or strength."""
        loading = _load(self._told)
        longer = max(photo.shape)
        loaded = loading.done() and loading.exception() is None
        now = _photo(photo, min(max(min(_SIDE, longer // 2), longer // _SHARE), _MOST), loaded)
        if anew or photo.shape != self._size:
            self._recent.clear()
        self._size = photo.shape
        before = self._recent[-1] if self._recent else None
        earlier = self._recent[0] if len(self._recent) == _AGO else None
        self._recent.append(now)
        return Seen(now, before, earlier)

    def follow(self, seen: Seen) -> Seen:
        """With its motion since the frame before: the most of the work, and nothing to do with other frames."""
        now, then = seen.now, seen.before
        if then is None:
            return seen
        _load().result()
        if np.array_equal(now.small, then.small):
            return seen
        from videostyle import temporal_loops as loops
        from videostyle.dense_search import DenseSearch

        if not hasattr(self._own, "search"):  # it keeps buffers, so each thread has its own
            self._own.search = DenseSearch()
        stirs = (
            np.ones(now.grey.shape, bool)
            if seen.earlier is None
            else _changed(now.wide, then.wide) | _changed(now.wide, seen.earlier.wide)
        )
        flow, known = np.zeros((*now.grey.shape, 2), np.float32), np.ones(now.grey.shape, bool)
        part = _around(stirs)
        if part is not None:
            moved, back = self._own.search(now.grey[part], then.grey[part])
            loops.known(moved, back, found := np.empty(moved.shape[:2], bool))
            flow[part], known[part] = moved, found
        loops.visible(flow, known, now.near, then.near, _LIGHT, there := np.empty_like(now.grey))
        return replace(seen, flow=flow, there=cv2.erode(there, _NEAR).astype(np.float32))

    def blend(self, painting: Image, seen: Seen) -> Image:
        """The painting of ``seen``, uint8 RGB (H, W, 3), steadied by those before it."""
        then, blended = seen.before, self._blended
        self._blended = None  # where this fails, nothing follows it
        if then is None or then is not blended:
            out = self._begin(painting, seen.now)
        else:
            out = self._steadied(painting, seen, then)
        self._blended = seen.now
        return out

    def _steadied(self, painting: Image, seen: Seen, then: Photo) -> Image:
        now = seen.now
        if seen.flow is None or seen.there is None:  # a frame shown twice, or a pause: nothing fades on meanwhile
            same = np.full(now.grey.shape, self._strength, np.float32)
            return self._canvas.hold(painting, same)
        from videostyle import temporal_loops as loops

        rest = self._resting(now)
        there = np.maximum(seen.there, rest)
        last, since, place = (np.empty_like(seen.flow) for _ in range(3))
        loops.step(seen.flow, rest, last, place)
        near = _like(now.small, then.small, place) * there
        if near.mean() < _CUT:
            return self._begin(painting, now)
        loops.carry(self._carried, there, place, since, carried := np.empty_like(self._carried))
        self._carried = carried
        self._age += 1
        self._rested = np.minimum(self._rested, rest)
        due = np.maximum(1 - rest - self._sharp, 0)
        if due.mean() > _MOVES:
            self._canvas.sharpen(due)
            self._sharp = np.maximum(self._sharp, 1 - rest)
        loops.stretched(since, grown := np.empty_like(rest))
        like, grown = _like(now.small, self._photo, place), cv2.blur(grown, (5, 5))
        loops.trust(like, self._carried, grown, _STRETCHED, key := np.empty_like(rest))
        new, held = np.empty_like(rest), np.empty_like(rest)
        loops.share(_soft(key), _soft(near), self._strength, _HANGS, _SURE, new, held)
        out = self._canvas.compose(painting, self._age / KEY_EVERY, since, last, new, held)
        if self._age == KEY_EVERY:
            # What changed by little, but for good, comes by and by.
            kept = self._rested * np.clip((_CHANGED - self._lasting) / (_CHANGED - _BARELY), 0, 1, dtype=np.float32)
            self._canvas.turn(painting, kept)
            self._base = np.asarray(cv2.blendLinear(self._aligned, self._base, 1 - kept, kept), np.uint8)
            moved = cv2.remap(self._photo, place, None, cv2.INTER_LINEAR)
            self._key(np.asarray(cv2.blendLinear(now.small, moved, 1 - kept, kept), np.uint8))
        return out

    def _begin(self, painting: Image, now: Photo) -> Image:
        self._canvas.begin(painting)
        self._base, self._standing = now.small, Standing()
        self._over, self._aligned = np.zeros(now.grey.shape, bool), now.small
        self._standing(now.grey)
        self._key(now.small)
        return painting

    def _key(self, photo: Image) -> None:
        self._photo = photo
        self._carried = np.zeros(photo.shape, np.float32)  # the way to where it lies, and how sure that is
        self._carried[..., 2] = 1
        self._rested, self._sharp = np.ones(photo.shape[:2], np.float32), np.zeros(photo.shape[:2], np.float32)
        self._lasting = np.full(photo.shape[:2], 255, np.uint8)
        self._age = 0

    def _resting(self, now: Photo) -> Map:
        """1 where the film stands still, fading to 0 before what does not. Nothing does where the camera moves, for
        strokes that stand while the film creeps are worse than noise."""
        off = self._standing(now.grey)
        if off is None:
            self._base = self._aligned = now.small
            return np.zeros(now.grey.shape, np.float32)
        base, self._aligned = _shifted(self._base, -off[0], -off[1]), _shifted(now.small, *off)
        change = _most(cv2.blur(cv2.absdiff(now.small, base), (5, 5)))
        over = change > _CHANGED
        # Dilated, so that what moves is renewed with its surroundings.
        changed = cv2.dilate((over & (self._over | (change > _ANEW))).astype(np.uint8), _AROUND)
        self._over = over
        self._lasting = np.minimum(self._lasting, change)
        self._base = cv2.copyTo(self._aligned, changed, self._base.copy())
        return np.asarray(cv2.blur(cv2.erode((1 - changed).astype(np.float32), _NEAR), (3, 3)), np.float32)


_loading: list[Future[None]] = []


def _load(told: Callable[[str], None] = lambda line: None) -> Future[None]:
    """Load all compiled loops, which takes longer than to paint the first frame, beside that; done when they are there.

    What that leaves behind is thrown away in its thread: a Ctrl-C that comes while the main one throws things away is
    lost. And it stops where the program ends: no thread may be at work in LLVM while that is taken down.

    told: as of ``Smoother``; of whoever comes first.
    """
    loaded: Future[None] = Future()

    def tell() -> None:
        with suppress(Exception):  # nothing but a word is lost
            told("smoothing is being compiled for this processor: once, 10 to 30 seconds")

    def load() -> None:
        slow, collects = threading.Timer(_SLOW, tell), gc.isenabled()
        slow.daemon = True
        gc.disable()
        try:
            slow.start()
            for loop in _loops():
                loop()
                if not threading.main_thread().is_alive():
                    raise RuntimeError("the program ends")
            loaded.set_result(None)
        except BaseException as error:  # whoever waits for it is to know
            loaded.set_exception(error)
        finally:
            slow.cancel()
            gc.collect()
            if collects:
                gc.enable()

    with _LOCK:
        if not _loading or (_loading[0].done() and _loading[0].exception()):  # what failed once, may not again
            threading.Thread(target=load, name="loops").start()
            _loading[:] = [loaded]
        return _loading[0]


def _loops() -> Iterator[Callable[[], object]]:
    """Something to do for each of them."""
    canvas, picture = HostCompositor(), np.zeros((32, 32, 3), np.uint8)
    canvas.begin(picture)
    rest, flow = np.zeros((16, 16), np.float32), np.zeros((16, 16, 2), np.float32)
    yield lambda: canvas.compose(picture, 0.5, flow, flow, rest, rest)
    yield lambda: canvas.sharpen(rest)
    from videostyle import temporal_loops as loops
    from videostyle.dense_search import DenseSearch

    yield lambda: DenseSearch()(picture[..., 0], picture[..., 0])
    shown = np.zeros((16, 16), np.uint8)
    yield lambda: loops.visible(flow, rest > 0, shown, shown, _LIGHT, shown)
    yield lambda: camera_motion(shown, shown)
    yield lambda: loops.shifted(shown, 0.0, 0.0, shown)
    yield lambda: loops.known(flow, flow[::2, ::2].copy(), rest > 0)
    yield lambda: loops.step(flow, rest, flow.copy(), flow.copy())
    carried = np.zeros((16, 16, 4), np.float32)
    yield lambda: loops.carry(carried, rest, flow.copy(), flow.copy(), carried.copy())
    yield lambda: loops.apart(picture.ravel()[:1024], picture.ravel()[1024:2048], flow, np.empty(1024, np.uint8))
    yield lambda: loops.quartered(picture.ravel(), 32, 32, np.empty(192, np.uint8))
    yield lambda: loops.stretched(flow, rest)
    yield lambda: loops.trust(rest, np.zeros((16, 16, 4), np.float32), rest, _STRETCHED, rest.copy())
    yield lambda: loops.share(rest, rest, 1.0, _HANGS, _SURE, rest.copy(), rest.copy())


def _changed(now: NDArray[np.uint8], then: NDArray[np.uint8]) -> Mask:
    return np.asarray(cv2.absdiff(now, then) > _STIRS, bool)


def _around(where: Mask) -> tuple[slice, slice] | None:
    """Rows and columns of all that is set, and a margin."""
    found = [np.flatnonzero(where.any(axis)) for axis in (1, 0)]
    if not len(found[0]):
        return None
    rows, columns = (slice(max(0, int(at[0]) - _MARGIN), int(at[-1]) + 1 + _MARGIN) for at in found)
    return rows, columns


def _photo(picture: Image, side: int, loaded: bool) -> Photo:
    """loaded: whether loops can be used; without them it comes out the same."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(16, round(width * scale)), max(16, round(height * scale))
    while height >= 4 * size[1] and width >= 4 * size[0] and not (height % 4 or width % 4):
        picture = _quarter(picture, loaded)
        height, width = picture.shape[:2]
    while height >= 2 * size[1] and width >= 2 * size[0]:  # averaging by halves takes a third of the time
        width, height = width // 2, height // 2
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    grey = luma(picture)
    # RGBA: four channels are looked up in half the time of three.
    return Photo(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), grey, cv2.blur(grey, (5, 5)), cv2.blur(grey, (9, 9)))


def _quarter(picture: Image, loaded: bool) -> Image:
    height, width = picture.shape[:2]
    if not loaded:
        return np.asarray(cv2.resize(picture, (width // 4, height // 4), interpolation=cv2.INTER_AREA), np.uint8)
    from videostyle import temporal_loops as loops

    found = np.empty((height // 4, width // 4, 3), np.uint8)
    loops.quartered(np.require(picture, np.uint8, ["C", "W"]).ravel(), height, width, found.ravel())
    return found


def _shifted(picture: Image, across: float, down: float) -> Image:
    """As it lies so many pixels off, less than one; in 16ths of a pixel."""
    if max(abs(across), abs(down)) < 1 / 32:
        return picture
    from videostyle import temporal_loops as loops

    flat = (len(picture), -1)
    loops.shifted(picture.reshape(flat), across, down, (found := np.empty_like(picture)).reshape(flat))
    return found


def _most(picture: Image) -> NDArray[np.uint8]:
    """Of RGBA the largest of three channels: numpy takes ten times as long."""
    red, green, blue, _ = cv2.split(picture)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)


def _like(now: Image, then: Image, at: NDArray[np.float32]) -> Map:
    """How surely the film of now is found where ``at`` points."""
    # OpenCV looks up in threads of its own, which wait for more by turning idly, while others have work to do.
    from videostyle import temporal_loops as loops

    loops.apart(now.ravel(), then.ravel(), at, (off := np.empty_like(now)).ravel())
    return np.asarray(cv2.LUT(_most(cv2.blur(off, (5, 5))), _LIKE), np.float32)


def _soft(weight: Map) -> Map:
    return np.asarray(cv2.GaussianBlur(weight, (9, 9), 1.5), np.float32)
