"""What goes with the pictures of a file: sound, subtitles, chapters and metadata, carried over in step with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av

from videostyle.sinks.subtitles import TEXT_CODECS, TextTrack
from videostyle.sinks.tracks import CopyTrack, SoundTrack

# What players of a container understand, not all that FFmpeg would write into it (PCM in MP4, TrueHD, Vorbis in MP4).
_MP4_SOUND = {"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac"}
_SOUND = {
    ".mp4": _MP4_SOUND,
    ".mov": _MP4_SOUND - {"opus", "flac"} | {f"pcm_{kind}" for kind in ("s16le", "s16be", "s24le", "s24be", "s32le")},
    ".webm": {"opus", "vorbis"},
}
_TEXT = {".mp4": "mov_text", ".mov": "mov_text", ".webm": "webvtt", ".mkv": "subrip"}
# Written anew by every muxer, or true of the old file only.
_OWN_METADATA = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}


class Track(Protocol):
    """One stream of the origin on its way into the output."""

    def write(self, packet: av.Packet[Any]) -> None: ...
    def flush(self) -> None: ...


class Accompaniment:
    """Carries the streams of ``origin`` other than its pictures into ``container``.

    Built before the header of ``container`` is written, because streams must be known by then. ``advance`` carries over
    what lies before a time: sound and pictures are interleaved, and no more than one packet waits in memory.

    suffix: of the output, in lower case; it decides what is copied and what is encoded again.
    span: as in StreamInfo.origin_span. notes: gets a line for what is left out or encoded again.
    """

    def __init__(
        self,
        container: av.container.OutputContainer,
        origin: Path,
        suffix: str,
        span: tuple[Fraction, Fraction | None] | None,
        notes: list[str],
    ) -> None:
        self._origin = av.open(f"file:{origin}", metadata_errors="replace")
        self._container = container
        self._suffix, self._notes = suffix, notes
        self._offset, self._end = span if span is not None else (Fraction(0), None)
        self._tracks: dict[int, Track] = {}
        self._left_out: Counter[str] = Counter()
        for stream in self._origin.streams:
            track = self._track(stream)
            if track is not None:
                self._tracks[stream.index] = track
        if "mp4" in self._origin.format.name and self._origin.chapters():
            self._left_out -= Counter({"data stream": 1})  # chapters lie in one, and go along
        if self._left_out:
            kinds = ", ".join(f"{count} x {kind}" for kind, count in self._left_out.items())
            notes.append(f"left out, for it is not carried over into {suffix}: {kinds}")
        self._copy_metadata()
        self._going = {*self._tracks}
        self._packets = self._demux()
        self._next = next(self._packets, None)

    def advance(self, seconds: float | None) -> None:
        """Writes all packets before ``seconds`` (in the frames' time), or all there are (None)."""
        while self._next is not None:
            packet = self._next
            stamp = packet.dts if packet.dts is not None else packet.pts
            if packet.size and stamp is not None:
                time = stamp * packet.time_base
                if self._end is not None and time >= self._end:
                    self._going.discard(packet.stream_index)
                    self._next = next(self._packets, None) if self._going else None
                    continue
                if seconds is not None and time - self._offset > seconds:
                    return
                if time >= self._offset or not self._offset:
                    self._tracks[packet.stream_index].write(packet)
            self._next = next(self._packets, None)

    def finish(self) -> None:
        """Empties the encoders of what was encoded again; nothing may be written after that."""
        for track in self._tracks.values():
            track.flush()

    def close(self) -> None:
        self._origin.close()

    def _demux(self) -> Iterator[av.Packet[Any]]:
        streams = [stream for stream in self._origin.streams if stream.index in self._tracks]
        if not streams:
            return
        try:
            yield from self._origin.demux(*streams)
        except av.FFmpegError as exc:
            self._notes.append(f"the sound ends early: {exc.strerror or 'the file is damaged'}")

    def _track(self, stream: Any) -> Track | None:
        if stream.type == "video":
            main = self._origin.streams.best("video")
            if main is None or stream.index != main.index:
                self._left_out["further video or cover picture"] += 1
            return None
        if stream.codec_context is None or stream.type not in ("audio", "subtitle"):
            self._left_out[f"{stream.type} stream"] += 1
            return None
        codec = getattr(stream.codec_context.codec, "canonical_name", stream.codec_context.name)
        if stream.type == "audio":
            return self._sound(stream, codec)
        return self._subtitles(stream, codec)

    def _sound(self, stream: Any, codec: str) -> Track | None:
        if self._suffix not in _SOUND or codec in _SOUND[self._suffix]:
            with suppress(ValueError):  # Matroska holds nearly all there is, but not quite
                return CopyTrack(self._container, stream, self._offset)
        target = "libopus" if self._suffix == ".webm" else "aac"
        self._notes.append(f"sound track {stream.index}: {codec} does not go into {self._suffix}, encoded as {target}")
        return SoundTrack(self._container, stream, self._offset, target)

    def _subtitles(self, stream: Any, codec: str) -> Track | None:
        text = _TEXT[self._suffix]
        if codec == text or (self._suffix == ".mkv" and codec not in ("mov_text", "eia_608")):
            return CopyTrack(self._container, stream, self._offset)
        if codec in TEXT_CODECS:
            self._notes.append(f"subtitle track {stream.index}: {codec} became {text}, without its styling")
            return TextTrack(self._container, stream, self._offset, codec, text)
        self._left_out[f"{codec} subtitles"] += 1
        return None

    def _copy_metadata(self) -> None:
        kept = {k: v for k, v in self._origin.metadata.items() if k.lower() not in _OWN_METADATA}
        self._container.metadata.update(kept)
        chapters = []
        for chapter in self._origin.chapters():
            base = chapter["time_base"] or Fraction(1, 1000)
            shift = round(self._offset / base)
            last = chapter["end"] if self._end is None else min(chapter["end"], round(self._end / base))
            if last > shift and last > chapter["start"]:
                moved = {"start": max(0, chapter["start"] - shift), "end": last - shift}
                chapters.append({**chapter, **moved})
        if chapters:
            output: Any = self._container  # PyAV types the chapters, but not this method, in all its versions
            output.set_chapters(chapters)


def mp4_options(origin: Path | None, time_base: Fraction) -> dict[str, str]:
    """Options of FFmpeg's MP4 and MOV muxer that keep the times and tags of ``origin``.

    Tracks that do not start at zero are placed in units of the movie timescale (ISO/IEC 14496-12, 8.6.6): it is chosen
    fine enough that neither pictures nor sound are moved by that. Phones' own tags go into MOV's key list, where their
    programs look for them; the usual ones stay where everybody looks.
    """
    ticks, flags = time_base.denominator, "+faststart"
    if origin is not None:
        with suppress(av.FFmpegError), av.open(f"file:{origin}", metadata_errors="replace") as container:
            if any(key.startswith("com.apple.quicktime.") for key in container.metadata):
                flags += "+use_metadata_tags"
            for stream in container.streams.audio:
                common = math.lcm(ticks, (stream.time_base or Fraction(1)).denominator)
                ticks = common if common < 1 << 24 else ticks
    return {"movflags": flags, "movie_timescale": str(ticks * max(1, 1000 // ticks))}
