"""Where frames go: one file each, and one row in the table below."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from videostyle.address import is_address
from videostyle.errors import UsageError
from videostyle.frame import FrameSink, StreamInfo

SINKS: dict[str, tuple[str, str, str]] = {
    "file": ("videostyle.sinks.file", "FileSink", "a video file: .mp4, .mov, .mkv or .webm; an address"),
    "images": ("videostyle.sinks.images", "ImagesSink", "a folder of numbered pictures: images:FOLDER"),
    "window": ("videostyle.sinks.window", "WindowSink", "a window on the screen: window:"),
    "virtual-camera": (
        "videostyle.sinks.virtual_camera",
        "VirtualCameraSink",
        "a camera for other programs: virtual-camera, virtual-camera:/dev/video10",
    ),
}
"""Scheme -> module, class, what it is. The module is imported when a sink of that scheme is opened."""


def open_sink(spec: str | Path, info: StreamInfo, **options: Any) -> FrameSink:
    """Opens the sink that ``spec`` names, complete: a sink that cannot do what ``info`` asks for raises here.

    spec: a path, or ``scheme:rest`` with a scheme of :data:`SINKS` ("file:out.mp4", "images:frames").
        A path without a scheme is a video file, unless it is a folder or ends in a slash.
    options: keyword arguments of the sink's class.

    Raises UsageError for an unknown scheme, option or container and for an existing output without ``force``;
    SinkError where the output cannot be written.
    """
    scheme, rest = _split(str(spec))
    module, name, _ = SINKS[scheme]
    sink = getattr(import_module(module), name)
    try:
        return cast(FrameSink, sink(rest, info, **options))
    except TypeError as exc:
        if "unexpected keyword argument" in str(exc):
            raise UsageError(f"{spec}: a sink of kind {scheme!r} has no such option ({exc})") from exc
        raise


def _split(spec: str) -> tuple[str, str]:
    if spec == "virtual-camera":
        return spec, ""
    if is_address(spec):
        return "file", spec
    found = re.fullmatch(r"([a-z_-]{2,}):(?!//)(.*)", spec, re.DOTALL)  # two letters at least: C: is a drive
    if found is None:
        return ("images" if Path(spec).is_dir() or spec.endswith(("/", "\\")) else "file"), spec
    scheme, rest = found.groups()
    if scheme not in SINKS:
        raise UsageError(f"{spec}: unknown kind of output {scheme!r}; there are {', '.join(sorted(SINKS))}")
    return scheme, rest
