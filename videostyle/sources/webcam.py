"""Webcams, through OpenCV."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from videostyle.errors import SourceError, UsageError
from videostyle.frame import Image
from videostyle.sources import v4l2
from videostyle.sources.reconnect import LiveSource

BACKENDS = {
    "linux": ("CAP_V4L2",),
    "win32": ("CAP_DSHOW", "CAP_MSMF"),  # Media Foundation takes many seconds to open some cameras
    "darwin": ("CAP_AVFOUNDATION",),
}
"""Platform -> OpenCV's ways to a camera there, in the order in which they are tried."""

INSTALL = "pip install opencv-python-headless"

# One picture that comes broken over USB is no lost camera.
_TRIES = 5
_PAUSE = 0.02


class Capture(Protocol):
    """What is used of ``cv2.VideoCapture``."""

    def isOpened(self) -> bool: ...
    def read(self) -> tuple[bool, Any]: ...
    def get(self, prop: int) -> float: ...
    def set(self, prop: int, value: float) -> bool: ...
    def release(self) -> None: ...


CaptureFactory = Callable[[int | str, int], Capture]
"""Opens camera number or device path through a backend of OpenCV; one that cannot be opened says so itself."""


def import_cv2() -> ModuleType:
    """OpenCV; SourceError with the way to install it where it is missing or cannot be loaded."""
    try:
        import cv2
    except ImportError as exc:
        if "libGL" in str(exc):
            raise SourceError(
                "OpenCV lacks a library of the system (libGL): sudo apt install libgl1, "
                "or pip install opencv-python-headless instead"
            ) from exc
        raise SourceError(f"webcams need OpenCV ({exc}): {INSTALL}") from exc
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # It warns on stderr of every camera that does not open; here that is an error in words of our own.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


class WebcamSource(LiveSource):
    """Pictures of a camera, the newest one always; pulled out and plugged in again it comes back.

    spec: number of the camera ("0"), part of its name ("logitech", on Linux) or its device ("/dev/video2").
    size, rate: asked for, in pixels and frames per second; None leaves them to the camera. What was granted is in
        ``info`` and ``description``, and in ``notes`` where it is something else.
    mirror: left and right swapped, as in a mirror; may be set at any time.
    reconnect, patience: see :class:`videostyle.sources.reconnect.LiveSource`.
    capture: how a camera is opened, None for OpenCV. cameras: finds those there are. platform: as ``sys.platform``.

    Raises SourceError, with what to do, for a camera that is missing, busy or not permitted, and without OpenCV;
    UsageError for a size or rate that is none.
    """

    def __init__(
        self,
        spec: str | int = "0",
        *,
        size: tuple[int, int] | None = (1280, 720),
        rate: Fraction | int | float | None = 30,
        mirror: bool = True,
        reconnect: bool = True,
        patience: float = 2.0,
        backoff: tuple[float, float] = (0.5, 8.0),
        capture: CaptureFactory | None = None,
        cameras: Callable[[], Sequence[v4l2.Camera]] = v4l2.cameras,
        platform: str = sys.platform,
    ) -> None:
        if (size is not None and min(size) < 1) or (rate is not None and rate <= 0):
            raise UsageError(f"webcam:{spec}: size and rate must be above zero")
        self.mirror = mirror
        self._asked_size, self._asked_rate = size, rate
        self._platform, self._cameras = platform, cameras
        self._capture = capture or import_cv2().VideoCapture
        self._spec = str(spec).strip() or "0"
        self._model: str | None = None
        device, self._model = self._device()
        name = f"camera {device}" + (f" ({self._model})" if self._model else "")
        self.description = name
        super().__init__(name, self._open, reconnect=reconnect, patience=patience, backoff=backoff)
        self._tell()

    def _tell(self) -> None:
        info = self.info
        rate = "" if info.rate is None else f" at {float(info.rate):g} fps"
        granted = f"{info.width}x{info.height}{rate}"
        self.description = f"{self.name}: {granted}{self._format}"
        asked = self._asked_size is not None and self._asked_size != (info.width, info.height)
        slower = (
            self._asked_rate is not None
            and info.rate is not None
            and abs(float(info.rate) - float(self._asked_rate)) > 0.5
        )
        if asked or slower:
            size = "its own size" if self._asked_size is None else f"{self._asked_size[0]}x{self._asked_size[1]}"
            rate = "" if self._asked_rate is None else f" at {float(self._asked_rate):g} fps"
            self.notes.append(f"{self.name} gives {granted}, not {size}{rate}")

    def _device(self) -> tuple[int | str, str | None]:
        """What OpenCV opens, and the name of that camera. A camera that was plugged in anew may have a new number."""
        if not self._platform.startswith("linux"):
            if self._spec.isdecimal():
                return int(self._spec), None
            raise SourceError(f"webcam:{self._spec}: cameras have names on Linux only; give a number, as in webcam:0")
        there = self._cameras()
        if self._spec.isdecimal() or self._spec.startswith("/"):
            path = Path(f"/dev/video{self._spec}" if self._spec.isdecimal() else self._spec)
            same = [camera for camera in there if camera.path == path and self._model in (None, camera.name)]
            moved = [camera for camera in there if camera.name == self._model]
            for camera in (*same, *moved):
                return camera.index, camera.name
            return int(self._spec) if self._spec.isdecimal() else self._spec, self._model
        for camera in there:
            if self._spec.lower() in camera.name.lower():
                return camera.index, camera.name
        raise SourceError(f"no camera is called {self._spec!r}; {_list(there)}")

    def _open(self, closed: threading.Event) -> _Webcam:
        cv2 = import_cv2()
        device, _ = self._device()
        names = next((names for start, names in BACKENDS.items() if self._platform.startswith(start)), ("CAP_ANY",))
        for name in names:
            try:
                capture = self._capture(device, getattr(cv2, name))
            except cv2.error as exc:
                raise SourceError(f"camera {device} cannot be opened: {exc}") from exc
            if capture.isOpened():
                self._ask(cv2, capture)
                rate = capture.get(cv2.CAP_PROP_FPS)
                code = int(capture.get(cv2.CAP_PROP_FOURCC))
                kind = code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ") if code > 0 else ""
                self._format = f", {kind}" if kind.isprintable() and kind else ""
                known = Fraction(rate).limit_denominator(1001) if 0 < rate < 1000 else None
                return _Webcam(cv2, capture, known, partial(getattr, self, "mirror"), self._gone(device), closed)
            capture.release()
        raise SourceError(self._refusal(device))

    def _ask(self, cv2: Any, capture: Capture) -> None:
        # The format first: uncompressed, USB 2 has room for 720p at 10 frames a second only.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if self._asked_size is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._asked_size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._asked_size[1])
        if self._asked_rate is not None:
            capture.set(cv2.CAP_PROP_FPS, float(self._asked_rate))
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _gone(self, device: int | str) -> str:
        return f"camera {device} gives no pictures: see that it is plugged in and that no other program uses it"

    def _refusal(self, device: int | str) -> str:
        """Why a camera does not open, and what to do."""
        if self._platform == "darwin":
            return (
                f"camera {device} does not open: plug it in, and allow it for this terminal in "
                "System Settings > Privacy & Security > Camera"
            )
        if self._platform == "win32":
            return (
                f"camera {device} does not open: plug it in, close other programs that use it, and allow it in "
                "Settings > Privacy & security > Camera"
            )
        path = Path(f"/dev/video{device}" if isinstance(device, int) else device)
        there = self._cameras()
        if not path.exists() and all(camera.path != path for camera in there):
            return f"there is no camera {device}; {_list(there)}"
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            return (
                f"no permission to use camera {device}: sudo usermod -aG video $USER, then log out and in again "
                f"({path})"
            )
        return f"camera {device} is busy or broken: close the browser or call that uses it (fuser {path} names it)"


class _Webcam:
    """An open capture as a connection. See :class:`videostyle.sources.reconnect.Connection`."""

    def __init__(
        self,
        cv2: Any,
        capture: Capture,
        rate: Fraction | None,
        mirrored: Callable[[], bool],
        gone: str,
        closed: threading.Event,
    ) -> None:
        self.rate = rate
        self._cv2, self._capture = cv2, capture
        self._mirrored, self._gone, self._closed = mirrored, gone, closed

    def read(self) -> Image | None:
        for _ in range(_TRIES):
            try:
                good, picture = self._capture.read()
            except self._cv2.error as exc:
                raise SourceError(f"{self._gone} ({exc})") from exc
            if good and picture is not None:
                rgb = self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2RGB)
                return cast(Image, self._cv2.flip(rgb, 1) if self._mirrored() else rgb)
            if self._closed.wait(_PAUSE):
                return None
        raise SourceError(self._gone)

    def close(self) -> None:
        self._capture.release()


def _list(cameras: Sequence[v4l2.Camera]) -> str:
    if not cameras:
        return "no camera is connected (videostyle live --source CLIP.mp4 plays a file in its stead)"
    return "there are: " + ", ".join(f"{camera.index} ({camera.name})" for camera in cameras)
