"""Cameras that do what a test says: a webcam behind OpenCV's interface, and a virtual one behind pyvirtualcam's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pytest
import pyvirtualcam
from pyvirtualcam.camera import BACKENDS

Step = Any
"""What a scripted camera does next: give a picture, fail (None), or call something that may wait or raise."""


def picture(value: int, width: int = 64, height: int = 48) -> Any:
    return np.full((height, width, 3), value, np.uint8)


class ScriptedCapture:
    """Stands in for ``cv2.VideoCapture``: gives the pictures of a script, then fails for good."""

    def __init__(self, script: Iterable[Step] | None, rate: float = 30.0) -> None:
        self._script: Iterator[Step] | None = None if script is None else iter(script)
        self.asked: dict[int, float] = {}
        self.granted = {cv2.CAP_PROP_FPS: rate, cv2.CAP_PROP_FOURCC: float(cv2.VideoWriter.fourcc(*"MJPG"))}
        self.released = 0

    def isOpened(self) -> bool:
        return self._script is not None

    def read(self) -> tuple[bool, Any]:
        assert not self.released
        step = next(self._script or iter(()), None)
        step = step() if callable(step) else step
        time.sleep(0.002)
        return step is not None, step

    def get(self, prop: int) -> float:
        return self.granted.get(prop, 0.0)

    def set(self, prop: int, value: float) -> bool:
        self.asked[prop] = value
        return True

    def release(self) -> None:
        self.released += 1


class Bench:
    """A row of scripted captures, opened one after the other; the last one stays."""

    def __init__(self, *scripts: Iterable[Step] | None, rate: float = 30.0) -> None:
        self.captures = [ScriptedCapture(script, rate) for script in scripts]
        self.opened: list[tuple[int | str, int]] = []

    def __call__(self, device: int | str, backend: int) -> ScriptedCapture:
        self.opened.append((device, backend))
        return self.captures[min(len(self.opened), len(self.captures)) - 1]


class Gate:
    """Steps of a script that wait for the test: it opens the gate when it has seen what it wants."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def then(self, step: Step) -> Callable[[], Step]:
        return lambda: step if self.open.wait(30) else pytest.fail("the gate stayed shut")


class Recorder:
    """A backend of pyvirtualcam that keeps what it is given. See ``pyvirtualcam.Backend``."""

    opened: list[Recorder] = []  # noqa: RUF012

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None) -> None:
        self.format = width, height, fps, fourcc.to_bytes(4, "little").decode()
        self.name = device or "recorder0"
        self.sent: list[tuple[float, Any]] = []
        self.threads: set[str] = set()
        self.closed = 0
        self.script: Callable[[], object] = lambda: None
        Recorder.opened.append(self)

    def send(self, frame: Any) -> None:
        assert not self.closed
        self.script()
        assert frame.dtype == np.uint8
        assert frame.shape == (self.format[0] * self.format[1] * 3,)
        assert frame.flags.c_contiguous
        self.sent.append((time.perf_counter(), frame.reshape(self.format[1], self.format[0], 3).copy()))

    def close(self) -> None:
        self.closed += 1

    def device(self) -> str:
        return self.name

    def native_fourcc(self) -> None:
        return None

    @property
    def values(self) -> list[int]:
        return [int(picture[24, 32, 0]) for _, picture in self.sent]


@contextmanager
def recorders() -> Iterator[list[Recorder]]:
    """pyvirtualcam with this one backend; the cameras that were opened with it."""
    before = dict(BACKENDS)
    BACKENDS.clear()
    pyvirtualcam.register_backend("recorder", Recorder)
    Recorder.opened.clear()
    try:
        yield Recorder.opened
    finally:
        BACKENDS.clear()
        BACKENDS.update(before)
