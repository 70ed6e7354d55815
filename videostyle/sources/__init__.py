"""Where frames come from: one file each, and one row in the table below."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from videostyle.address import is_address
from videostyle.errors import SourceError, UsageError
from videostyle.frame import FrameSource

SOURCES: dict[str, tuple[str, str, str]] = {
    "file": ("videostyle.sources.file", "FileSource", "a video file or address: anything FFmpeg reads"),
    "images": ("videostyle.sources.images", "ImagesSource", "a picture, a folder of pictures, a pattern like a/*.png"),
    "synthetic": ("videostyle.sources.synthetic", "SyntheticSource", "a moving test picture: synthetic:640x360"),
    "paced": ("videostyle.sources.paced", "PacedSource", "a video file at its own pace, like a camera: paced:clip.mp4"),
    "url": ("videostyle.sources.paced", "UrlSource", "an address as a live stream: rtsp://, http://, udp://"),
    "webcam": ("videostyle.sources.webcam", "WebcamSource", "a camera by number or name: webcam:0, webcam:logitech"),
}
"""Scheme -> module, class, what it is. The module is imported when a source of that scheme is opened."""

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".pnm", ".gif"}
    | {".ico", ".avif", ".jp2", ".tga", ".heic", ".heif"}
)

_LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp"})


def open_source(spec: str | Path, *, paced: bool = False, **options: Any) -> FrameSource:
    """Opens the source that ``spec`` names.

    spec: a path, or ``scheme:rest`` with a scheme of :data:`SOURCES` ("file:clip.mp4", "synthetic:320x240").
        A path without a scheme is a video, unless it is a folder, has ``*`` in its name or ends like a picture; a
        number is a webcam, unless there is such a file.
    paced: what has a pace of its own keeps it and is live, as a stand-in for a camera; what is live anyway stays so.
    options: keyword arguments of the source's class.

    Raises SourceError when nothing can be read there, UsageError for an unknown scheme or option.
    """
    scheme, rest = _split(str(spec)) if isinstance(spec, str) else (_guess(spec), str(spec))
    if paced:
        scheme = _paced(scheme, rest)
        options |= {"live": True} if scheme == "synthetic" else {}
    module, name, _ = SOURCES[scheme]
    source = getattr(import_module(module), name)
    try:
        return cast(FrameSource, source(rest, **options))
    except TypeError as exc:
        if "unexpected keyword argument" in str(exc):
            raise UsageError(f"{spec}: a source of kind {scheme!r} has no such option ({exc})") from exc
        raise


def source_kind(spec: str | Path, *, paced: bool = False) -> str:
    """The row of :data:`SOURCES` that :func:`open_source` would take: it says which options there are.

    Raises as ``open_source`` does for a spec that names nothing.
    """
    scheme, rest = _split(str(spec)) if isinstance(spec, str) else (_guess(spec), str(spec))
    return _paced(scheme, rest) if paced else scheme


def _paced(scheme: str, rest: str) -> str:
    if scheme == "file":
        return "url" if is_address(rest) else "paced"
    if scheme == "images":
        raise UsageError(f"{rest}: pictures have no pace to play them at; give a video, an address or a webcam")
    return scheme


def _split(spec: str) -> tuple[str, str]:
    found = re.fullmatch(r"([a-z_-]{2,}):(?!//)(.*)", spec, re.DOTALL)  # two letters at least: C: is a drive
    if found is None and is_address(spec):
        # A film on a web server is read like a file; what these schemes bring comes when it comes.
        live = spec.partition(":")[0].lower() in _LIVE_SCHEMES
        return ("url" if live else "file"), spec
    if found is None or Path(spec).exists():
        return ("webcam", spec) if spec.isdecimal() and not Path(spec).exists() else (_guess(Path(spec)), spec)
    scheme, rest = found.groups()
    if scheme not in SOURCES:
        raise UsageError(f"{spec}: unknown kind of source {scheme!r}; there are {', '.join(sorted(SOURCES))}")
    return scheme, rest


def _guess(path: Path) -> str:
    if "*" in path.name:
        return "images"
    if path.is_dir():
        return "images"
    if not path.exists():
        raise SourceError(f"{path}: there is no such file")
    # A GIF may move, and FFmpeg plays both kinds.
    return "images" if path.suffix.lower() in PICTURE_SUFFIXES - {".gif"} else "file"
