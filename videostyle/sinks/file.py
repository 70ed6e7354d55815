"""Frames into a video file, together with the sound and the rest of the file that they came from."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import PictureType

from videostyle.errors import SinkError, UsageError, VideoStyleError
from videostyle.frame import Closing, Frame, Image, StreamInfo
from videostyle.sinks.accompany import Accompaniment, mp4_options
from videostyle.sinks.encoders import ENCODERS, Encoder, encoder_name, no_encoder
from videostyle.sinks.target import MP4_FAMILY, AddressTarget, PlaylistTarget, target_of
from videostyle.yuv import ColorTags, YuvWriter

_WEBM_CODECS = ("vp9", "av1")
_ROOM, _HELD_BACK = 4_000_000, 2
"""Bytes, and frames before they are encoded, that must fit on the disk besides: what an encoder has yet to give, dozens
of frames but packed, has to find its place when the film is closed."""
_KEYFRAME_EVERY = Fraction(2)
"""Seconds: what a live viewer may wait for a picture, and a crash may cost."""


class FileSink(Closing):
    """Writes a video file whose pictures have exactly the times of the frames; a variable rate stays variable.

    (Matroska and WebM count in milliseconds; times are rounded to that there.)

    The sound tracks of ``info.origin`` are copied bit for bit where the container holds their codec and encoded as AAC
    (Opus in WebM) where not; text subtitles, chapters and metadata go along. ``notes`` tells what did not.

    spec: path or address; its suffix or scheme is the container. codec: "auto" (H.264; VP9 in WebM) or a name of
    :data:`videostyle.sinks.encoders.ENCODERS`, or an alias like "hevc". quality, preset: the encoder's constant quality
    (CRF; smaller is better) and speed, its defaults where None. sound: False leaves sound and subtitles out.
    force: overwrite. H.264 and HEVC hold even sizes only (4:2:0 crops by pairs, H.264 7.4.2.1.1): an odd side is made
    one longer by repeating its last row or column, and noted; VP9 and AV1 keep odd sizes.

    The file appears under its name when it is whole. ``close(complete=False)`` puts what there is, playable, at
    NAME.partial.EXT beside it. ``write`` refuses a frame before the disk is full, while there is room to close what was
    written; after a write that failed nothing is left.

    A live source is recorded from its first frame on, at NAME.partial.EXT until ``close``: that file is playable at any
    moment, also after a crash, and stays after a failed write. Pictures alone go to an address (rtmp://, udp://) and to
    an HLS playlist (.m3u8): see :mod:`videostyle.sinks.target`.

    Raises UsageError for a suffix, scheme or codec that is unknown, an existing file, a folder that is missing or
    cannot be written to, or the origin as output; SinkError for a failing disk, an address that takes nothing (from
    ``write``), and an encoder that does not work here.
    """

    def __init__(
        self,
        spec: str | Path,
        info: StreamInfo,
        *,
        codec: str = "auto",
        quality: int | None = None,
        preset: str | None = None,
        force: bool = False,
        sound: bool = True,
    ) -> None:
        self.notes: list[str] = []
        self.info = info
        if info.origin is not None and info.origin.exists() and _same(Path(spec), info.origin):
            raise UsageError(f"{spec} is the input itself; choose another name for the output")
        self._target = target_of(spec, live=info.live, force=force)
        self._encoder_name = _encoder(codec, self._target.container, self._target.name)
        self._written = 0
        self._pending: Frame | None = None
        self._durations: dict[int, int] = {}
        self._begin: int | None = None if info.live else 0
        self._keyframe: int | None = None
        self._output: str | None = self._target.name
        self._done = False
        self._accompaniment: Accompaniment | None = None
        self._container: Any = None
        try:
            self._open(ENCODERS[self._encoder_name], quality, preset, sound)
        except BaseException as exc:
            self._discard()
            if isinstance(exc, (av.FFmpegError, OSError, ValueError)):
                raise self._target.failure(exc) from exc
            raise

    @property
    def output(self) -> str | None:
        """Path of the file; after an interruption that of its partial, None when there is none."""
        return self._output

    def write(self, frame: Frame) -> None:
        """Raises SinkError for a size other than the stream's, times that do not rise, and a full or failing disk."""
        if self._done:
            raise SinkError(f"{self._target.name} is closed")
        height, width = frame.image.shape[:2]
        if (width, height) != (self.info.width, self.info.height):
            size = f"{self.info.width}x{self.info.height}"
            raise SinkError(f"{self._target.name}: frame {frame.index} is {width}x{height}, the stream is {size}")
        self._target.check_room(_ROOM + _HELD_BACK * frame.image.nbytes)
        if self._pending is not None:
            step = self._ticks(frame) - self._ticks(self._pending)
            if step <= 0:
                raise SinkError(f"{self._target.name}: frame {frame.index} is not later than the one before it")
            self._guarded(lambda pending: self._encode(pending, step), self._pending)
        self._pending = frame  # a frame is written when the next one says how long it lasts

    def close(self, complete: bool = True) -> None:
        if self._done:
            return
        self._done = True
        if self._written == 0 and self._pending is None:
            self._discard()
            self.notes.append("no frames came, so no file was written")
            return
        self._output = None  # until it is whole: a second Ctrl-C may come between
        self._guarded(self._finish, complete)
        self._output = self._target.settle(complete)
        if not complete:
            self.notes.append(f"interrupted: the first {self._seconds:.1f} seconds are in {self._output}")

    def _abort(self) -> None:
        self.close(complete=False)

    def _guarded(self, step: Any, argument: Any) -> None:
        try:
            step(argument)
        except (av.FFmpegError, OSError, ValueError, VideoStyleError) as exc:
            self._done = True
            self._discard()
            if isinstance(exc, VideoStyleError):
                raise
            raise self._target.failure(exc) from exc

    def _open(self, encoder: Encoder, quality: int | None, preset: str | None, sound: bool) -> None:
        info, target = self.info, self._target
        options = mp4_options(info.origin, info.time_base) if target.container in MP4_FAMILY else {}
        self._container = av.open(target.address, "w", format=target.muxer, container_options=options | target.options)
        self._open_video(encoder, encoder.options(quality, preset) | self._live_options(encoder))
        if info.origin is not None and sound and not target.alone:
            span = info.origin_span
            self._accompaniment = Accompaniment(self._container, info.origin, target.suffix, span, self.notes)
        if not target.late:
            self._container.start_encoding()

    def _open_video(self, encoder: Encoder, options: dict[str, str]) -> None:
        info = self.info
        width, height, aspect = info.width, info.height, info.pixel_aspect
        size: tuple[int, int] | None = None
        if aspect != 1 and not encoder.aspect:
            width, height = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
            size, aspect = (width, height), Fraction(1)
            self.notes.append(f"pixels are square now, {encoder.codec} holds no others here: {width}x{height}")
        self._padding = (0, 0), (0, 0), (0, 0)
        if encoder.even and (width % 2 or height % 2):
            self._padding = (0, height % 2), (0, width % 2), (0, 0)
            width, height = width + width % 2, height + height % 2
            self.notes.append(
                f"{encoder.codec} holds even sizes only: {info.width}x{info.height} became {width}x{height} by "
                "repeating the edge; --codec vp9 or av1 keeps the size"
            )
        tags = ColorTags(info.colorspace, info.color_range, info.color_primaries, info.color_transfer)
        self._to_yuv = YuvWriter(encoder.pixel_format, tags.storable(info.width, info.height), size)
        rate = info.rate or Fraction(30)
        try:
            self._stream = self._container.add_stream(self._encoder_name, rate=rate, options=options)
            context = self._stream.codec_context
            context.width, context.height, context.pix_fmt = width, height, encoder.pixel_format
            context.time_base = self._stream.time_base = info.time_base
            context.sample_aspect_ratio = aspect
            if encoder.tag is not None and self._target.container in MP4_FAMILY:
                context.codec_tag = encoder.tag
            if self._target.global_header:
                context.flags |= Flags.global_header
            self._to_yuv.tag(context)
            context.open()
        except (av.FFmpegError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            raise no_encoder(self._encoder_name, width, height, reason) from exc

    def _live_options(self, encoder: Encoder) -> dict[str, str]:
        """What a live source or target needs of the encoder: keyframes now and then, and no picture held back."""
        sent = isinstance(self._target, AddressTarget | PlaylistTarget)
        if not (sent or self.info.live):
            return {}
        rate = self.info.rate or Fraction(30)
        options = {"g": str(max(1, round(_KEYFRAME_EVERY * rate))), "bf": "0"}
        if sent and self.info.live:
            options |= encoder.streaming(self.info.width, self.info.height, rate)
        return options

    def _ticks(self, frame: Frame) -> int:
        """Time of a frame in the stream's ticks. A live recording begins with its first frame, not with the source."""
        ticks = frame.pts
        if frame.time_base != self.info.time_base:
            ticks = round(frame.pts * frame.time_base / self.info.time_base)
        self._begin = ticks if self._begin is None else self._begin
        return ticks - self._begin

    def _encode(self, frame: Frame, ticks: int) -> None:
        picture = self._to_yuv(self._padded(frame.image))
        picture.pts, picture.time_base = self._ticks(frame), self.info.time_base
        picture.duration = self._durations[picture.pts] = ticks
        if self.info.live and self._due(picture.pts):
            # By the clock: counted in frames, a source that is slower than it said would get them too rarely.
            picture.pict_type, self._keyframe = PictureType.I, picture.pts
        self._mux(picture)
        self._written += 1
        self._seconds = float((picture.pts + ticks) * self.info.time_base)
        if self._accompaniment is not None:
            self._accompaniment.advance(frame.seconds)

    def _due(self, ticks: int) -> bool:
        return self._keyframe is None or (ticks - self._keyframe) * self.info.time_base >= _KEYFRAME_EVERY

    def _mux(self, picture: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(picture):
            packet.duration = self._durations.pop(packet.pts, 0)
            self._container.mux_one(packet)

    def _padded(self, image: Image) -> Image:
        return np.pad(image, self._padding, mode="edge") if any(map(any, self._padding)) else image

    def _finish(self, complete: bool) -> None:
        if self._pending is not None:
            nominal = 1 / (self.info.rate or Fraction(30)) / self.info.time_base
            self._encode(self._pending, max(1, round(nominal)))
            self._pending = None
        self._mux(None)
        if self._accompaniment is not None:
            self._accompaniment.advance(None if complete else self._seconds)
            self._accompaniment.finish()
            self._accompaniment.close()
        self._container.close()

    def _discard(self) -> None:
        """Ends everything and leaves only what can be used; errors of a broken container say nothing new."""
        if self._accompaniment is not None:
            self._accompaniment.close()
        if self._container is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
        self._output = self._target.salvage() if self._written else None
        if self._output is None:
            self._target.discard()
        else:
            self.notes.append(f"broken off: what was recorded until then is in {self._output}")


def _encoder(codec: str, container: str, name: str) -> str:
    encoder = encoder_name(("vp9" if container == "webm" else "h264") if codec == "auto" else codec)
    if container == "webm" and ENCODERS[encoder].codec not in _WEBM_CODECS:
        raise UsageError(f"{name}: WebM holds VP9 and AV1, not {ENCODERS[encoder].codec}; use --codec vp9 or .mkv")
    return encoder


def _same(path: Path, other: Path) -> bool:
    return path.exists() and os.path.samefile(path, other)
