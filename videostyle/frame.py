"""What travels through videostyle: frames, what is known of a stream of them, and the two ends of the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""uint8 RGB, shape (H, W, 3), sRGB transfer (BT.709 primaries), full range 0..255, upright."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a stream.

    image: uint8 RGB (H, W, 3), upright, C-contiguous.
    index: position in the stream from 0, counting dropped frames too.
    pts: presentation time in units of ``time_base`` (seconds = pts * time_base).
    captured_at: ``time.perf_counter()`` when the frame left its source: the start of its latency.
    photo: what a painted frame was painted from, of the same size, where someone may want to compare; else None.
    """

    image: Image
    index: int
    pts: int
    time_base: Fraction
    captured_at: float
    photo: Image | None = None

    @property
    def seconds(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a sink must know before the first frame.

    width, height: size of the frames in pixels, after rotation.
    time_base: unit of ``Frame.pts``.
    rate: nominal frames per second, None where unknown or variable without a nominal rate.
    frames: expected number of frames, None where unknown: for progress only.
    live: frames come at their own pace and late ones are dropped, rather than waited for.
    pixel_aspect: width of a pixel over its height.
    colorspace, color_range: names as FFmpeg spells them ("bt709", "smpte170m", "tv", "pc"), for sinks that store
        YCbCr; None where the source has none.
    color_primaries, color_transfer: likewise, what a sink should tag; the pixels of a Frame are RGB for display.
    origin: the media file whose sound, subtitles, chapters and metadata belong to these frames, or None.
    origin_span: the part of the origin that the frames show, in seconds of its own time, (start, end or None for its
        end); the frames' times count from its start. None where they show all of it, in its own time.
    """

    width: int
    height: int
    time_base: Fraction
    rate: Fraction | None = None
    frames: int | None = None
    live: bool = False
    pixel_aspect: Fraction = Fraction(1)
    colorspace: str | None = None
    color_range: str | None = None
    color_primaries: str | None = None
    color_transfer: str | None = None
    origin: Path | None = None
    origin_span: tuple[Fraction, Fraction | None] | None = None


class FrameSource(Protocol):
    """Yields frames in order; iterating ends with the stream and raises SourceError where it breaks.

    ``close`` is idempotent, may be called from any thread, and ends a pending read.
    ``notes`` collects what a person should be told (damage that was stepped over, tone mapping): one line each.
    """

    info: StreamInfo
    notes: list[str]

    def __iter__(self) -> Iterator[Frame]: ...
    def close(self) -> None: ...


class FrameSink(Protocol):
    """Takes frames in order. Built whole from a StreamInfo: a size or codec it cannot do is an error at once.

    ``close`` finishes the output and is idempotent; ``close(complete=False)`` ends it after an interruption: what is
    written stays usable where the medium allows. ``output`` says where the result is, None if nowhere in particular.
    """

    notes: list[str]

    @property
    def output(self) -> str | None: ...
    def write(self, frame: Frame) -> None: ...
    def close(self, complete: bool = True) -> None: ...


class Closing:
    """``with`` for sources and sinks: a sink left by an exception is closed as incomplete."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close() if error is None else self._abort()

    def close(self) -> None:
        raise NotImplementedError

    def _abort(self) -> None:
        self.close()
