"""The stylizer: frame in, painted frame out. It holds all the state of one stream; the engine behind it has none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures

from videostyle.engines import StyleEngine
from videostyle.errors import StyleError, UsageError
from videostyle.frame import Frame, Image, StreamInfo
from videostyle.overlap import overlapped
from videostyle.scaling import scale
from videostyle.styles import StyleBank, StyleMix

if TYPE_CHECKING:
    from videostyle.temporal import Seen, Smoother

LEAST_SIDE = 2
ROWS = 32
"""Rows of a picture that are recoloured at a time: their planes then stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What the next frame is painted with; replaced whole, so that a frame never sees half of a change.

    vector: float32 (P,). fade: how much of the painting is laid over the photo, 1 where the net does it itself.
    """

    mix: StyleMix
    strength: float
    vector: NDArray[np.float32]
    fade: float

    def paints_like(self, other: _Look | None) -> bool:
        return other is not None and self.fade == other.fade and np.array_equal(self.vector, other.vector)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A frame on its way: all that painting it needs, whatever is set meanwhile for those after it.

    photo: uint8 RGB (H, W, 3). picture: uint8 RGB (h, w, 3), what the net is to see, then what it made of that; None
    where it has nothing to do. seen: what its smoother knows of it.
    """

    frame: Frame
    photo: Image
    look: _Look
    keep_color: bool
    picture: Image | None = None
    smoother: Smoother | None = None
    seen: Seen | None = None


class Stylizer:
    """Paints the frames of one stream, in order.

    engine: shared with other stylizers or not; it is not closed here.
    bank: the bank that the engine runs.
    mix: styles of that bank.
    strength: 0 to 1. Where the bank has an identity style, it is the way from that to the mix inside the net, and 0 is
        what the net makes of the photo as itself. Else it is a fade from the photo to the painting.
    keep_color: take the painting's light and shade, and the photo's colours.
    max_side: no side of the output is longer; frames shrink before they are painted and are never enlarged.
    crossfade: seconds of the stream's time in which one style or strength turns into the next.
    smooth: "off", "auto" or 0 to 1: how firmly paintings are held to those before them. told: as of ``Smoother``.

    ``net_scale``, 0 < x <= 1, is the share of the picture's sides that the net works on; its paintings are enlarged
    again. ``net_seconds`` is what it took the last time. ``net_scale``, ``keep_color`` and ``smooth`` may be set,
    ``set_style`` and ``set_strength`` called between frames, from one other thread too.
    Raises UsageError for a strength or max_side out of range, StyleError for styles that the bank lacks.
    """

    def __init__(
        self,
        engine: StyleEngine,
        bank: StyleBank,
        mix: StyleMix,
        *,
        strength: float = 1.0,
        keep_color: bool = False,
        max_side: int | None = None,
        crossfade: float = 0.0,
        smooth: str | float = "off",
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        if max_side is not None and max_side < LEAST_SIDE:
            raise UsageError(f"--max-side {max_side} is too small: choose {LEAST_SIDE} or more")
        self.engine = engine
        self.keep_color = keep_color
        self.net_scale = 1.0
        self.net_seconds = 0.0
        self._bank = bank
        self._max_side = max_side
        self._look = self._make_look(mix, strength)
        self._crossfade = crossfade
        self._shown = self._from = self._to = self._look
        self._since = self._now = -crossfade
        self._last: _Look | None = None
        self._smoother: Smoother | None = None
        self._told = told
        # For motion, which is looked for while the net paints, and for putting pictures together.
        self._threads = ThreadPoolExecutor(engine.lanes + min(4, os.cpu_count() or 1), thread_name_prefix="stylizer")
        self.smooth = smooth

    @property
    def mix(self) -> StyleMix:
        return self._look.mix

    @property
    def strength(self) -> float:
        return self._look.strength

    @property
    def smooth(self) -> str | float:
        return self._smooth

    @smooth.setter
    def smooth(self, value: str | float) -> None:
        self._smooth = value
        if value == "off":
            self._smoother = None
            return
        from videostyle.compositor import compositor  # they bring OpenCV, which painting alone does without
        from videostyle.temporal import Smoother

        canvas = compositor(self.engine.device, self._threads)
        self._smoother = Smoother(1.0 if isinstance(value, str) else value, canvas, self._told)

    def set_style(self, mix: StyleMix) -> None:
        """Paint with another mix from the next frame on. On an error the old one stays."""
        self._look = self._make_look(mix, self._look.strength)

    def set_bank(self, bank: StyleBank) -> None:
        """Paint styles of another bank of the same net from the next frame on. On an error the old one stays."""
        before, self._bank = self._bank, bank
        try:
            self._look = self._make_look(self._look.mix, self._look.strength)
        except StyleError:
            self._bank = before
            raise

    @property
    def bank(self) -> StyleBank:
        return self._bank

    def set_strength(self, strength: float) -> None:
        """Paint at another strength from the next frame on. On an error the old one stays."""
        self._look = self._make_look(self._look.mix, strength)

    def output_info(self, info: StreamInfo) -> StreamInfo:
        """What a sink must know of the painted frames of a stream."""
        width, height = fit(info.width, info.height, self._max_side)
        return replace(info, width=width, height=height)

    def fitted(self, frame: Frame) -> Frame:
        """The frame at the size that it is painted at."""
        height, width, _ = frame.image.shape
        return replace(frame, image=resize(frame.image, fit(width, height, self._max_side)))

    def __call__(self, frame: Frame) -> Frame:
        """The frame painted; index, times and moment of capture are kept. Raises EngineError."""
        return self._dress(self._smooth_over(self._paint(self._prepare(frame))))

    def stream(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """All frames painted, in order, as many at a time as the engine has lanes. Raises EngineError.

        What is set while it runs holds from the next frame on that it takes from ``frames``.
        """
        painted = overlapped(self._paint, map(self._prepare, frames), self.engine.lanes)
        return overlapped(self._dress, map(self._smooth_over, painted), self.engine.lanes)

    def _prepare(self, frame: Frame) -> _Job:
        look = self._look_at(frame.seconds)
        photo = self.fitted(frame).image
        job = _Job(frame, photo, look, self.keep_color)
        if look.fade == 0:
            return job
        picture = scale(photo, self._net_size(*photo.shape[1::-1]))
        smoother = self._smoother
        if smoother is None:
            return replace(job, picture=picture)
        # A picture of another look is nothing to hold to: within a crossfade every frame is of its own.
        seen = smoother.see(picture, anew=not look.paints_like(self._last))
        self._last = look
        return replace(job, picture=picture, smoother=smoother, seen=seen)

    def _net_size(self, width: int, height: int) -> tuple[int, int]:
        if self.net_scale == 1:
            return width, height
        across, down = (_whole(side * self.net_scale) for side in (width, height))
        return min(width, across), min(height, down)

    def _paint(self, job: _Job) -> _Job:
        if job.picture is None:
            return job
        smoother, seen = job.smoother, job.seen
        following = self._threads.submit(smoother.follow, seen) if smoother is not None and seen is not None else None
        began = perf_counter()
        painting: Image = self.engine(job.picture[None], job.look.vector)[0]
        self.net_seconds = perf_counter() - began
        return replace(job, picture=painting, seen=following.result() if following is not None else None)

    def _smooth_over(self, job: _Job) -> _Job:
        """Smoothed at the net's own size: strokes are no finer than that, and photo and colours hold still anyway."""
        if job.picture is None or job.smoother is None or job.seen is None:
            return job
        return replace(job, picture=job.smoother.blend(job.picture, job.seen))

    def _dress(self, job: _Job) -> Frame:
        """What is shown, made of the painting and the photo."""
        if job.picture is None:
            return replace(job.frame, image=job.photo)
        photo = job.photo
        painting: Image = scale(job.picture, photo.shape[1::-1])
        if job.keep_color:
            painting = keep_colors(photo, painting)
        return replace(job.frame, image=_faded(photo, painting, job.look.fade))

    def close(self) -> None:
        """End its threads; it paints no more. Idempotent, and nothing is lost without it but idle threads."""
        self._threads.shutdown()

    def preview(self, photo: Image, mix: StyleMix) -> Image:
        """Any photo in any mix, at the present strength; the stream goes on as if it had not been. Raises EngineError.

        photo: uint8 RGB (H, W, 3), not scaled.
        """
        look = self._make_look(mix, self.strength)
        painting: Image = self.engine(photo[None], look.vector)[0]
        return _faded(photo, painting, look.fade)

    def _look_at(self, seconds: float) -> _Look:
        """The look of the frame at ``seconds``: on the way from the last one's to the one that was asked for."""
        before, self._now = self._now, seconds
        asked = self._look
        if asked is not self._to:
            # From the frame before this one: on a machine that shows two frames a second, a switch is seen at once.
            self._from, self._to, self._since = self._shown, asked, min(before, seconds)
        share = (seconds - self._since) / self._crossfade if self._crossfade else 1.0
        self._shown = asked if not 0 <= share < 1 else _between(self._from, asked, share)
        return self._shown

    def _make_look(self, mix: StyleMix, strength: float) -> _Look:
        vector = self._bank.vector(mix, strength)
        return _Look(mix, strength, vector, 1.0 if self._bank.has_identity else strength)


def _between(start: _Look, end: _Look, share: float) -> _Look:
    vector = start.vector + np.float32(share) * (end.vector - start.vector)
    return _Look(end.mix, end.strength, vector, start.fade + share * (end.fade - start.fade))


def _faded(photo: Image, painting: Image, fade: float) -> Image:
    """So much of the painting over the photo."""
    if fade == 1:
        return painting
    return np.array(Pictures.blend(Pictures.fromarray(photo), Pictures.fromarray(painting), fade))


def _whole(side: float) -> int:
    """The nearest multiple of 8: nets that work at a quarter of a size, by halves, pad nothing then."""
    return max(8, 8 * round(side / 8))


def fit(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    """Width and height within ``max_side``: unchanged where they are, else in proportion and even, as encoders want."""
    if max_side is None or max(width, height) <= max_side:
        return width, height
    scale = max_side / max(width, height)
    limit = max_side - max_side % 2
    sides = [min(side, limit, max(2, 2 * int(side * scale / 2 + 0.5))) for side in (width, height)]
    return sides[0], sides[1]


def resize(image: Image, size: tuple[int, int]) -> Image:
    """uint8 (H, W, 3) at another (width, height); ``image`` itself where the size is its own."""
    if size == image.shape[1::-1]:
        return image
    # Whole factors by averaging, the rest by Hamming: on 4K a quarter of the cost of Lanczos, and as free of aliasing.
    return np.array(Pictures.fromarray(image).resize(size, Pictures.Resampling.HAMMING, reducing_gap=1.01))


def keep_colors(photo: Image, painting: Image) -> Image:
    """The painting's luma with the photo's colours; all uint8 (H, W, 3).

    Every pixel is painting's luma + s * (photo - photo's luma), BT.709 in full range, which is the same as joining luma
    and chroma in YCbCr without the detour. s is 1 where that is a colour and else the largest that still is: clipping
    each channel instead would change hue and luma where a dark stroke lies on a strong colour.
    """
    out = np.empty_like(photo)
    for top in range(0, len(photo), ROWS):
        rows = slice(top, top + ROWS)
        red, green, blue = (np.ascontiguousarray(photo[rows, :, channel]) for channel in range(3))
        old, new = _luma(red, green, blue), _luma(*(np.ascontiguousarray(painting[rows, :, c]) for c in range(3)))
        above = np.maximum(np.maximum(red, green), blue) - old
        below = old - np.minimum(np.minimum(red, green), blue)
        room = np.divide(255 - new, np.maximum(above, 1), dtype=np.float32)
        np.minimum(room, np.divide(new, np.maximum(below, 1), dtype=np.float32), out=room)
        np.minimum(room, 1, out=room)
        base = new + np.float32(0.5)
        for channel, plane in enumerate((red, green, blue)):
            out[rows, :, channel] = (plane - old) * room + base
    return out


def _luma(red: Image, green: Image, blue: Image) -> NDArray[np.int16]:
    """BT.709 luma of uint8 planes in int16, by weights in 256ths: the sum fits 16 bits to the last one."""
    luma = np.multiply(red, 54, dtype=np.uint16)
    luma += np.multiply(green, 183, dtype=np.uint16)
    luma += np.multiply(blue, 19, dtype=np.uint16)
    luma += 128
    luma >>= 8
    return luma.view(np.int16)
