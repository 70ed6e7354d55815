"""Pictures brought to a size that was settled earlier, and the card that is shown where there is no picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as Pil
from PIL import ImageDraw, ImageFont

from videostyle.frame import Image

_CARD = (24, 26, 31)
_TITLE = (235, 235, 235)
_TEXT = (160, 165, 175)


def letterbox(image: Image, width: int, height: int) -> Image:
    """uint8 RGB (height, width, 3): all of ``image`` (H, W, 3) as large as it fits, undistorted, on black.

    An image of that size already is returned as it is, not copied.
    """
    if image.shape == (height, width, 3):
        return image
    scale = min(width / image.shape[1], height / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    scaled = np.asarray(Pil.fromarray(image).resize(size, Pil.Resampling.BILINEAR, reducing_gap=2.0))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    fitted = np.zeros((height, width, 3), np.uint8)
    fitted[top : top + size[1], left : left + size[0]] = scaled
    return fitted


def card(width: int, height: int, title: str, lines: Sequence[str] = ()) -> Image:
    """uint8 RGB (height, width, 3): a dark card with a title and smaller lines below it, centred.

    Lines that are too long for the card are cut off at its edges. Letters outside Latin-1 become question marks: the
    font that Pillow brings has no others.
    """
    picture = Pil.new("RGB", (width, height), _CARD)
    draw = ImageDraw.Draw(picture)
    unit = max(8.0, min(width / 20, height / 9))
    y = height / 2 - unit * (0.6 + 0.4 * len(lines))
    for text, size, colour in ((title, unit, _TITLE), *((line, unit * 0.5, _TEXT) for line in lines)):
        known = text.encode("latin-1", "replace").decode("latin-1")
        font = ImageFont.load_default(size)
        left, _, right, _ = draw.textbbox((0, 0), known, font=font)
        draw.text(((width - right + left) / 2, y), known, fill=colour, font=font)
        y += size * 1.6
    return np.array(picture)
