"""A moving test picture, made in numpy: for trying things without a camera or a file."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from videostyle.errors import UsageError
from videostyle.frame import Closing, Frame, Image, StreamInfo


def test_picture(width: int, height: int, index: int) -> Image:
    """uint8 RGB (height, width, 3): slow gradients, a field of fine stripes and a disc that goes round.

    Flat, smooth and textured parts with motion of one to a few pixels a frame; the picture of an index is always the
    same.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    red = 127 + 100 * np.sin(2 * np.pi * (x / max(width, 1) + index / 120))
    green = 127 + 100 * np.cos(2 * np.pi * (y / max(height, 1) - index / 90))
    blue = 127 + 60 * np.sin((x + y + 2 * index) / 24)
    picture = np.stack([red, green, blue], axis=-1)
    stripes = (y > height * 0.8) & ((x + index).astype(np.int32) // 4 % 2 == 0)
    picture[stripes] = 235
    angle = 2 * np.pi * index / 100
    radius = min(width, height) / 6
    centre_x, centre_y = width * (0.5 + 0.25 * np.cos(angle)), height * (0.45 + 0.2 * np.sin(angle))
    picture[(x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2] = (225, 60, 40)
    return picture.astype(np.uint8)


test_picture.__test__ = False  # type: ignore[attr-defined]  # the name is no test's


class SyntheticSource(Closing):
    """Frames of :func:`test_picture`.

    spec: "" or "WIDTHxHEIGHT", 640x360 where empty.
    frames: how many, None for endless. rate: frames per second; any Fraction.
    live: True paces the frames by the clock and marks the stream as live; late frames are not skipped.

    Raises UsageError for a size that is none.
    """

    def __init__(
        self, spec: str = "", *, frames: int | None = None, rate: Fraction | int = 30, live: bool = False
    ) -> None:
        size = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", spec or "640x360")
        if size is None:
            raise UsageError(f"synthetic:{spec}: a size is written like synthetic:640x360")
        self.notes: list[str] = []
        rate = Fraction(rate)
        self.info = StreamInfo(
            int(size[1]), int(size[2]), time_base=1 / rate, rate=rate, frames=None if live else frames, live=live
        )
        self._count = frames
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        start = time.perf_counter()
        step = float(self.info.time_base)
        index = 0
        while (self._count is None or index < self._count) and not self._closed.is_set():
            if self.info.live and self._closed.wait(max(0.0, start + index * step - time.perf_counter())):
                return
            image = test_picture(self.info.width, self.info.height, index)
            yield Frame(image, index, index, self.info.time_base, time.perf_counter())
            index += 1

    def close(self) -> None:
        self._closed.set()
