"""Files and addresses at their own pace: what stands in for a camera, and what is one, far away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

from videostyle.address import shown
from videostyle.errors import SourceError
from videostyle.frame import Closing, Frame, Image
from videostyle.sources.file import FileSource
from videostyle.sources.reconnect import Connection, LiveSource

_BEHIND = 1.0
_PLAYLISTS = (".m3u8", ".mpd")


def in_time(frames: Iterator[Frame], closed: threading.Event) -> Iterator[Frame]:
    """Holds every frame back until it is due by the clock; ends when ``closed`` is set.

    ``captured_at`` becomes the moment at which a frame goes out. A stream that has fallen a second behind (the machine
    slept, the network stalled) goes on from there instead of rushing after the clock.
    """
    start: float | None = None
    for frame in frames:
        now = time.perf_counter()
        if start is None or now - start - frame.seconds > _BEHIND:
            start = now - frame.seconds
        if closed.wait(max(0.0, start + frame.seconds - now)):
            return
        yield replace(frame, captured_at=time.perf_counter())


def repeated(first: FileSource, again: Callable[[], FileSource] | None, notes: list[str]) -> Iterator[Frame]:
    """The frames of ``first``, then of what ``again`` opens, over and over; indices and times go on rising.

    again: None plays once. notes: gets the notes of each round, every line once.
    """
    source, index, offset = first, 0, Fraction(0)
    base = first.info.time_base
    while True:
        begin: Fraction | None = None
        end = step = 1 / (source.info.rate or Fraction(30))
        for frame in source:
            now = frame.pts * frame.time_base
            begin = now if begin is None else begin
            end = now - begin + step
            pts = frame.pts if again is None else round((offset + now - begin) / base)
            yield replace(frame, index=index, pts=pts, time_base=base)
            index += 1
        notes.extend(note for note in source.notes if note not in notes)
        if again is None or begin is None:
            return
        offset += end
        source.close()
        source = again()


class PacedSource(Closing):
    """A video file at its own pace, as if it were a camera: live, so that late frames may be dropped; without sound.

    spec: path of the file. loop: play it over and over; times and indices go on rising.

    Raises SourceError as :class:`videostyle.sources.file.FileSource` does.
    """

    def __init__(self, spec: str | Path, *, loop: bool = False) -> None:
        self.notes: list[str] = []
        self._spec, self._loop = spec, loop
        self._closed = threading.Event()
        self._source = FileSource(spec)
        frames = None if loop else self._source.info.frames
        self.info = replace(self._source.info, frames=frames, live=True, origin=None, origin_span=None)
        self._frames = in_time(repeated(self._source, self._reopen if loop else None, self.notes), self._closed)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            if self._closed.is_set():
                return
            yield frame

    def close(self) -> None:
        self._closed.set()
        self._source.close()

    def _reopen(self) -> FileSource:
        self._source = FileSource(self._spec)
        if self._closed.is_set():
            self._source.close()
        return self._source


class UrlSource(LiveSource):
    """The pictures of an address, the newest one always; lost and found again like a camera.

    A stream comes at its own pace and with as little buffering as its protocol allows. A film that tells how long it
    is, and playlists (HLS, DASH), are paced: such a film ends, or starts again with ``loop``, and goes on after a loss
    where it was.

    spec: an address: rtsp://, http://, https://, udp://, srt:// where the FFmpeg of PyAV knows it.
    timeout: seconds without an answer after which the connection counts as lost.
    reconnect, patience, backoff: see :class:`videostyle.sources.reconnect.LiveSource`.

    Raises SourceError, without user names and passwords of the address, when nothing answers with a video.
    """

    def __init__(
        self,
        spec: str,
        *,
        loop: bool = False,
        reconnect: bool = True,
        timeout: float = 5.0,
        patience: float = 2.0,
        backoff: tuple[float, float] = (0.5, 8.0),
    ) -> None:
        self._address, self._loop, self._timeout = spec, loop, timeout
        self._url: _Url | None = None
        super().__init__(shown(spec), self._open, reconnect=reconnect, patience=patience, backoff=backoff)

    def _open(self, closed: threading.Event) -> Connection:
        # Half a second again, so that something is left to read of a film that broke off just before its end.
        start = max(0.0, self._url.position - 0.5) if self._url is not None else 0.0
        self._url = _Url(self._address, start=start, loop=self._loop, timeout=self._timeout, closed=closed)
        return self._url


class _Url:
    """One connection to an address. See :class:`videostyle.sources.reconnect.Connection`."""

    def __init__(self, address: str, *, start: float, loop: bool, timeout: float, closed: threading.Event) -> None:
        self.position = start
        self._first: float | None = None
        self._address, self._loop, self._timeout, self._closed = address, loop, timeout, closed
        self._open(start)
        self.rate = self._source.info.rate

    def read(self) -> Image | None:
        while True:
            frame = next(self._frames, None)
            if frame is not None:
                if not self._source.info.live:  # a file's own times need not begin at 0
                    self._first = frame.seconds if self._first is None else self._first
                    self.position = self._start + frame.seconds - self._first
                return frame.image
            if self._closed.is_set():
                return None
            if self._source.info.live or self._source.ended_early:
                raise SourceError(f"{shown(self._address)} broke off")
            self.position = 0.0
            if not self._loop:
                return None
            self._source.close()
            self._open(0.0)

    def close(self) -> None:
        self._source.close()

    def _open(self, start: float) -> None:
        self._start, self._first = start, None
        self._source = FileSource(self._address, start=start, low_delay=True, timeout=self._timeout)
        playlist = urlsplit(self._address).path.lower().endswith(_PLAYLISTS)
        frames = iter(self._source)
        self._frames = in_time(frames, self._closed) if playlist or not self._source.info.live else frames
