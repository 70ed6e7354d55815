"""Text subtitles brought to the kind that another container holds; their words and times stay, styling goes."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import av

from videostyle.sinks.tracks import carry_tags

TEXT_CODECS = {"subrip", "ass", "ssa", "mov_text", "webvtt", "text"}

# FFmpeg's text encoders want a script header even where they write nothing of it.
_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\nPlayResX: 384\nPlayResY: 288\n\n[V4+ Styles]\n"
    b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    b"Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, "
    b"MarginV, Encoding\n"
    b"Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1\n\n[Events]\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def text_of(payload: bytes, codec: str) -> str:
    """The plain words of one packet of a codec of :data:`TEXT_CODECS`.

    3GPP TS 26.245 for mov_text (a length, then UTF-8), Matroska's subtitle specification for the others.
    """
    if codec == "mov_text":
        return payload[2 : 2 + int.from_bytes(payload[:2], "big")].decode("utf-8", "replace")
    text = payload.decode("utf-8", "replace").strip("\0\r\n")
    if codec in ("ass", "ssa"):
        text = text.split(",", 8)[-1]
        return re.sub(r"\{[^}]*\}", "", text).replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
    return re.sub(r"</?[a-zA-Z][^>]*>|\{\\[^}]*\}", "", text)


def payload_of(text: str, codec: str) -> bytes:
    """One packet of ``codec`` (mov_text, subrip or webvtt) with these words."""
    words = text.encode()
    if codec == "mov_text":
        words = words[:65535]
        return len(words).to_bytes(2, "big") + words
    return words


class TextTrack:
    """Subtitles of codec ``source`` written as codec ``target``, moved by ``offset`` seconds."""

    def __init__(
        self, container: av.container.OutputContainer, stream: Any, offset: Fraction, source: str, target: str
    ) -> None:
        self._container: Any = container
        self._offset = offset
        self._source, self._target = source, target
        self._out: Any = self._container.add_stream(target)
        context: Any = self._out.codec_context
        context.subtitle_header = _HEADER
        context.time_base = Fraction(1, 1000)
        self._out.time_base = Fraction(1, 1000)
        carry_tags(stream, self._out)

    def write(self, packet: av.Packet[Any]) -> None:
        text = text_of(bytes(packet), self._source)
        stamp = packet.pts if packet.pts is not None else packet.dts
        if not text.strip() or stamp is None:
            return  # mov_text fills the pauses with empty packets
        line: av.Packet[Any] = av.Packet(payload_of(text, self._target))
        line.time_base = Fraction(1, 1000)
        line.pts = line.dts = round((stamp * packet.time_base - self._offset) * 1000)
        line.duration = round((packet.duration or 0) * packet.time_base * 1000)
        line.stream = self._out
        self._container.mux_one(line)

    def flush(self) -> None:
        pass
