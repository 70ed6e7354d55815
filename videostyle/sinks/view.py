"""What a window shows: the picture, and all that lies over it there and nowhere else."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from videostyle.frame import Frame, Image
from videostyle.keys import KEYS
from videostyle.scaling import fit_within, scale
from videostyle.sinks.sheet import StyleSheet
from videostyle.sinks.tiles import ACCENT, GREY, RED, WHITE, Tile, badge, blend, panel, text_rows

SHOWN_FOR = 2.5
"""Seconds that a message stays."""


class View:
    """The picture of a window, composed anew for each frame; recordings and cameras never see it.

    split: the photo on the left half, the painting on the right. help: the table of keys. info: lines of figures in a
    corner, or none. recording, camera: whether their badges show. chosen: names of the styles that are painted, for the
    sheet. All may be set between two frames, from any thread.
    """

    def __init__(self, sheet: StyleSheet) -> None:
        self.sheet = sheet
        self.split = False
        self.help = False
        self.info: tuple[str, ...] = ()
        self.recording = False
        self.camera = False
        self.frozen = False
        self.chosen: tuple[str, ...] = ()
        self._message: tuple[str, float] = ("", 0.0)
        self._canvas: Image = np.zeros((0, 0, 3), np.uint8)

    def say(self, text: str) -> None:
        """Show a message for a moment."""
        self._message = text, perf_counter() + SHOWN_FOR

    def close_panel(self) -> bool:
        """Close what lies over the picture, if anything does: whether it did."""
        closed = self.help or self.sheet.open
        self.help = self.sheet.open = False
        return closed

    def compose(self, frame: Frame, size: tuple[int, int]) -> Image:
        """uint8 RGB (height, width, 3) for a window of that (width, height); valid until the next call."""
        width, height = size
        if self._canvas.shape != (height, width, 3):
            self._canvas = np.zeros((height, width, 3), np.uint8)
        canvas = self._canvas
        text = max(12, min(28, round(height / 38)))
        aspect = frame.image.shape[1] / frame.image.shape[0]
        self._place(canvas, frame)
        if self.sheet.open:
            self.sheet.draw(canvas, aspect, self.chosen, text)
        elif self.split and frame.photo is not None:
            self._name_halves(canvas, text)
        self._overlay(canvas, text)
        return canvas

    def _place(self, canvas: Image, frame: Frame) -> None:
        height, width, _ = canvas.shape
        wide, high = fit_within(frame.image.shape[1::-1], (width, height))
        left, top = (width - wide) // 2, (height - high) // 2
        canvas[:top], canvas[top + high :] = 0, 0
        canvas[:, :left], canvas[:, left + wide :] = 0, 0
        room = canvas[top : top + high, left : left + wide]
        if self.split and frame.photo is not None and not self.sheet.open:
            middle, seam = frame.image.shape[1] // 2, wide // 2
            room[:, :seam] = scale(np.ascontiguousarray(frame.photo[:, :middle]), (seam, high))
            room[:, seam:] = scale(np.ascontiguousarray(frame.image[:, middle:]), (wide - seam, high))
            room[:, max(0, seam - 1) : seam + 1] = WHITE
        else:
            np.copyto(room, scale(frame.image, (wide, high)))

    def _name_halves(self, canvas: Image, text: int) -> None:
        height, width, _ = canvas.shape
        before, after = badge("before", text, None), badge("after", text, None)
        y = height - before.height - text
        blend(canvas, before, width // 2 - before.width - text, y)
        blend(canvas, after, width // 2 + text, y)

    def _overlay(self, canvas: Image, text: int) -> None:
        height, width, _ = canvas.shape
        margin = text
        if self.info and not self.sheet.open:
            rows = (((self.info[0], WHITE),), *text_rows(self.info[1:], GREY))
            blend(canvas, panel(rows, text), margin, margin)
        x = width - margin
        badges = (self.recording, "REC", RED), (self.camera, "CAM", ACCENT), (self.frozen, "HOLD", GREY)
        for shown, word, dot in badges:
            if shown:
                tile = badge(word, text, dot)
                x -= tile.width
                blend(canvas, tile, x, margin)
                x -= text // 2
        if self.help:
            _centre(canvas, _help(text, height), height // 2)
        message, until = self._message
        if message and perf_counter() < until:
            _centre(canvas, panel(text_rows([message]), round(text * 1.2)), height - 3 * text)


def _centre(canvas: Image, tile: Tile, y: int) -> None:
    height, width, _ = canvas.shape
    top = min(y - tile.height // 2, height - tile.height)
    blend(canvas, tile, (width - tile.width) // 2, top)


def _help(text: int, height: int) -> Tile:
    """The table of keys, in letters as large as it fits."""
    size = max(8, min(text, round(height / (len(KEYS) + 3) / 1.45)))
    rows = tuple(((key.label, ACCENT), (key.help, WHITE)) for key in KEYS)
    return panel(rows, size, (0, size * 6))
