"""The painting stage of a live session: the stylizer, with what only live pictures need around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import numpy as np

from videostyle.canvas import letterbox
from videostyle.frame import Frame, Image, StreamInfo
from videostyle.governor import Governor
from videostyle.scaling import scale
from videostyle.sinks.sheet import StyleSheet
from videostyle.styles import StyleMix
from videostyle.stylizer import Stylizer, resize

SHEET_SHARE = 0.15
"""Part of a frame's painting time that the thumbnails of the style sheet may take besides; one is drawn in any case."""


class Painter:
    """Paints live frames: mirrored, held still, at the governor's size, and with a thumbnail or two on the side.

    Frames come out at the size of the stream, whatever size they come in at and the net works on, with the photo that
    they were painted from.

    info: of the frames as they come. governor: None where the size is fixed. sheet: gets thumbnails while it is open.
    told: called from the painting thread with a line for people when the governor changes the net's size.

    ``mirror`` and ``frozen`` may be set at any time.
    """

    def __init__(
        self,
        stylizer: Stylizer,
        info: StreamInfo,
        *,
        governor: Governor | None = None,
        sheet: StyleSheet | None = None,
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.mirror = False
        self.frozen = False
        self.governor = governor
        self._stylizer = stylizer
        self._size = info.width, info.height
        out = stylizer.output_info(info)
        self.output_size = out.width, out.height
        self._sheet = sheet
        self._told = told
        self._held: Image | None = None

    @property
    def net_size(self) -> tuple[int, int]:
        """(width, height) that the net works on, about."""
        (width, height), share = self.output_size, self._stylizer.net_scale
        return round(width * share), round(height * share)

    def warm_up(self) -> None:
        """Let the engine do once what it does more slowly the first time. Raises EngineError."""
        width, height = self.output_size
        self._stylizer.preview(np.zeros((height, width, 3), np.uint8), self._stylizer.mix)

    def __call__(self, frame: Frame) -> Frame:
        """Raises EngineError."""
        photo = self._photo(frame.image)
        started = perf_counter()
        painted = self._stylizer(replace(frame, image=photo))
        seconds = perf_counter() - started
        if self.governor is not None:
            self._govern(self.governor, seconds, self._stylizer.net_seconds)
        if self._sheet is not None and self._sheet.open:
            self._draw_thumbnails(self._sheet, photo, SHEET_SHARE * seconds)
        return replace(painted, photo=photo)

    def _photo(self, image: Image) -> Image:
        if not self.frozen:
            self._held = None
        elif self._held is not None:
            return self._held
        photo = resize(letterbox(image, *self._size), self.output_size)
        photo = np.ascontiguousarray(photo[:, ::-1]) if self.mirror else photo
        if self.frozen:
            self._held = photo
        return photo

    def _govern(self, governor: Governor, seconds: float, net: float) -> None:
        before = self._stylizer.net_scale
        self._stylizer.net_scale = governor(seconds, net)
        if self._stylizer.net_scale != before:
            smaller = "smaller, to keep up" if self._stylizer.net_scale < before else "larger again"
            self._told(f"the net now works on {self.net_size[0]}x{self.net_size[1]}: {smaller}")

    def _draw_thumbnails(self, sheet: StyleSheet, photo: Image, seconds: float) -> None:
        small = scale(photo, sheet.thumbnail_size(photo))
        until = perf_counter() + seconds
        for _ in sheet.names:
            name = sheet.next_name()
            sheet.put(name, self._stylizer.preview(small, StyleMix(((name, 1.0),))))
            if perf_counter() >= until:
                return
