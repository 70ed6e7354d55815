"""Live pictures from something that may go away and come back: a camera, an address."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Protocol

from videostyle.canvas import card, letterbox
from videostyle.errors import SourceError
from videostyle.frame import Closing, Frame, Image, StreamInfo

TIME_BASE = Fraction(1, 90000)
"""Ticks of live times: those of MPEG-2 systems (ISO/IEC 13818-1), which every container keeps exactly enough."""

CARD_EVERY = 0.1
"""Seconds from one "no signal" card to the next."""

_FIRST_PICTURE = 15.0
_JOIN = 0.3


class Connection(Protocol):
    """One connection to a camera or an address, from its opening until it breaks. Only one thread uses it at a time.

    rate: nominal frames per second, None where unknown.
    """

    rate: Fraction | None

    def read(self) -> Image | None:
        """The next picture, waited for: uint8 RGB (H, W, 3), the caller's own. None at the end of what ends by itself.

        Raises SourceError when the connection is lost.
        """
        ...

    def close(self) -> None: ...


Connect = Callable[[threading.Event], Connection]
"""Opens a connection or raises SourceError; the event is set when the source is closed, and ends any waiting."""


class LiveSource(Closing):
    """The newest picture of a connection, always; while it is lost, a "no signal" card and new attempts.

    A thread of its own reads, so that a read that hangs holds up neither ``close`` nor the card. Of pictures that come
    faster than they are taken only the newest is kept; ``Frame.index`` counts the others too. Times are those of the
    clock at which pictures arrived, in 1/90000 s from the first one. Pictures of another size than the first one's are
    fitted into it, with black borders.

    name: what it is called on the card and in messages.
    connect: opens a connection; called again after each loss.
    reconnect: False ends the stream with the SourceError of the loss instead.
    patience: seconds without a picture after which the card is shown although nothing is known to be lost.
    backoff: seconds between the first attempts, and what they double up to.

    Raises SourceError, from the constructor, where no first picture comes. ``info`` is that of the first picture.
    """

    def __init__(
        self,
        name: str,
        connect: Connect,
        *,
        reconnect: bool = True,
        patience: float = 2.0,
        backoff: tuple[float, float] = (0.5, 8.0),
    ) -> None:
        self.name = name
        self.notes: list[str] = []
        self._connect = connect
        self._reconnect, self._patience, self._backoff = reconnect, patience, backoff
        self._closed = threading.Event()
        self._changed = threading.Condition()
        self._newest: tuple[Image, float] | None = None
        self._count = 0
        self._size: tuple[int, int] | None = None
        self._failure: BaseException | None = None
        self._ended = False
        self._lost_at: float | None = None
        self._attempt, self._delay, self._reason = 0, backoff[0], ""
        self._losses, self._away = 0, 0.0
        self._began: float | None = None
        self._last_pts = -1
        # In this thread, because macOS asks for permission to use a camera only in the main one.
        connection = connect(self._closed)
        self._reader = threading.Thread(target=self._read, args=(connection,), name=f"read {name}", daemon=True)
        self._reader.start()
        try:
            width, height = self._first_size()
        except BaseException:
            self.close()
            raise
        self.info = StreamInfo(width, height, TIME_BASE, rate=connection.rate, live=True)

    def __iter__(self) -> Iterator[Frame]:
        shown = time.perf_counter()
        while True:
            with self._changed:
                self._changed.wait_for(self._news, CARD_EVERY)
                if self._closed.is_set():
                    return
                found, self._newest = self._newest, None
                if found is None and self._failure is not None:
                    raise self._failure
                if found is None and self._ended:
                    return
                missing = self._lost_at is not None or time.perf_counter() - shown > self._patience
                if found is None and not missing:
                    continue
                self._count += found is None
                index = self._count - 1
            if found is not None:
                shown = time.perf_counter()
                yield self._frame(self._fitted(found[0]), index, found[1])
            else:
                yield self._frame(self._card(), index, time.perf_counter())

    def close(self) -> None:
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        # A read that hangs in a driver cannot be ended from here: the thread closes the connection when it comes back.
        if threading.current_thread() is not self._reader:
            self._reader.join(_JOIN)

    def _news(self) -> bool:
        return self._newest is not None or self._failure is not None or self._ended or self._closed.is_set()

    def _first_size(self) -> tuple[int, int]:
        with self._changed:
            self._changed.wait_for(self._news, _FIRST_PICTURE)
            if self._size is None:
                if self._failure is not None:
                    raise self._failure
                raise SourceError(f"{self.name} opens but gives no picture: see that nothing else uses it, try again")
            return self._size

    def _frame(self, image: Image, index: int, captured_at: float) -> Frame:
        if self._began is None:
            self._began = captured_at
        pts = max(self._last_pts + 1, round((captured_at - self._began) / TIME_BASE))
        self._last_pts = pts
        return Frame(image, index, pts, TIME_BASE, captured_at)

    def _fitted(self, image: Image) -> Image:
        height, width = image.shape[:2]
        if (width, height) != (self.info.width, self.info.height):
            size = f"{self.info.width}x{self.info.height}"
            self._note(f"{self.name} changed to {width}x{height} on the way; its pictures were fitted into {size}")
        return letterbox(image, self.info.width, self.info.height)

    def _card(self) -> Image:
        doing = f"reconnecting, attempt {self._attempt}" if self._attempt else "waiting for it"
        return card(self.info.width, self.info.height, "No signal", [self.name, doing])

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    # From here on: the reader's thread.

    def _read(self, connection: Connection) -> None:
        held: Connection | None = connection
        try:
            while held is not None:
                try:
                    self._drain(held)
                    return
                except SourceError as exc:
                    if not self._reconnect or self._count == 0:
                        raise
                    self._reason = str(exc)
                    if self._lost_at is None:
                        self._lost_at, self._attempt, self._delay = time.perf_counter(), 0, self._backoff[0]
                held.close()
                held = self._opened_again()
        except BaseException as exc:
            self._failure = exc
        finally:
            if held is not None:
                held.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _drain(self, connection: Connection) -> None:
        """Keeps the newest picture until the connection ends; SourceError where it is lost."""
        while not self._closed.is_set():
            image = connection.read()
            now = time.perf_counter()
            if image is None:
                return
            if self._lost_at is not None:
                self._found(now - self._lost_at)
            with self._changed:
                self._newest = image, now
                self._size = self._size or (image.shape[1], image.shape[0])
                self._count += 1
                self._lost_at = None
                self._changed.notify_all()

    def _opened_again(self) -> Connection | None:
        """A new connection, however long it takes; None once closed."""
        while not self._closed.wait(self._delay):
            self._attempt += 1
            self._delay = min(2 * self._delay, self._backoff[1])
            try:
                return self._connect(self._closed)
            except SourceError as exc:
                self._reason = str(exc)
        return None

    def _found(self, seconds: float) -> None:
        self._losses, self._away = self._losses + 1, self._away + seconds
        times = "once" if self._losses == 1 else f"{self._losses} times"
        begin = f"{self.name} was gone"
        kept = [note for note in self.notes if not note.startswith(begin)]
        self.notes[:] = [*kept, f"{begin} {times}, {self._away:.1f} s in all (last: {self._reason})"]
