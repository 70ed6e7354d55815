"""Small pieces of text and colour that are laid over a picture: drawn once with Pillow, then blended by numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from videostyle.frame import Image

WHITE, GREY, ACCENT, RED = (245, 245, 245), (176, 182, 192), (255, 200, 87), (240, 72, 62)
PANEL = (16, 18, 22)
PANEL_ALPHA = 190
_SHARPER = 2  # drawn this much larger and shrunk, so that rounded corners are smooth

Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """color: uint8 (H, W, 3), multiplied by its opacity. through: uint16 (H, W, 1), 0..256, what shows from below."""

    color: Image
    through: NDArray[np.uint16]

    @property
    def width(self) -> int:
        return int(self.color.shape[1])

    @property
    def height(self) -> int:
        return int(self.color.shape[0])


def blend(canvas: Image, tile: Tile, x: int, y: int) -> None:
    """Lay a tile on uint8 (H, W, 3) in place, its upper left corner at x, y; what does not fit is cut off."""
    left, top = max(0, x), max(0, y)
    right, bottom = min(canvas.shape[1], x + tile.width), min(canvas.shape[0], y + tile.height)
    if left >= right or top >= bottom:
        return
    part = slice(top - y, bottom - y), slice(left - x, right - x)
    below = canvas[top:bottom, left:right]
    mixed = below * tile.through[part]
    mixed >>= 8
    mixed += tile.color[part]
    below[...] = mixed


@lru_cache(maxsize=128)
def panel(rows: tuple[tuple[tuple[str, Color], ...], ...], size: int, columns: tuple[int, ...] = ()) -> Tile:
    """Lines of text on a dark, rounded panel.

    rows: each a tuple of (text, colour); the texts of a row follow each other, or start at ``columns``.
    size: of the letters in pixels. columns: left edges in pixels from the first.
    """
    font = _font(size)
    line, margin = round(size * 1.45), round(size * 0.7)
    gap = round(size * 0.6)
    widths = [_row_width(row, font, gap, columns) for row in rows]
    width, height = max(widths, default=0) + 2 * margin, line * len(rows) + 2 * margin - round(size * 0.25)
    picture = _rounded(width, height, round(size * 0.5))
    draw = ImageDraw.Draw(picture)
    for number, row in enumerate(rows):
        x = margin
        for place, (text, color) in enumerate(row):
            x = margin + columns[place] if place < len(columns) else x
            draw.text((x, margin + number * line), text, fill=(*color, 255), font=font)
            x += round(font.getlength(text)) + gap
    return _tile(picture)


@lru_cache(maxsize=256)
def label(text: str, size: int, width: int, *, chosen: bool = False) -> Tile:
    """One line for the foot of a thumbnail, ``width`` pixels wide; text that is too long is cut off."""
    picture = Pictures.new("RGBA", (width, round(size * 1.6)), (*(ACCENT if chosen else PANEL), 235 if chosen else 170))
    color = PANEL if chosen else WHITE
    ImageDraw.Draw(picture).text((round(size * 0.5), round(size * 0.2)), text, fill=(*color, 255), font=_font(size))
    return _tile(picture)


@lru_cache(maxsize=16)
def badge(text: str, size: int, dot: Color | None) -> Tile:
    """A short word in a pill, with a dot before it such as recorders have."""
    font = _font(size)
    height = round(size * 1.8)
    start = round(size * 0.8) + (round(size * 1.1) if dot else 0)
    width = start + round(font.getlength(text)) + round(size * 0.8)
    picture = _rounded(width, height, height // 2)
    draw = ImageDraw.Draw(picture)
    if dot:
        radius, x, y = size * 0.36, size * 1.1, height / 2
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*dot, 255))
    draw.text((start, round(size * 0.3)), text, fill=(*WHITE, 255), font=font)
    return _tile(picture)


def icon(side: int = 64) -> Image:
    """uint8 RGB (side, side, 3): three strokes of a brush on a dark ground."""
    large = side * 4
    picture = Pictures.new("RGB", (large, large), PANEL)
    draw = ImageDraw.Draw(picture)
    for number, color in enumerate(((64, 130, 214), ACCENT, RED)):
        y, width = large * (0.28 + 0.22 * number), round(large * 0.15)
        draw.line((large * 0.2, y + large * 0.05, large * 0.8, y - large * 0.05), fill=color, width=width)
    return np.array(picture.resize((side, side), Pictures.Resampling.BOX))


def text_rows(lines: Sequence[str], color: Color = WHITE) -> tuple[tuple[tuple[str, Color], ...], ...]:
    """Plain lines as rows of a panel."""
    return tuple(((line, color),) for line in lines)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow without FreeType"
    return font


def _row_width(
    row: tuple[tuple[str, Color], ...], font: ImageFont.FreeTypeFont, gap: int, columns: tuple[int, ...]
) -> int:
    x = 0
    for place, (text, _) in enumerate(row):
        x = (columns[place] if place < len(columns) else x) + round(font.getlength(text)) + gap
    return x - gap


def _rounded(width: int, height: int, radius: int) -> Pictures.Image:
    mask = Pictures.new("L", (width * _SHARPER, height * _SHARPER), 0)
    box = (0, 0, width * _SHARPER - 1, height * _SHARPER - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * _SHARPER, fill=PANEL_ALPHA)
    picture = Pictures.new("RGBA", (width, height), (*PANEL, 0))
    picture.putalpha(mask.resize((width, height), Pictures.Resampling.BOX))
    return picture


def _tile(picture: Pictures.Image) -> Tile:
    pixels = np.asarray(picture)
    alpha = pixels[..., 3:].astype(np.uint16)
    color = (pixels[..., :3] * alpha + 127) // 255
    # 256 - alpha, not 255: with the shift by 8 a transparent pixel then leaves what is below as it is.
    return Tile(color.astype(np.uint8), np.where(alpha == 255, 0, 256 - alpha).astype(np.uint16))
