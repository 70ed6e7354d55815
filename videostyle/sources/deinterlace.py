"""Interlaced video made progressive, one picture out for each one in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.filter import Graph


class Deinterlacer:
    """FFmpeg's bwdif over a stream; does nothing until the first interlaced frame comes.

    Frames leave in order and one for one with the times they came with, later by one picture. Pictures that are not
    flagged as interlaced pass unchanged.
    """

    def __init__(self, time_base: Fraction) -> None:
        self.used = False
        self._time_base = time_base
        self._graph: Any = None
        self._shape: tuple[int, int, str] | None = None
        self._waiting: deque[av.VideoFrame] = deque()

    def push(self, frame: av.VideoFrame) -> Iterator[tuple[av.VideoFrame, av.VideoFrame]]:
        """Yields (picture, frame whose times it has) for all that is ready."""
        if not self.used and not frame.interlaced_frame:
            yield frame, frame
            return
        self.used = True
        shape = frame.width, frame.height, frame.format.name
        if shape != self._shape:
            yield from self.flush()
            self._shape = shape
            self._graph = self._build(frame)
        self._waiting.append(frame)
        self._graph.push(frame)
        yield from self._pull()

    def flush(self) -> Iterator[tuple[av.VideoFrame, av.VideoFrame]]:
        """Yields what is still inside; push may follow."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
            self._graph = self._shape = None

    def _build(self, frame: av.VideoFrame) -> Graph:
        graph = Graph()
        nodes = (
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base),
            graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced"),
            graph.add("buffersink"),
        )
        graph.link_nodes(*nodes).configure()
        return graph

    def _pull(self) -> Iterator[tuple[av.VideoFrame, av.VideoFrame]]:
        while True:
            try:
                picture = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield picture, self._waiting.popleft()
