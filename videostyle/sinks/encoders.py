"""Video encoders: their names, their options, and which of them work on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import av
from av.video.codeccontext import VideoCodecContext

from videostyle.errors import SinkError, UsageError

# SVT-AV1 writes to stderr on its own, past FFmpeg's log; errors come back as exceptions anyway.
os.environ.setdefault("SVT_LOG", "0")


@dataclass(frozen=True, slots=True)
class Encoder:
    """One of FFmpeg's encoders.

    quality: option that holds the constant quality, and its default; smaller is better, except for VideoToolbox and
    Media Foundation. scale: what one step of it is in FFmpeg.
    preset: option that trades speed for size, and its default; None where there is none.
    even: it refuses odd widths and heights.
    aspect: its stream says how wide a pixel is, where PyAV cannot tell the container.
    prompt: options with which no picture waits inside the encoder, for streams.
    tag: the four letters that QuickTime players want in MP4, None for the usual ones.
    """

    codec: str
    quality: tuple[str, int]
    preset: tuple[str, str] | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"
    even: bool = True
    aspect: bool = True
    tag: str | None = None
    prompt: Mapping[str, str] = field(default_factory=dict)
    scale: int = 1

    def streaming(self, width: int, height: int, rate: Fraction) -> dict[str, str]:
        """FFmpeg options for sending over a network: nothing held back, and a limit to the bits per second.

        The limit, 0.15 bits a pixel (4 Mbit/s for 720p at 30), is what services recommend and twice what most need:
        brush strokes are texture everywhere.
        """
        bits = round(width * height * rate * Fraction(15, 100))
        return {"maxrate": str(bits), "bufsize": str(bits)} | dict(self.prompt)

    def options(self, quality: int | None, preset: str | None) -> dict[str, str]:
        """FFmpeg options; ``preset`` is ignored by an encoder without one."""
        chosen = dict(self.fixed)
        chosen[self.quality[0]] = str(self.scale * (self.quality[1] if quality is None else quality))
        if self.preset is not None:
            chosen[self.preset[0]] = preset or self.preset[1]
        return chosen


_PROMPT = {
    "cq": {"tune": "ll", "zerolatency": "1", "delay": "0", "forced-idr": "1"},
    "global_quality": {"async_depth": "1", "forced_idr": "1"},
    "qvbr_quality_level": {"usage": "lowlatency"},
}


def _hardware(codec: str, quality: str, preset: tuple[str, str] | None, **fixed: str) -> Encoder:
    tag = "hvc1" if codec == "hevc" else None
    return Encoder(codec, (quality, 23), preset, fixed, "nv12", tag=tag, prompt=_PROMPT.get(quality, {}))


def _apple(codec: str, tag: str | None) -> Encoder:
    # What "-q:v" stands for on FFmpeg's command line; its libraries know no option of that name, and say nothing.
    fixed = {"flags": "+qscale", "realtime": "0"}
    return Encoder(codec, ("global_quality", 65), None, fixed, tag=tag, prompt={"realtime": "1"}, scale=118)


ENCODERS: dict[str, Encoder] = {
    # Brush strokes are texture everywhere: "veryfast" takes twice the time of "superfast" (18 and 9.5 ms of a core for
    # a painted 1280x720 picture) to make the file a tenth smaller, and slower presets cost more than the net.
    "libx264": Encoder("h264", ("crf", 18), ("preset", "superfast"), prompt={"tune": "zerolatency"}),
    "libx265": Encoder(
        "hevc",
        ("crf", 22),
        ("preset", "fast"),
        {"x265-params": "log-level=none"},
        tag="hvc1",
        prompt={"tune": "zerolatency", "forced-idr": "1"},
    ),
    "libsvtav1": Encoder("av1", ("crf", 28), ("preset", "9"), even=False, aspect=False),
    "libvpx-vp9": Encoder(
        "vp9",
        ("crf", 24),
        ("cpu-used", "6"),
        {"deadline": "realtime", "row-mt": "1", "b": "0"},
        even=False,
        aspect=False,
        prompt={"lag-in-frames": "0"},
    ),
    "h264_nvenc": _hardware("h264", "cq", ("preset", "p4"), rc="vbr"),
    "hevc_nvenc": _hardware("hevc", "cq", ("preset", "p4"), rc="vbr"),
    "h264_qsv": _hardware("h264", "global_quality", ("preset", "faster")),
    "hevc_qsv": _hardware("hevc", "global_quality", ("preset", "faster")),
    "h264_amf": _hardware("h264", "qvbr_quality_level", None, rc="qvbr"),
    "hevc_amf": _hardware("hevc", "qvbr_quality_level", None, rc="qvbr"),
    "h264_videotoolbox": _apple("h264", None),
    "hevc_videotoolbox": _apple("hevc", "hvc1"),
    "h264_mf": Encoder("h264", ("quality", 70), None, {"rate_control": "quality"}, "nv12"),
}
"""FFmpeg's name of an encoder -> what is to know of it."""

ALIASES = {
    "h264": "libx264", "avc": "libx264", "h265": "libx265", "hevc": "libx265", "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
}  # fmt: skip


def encoder_name(codec: str) -> str:
    """FFmpeg's name of the encoder that ``codec`` asks for; UsageError where this package knows none of that name."""
    name = ALIASES.get(codec.lower(), codec.lower())
    if name not in ENCODERS:
        raise UsageError(f"codec {codec!r} is unknown; there are {', '.join([*ALIASES, *ENCODERS])}")
    return name


def works(name: str) -> bool:
    """Whether the encoder can be opened here: FFmpeg may list a card's encoder on a machine without the card."""
    encoder = ENCODERS[name]
    try:
        context = cast(VideoCodecContext, av.CodecContext.create(name, "w"))
        context.width, context.height, context.pix_fmt = 640, 360, encoder.pixel_format
        context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
        context.options = encoder.options(None, None)
        context.open()
    except (av.FFmpegError, ValueError):  # av.codec's UnknownCodecError is a ValueError
        return False
    return True


def working_encoders() -> list[str]:
    """Names of the encoders that open on this machine. Takes up to a second: each one is tried."""
    return [name for name in ENCODERS if works(name)]


def no_encoder(name: str, width: int, height: int, reason: str) -> SinkError:
    """The error for an encoder that does not open."""
    there = working_encoders()
    if name in there:
        return SinkError(f"{name} cannot encode {width}x{height} so ({reason}): check --quality and --preset")
    known = ", ".join(there) or "none at all"
    return SinkError(f"{name} cannot encode {width}x{height} on this machine ({reason}); there are: {known}")
