"""Sound on its way from one file to another: copied packet by packet, or encoded again."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.audio.resampler import AudioResampler

_AAC_RATES = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}

_USUAL = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def carry_tags(source: Any, target: Any) -> None:
    """Language, title, default and forced flags of a stream."""
    own = {"duration", "encoder", "number_of_frames", "number_of_bytes", "vendor_id", "bps"}
    target.metadata.update({key: value for key, value in source.metadata.items() if key.lower() not in own})
    target.disposition = source.disposition


def _layout(codec: str, layout: Any, rate: int) -> str:
    """The speakers to encode for: those of the source where the encoder knows them, stereo where not."""
    # PCM may tell how many channels there are, not which.
    name = _USUAL.get(layout.nb_channels, "stereo") if layout.name.endswith("channels") else layout.name
    trial: Any = av.CodecContext.create(codec, "w")
    trial.sample_rate, trial.layout, trial.time_base = rate, name, Fraction(1, rate)
    trial.format = "flt" if codec == "libopus" else "fltp"
    try:
        trial.open()
    except av.FFmpegError:
        return "stereo"
    return str(name)


class CopyTrack:
    """Packets as they are: the bytes are untouched, times only move by ``offset`` seconds.

    Raises ValueError where the container has no way to store the codec.
    """

    def __init__(self, container: av.container.OutputContainer, stream: Any, offset: Fraction) -> None:
        self._container = container
        self._out = container.add_stream_from_template(stream)
        carry_tags(stream, self._out)
        self._shift = round(offset / stream.time_base)
        self._last: int | None = None

    def write(self, packet: av.Packet[Any]) -> None:
        dts = packet.dts if packet.dts is not None else packet.pts
        assert dts is not None
        dts -= self._shift
        pts = packet.pts - self._shift if packet.pts is not None else dts
        # Muxers refuse times that stand still or run back; a damaged file may have them.
        if self._last is not None and dts <= self._last:
            dts = self._last + 1
        self._last = dts
        packet.dts, packet.pts = dts, max(pts, dts)
        packet.stream = self._out
        self._container.mux_one(packet)

    def flush(self) -> None:
        pass


class SoundTrack:
    """Decodes and encodes with ``codec`` ("aac" or "libopus"); what cannot be decoded is left out."""

    def __init__(self, container: av.container.OutputContainer, stream: Any, offset: Fraction, codec: str) -> None:
        self._container: Any = container
        self._stream, self._offset = stream, offset
        rate = stream.codec_context.sample_rate
        rate = 48000 if codec == "libopus" or rate not in _AAC_RATES else rate
        self._out: Any = self._container.add_stream(codec, rate=rate)
        context: Any = self._out.codec_context
        context.layout = _layout(codec, stream.codec_context.layout, rate)
        context.bit_rate = (64000 if codec == "libopus" else 96000) * max(1, context.layout.nb_channels)
        context.time_base = Fraction(1, rate)
        carry_tags(stream, self._out)
        context.open()
        self._resampler = AudioResampler(context.format.name, context.layout.name, rate, context.frame_size or None)

    def write(self, packet: av.Packet[Any]) -> None:
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return  # a gap: the times of what follows keep it in step
        for frame in frames:
            if frame.pts is not None and frame.time_base:
                frame.pts -= round(self._offset / frame.time_base)
            self._encode(frame)

    def flush(self) -> None:
        self._encode(None)
        for packet in self._out.encode(None):
            self._container.mux_one(packet)

    def _encode(self, frame: Any) -> None:
        for samples in self._resampler.resample(frame):
            for packet in self._out.encode(samples):
                self._container.mux_one(packet)
