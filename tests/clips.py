"""Clips made in code: small, of known colours and times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from videostyle.frame import Frame, Image
from videostyle.sources import open_source
from videostyle.sources.synthetic import test_picture as picture_of

NTSC = Fraction(30000, 1001)


def make_clip(
    path: Path,
    *,
    frames: int = 20,
    size: tuple[int, int] = (64, 48),
    rate: Fraction | int = NTSC,
    times: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    image: Callable[[int], Image] | None = None,
    planes: Sequence[int] | None = None,
    tags: Mapping[str, int] | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    audio: bool | Sequence[str] = True,
    audio_start: Fraction = Fraction(0),
    subtitles: Sequence[tuple[float, float, str]] = (),
    metadata: Mapping[str, str] | None = None,
    chapters: Sequence[tuple[float, float, str]] = (),
) -> Path:
    """Writes a clip and returns its path; the suffix is the container.

    times: pts of each frame in ``time_base``, by default frame numbers at ``rate``. image: picture of an index, by
    default a moving test picture; planes: a flat Y, Cb, Cr to write instead, past all conversions. tags: colorspace,
    color_range, color_primaries, color_trc as H.273 numbers. rotation: degrees of the display matrix, as ffprobe says.
    audio: True for one AAC track, or a codec per track; each is a tone of its own. audio_start: its time of start.
    subtitles, chapters: (start, end, text) in seconds.
    """
    rate = Fraction(rate)
    base = time_base or 1 / rate
    times = times if times is not None else [round(i / rate / base) for i in range(frames)]
    with av.open(str(path), "w") as container:
        output: Any = container
        output.metadata.update(metadata or {})
        video = output.add_stream(codec, rate=rate, options=dict(options or {}))
        video.width, video.height, video.pix_fmt = *size, pixel_format
        video.codec_context.time_base = video.time_base = base
        for name, value in (tags or {}).items():
            setattr(video.codec_context, name, value)
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        if rotation:
            video.set_display_rotation(rotation)
        names = ["aac"] if audio is True else list(audio or ())
        tracks = [output.add_stream(name, rate=48000) for name in names]
        lines = output.add_stream("subrip") if subtitles else None
        if lines is not None:
            from videostyle.sinks.subtitles import _HEADER

            lines.codec_context.subtitle_header = _HEADER
            lines.codec_context.time_base = lines.time_base = Fraction(1, 1000)
        if chapters:
            marks = enumerate(chapters)
            output.set_chapters(
                [
                    {"id": i, "start": round(a * 1000), "end": round(b * 1000), "time_base": Fraction(1, 1000)}
                    | {"metadata": {"title": title}}
                    for i, (a, b, title) in marks
                ]
            )
        for index, pts in enumerate(times):
            frame = _frame(index, size, pixel_format, image, planes)
            frame.pts, frame.time_base = pts, base
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        seconds = float((times[-1] - times[0] + 1) * base)
        for number, track in enumerate(tracks):
            _tone(output, track, seconds, 220 * (number + 1), audio_start)
        for start, end, text in subtitles:
            packet: Any = av.Packet(text.encode())
            packet.stream, packet.time_base = lines, Fraction(1, 1000)
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round((end - start) * 1000)
            output.mux(packet)
    return path


def _frame(
    index: int,
    size: tuple[int, int],
    pixel_format: str,
    image: Callable[[int], Image] | None,
    planes: Sequence[int] | None,
) -> av.VideoFrame:
    if planes is None:
        picture = image(index) if image is not None else picture_of(*size, index)
        return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
    frame = av.VideoFrame(*size, format=pixel_format)
    kind: Any = np.uint16 if "10le" in pixel_format else np.uint8
    for plane, value in zip(frame.planes, planes, strict=True):
        plane.update(np.full(plane.buffer_size // kind().itemsize, value, kind).tobytes())
    return frame


def _tone(container: Any, track: Any, seconds: float, pitch: int, start: Fraction) -> None:
    context = track.codec_context
    length = context.frame_size or 1024
    first = round(start * 48000)
    for offset in range(0, int(seconds * 48000), length):
        wave = 0.3 * np.sin(2 * np.pi * pitch * (offset + np.arange(length)) / 48000)
        if context.format.name == "fltp":
            samples = np.stack([wave, wave]).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        else:
            ints = (wave * 32767).astype(np.int16)
            packed = np.repeat(ints, 2)[None] if context.format.is_packed else np.stack([ints, ints])
            frame = av.AudioFrame.from_ndarray(packed, format=context.format.name, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, first + offset, Fraction(1, 48000)
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def video_times(path: Path) -> list[Fraction]:
    """Times of the frames in seconds, in the order in which they are shown, straight from FFmpeg."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        assert stream is not None
        base = stream.time_base or Fraction(1)
        return [(frame.pts or 0) * base for frame in container.decode(stream)]


def packets(path: Path, kind: str, number: int = 0) -> list[tuple[bytes, Fraction]]:
    """(bytes, seconds) of the packets of one stream."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[number]
        found = [packet for packet in container.demux(stream) if packet.size]
        return [(bytes(packet), (packet.pts or 0) * packet.time_base) for packet in found]


def decoded(path: Path) -> list[Frame]:
    """All frames of a file."""
    source = open_source(path)
    try:
        return list(source)
    finally:
        source.close()
