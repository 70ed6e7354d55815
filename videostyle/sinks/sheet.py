"""The style sheet: where each style's thumbnail lies, and which of them is drawn next."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from videostyle.frame import Image
from videostyle.scaling import fit_within, scale
from videostyle.sinks.tiles import blend, label

GAP = 8
"""Pixels between two thumbnails."""
_EMPTY = 40


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int

    def holds(self, x: float, y: float) -> bool:
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


def grid(count: int, size: tuple[int, int], aspect: float) -> list[Box]:
    """Boxes for ``count`` pictures of width / height ``aspect`` on a canvas (width, height), as large as fits."""
    best: list[Box] = []
    for columns in range(1, count + 1):
        rows = math.ceil(count / columns)
        room = (size[0] - GAP) / columns - GAP, (size[1] - GAP) / rows - GAP
        width = int(min(room[0], room[1] * aspect))
        height = int(width / aspect)
        if min(width, height) < 1 or (best and width <= best[0].width):
            continue
        left = (size[0] - columns * (width + GAP) + GAP) // 2
        top = (size[1] - rows * (height + GAP) + GAP) // 2
        places = (divmod(number, columns) for number in range(count))
        best = [Box(left + col * (width + GAP), top + row * (height + GAP), width, height) for row, col in places]
    return best


class StyleSheet:
    """Thumbnails of all styles, drawn one after the other from the frames that pass, over and over while it is open.

    One thread draws (``next_name``, ``put``), another shows (``draw``, ``name_at``); both see whole thumbnails only.

    names: of the styles, in order. side: the longer side of a thumbnail in pixels.
    """

    def __init__(self, names: tuple[str, ...], side: int = 256) -> None:
        self.names = names
        self.side = side
        self.open = False
        self._thumbnails: dict[str, Image] = {}
        self._turn = 0
        self._boxes: list[Box] = []

    def next_name(self) -> str:
        """The style whose thumbnail is the oldest."""
        name = self.names[self._turn % len(self.names)]
        self._turn += 1
        return name

    def put(self, name: str, thumbnail: Image) -> None:
        self._thumbnails[name] = thumbnail

    @property
    def drawn(self) -> int:
        """How many styles have a thumbnail."""
        return len(self._thumbnails)

    def name_at(self, x: float, y: float) -> str | None:
        """The style whose thumbnail was last shown at a point of the canvas, None beside them."""
        for name, box in zip(self.names, self._boxes, strict=False):
            if box.holds(x, y):
                return name
        return None

    def draw(self, canvas: Image, aspect: float, chosen: tuple[str, ...], text: int) -> None:
        """Draw the sheet on uint8 (H, W, 3) in place, the picture below darkened. text: size of letters in pixels."""
        height, width, _ = canvas.shape
        np.right_shift(canvas, 2, out=canvas)
        self._boxes = grid(len(self.names), (width, height), aspect)
        for number, (name, box) in enumerate(zip(self.names, self._boxes, strict=False), 1):
            part = canvas[box.y : box.y + box.height, box.x : box.x + box.width]
            thumbnail = self._thumbnails.get(name)
            part[...] = _EMPTY if thumbnail is None else scale(thumbnail, (box.width, box.height))
            title = f"{number}  {name}" if number <= 9 else name
            tile = label(title, text, box.width, chosen=name in chosen)
            blend(canvas, tile, box.x, box.y + box.height - tile.height)

    def thumbnail_size(self, image: Image) -> tuple[int, int]:
        """(width, height) of a thumbnail of a photo."""
        height, width, _ = image.shape
        return (width, height) if max(width, height) <= self.side else fit_within((width, height), (self.side,) * 2)
