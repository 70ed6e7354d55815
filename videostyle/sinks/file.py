"""Frames into a video file, together with the sound and the rest of the file that they came from."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from videostyle.errors import SinkError, UsageError, VideoStyleError
from videostyle.frame import Closing, Frame, Image, StreamInfo
from videostyle.output import check_target, hidden_name, partial_name, write_error
from videostyle.sinks.accompany import Accompaniment, mp4_options
from videostyle.sinks.encoders import ENCODERS, Encoder, encoder_name, no_encoder
from videostyle.yuv import ColorTags, YuvWriter

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Suffix -> FFmpeg's name of the container."""
_MP4_FAMILY = ("mp4", "mov")
_WEBM_CODECS = ("vp9", "av1")


class FileSink(Closing):
    """Writes a video file whose pictures have exactly the times of the frames; a variable rate stays variable.

    (Matroska and WebM count in milliseconds; times are rounded to that there.)

    The sound tracks of ``info.origin`` are copied bit for bit where the container holds their codec and encoded as AAC
    (Opus in WebM) where not; text subtitles, chapters and metadata go along. ``notes`` tells what did not.

    spec: path; its suffix is the container. codec: "auto" (H.264; VP9 in WebM) or a name of
    :data:`videostyle.sinks.encoders.ENCODERS`, or an alias like "hevc". quality, preset: the encoder's constant quality
    (CRF; smaller is better) and speed, its defaults where None. sound: False leaves sound and subtitles out.
    force: overwrite. H.264 and HEVC hold even sizes only (4:2:0 crops by pairs, H.264 7.4.2.1.1): an odd side is made
    one longer by repeating its last row or column, and noted; VP9 and AV1 keep odd sizes.

    The file appears under its name when it is whole. ``close(complete=False)`` puts what there is, playable, at
    NAME.partial.EXT beside it. After a failed write nothing is left.

    Raises UsageError for a suffix or codec that is unknown, an existing file, or the origin as output; SinkError for a
    folder or disk that cannot be written and an encoder that does not work here.
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
        self.path = Path(spec)
        self.info = info
        if self.path.is_dir():
            raise UsageError(f"{self.path} is a folder; give the output a file name, or say images:FOLDER")
        self._format = _container(self.path)
        if info.origin is not None and info.origin.exists() and _same(self.path, info.origin):
            raise UsageError(f"{self.path} is the input itself; choose another name for the output")
        check_target(self.path, force=force)
        self._encoder_name = _encoder(codec, self._format, self.path)
        self._written = 0
        self._pending: Frame | None = None
        self._durations: dict[int, int] = {}
        self._output: Path | None = self.path
        self._done = False
        self._temporary = hidden_name(self.path)
        self._accompaniment: Accompaniment | None = None
        self._container: Any = None
        try:
            self._open(ENCODERS[self._encoder_name], quality, preset, sound)
        except BaseException as exc:
            self._discard()
            if isinstance(exc, (av.FFmpegError, OSError, ValueError)):
                raise self._failure(exc) from exc
            raise

    @property
    def output(self) -> str | None:
        """Path of the file; after an interruption that of its partial, None when there is none."""
        return str(self._output) if self._output is not None else None

    def write(self, frame: Frame) -> None:
        """Raises SinkError for a size other than the stream's, times that do not rise, and a failing disk."""
        if self._done:
            raise SinkError(f"{self.path} is closed")
        height, width = frame.image.shape[:2]
        if (width, height) != (self.info.width, self.info.height):
            size = f"{self.info.width}x{self.info.height}"
            raise SinkError(f"{self.path}: frame {frame.index} is {width}x{height}, the stream is {size}")
        if self._pending is not None:
            step = self._ticks(frame) - self._ticks(self._pending)
            if step <= 0:
                raise SinkError(f"{self.path}: frame {frame.index} is not later than the one before it")
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
        self._guarded(self._finish, complete)
        target = self.path if complete else partial_name(self.path)
        try:
            os.replace(self._temporary, target)
        except OSError as exc:
            self._discard()
            raise write_error(exc, self.path) from exc
        self._output = target
        if not complete:
            self.notes.append(f"interrupted: the first {self._seconds:.1f} seconds are in {target}")

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
            raise self._failure(exc) from exc

    def _open(self, encoder: Encoder, quality: int | None, preset: str | None, sound: bool) -> None:
        info = self.info
        options = mp4_options(info.origin, info.time_base) if self._format in _MP4_FAMILY else {}
        self._container = av.open(f"file:{self._temporary}", "w", format=self._format, container_options=options)
        self._open_video(encoder, encoder.options(quality, preset))
        if info.origin is not None and sound:
            span = info.origin_span
            suffix = ".mp4" if self.path.suffix.lower() == ".m4v" else self.path.suffix.lower()
            self._accompaniment = Accompaniment(self._container, info.origin, suffix, span, self.notes)
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
            if encoder.tag is not None and self._format in _MP4_FAMILY:
                context.codec_tag = encoder.tag
            self._to_yuv.tag(context)
            context.open()
        except (av.FFmpegError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            raise no_encoder(self._encoder_name, width, height, reason) from exc

    def _ticks(self, frame: Frame) -> int:
        if frame.time_base == self.info.time_base:
            return frame.pts
        return round(frame.pts * frame.time_base / self.info.time_base)

    def _encode(self, frame: Frame, ticks: int) -> None:
        picture = self._to_yuv(self._padded(frame.image))
        picture.pts, picture.time_base = self._ticks(frame), self.info.time_base
        picture.duration = self._durations[picture.pts] = ticks
        self._mux(picture)
        self._written += 1
        self._seconds = float((picture.pts + ticks) * self.info.time_base)
        if self._accompaniment is not None:
            self._accompaniment.advance(frame.seconds)

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
        """Ends everything and leaves no file; errors of a container that is broken already say nothing new."""
        self._output = None
        if self._accompaniment is not None:
            self._accompaniment.close()
        if self._container is not None:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
        self._temporary.unlink(missing_ok=True)

    def _failure(self, exc: Exception) -> SinkError:
        if isinstance(exc, OSError):
            return write_error(exc, self.path)
        reason = getattr(exc, "strerror", None) or str(exc)
        return SinkError(f"{self.path} cannot be written: {reason}")


def _container(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise UsageError(f"{path}: video is written as {', '.join(CONTAINERS)}; not as {suffix or 'no suffix'}")
    return CONTAINERS[suffix]


def _encoder(codec: str, container: str, path: Path) -> str:
    name = encoder_name(("vp9" if container == "webm" else "h264") if codec == "auto" else codec)
    if container == "webm" and ENCODERS[name].codec not in _WEBM_CODECS:
        raise UsageError(f"{path}: WebM holds VP9 and AV1, not {ENCODERS[name].codec}; use --codec vp9 or .mkv")
    return name


def _same(path: Path, other: Path) -> bool:
    return path.exists() and os.path.samefile(path, other)
