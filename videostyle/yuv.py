"""YCbCr video and RGB pictures: what the colour tags of a stream mean, and the way there and back by swscale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from videostyle.color import HDR_PEAK, HLG, PQ, WIDE_PRIMARIES, SdrFilter
from videostyle.frame import Image

# Numbers of ITU-T H.273, under FFmpeg's names.
MATRICES = {"rgb": 0, "bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "bt2020nc": 9, "bt2020c": 10}
RANGES = {"tv": 1, "pc": 2}
PRIMARIES = {
    "bt709": 1, "bt470m": 4, "bt470bg": 5, "smpte170m": 6, "smpte240m": 7, "film": 8, "bt2020": 9, "smpte428": 10,
    "smpte431": 11, "smpte432": 12, "ebu3213": 22,
}  # fmt: skip
TRANSFERS = {
    "bt709": 1, "gamma22": 4, "gamma28": 5, "smpte170m": 6, "smpte240m": 7, "linear": 8, "iec61966-2-4": 11,
    "bt1361e": 12, "iec61966-2-1": 13, "bt2020-10": 14, "bt2020-12": 15, PQ: 16, "smpte428": 17, HLG: 18,
}  # fmt: skip

# swscale's own numbers for the matrices it can do.
_SWS = {"bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 5, "smpte240m": 7, "bt2020nc": 9, "bt2020c": 9}
_FULL_RANGE = 2
_BILINEAR = 2
# To RGB: chroma is repeated, not interpolated, so that it comes back as it was when the picture is encoded again; and
# swscale rounds. Its fast path (1 ms instead of 5 for 1024x768) cuts off, which darkens pictures by 1 to 1.5 codes.
_EXACT = 0x10 | 0x40000 | 0x2000  # POINT, ACCURATE_RND, FULL_CHR_H_INT


@dataclass(frozen=True, slots=True)
class ColorTags:
    """How the numbers of a stream stand for colours, by FFmpeg's names; None where the stream does not say."""

    matrix: str | None = None
    range: str | None = None
    primaries: str | None = None
    transfer: str | None = None

    def resolved(self, width: int, height: int) -> ColorTags:
        """With the usual convention for what is None: BT.709 from 720p up, BT.601 below, limited range."""
        large = width >= 1280 or height > 576
        matrix = self.matrix or ("bt709" if large else "smpte170m")
        standard = "bt709" if large else ("bt470bg" if height == 576 else "smpte170m")
        transfer = self.transfer or ("bt709" if large else "smpte170m")
        return ColorTags(matrix, self.range or "tv", self.primaries or standard, transfer)

    def storable(self, width: int, height: int) -> ColorTags:
        """The tags for storing 8-bit SDR: the same where 8-bit SDR can carry them, BT.709 limited otherwise."""
        tags = self.resolved(width, height)
        if tags.transfer in (PQ, HLG, "linear", "smpte428") or tags.primaries in WIDE_PRIMARIES:
            return ColorTags("bt709", "tv", "bt709", "bt709")
        if tags.matrix not in _SWS or tags.matrix.startswith("bt2020"):
            convention = ColorTags().resolved(width, height)
            return ColorTags(convention.matrix, "tv", tags.primaries, tags.transfer)
        return tags


def name_of(number: int, names: dict[str, int]) -> str | None:
    """FFmpeg's name for an H.273 number; None for "unspecified" and what is not in the table."""
    return next((name for name, value in names.items() if value == int(number)), None)


def tags_of(frame: av.VideoFrame, context: Any) -> ColorTags:
    """What a decoded frame and its decoder say of the colours, the convention by size where they say nothing."""
    is_rgb = frame.format.is_rgb or frame.format.name.startswith(("gbr", "pal"))
    full = is_rgb or frame.format.name.startswith("yuvj")
    tags = ColorTags(
        None if is_rgb else name_of(frame.colorspace, {k: v for k, v in MATRICES.items() if k != "rgb"}),
        "pc" if full else name_of(frame.color_range, RANGES),
        name_of(context.color_primaries, PRIMARIES),
        name_of(context.color_trc, TRANSFERS),
    )
    resolved = tags.resolved(frame.width, frame.height)
    # A picture that never was YCbCr is stored by the convention, limited range: that is what players expect.
    return ColorTags(resolved.matrix, "tv", resolved.primaries, resolved.transfer) if is_rgb else resolved


def peak_of(frame: av.VideoFrame) -> float:
    """Brightest the stream gets in cd/m2: MaxCLL (CTA-861.3), else the mastering display (SMPTE ST 2086), else 1000."""
    level = _side_data(frame, "CONTENT_LIGHT_LEVEL")
    if len(level) >= 4 and int(np.frombuffer(level[:4], np.uint32)[0]):
        return float(np.frombuffer(level[:4], np.uint32)[0])
    mastering = _side_data(frame, "MASTERING_DISPLAY_METADATA")
    if len(mastering) >= 88:  # AVMasteringDisplayMetadata: ten rationals, the last one is the peak, then two flags
        numbers = np.frombuffer(mastering[:88], np.int32)
        peak, unit, known = int(numbers[18]), int(numbers[19]), bool(numbers[21])
        if known and peak > 0 and unit > 0:
            return peak / unit
    return HDR_PEAK


def _side_data(frame: av.VideoFrame, kind: str) -> bytes:
    # PyAV's container of side data says it is a mapping, but iterates over its values.
    entries: Any = frame.side_data
    return next((bytes(entry) for entry in entries if entry.type.name == kind), b"")


class RgbReader:
    """Turns decoded frames of one stream into 8-bit RGB; ``note`` says what was changed on the way, if anything."""

    def __init__(self, first: av.VideoFrame, tags: ColorTags) -> None:
        self.tags = tags
        self.note: str | None = None
        self._size = first.width, first.height
        self._reformatter = VideoReformatter()
        self._to_sdr: SdrFilter | None = None
        transfer, primaries = tags.transfer or "", tags.primaries or ""
        if transfer in (PQ, HLG):
            peak = peak_of(first)
            self._to_sdr = SdrFilter(*self._size, transfer, primaries, peak)
            kind = f"PQ, {peak:.0f} cd/m2" if transfer == PQ else "HLG"
            self.note = f"HDR ({kind}) was tone-mapped to 8-bit SDR with BT.709 colours"
        elif primaries in WIDE_PRIMARIES:
            self._to_sdr = SdrFilter(*self._size, transfer, primaries)
            self.note = f"wide colours ({primaries}) were brought to BT.709"

    def __call__(self, frame: av.VideoFrame) -> Image:
        """uint8 (H, W, 3), size of the stream's first frame; not rotated."""
        is_rgb = frame.format.is_rgb or frame.format.name.startswith(("gbr", "pal"))
        matrix = _SWS.get(self.tags.matrix or "", 5)
        full = is_rgb or self.tags.range == "pc"
        rgb = self._reformatter.reformat(
            frame,
            *self._size,
            format=SdrFilter.FORMAT if self._to_sdr else "rgb24",
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=_FULL_RANGE if full else 1,
            dst_color_range=_FULL_RANGE,
            interpolation=_EXACT if (frame.width, frame.height) == self._size else _BILINEAR,
        )
        pixels: Any = self._to_sdr(rgb) if self._to_sdr else rgb.to_ndarray()
        return np.asarray(pixels, np.uint8)


class YuvWriter:
    """Turns 8-bit RGB into frames for an encoder: ``pixel_format`` with the matrix and range of ``tags``.

    size: width and height to scale to, None to leave the size.
    """

    def __init__(self, pixel_format: str, tags: ColorTags, size: tuple[int, int] | None = None) -> None:
        self.pixel_format = pixel_format
        self.tags = tags
        self._width: int | None
        self._height: int | None
        self._width, self._height = size or (None, None)
        self._reformatter = VideoReformatter()

    def __call__(self, image: Image) -> av.VideoFrame:
        """image: uint8 RGB (H, W, 3)."""
        matrix = _SWS[self.tags.matrix or "bt709"]
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"),
            self._width,
            self._height,
            format=self.pixel_format,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=_FULL_RANGE,
            dst_color_range=RANGES[self.tags.range or "tv"],
            interpolation=_BILINEAR,
        )
        frame.colorspace = MATRICES[self.tags.matrix or "bt709"]
        frame.color_range = RANGES[self.tags.range or "tv"]
        return frame

    def tag(self, context: Any) -> None:
        """Writes the tags on an encoder's context, before it is opened."""
        context.colorspace = MATRICES[self.tags.matrix or "bt709"]
        context.color_range = RANGES[self.tags.range or "tv"]
        context.color_primaries = PRIMARIES.get(self.tags.primaries or "", 2)
        context.color_trc = TRANSFERS.get(self.tags.transfer or "", 2)


Turn = Callable[[Image], Image]
Side = Literal["same", "swapped"]


def upright(frame: av.VideoFrame) -> tuple[Turn | None, Side]:
    """How to turn the pixels so that the picture stands as its display matrix says, and whether its sides swap.

    The matrix (ISO/IEC 14496-12, 8.3.2) maps a pixel at (p, q), q downwards, to x = a p + c q, y = b p + d q. Only its
    quarter turns and mirrors are done; a matrix between them goes to the nearest.
    """
    raw = _side_data(frame, "DISPLAYMATRIX")
    if len(raw) < 36:
        return None, "same"
    a, b, _, c, d = (int(n) for n in np.frombuffer(raw, np.int32)[:5])
    swapped = math.hypot(b, c) > math.hypot(a, d)
    flip_x, flip_y = (c < 0, b < 0) if swapped else (a < 0, d < 0)
    if not (swapped or flip_x or flip_y):
        return None, "same"

    def turn(image: Image) -> Image:
        view = image.transpose(1, 0, 2) if swapped else image
        view = view[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
        turned = np.empty(view.shape, np.uint8)
        for channel in range(3):  # twice as fast as copying pixels of three bytes across the grain
            turned[..., channel] = view[..., channel]
        return turned

    return turn, "swapped" if swapped else "same"
