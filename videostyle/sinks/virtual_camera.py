"""A virtual camera: other programs see the frames as those of a webcam."""

from __future__ import annotations

import sys
import threading
import time
from fractions import Fraction
from typing import Any

import numpy as np

from videostyle.canvas import letterbox
from videostyle.errors import SinkError, UsageError
from videostyle.frame import Closing, Frame, Image, StreamInfo

DRIVERS = {
    # Without exclusive_caps Chrome and others take it for an output, not for a camera.
    "linux": "sudo apt install v4l2loopback-dkms && sudo modprobe v4l2loopback exclusive_caps=1 card_label=videostyle",
    "win32": "install OBS Studio from https://obsproject.com and start its virtual camera once",
    "darwin": "install OBS Studio from https://obsproject.com, start its virtual camera once and allow it in "
    "System Settings > General > Login Items & Extensions",
}
"""Platform -> how one gets a virtual camera there."""

_USUAL_RATE = Fraction(30)
# A frame that is a little late is waited for; repeating the one before it would only make its successor late.
_GRACE = 1.25
# Frames that come in a hurry are spread out: what is sent earlier than this after the last, apps drop.
_SOONEST = 0.5
_PATIENCE = 2.0


def driver_hint(platform: str = sys.platform) -> str:
    """What to do where there is no virtual camera."""
    return next((hint for start, hint in DRIVERS.items() if platform.startswith(start)), "this system has none")


class VirtualCameraSink(Closing):
    """Feeds a virtual camera through pyvirtualcam at one size and rate, from the first frame until ``close``.

    A thread of its own sends: the newest frame as soon as it comes, and the last one again at the camera's rate while
    none comes, so that whoever watches never sees the camera go. Frames that come faster than the camera's rate allows
    give way to newer ones. Frames of another size are fitted into the camera's, with black borders.

    spec: device of the camera ("/dev/video10", a name on Windows and macOS); "" for the first one there is.
    size: width and height of the camera, by default those of the stream made even (cameras deliver 4:2:0, which goes by
        pairs). rate: frames per second, by default the stream's, or 30. backend: of pyvirtualcam, None tries them all.

    Raises SinkError, with what to install, where there is no virtual camera or pyvirtualcam is missing; from ``write``
    when the camera fails later.
    """

    def __init__(
        self,
        spec: str,
        info: StreamInfo,
        *,
        size: tuple[int, int] | None = None,
        rate: Fraction | float | None = None,
        backend: str | None = None,
    ) -> None:
        width, height = size or (info.width, info.height)
        rate = rate or info.rate or _USUAL_RATE
        if width < 2 or height < 2 or rate <= 0:
            raise UsageError(f"virtual camera: {width}x{height} at {float(rate):g} fps is no size and rate")
        self.notes: list[str] = []
        self._size = width - width % 2, height - height % 2
        self._interval = 1 / float(rate)
        self._camera = _open(spec, self._size, float(rate), backend)
        self.device: str = self._camera.device
        if size is None and self._size != (width, height):
            self.notes.append(f"the virtual camera is {self._size[0]}x{self._size[1]}: cameras have even sizes")
        self._changed = threading.Condition()
        self._next: Image | None = None
        self._closed = False
        self._error: Exception | None = None
        self._sender = threading.Thread(target=self._send, name="virtual camera", daemon=True)
        self._sender.start()

    @property
    def output(self) -> str | None:
        return f"virtual camera {self.device}"

    def write(self, frame: Frame) -> None:
        """Never waits for the camera. Raises SinkError once sending has failed, and after ``close``."""
        image = letterbox(frame.image, *self._size)
        with self._changed:
            if self._error is not None:
                raise self._failure() from self._error
            if self._closed:
                raise SinkError(f"the virtual camera {self.device} is closed")
            self._next = image
            self._changed.notify_all()

    def close(self, complete: bool = True) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._sender.join(_PATIENCE)
        if self._sender.is_alive():
            self.notes.append(f"the virtual camera {self.device} hangs and was left behind")
        elif self._error is not None and complete:
            raise self._failure() from self._error

    def _abort(self) -> None:
        self.close(complete=False)

    def _failure(self) -> SinkError:
        return SinkError(f"the virtual camera {self.device} failed: {self._error}")

    def _send(self) -> None:
        try:
            shown: Image | None = None
            sent, grace = 0.0, _GRACE
            while True:
                with self._changed:
                    if shown is None:
                        self._changed.wait_for(self._news)
                    else:
                        self._changed.wait_for(
                            self._news, max(0.0, sent + grace * self._interval - time.perf_counter())
                        )
                        early = sent + _SOONEST * self._interval - time.perf_counter()
                        if early > 0:
                            self._changed.wait_for(lambda: self._closed, early)
                    fresh, self._next = self._next, None
                    if fresh is None and (self._closed or shown is None):
                        return
                shown, grace = (shown, 1.0) if fresh is None else (fresh, _GRACE)
                self._camera.send(np.ascontiguousarray(shown))
                sent = time.perf_counter()
        except Exception as error:
            self._error = error
        finally:
            self._camera.close()

    def _news(self) -> bool:
        return self._next is not None or self._closed


def _open(device: str, size: tuple[int, int], rate: float, backend: str | None) -> Any:
    try:
        import pyvirtualcam
    except ImportError as exc:
        raise SinkError(f"a virtual camera needs pyvirtualcam ({exc}): pip install pyvirtualcam") from exc
    if backend is not None and backend not in pyvirtualcam.camera.BACKENDS:
        there = ", ".join(pyvirtualcam.camera.BACKENDS) or "none"
        raise UsageError(f"virtual camera: pyvirtualcam has no backend {backend!r} here; there are {there}")
    try:
        return pyvirtualcam.Camera(
            *size, rate, fmt=pyvirtualcam.PixelFormat.RGB, device=device or None, backend=backend
        )
    except RuntimeError as exc:
        tried = "; ".join(str(exc).splitlines()) or "pyvirtualcam knows none for this system"  # a line for each backend
        which = f"the virtual camera {device} does not open" if device else "no virtual camera opens"
        raise SinkError(f"{which} ({tried}): {driver_hint()}") from exc
