"""Sources and sinks that do what a test tells them, for everything that runs a pipeline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from time import perf_counter

import numpy as np

from videostyle.frame import Frame, StreamInfo


def frame(index: int, width: int = 16, height: int = 8) -> Frame:
    """A frame whose pixels all say its index (modulo 256), at 25 frames a second."""
    image = np.full((height, width, 3), index % 256, np.uint8)
    return Frame(image, index, index, Fraction(1, 25), perf_counter())


def nothing(_: object) -> None:
    """The script of a source or sink that just does its work."""


class ScriptedSource:
    """``frames`` frames; before frame i ``script(i)`` runs, which may wait, count or raise."""

    def __init__(self, frames: int, script: Callable[[int], object] = nothing, *, live: bool = False) -> None:
        self.info = StreamInfo(16, 8, Fraction(1, 25), Fraction(25), None if live else frames, live)
        self.notes: list[str] = []
        self.closed = threading.Event()
        self._frames = frames
        self._script = script

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._frames):
            self._script(index)
            if self.closed.is_set():
                return
            yield frame(index)

    def close(self) -> None:
        self.closed.set()


class ScriptedSink:
    """Remembers which frames came; before it takes one, ``script(frame)`` runs; ``closed`` lists what it was told."""

    def __init__(self, script: Callable[[Frame], object] = nothing) -> None:
        self.notes: list[str] = []
        self.indices: list[int] = []
        self.closed: list[bool] = []
        self._script = script

    @property
    def output(self) -> str | None:
        return "scripted"

    def write(self, frame: Frame) -> None:
        assert not self.closed
        self._script(frame)
        self.indices.append(frame.index)

    def close(self, complete: bool = True) -> None:
        self.closed.append(complete)
